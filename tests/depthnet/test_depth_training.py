"""Training: it learns, it repeats itself, it resumes, seeds do not disturb each other, and bad flags get one
sentence.
"""

import json

import numpy as np
import pytest
import torch

import train_depthnet
from common.checkpoint import read_tensors
from common.errors import CheckpointError
from common.runtime import make_accelerator
from datasets.readers.threedfaw import Keypoints
from datasets.synthetic.depth import random_faces
from depthnet.bundle import main as bundle
from depthnet.losses import gradient_penalty, target_error
from depthnet.method import DepthNetMethod
from depthnet.models import import_authors, load_model, save_for_inference, seed_weights
from depthnet.pairs import Pairs, PairSampler, PositionBatch
from depthnet.settings import TrainSettings
from geometry.lifted_affine import keypoint_loss, plane_error
from networks.depthnet import Critic, DepthNet, DepthNetConfig, lift
from training.loop import EpochPosition


def keypoints(count, seed=0):
    faces = random_faces(count, seed).astype(np.float32)
    return Keypoints(faces[..., :2], faces[..., 2], np.arange(count).astype(str), np.full(count, ""))


def make_method(faces, seeds=1, **options):
    settings = TrainSettings(seeds=seeds, **options)
    config = DepthNetConfig(seeds, settings.learn_m, settings.source_only, not settings.no_gan, settings.critic_norm)
    networks = DepthNet(config)
    seed_weights(networks, settings.seed)
    sampler = PairSampler(faces, torch.device("cpu"), seeds, settings.seed, settings.targets)
    return DepthNetMethod(networks.train(), settings, make_accelerator("cpu"), sampler, None, {})


def batches_of(method):
    return len(method.sampler) // method.settings.batch_size


def run(method, steps):
    size, terms = method.settings.batch_size, []
    for step in range(steps):
        number, batch = divmod(step, batches_of(method))
        positions = torch.arange(batch * size, (batch + 1) * size)
        terms.append(
            method.training_step(PositionBatch(positions), step, EpochPosition(number, batch, batches_of(method)))
        )
    return terms


def test_loss_falls_below_a_quarter_of_the_plane_fit():
    faces = keypoints(2000)
    method = make_method(faces, no_gan=True)
    terms = run(method, 3 * batches_of(method))
    flat = plane_error(*(torch.from_numpy(faces.points[i]) for i in (slice(0, 1000), slice(1000, 2000)))).mean()
    assert torch.stack([t["l2"] for t in terms[-20:]]).mean() < 0.25 * flat


@pytest.mark.parametrize(
    "options",
    [
        {"dnorm": 0.1},
        {"dnorm": 0.1, "learn_m": True, "critic_norm": "layer"},
        {"no_gan": True, "use_l1": True},
        {"no_gan": True, "sigma": 0.05},
        {"source_only": True, "targets": 3, "no_gan": True, "jitter": 0.01},
        {"no_gan": True, "source_only": True, "w_depth": 1.0},
        {"update_g_every": 2, "detach": True, "use_l1": True},
    ],
)
def test_every_variant_takes_finite_steps(options):
    method = make_method(keypoints(64), seeds=2, **options)
    before = {name: p.clone() for name, p in method.networks.named_parameters()}
    for terms in run(method, 3):
        assert all(torch.isfinite(value) for value in terms.values())
    changed = {name: bool((before[name] != p).any()) for name, p in method.networks.named_parameters()}
    changed.pop("d.score.bias", None)  # cancels in the difference of real and fake scores
    assert all(changed.values()), changed


