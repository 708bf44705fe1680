"""Saving, loading, adapting, and the authors' checkpoints."""

import json

import pytest
import torch

from common.checkpoint import save_snapshot
from common.errors import CheckpointError
from geometry.schemes import IBUG_68
from landmarks.bundle import main as bundle
from landmarks.models import LoadedModel, adapt, init_from_imagenet, load_model, model_config, save_for_inference
from networks.aae import AAE, AAEConfig


def make_model(tmp_path, **options):
    networks = AAE(AAEConfig(128, **options))
    scheme = IBUG_68 if options.get("num_landmarks") else None
    return LoadedModel(networks, scheme, "lm_ground_truth", model_config(networks, scheme, "lm_ground_truth"), tmp_path)


def save(model, folder):
    save_snapshot(folder, model.networks.state_dict(), model.info)


def test_round_trip(tmp_path):
    model = make_model(tmp_path, num_landmarks=68, activation="leaky_relu")
    save(model, tmp_path / "session" / "00003")
    for name in ("session/00003", "session", str(tmp_path / "session/00003")):
        loaded = load_model(name, tmp_path)
        assert loaded.scheme == IBUG_68 and loaded.crop_source == "lm_ground_truth"
        assert loaded.networks.config == model.networks.config and not loaded.networks.training
        assert adapt(loaded).training and adapt(loaded, coords_head=True).training
        for (name_a, a), b in zip(
            model.networks.state_dict().items(), loaded.networks.state_dict().values(), strict=True
        ):
            assert torch.equal(a, b), name_a


def test_inference_form_is_half_the_size_and_lacks_discriminators(tmp_path):
    model = make_model(tmp_path, num_landmarks=68)
    save_for_inference(model, tmp_path / "small")
    loaded = load_model("small", tmp_path)
    assert (tmp_path / "small" / "model.safetensors").stat().st_size < 50e6
    a, b = model.networks.Q.fc.weight, loaded.networks.Q.fc.weight
    assert b.dtype == torch.float32 and torch.allclose(a, b, atol=1e-3)


def test_adding_heads_keeps_the_rest(tmp_path):
    model = make_model(tmp_path)
    grown = adapt(model, num_landmarks=19, coords_head=True)
    assert torch.equal(grown.Q.conv1.weight, model.networks.Q.conv1.weight)
    assert grown.LMH.lin.weight.shape[1] == 19 and grown.coords.out_features == 38
    critic = adapt(model, discriminator_norm="none")
    assert torch.equal(critic.P.fc.weight, model.networks.P.fc.weight)


def test_other_architectures_are_refused(tmp_path):
    model = make_model(tmp_path, num_landmarks=68)
    save(model, tmp_path / "s" / "00001")
    path = tmp_path / "s" / "00001" / "config.json"
    info = json.loads(path.read_text())
    for change in ({"z_dim": 50}, {"num_landmarks": 19}, {"depth_head": True}, {"new_option": 1}):
        path.write_text(json.dumps(info | {"networks": info["networks"] | change}))
        with pytest.raises(CheckpointError):
            load_model("s/00001", tmp_path)
    path.write_text(json.dumps(info | {"kind": "depthnet"}))
    with pytest.raises(CheckpointError, match="holds a 'depthnet', not an autoencoder"):
        load_model("s/00001", tmp_path)
    with pytest.raises(CheckpointError, match="no model 'nothing'"):
        load_model("nothing", tmp_path)


AUTHORS_KEYS = [
    "Q.conv1.weight",
    "Q.bn1.running_mean",
    "Q.layer0.0.conv1.weight",
    "Q.layer1.0.downsample.0.weight",
    "Q.layer2.0.downsample.1.bias",
    "Q.layer4.1.bn2.weight",
    "Q.fc.bias",
    "P.fc.weight",
    "P.conv1.weight",
    "P.layer1.0.upsample.0.weight",
    "P.layer5.0.upsample.1.running_var",
    "P.layer3.0.conv2.weight",
    "P.lin.weight",
    "D_z.lin1.weight",
    "D_z.lin3.bias",
    "D.main.0.weight",
    "D.main.2.weight",
    "D.main.3.weight",
    "D.main.5.weight",
    "D.main.6.bias",
    "D.main.8.weight",
    "D.main.9.running_mean",
    "D.main.11.weight",
    "D.main.12.weight",
    "D.main.14.weight",
    "LMH.t1.weight",
    "LMH.t4.weight",
    "LMH.lin.weight",
    "LMH_3D.conv1.weight",
    "LMH_3D.layer0.0.bn1.weight",
    "LMH_3D.fc.bias",
]


