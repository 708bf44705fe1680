"""Authors' checkpoints of every architecture under their own names; what is wrong is named."""

import pickle
import re

import numpy as np
import pytest
import torch

from common.errors import CheckpointError
from networks.regressors import RegressorConfig, build_regressor
from recon3d.regression.importers import import_regressor

RATES = ("1", "6", "12", "18")


def authors_mobilenet(name, head):
    name = re.sub(r"^(conv|bn)\.", r"\g<1>1.", name)
    name = re.sub(r"^fc\.", f"{head}.", name)
    numbers = ["2_1", "2_2", "3_1", "3_2", "4_1", "4_2", *(f"5_{i}" for i in range(1, 7)), "6"]
    parts = {"depthwise": "conv_dw", "bn1": "bn_dw", "pointwise": "conv_sep", "bn2": "bn_sep"}
    return re.sub(r"^blocks\.(\d+)\.(\w+)\.", lambda m: f"dw{numbers[int(m[1])]}.{parts[m[2]]}.", name)


def authors_resnet(name, _):
    name = re.sub(r"^stages\.(\d)", lambda m: f"layer{int(m[1]) + 1}", name)
    return re.sub(r"^fc\.", "conv_param.", name)


def authors_radan(name, _):
    rules = (
        (r"^stages\.3\.(\d)\.conv2\.levels\.0", r"stages.3.\1.conv2"),
        (r"\.levels\.(\d)", lambda m: f".conv2_{int(m[1]) + 1}"),
        (r"^stages\.(\d)", lambda m: f"layer{int(m[1]) + 1}"),
        (r"^(layer.*)\.shortcut\.", r"\1.downsample."),
        (r"^replay\.(\d)\.(replay|fit|fuse)\.", lambda m: f"replay_attention{int(m[1]) + 1}.guider.{m[2]}."),
        (r"guider\.replay", "guider.estimate_weight"),
        (r"guider\.fit\b", "guider.fitting"),
        (r"guider\.fuse", "guider.dynamic_fusion"),
        (r"^replay\.(\d)\.", lambda m: f"replay_attention{int(m[1]) + 1}."),
        (r"\.channel\.hidden", ".ChannelGate.mlp.1"),
        (r"\.channel\.output", ".ChannelGate.mlp.3"),
        (r"\.attention\.spatial\.", ".attention.SpatialGate.spatial."),
        (r"^transformers\.(\d)\.se_block\.se\.squeeze", lambda m: f"transformer{int(m[1]) + 1}.se.fc1"),
        (r"^transformers\.(\d)\.se_block\.se\.excite", lambda m: f"transformer{int(m[1]) + 1}.se.fc2"),
        (r"^transformers\.(\d)\.se_block", lambda m: f"transformer{int(m[1]) + 1}.se"),
        (r"^transformers\.(\d)", lambda m: f"transformer{int(m[1]) + 1}"),
        (r"aspp\.context", "aspp.conv"),
        (r"aspp\.views\.(\d)", lambda m: f"aspp.atrous_block{RATES[int(m[1])]}"),
        (r"aspp\.project", "aspp.conv_1x1_output"),
        (r"^se\.(\d)\.squeeze", lambda m: f"seLayer{int(m[1]) + 3}.fc.0"),
        (r"^se\.(\d)\.excite", lambda m: f"seLayer{int(m[1]) + 3}.fc.2"),
        (r"^fc\.(\d)\.0", lambda m: f"fc{int(m[1]) + 1}"),
        (r"^fc\.(\d)\.1", lambda m: f"fc{int(m[1]) + 1}1"),
    )
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return f"encoder_coarse.{name}"


CASES = {
    "phase1": (RegressorConfig(width=0.25), authors_mobilenet, "fc", "v1"),
    "mb": (RegressorConfig(width=0.5, landmarks=68), authors_mobilenet, "fc_param", "v2"),
    "resnet22": (RegressorConfig("resnet22"), authors_resnet, "", "v2"),
    "radan": (RegressorConfig("radan"), authors_radan, "", "v1"),
}


def write(folder, config, rename, head, length=62):
    """A checkpoint as the authors would have written this network, with both whitening files beside it."""
    network = build_regressor(config).eval()
    tensors = {}
    for name, tensor in network.state_dict().items():
        name = rename(name, head)
        tensor = tensor.flip(1) if tensor.ndim == 4 and tensor.shape[1] == 3 else tensor
        if tensor.ndim == 2 and (name.startswith("conv_param") or re.search(r"transformer\d\.se\.fc", name)):
            tensor = tensor[:, :, None, None]
        tensors[f"module.{name}"] = tensor.clone()
    torch.save({"epoch": 50, "state_dict": tensors}, folder / "net.pth.tar")
    mean, std = np.arange(length, dtype=np.float32), np.full(length, 2, np.float32)
    with (folder / "param_whitening.pkl").open("wb") as file:
        pickle.dump({"param_mean": mean, "param_std": std}, file, protocol=2)
    with (folder / "param_mean_std_62d_120x120.pkl").open("wb") as file:
        pickle.dump({"mean": mean, "std": 2 * std}, file, protocol=2)
    return network, folder / "net.pth.tar"


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_finds_its_place(case, tmp_path):
    config, rename, head, convention = CASES[case]
    network, path = write(tmp_path, config, rename, head)
    model = import_regressor(path)
    assert model.convention.name == convention and model.config == config
    assert model.std[3] == (2 if convention == "v1" else 4) and torch.isclose(model.mean[2], torch.tensor(2e5))
    images = torch.randn(1, 3, 120, 120)
    with torch.inference_mode():
        assert torch.allclose(model.network(images), network(images), atol=1e-5)
        if config.landmarks:
            assert torch.equal(model.network.with_landmarks(images)[1], network.with_landmarks(images)[1])


def test_faults_are_named(tmp_path):
    config, rename, head, _ = CASES["mb"]
    _, path = write(tmp_path, config, rename, head)
    content = torch.load(path, weights_only=True)
    short = dict(content["state_dict"])
    del short["module.dw3_1.bn_sep.bias"]
    cases = {
        "lacks blocks.2.bn2.bias": short,
        "unknown tensor extra.weight": {**content["state_dict"], "module.extra.weight": torch.zeros(2)},
        "not finite": {**content["state_dict"], "module.fc_lm.bias": torch.full((136,), float("nan"))},
        "not a checkpoint of 3DDFA": {"weight": torch.zeros(3)},
        "puts out 63 parameters": {**content["state_dict"], "module.fc_param.weight": torch.zeros(63, 512)},
    }
    for text, tensors in cases.items():
        torch.save({"state_dict": tensors}, tmp_path / "bad.pth")
        with pytest.raises(CheckpointError, match=text):
            import_regressor(tmp_path / "bad.pth")


def test_whitening_is_needed_and_checked(tmp_path):
    config, rename, head, _ = CASES["phase1"]
    _, path = write(tmp_path, config, rename, head, length=61)
    with pytest.raises(CheckpointError, match=r"param_whitening.pkl: not the whitening .*61"):
        import_regressor(path)
    (tmp_path / "param_whitening.pkl").unlink()
    with pytest.raises(CheckpointError, match="param_whitening.pkl is not beside it"):
        import_regressor(path)