def test_run_k_of_a_stack_is_the_run_of_its_own_seed():
    faces = keypoints(64)
    stack, alone = make_method(faces, seeds=3, dnorm=0.1), make_method(faces, seed=2, dnorm=0.1)
    run(stack, 4), run(alone, 4)
    for (name, ours), (_, single) in zip(
        stack.networks.state_dict().items(), alone.networks.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(ours[2:], single, rtol=2e-2, atol=1e-3, msg=name)
    assert not torch.equal(stack.networks.g.depth.weight[0], stack.networks.g.depth.weight[1])


def test_same_seed_same_weights():
    first, second = (make_method(keypoints(64), dnorm=0.1) for _ in range(2))
    run(first, 3), run(second, 3)
    assert all(
        torch.equal(a, b) for a, b in zip(first.networks.parameters(), second.networks.parameters(), strict=True)
    )


def test_pairs_are_two_shuffles_of_every_epoch():
    sampler = PairSampler(keypoints(50), torch.device("cpu"), seeds=2, seed=5, targets=2)
    first, other = sampler.orders(0).clone(), sampler.orders(1).clone()
    assert first.shape == (2, 3, 50) and all(sorted(row) == list(range(50)) for row in first.flatten(0, 1).tolist())
    assert len({tuple(row) for row in [*first.flatten(0, 1).tolist(), *other.flatten(0, 1).tolist()]}) == 12
    assert torch.equal(PairSampler(keypoints(50), torch.device("cpu"), 1, 6, 2).orders(0)[0], first[1])
    pairs = sampler(0, torch.tensor([3, 4]))
    assert pairs.source.shape == (2, 2, 66, 2) and pairs.targets.shape == (2, 2, 2, 66, 2)


def test_errors_of_several_targets_are_their_mean():
    points, depth = torch.rand(2, 4, 66, 2), torch.rand(2, 4, 66)
    pairs = Pairs(points, depth, torch.rand(2, 4, 3, 66, 2))
    wanted = torch.stack([keypoint_loss(points, depth, pairs.targets[:, :, k]) for k in range(3)]).mean(dim=(0, 2))
    torch.testing.assert_close(target_error(pairs, depth, None), wanted)


def test_penalty_is_the_gradient_norm():
    critic = Critic(2, "none")
    real = lift(torch.rand(2, 5, 66, 2), torch.rand(2, 5, 66))
    ours = gradient_penalty(critic, real)
    x = real.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    torch.testing.assert_close(ours, gradient.square().sum(dim=2).mean(dim=1))
    assert ours.requires_grad


@pytest.fixture
def place(faw, tmp_path):
    text = f"[Paths]\nthreedfaw = {faw}\ndata = {tmp_path / 'data'}\noutputs = {tmp_path / 'out'}\n"
    (tmp_path / "x.ini").write_text(text)
    return ["--config", str(tmp_path / "x.ini"), "--device", "cpu", "-b", "8", "--eval-freq", "1", "--save-every", "1"]


def test_resuming_is_never_having_stopped(place, tmp_path):
    flags = [*place, "--dnorm", "0.1", "--seeds", "2", "--name", "a"]
    assert train_depthnet.main([*flags, "--epochs", "2"]) == 0
    other = [*place, "--dnorm", "0.1", "--seeds", "2", "--name", "b"]
    assert train_depthnet.main([*other, "--epochs", "1"]) == 0
    assert train_depthnet.main([*other, "--epochs", "2", "--resume", "auto"]) == 0
    snapshots = tmp_path / "data/models/snapshots"
    straight, resumed = (read_tensors(snapshots / name / "00002/model.safetensors") for name in "ab")
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)
    config = json.loads((snapshots / "a/00002/config.json").read_text())
    assert config["networks"]["seeds"] == 2 and 0 < config["metrics"]["kp_mean"] < 1


def test_aign_trains(place, tmp_path):
    flags = ["--network", "aign_sn", "--lamb", "100", "--dnorm", "0.1", "--epochs", "1", "-b", "32"]
    assert train_depthnet.main([*place, *flags]) == 0
    assert load_model("aign_sn", tmp_path / "data/models/snapshots").kind == "aign"


def test_one_pair_is_no_batch(place, capsys):
    with pytest.raises(SystemExit) as caught:
        train_depthnet.main([*place, "--batchsize", "1"])
    assert caught.value.code == 2 and "--batch-size/-b: 1 is out of range: at least 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--no-gan", "--lamb", "2"], "--lamb"),
        (["--no_gan", "--dnorm", "0.1"], "--dnorm"),
        (["--targets", "2"], "--targets"),
        (["--learn-m", "--source-only"], "choose one"),
        (["--network", "aign", "--no-gan"], "takes no"),
        (["--batch_size", "100"], "only 64"),
        (["--dataset", "nowhere"], "not found"),
        (["--resume", "nothing"], "no model"),
    ],
)
def test_bad_flags_get_one_sentence(place, capsys, flags, says):
    assert train_depthnet.main([*place, *flags]) == 2
    error = capsys.readouterr().err
    assert says in error.splitlines()[-1] and "Traceback" not in error