def test_import_of_the_authors_checkpoint(tmp_path):
    networks = AAE(AAEConfig(256, activation="leaky_relu", num_landmarks=68, depth_head=True))
    tensors = networks.state_dict()
    assert not set(AUTHORS_KEYS) - set(tensors), "names are those of saae.mdl"
    old = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    (tmp_path / "demo").mkdir()
    content = {"arch": "SAAE", "z_dim": 99, "input_size": 256, "state_dict": old}
    torch.save(content, tmp_path / "demo" / "saae.mdl")
    for name in ("demo", str(tmp_path / "demo" / "saae.mdl")):
        model = load_model(name, tmp_path)
        config = model.networks.config
        assert (config.input_size, config.z_dim, config.activation, config.num_landmarks) == (256, 99, "leaky_relu", 68)
        assert torch.equal(model.networks.LMH.t2.weight, tensors["LMH.t2.weight"]) and model.scheme == IBUG_68
    del old["Q.fc.bias"]
    torch.save(content, tmp_path / "demo" / "saae.mdl")
    with pytest.raises(CheckpointError, match="Q.fc.bias"):
        load_model("demo", tmp_path)
    torch.save({"weights": old}, tmp_path / "demo" / "saae.mdl")
    with pytest.raises(CheckpointError, match="saae.mdl"):
        load_model("demo", tmp_path)


def test_imagenet_start(tmp_path):
    from torchvision.models import resnet18

    source = resnet18(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    networks = AAE(AAEConfig(256))
    init_from_imagenet(networks, tmp_path / "resnet18.pth")
    assert torch.equal(networks.Q.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="resnet18"):
        init_from_imagenet(networks, tmp_path / "other.pth")


@pytest.mark.parametrize("change", [{"input_size": 1024}, {"z_dim": "many"}, {"z_dim": -1}, {"activation": "gelu"}])
def test_unusable_network_description_names_the_snapshot(tmp_path, change):
    model = make_model(tmp_path)
    info = model.info | {"networks": model.info["networks"] | change}
    save_snapshot(tmp_path / "s" / "00001", {"a": torch.zeros(1)}, info)
    with pytest.raises(CheckpointError, match="00001.*description"):
        load_model("s/00001", tmp_path)


def test_authors_checkpoint_with_nan_is_refused(tmp_path):
    tensors = AAE(AAEConfig(128)).state_dict()
    tensors["P.fc.bias"][3] = float("nan")
    torch.save({"state_dict": tensors}, tmp_path / "saae.mdl")
    with pytest.raises(CheckpointError, match="saae.mdl.*P.fc.bias.*not finite"):
        load_model(str(tmp_path / "saae.mdl"), tmp_path)


def test_activation_of_an_authors_checkpoint_without_depth_head_can_be_given(tmp_path, capsys):
    """The file does not tell 3FabRec's ReLU from ParFace-Net's leaky ReLU; the bundler makes the answer stay."""
    networks = AAE(AAEConfig(128, activation="leaky_relu"))
    torch.save({"state_dict": networks.state_dict()}, tmp_path / "saae.mdl")
    file, image = str(tmp_path / "saae.mdl"), torch.rand(1, 3, 128, 128)
    assert load_model(file).networks.config.activation == "relu"
    assert "--activation leaky_relu" in capsys.readouterr().out
    loaded = load_model(file, activation="leaky_relu").networks.eval()
    assert torch.equal(loaded.Q(image), networks.eval().Q(image)) and not capsys.readouterr().out
    assert bundle([file, str(tmp_path / "mine"), "--activation", "leaky_relu"]) == 0
    assert load_model(str(tmp_path / "mine")).networks.config.activation == "leaky_relu"
