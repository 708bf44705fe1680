"""The authors' checkpoints of 3DDFA, 3DDFA_V2 and RADAN: every tensor finds its place, or the reader says which does
not.

First layers are turned from BGR to RGB input; matrices of the whitening from px per µm to px per dm.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoint import load_strict, read_state
from common.errors import CheckpointError, FaceModelError
from morphable.loaders.arrays import checked
from morphable.loaders.pickles import read_pickled
from morphable.loaders.tddfa_files import LAYOUTS
from networks.regressors import RegressorConfig
from recon3d.regression.models import ParameterRegressor
from recon3d.regression.params import MICROMETRES_PER_DM, Layout, Whitening, scale_matrix

# convention → (file name, keys of mean and spread)
WHITENING = {
    "v1": ("param_whitening.pkl", "param_mean", "param_std"),
    "v2": ("param_mean_std_62d_120x120.pkl", "mean", "std"),
}
_BLOCK = {"conv_dw": "depthwise", "bn_dw": "bn1", "conv_sep": "pointwise", "bn_sep": "bn2"}
_BLOCK_NUMBERS = ["2_1", "2_2", "3_1", "3_2", "4_1", "4_2", *(f"5_{i}" for i in range(1, 7)), "6"]
# Names of the ASPP and SE modules are those of the public implementations that RADAN took over; its files are not
# published.
_RADAN = (
    (r"^encoder_coarse\.", ""),
    (r"^layer(\d)\.", lambda m: f"stages.{int(m[1]) - 1}."),
    (r"^(stages\.\d+\.\d+\.conv2)\.conv2_(\d)\.", lambda m: f"{m[1]}.levels.{int(m[2]) - 1}."),
    (r"^(stages\.\d+\.\d+\.conv2)\.weight$", r"\1.levels.0.weight"),
    (r"\.downsample\.", ".shortcut."),
    (r"^replay_attention(\d)\.", lambda m: f"replay.{int(m[1]) - 1}."),
    (r"\.ChannelGate\.mlp\.1\.", ".channel.hidden."),
    (r"\.ChannelGate\.mlp\.3\.", ".channel.output."),
    (r"\.SpatialGate\.spatial\.", ".spatial."),
    (r"\.guider\.estimate_weight\.", ".replay."),
    (r"\.guider\.fitting\.", ".fit."),
    (r"\.guider\.dynamic_fusion\.", ".fuse."),
    (r"^transformer(\d)\.se\.fc1\.", lambda m: f"transformers.{int(m[1]) - 1}.se_block.se.squeeze."),
    (r"^transformer(\d)\.se\.fc2\.", lambda m: f"transformers.{int(m[1]) - 1}.se_block.se.excite."),
    (r"^transformer(\d)\.se\.", lambda m: f"transformers.{int(m[1]) - 1}.se_block."),
    (r"^transformer(\d)\.", lambda m: f"transformers.{int(m[1]) - 1}."),
    (r"\.aspp\.conv\.", ".aspp.context."),
    (r"\.aspp\.atrous_block(1|6|12|18)\.", lambda m: f".aspp.views.{['1', '6', '12', '18'].index(m[1])}."),
    (r"\.aspp\.conv_1x1_output\.", ".aspp.project."),
    (r"^seLayer(\d)\.fc\.0\.", lambda m: f"se.{int(m[1]) - 3}.squeeze."),
    (r"^seLayer(\d)\.fc\.2\.", lambda m: f"se.{int(m[1]) - 3}.excite."),
    (r"^fc([123])\.", lambda m: f"fc.{int(m[1]) - 1}.0."),
    (r"^fc([123])1\.", lambda m: f"fc.{int(m[1]) - 1}.1."),
)
_RESNET = (
    (r"^layer(\d)\.", lambda m: f"stages.{int(m[1]) - 1}."),
    (r"^conv_param\.", "fc."),
    (r"^conv_lm\.", "fc_lm."),
)


def import_regressor(path: Path, whitening: Path | None = None) -> ParameterRegressor:
    """Read `phase1_*.pth.tar`, `mb1_120x120.pth`, `mb05_120x120.pth`, `resnet22.pth` or RADAN's `.pth.tar`.

    Args: whitening: `param_whitening.pkl` (3DDFA, RADAN) or `param_mean_std_62d_120x120.pkl` (3DDFA_V2); default:
        searched for beside the checkpoint and in `../configs`, `../train.configs`. The two are not interchangeable.
    Returns: the model in eval mode; the landmark head of 3DDFA_V2 (`fc_lm`) is kept.
    Raises: CheckpointError naming the file and the tensor.
    """
    content = read_state(path)
    tensors = content.get("state_dict", content)
    tensors = {k.removeprefix("module."): v for k, v in tensors.items() if isinstance(v, Tensor)}
    config, convention, tensors = _recognise(tensors, path)
    model = ParameterRegressor(config, read_whitening(path, convention, whitening, config.outputs), convention, "3ddfa")
    own = model.network.state_dict()
    for name, tensor in own.items():  # old PyTorch versions did not store these counters
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.zeros_like(tensor))
    tensors = {k: _fitted(k, v, own) for k, v in tensors.items()}
    bad = next((k for k, v in tensors.items() if v.is_floating_point() and not torch.isfinite(v).all()), None)
    if bad is not None:
        raise CheckpointError(f"{path}: tensor {bad} holds values that are not finite; the file is not usable.")
    load_strict(model.network, tensors, path)
    return model.eval()


def _fitted(name: str, tensor: Tensor, own: dict[str, Tensor]) -> Tensor:
    """1×1 convolutions that are linear layers here lose two axes; the first convolution takes RGB."""
    wanted = own.get(name)
    if wanted is not None and wanted.ndim == 2 and tensor.ndim == 4 and tensor.shape[2:] == (1, 1):
        return tensor[:, :, 0, 0]
    return tensor.flip(1) if tensor.ndim == 4 and tensor.shape[1] == 3 else tensor


def _recognise(tensors: dict[str, Tensor], path: Path) -> tuple[RegressorConfig, str, dict[str, Tensor]]:
    """Architecture, convention and renamed tensors of a checkpoint, told by its names and shapes."""
    if any(".conv_dw." in k for k in tensors):
        released = "fc_param.weight" in tensors or "fc_lm.weight" in tensors  # V1 calls its one head "fc"
        tensors = {_mobilenet_name(k): v for k, v in tensors.items()}
        if "conv.weight" in tensors and "fc.weight" in tensors:
            config = _config("mobilenet", tensors["fc.weight"], tensors.get("fc_lm.weight"), path)
            width = tensors["conv.weight"].shape[0] / 32
            return RegressorConfig(**{**config, "width": width}), "v2" if released else "v1", tensors
    elif "conv_param.weight" in tensors:
        tensors = _renamed(tensors, _RESNET)
        return (
            RegressorConfig(**_config("resnet22", tensors["fc.weight"], tensors.get("fc_lm.weight"), path)),
            "v2",
            tensors,
        )
    elif any("replay_attention1." in k for k in tensors):
        tensors = _renamed(tensors, _RADAN)
        heads = [tensors.get(f"fc.{i}.1.weight") for i in range(3)]
        if all(head is not None for head in heads):
            pose, identity, expression = (len(head) for head in heads)
            return RegressorConfig("radan", pose=pose, identity=identity, expression=expression), "v1", tensors
    raise CheckpointError(
        f"{path}: not a checkpoint of 3DDFA, 3DDFA_V2 (MobileNet-V1, ResNet-22) or RADAN; the first tensor is"
        f" {next(iter(tensors), 'missing')}."
    )


def _config(arch: str, head: Tensor, landmark_head: Tensor | None, path: Path) -> dict:
    if len(head) not in LAYOUTS:
        known = ", ".join(map(str, LAYOUTS))
        raise CheckpointError(f"{path}: puts out {len(head)} parameters; known are {known}.")
    layout = Layout(*LAYOUTS[len(head)])
    points = 0 if landmark_head is None else len(landmark_head) // 2
    return {"arch": arch, "identity": layout.identity, "expression": layout.expression, "landmarks": points}


def _mobilenet_name(name: str) -> str:
    match = re.fullmatch(r"dw(\d(?:_\d)?)\.(conv_dw|bn_dw|conv_sep|bn_sep)\.(.+)", name)
    if match and match[1] in _BLOCK_NUMBERS:
        return f"blocks.{_BLOCK_NUMBERS.index(match[1])}.{_BLOCK[match[2]]}.{match[3]}"
    return re.sub(r"^fc_param\.", "fc.", re.sub(r"^(conv|bn)1\.", r"\1.", name))


def _renamed(tensors: dict[str, Tensor], rules: tuple) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def read_whitening(checkpoint: Path, convention: str, path: Path | None, length: int) -> Whitening:
    """Whitening of an authors' checkpoint, matrices in px per dm. Raises: CheckpointError naming what is missing or
    wrong.
    """
    name, mean_key, std_key = WHITENING[convention]
    if path is None:
        places = [
            checkpoint.parent / part for part in (".", "../configs", "../train.configs", "train.configs", "configs")
        ]
        path = next((place / name for place in places if (place / name).is_file()), None)
        if path is None:
            raise CheckpointError(
                f"{checkpoint}: its whitening {name} is not beside it; give its place with --whitening."
            )
    try:
        fields = read_pickled(path)
        fields = fields if isinstance(fields, dict) else {}
        arrays = [torch.from_numpy(checked(path, fields, key, length)).double() for key in (mean_key, std_key)]
        mean, std = (scale_matrix(array, MICROMETRES_PER_DM).float() for array in arrays)
        return Whitening(mean, std)
    except (FaceModelError, ValueError) as error:
        text = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(f"{path}: not the whitening of {checkpoint.name} ({text.rstrip('.')}).") from None