def test_another_variant_is_not_resumed(place, capsys):
    assert train_depthnet.main([*place, "--no-gan", "--name", "a", "--epochs", "1"]) == 0
    assert train_depthnet.main([*place, "--no-gan", "--learn-m", "--name", "a", "--epochs", "2", "-r", "a"]) == 2
    assert "another variant" in capsys.readouterr().err


def authors_state(learn_m):
    """A state dictionary with the authors' names, made from torch's layers."""
    trunk, widths = [], (264, 512, 512, 512, 256, 256, 256, 128)
    for a, b in zip(widths, widths[1:], strict=False):
        trunk += [torch.nn.Linear(a, b), torch.nn.BatchNorm1d(b), torch.nn.ReLU()]
    if not learn_m:
        return torch.nn.ModuleDict({"fc": torch.nn.Sequential(*trunk, torch.nn.Linear(128, 66))})
    parts = {
        "extractor": torch.nn.Sequential(*trunk),
        "fc_z": torch.nn.Linear(128, 66),
        "fc_m": torch.nn.Linear(128, 8),
    }
    return torch.nn.ModuleDict(parts)


@pytest.mark.parametrize("learn_m", [False, True])
def test_authors_checkpoints_are_read(tmp_path, learn_m):
    theirs = authors_state(learn_m).eval()
    torch.save({"g": theirs.state_dict(), "epoch": 100}, tmp_path / "100.pkl")
    model = import_authors(tmp_path / "100.pkl")
    source, target = torch.rand(1, 3, 66, 2), torch.rand(1, 3, 66, 2)
    x = torch.cat([source[0, ..., 0], source[0, ..., 1], target[0, ..., 0], target[0, ..., 1]], dim=-1)
    depth, affine = model.networks(source, target)
    features = theirs["extractor" if learn_m else "fc"](x)
    torch.testing.assert_close(depth[0], theirs["fc_z"](features) if learn_m else features, rtol=1e-4, atol=1e-5)
    if learn_m:
        torch.testing.assert_close(affine[0], theirs["fc_m"](features).view(3, 2, 4), rtol=1e-4, atol=1e-5)
    torch.save({"h": {}}, tmp_path / "bad.pkl")
    with pytest.raises(CheckpointError, match="not a checkpoint of DepthNets"):
        import_authors(tmp_path / "bad.pkl")


def test_bundling_keeps_one_run_without_critic(place, tmp_path):
    assert train_depthnet.main([*place, "--name", "a", "--epochs", "1", "--seeds", "2"]) == 0
    model = load_model("a", tmp_path / "data/models/snapshots")
    save_for_inference(model, tmp_path / "bundle", seed=1)
    small = load_model(str(tmp_path / "bundle"), tmp_path)
    assert small.networks.config.seeds == 1 and small.networks.d is None
    assert (tmp_path / "bundle/model.safetensors").stat().st_size < 2.1e6
    torch.testing.assert_close(small.networks.g.depth.weight[0], model.networks.g.depth.weight[1], atol=1e-3, rtol=1e-2)
    with pytest.raises(CheckpointError, match="not 5"):
        save_for_inference(model, tmp_path / "c", seed=5)


def test_bundler_calibrates_and_complains(place, tmp_path, capsys):
    assert train_depthnet.main([*place, "--dnorm", "0.1", "--seeds", "2", "--epochs", "1", "-b", "16"]) == 0
    config = ["--config", str(tmp_path / "x.ini")]
    assert bundle(["depthnet", str(tmp_path / "small"), "--run", "1", "--dataset", "threedfaw", *config]) == 0
    small = load_model(str(tmp_path / "small"), tmp_path)
    assert small.config["run"] == 1 and small.config["depth_scale"] != 1 and small.networks.config.seeds == 1
    assert bundle(["depthnet", str(tmp_path / "small"), "--run", "7", *config]) == 2
    assert bundle(["depthnet", str(tmp_path / "small"), "--dataset", "nowhere", *config]) == 2
    assert [line.startswith("error: ") for line in capsys.readouterr().err.splitlines()[-1:]] == [True]
