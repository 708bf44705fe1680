"""Depths on top of a base: right way round, of the right size whatever the picture's, and a critic that tells both."""

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from datasets.readers.threedfaw import Keypoints
from datasets.synthetic.depth import random_faces
from depthnet.closed_form import main as closed_form
from depthnet.inference import all_pair_depths
from depthnet.lifting import Lifter
from depthnet.models import LoadedDepthNet, load_model, model_config
from depthnet.training import choose_faces
from geometry.face_template import template_depth
from networks.depthnet import Critic, DepthNet, DepthNetConfig, lift


@pytest.fixture(scope="module")
def faces():
    return torch.from_numpy(random_faces(128, 3).astype(np.float32))


def network(base, faces, **config):
    torch.manual_seed(0)
    net = DepthNet(DepthNetConfig(base=base, source_only=True, **config))
    if base == "spectral":
        net.g.base.set_faces(faces[..., :2])
    return net.eval()


def loaded(net, **config):
    return LoadedDepthNet(net, "depthnet", model_config(net, **config), None)


@pytest.mark.parametrize("base", ["template", "spectral"])
def test_depths_move_and_grow_with_the_face(base, faces):
    net, points = network(base, faces), faces[None, :16, :, :2]
    depth = net(points, points)[0]
    torch.testing.assert_close(net(3 * points + 0.7, points)[0], 3 * depth, rtol=1e-3, atol=1e-4)


def test_the_template_alone_is_the_posed_template(faces):
    depth = network("template", faces, trunk=False)(faces[None, ..., :2], faces[None, ..., :2])[0][0]
    wanted = template_depth(faces[..., :2].double()).float()
    torch.testing.assert_close(depth, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trunk", [True, False])
def test_all_pairs_are_the_plain_network(faces, trunk):
    net = network("spectral", faces, seeds=2, trunk=trunk)
    points = faces[:6, :, :2]
    depths, affines = all_pair_depths(net, points, points)
    assert affines is None and depths.shape == (2, 6, 1, 66)
    plain = net(points.expand(2, -1, -1, -1), points.expand(2, -1, -1, -1))[0]
    torch.testing.assert_close(depths[:, :, 0], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong", [-1.0, 2.3])
def test_a_critic_with_layer_norm_learns_scale_and_sign(faces, wrong):
    """What one with batch norm cannot: it sees both divided by their own deviation."""
    net, source = network("spectral", faces), faces[None, ..., :2]
    frame, true = net.g.frame(source), faces[None, ..., 2]
    true = true - true.mean(dim=-1, keepdim=True)
    real, fake = (lift(source, z, frame) for z in (true, wrong * true))
    critic = Critic(1, "layer")
    adam = torch.optim.Adam(critic.parameters(), 1e-3)
    for _ in range(15):
        adam.zero_grad()
        (critic(fake) - critic(real)).mean().backward()
        adam.step()
    near = lift(source, (1 + 0.2 * (wrong - 1)) * true, frame)
    assert critic(real).mean() > critic(near).mean() + 0.05 > critic(fake).mean() + 0.1


def test_runs_of_opposite_sign_and_other_scale_do_not_cancel_out(faces):
    net = DepthNet(DepthNetConfig(seeds=2))
    for name, tensor in net.state_dict().items():
        tensor[1] = tensor[0]
        if name.startswith("g.depth"):
            tensor[1] *= -2.3
    single = DepthNet(DepthNetConfig())
    single.load_state_dict({name: tensor[:1] for name, tensor in net.state_dict().items()})
    points = faces[0, :, :2].numpy().astype(np.float64) * 200
    both, one = (Lifter(loaded(n.eval())).photo_depth(points) for n in (net, single))
    assert np.ptp(one) > 0
    np.testing.assert_allclose(both, one, rtol=1e-3, atol=1e-6 + 1e-3 * np.ptp(one))


def test_depths_of_a_session_have_the_size_of_a_face(faces):
    """Twice too deep and upside down as it comes out of the network; told by the template."""
    net = network("template", faces, trunk=False)
    wrong = net.g.base.forward
    net.g.base.forward = lambda source: -2.3 * wrong(source)
    lifter = Lifter(loaded(net))
    assert lifter.factors == pytest.approx(1.0)  # a base is trusted
    lifter.factors = lifter._template_factors()
    assert lifter.factors == pytest.approx(-1 / 2.3, rel=1e-3)


def test_held_out_faces_are_not_trained_with(tmp_path):
    faces = random_faces(600, 1).astype(np.float32)
    np.savez(tmp_path / "train.npz", y_keypts=faces[..., :2], z_keypts=faces[..., 2], ids=np.arange(600).astype(str))
    train, valid = choose_faces(0.25, tmp_path, tmp_path)
    assert isinstance(train, Keypoints) and len(train) == 450 and len(valid) == 150
    assert not set(train.ids) & set(valid.ids)
    assert (np.diff(valid.ids.astype(int)) == 1).mean() > 0.9  # runs, so that neighbours stay together
    np.savez(tmp_path / "train.npz", y_keypts=faces[:20, :, :2], z_keypts=faces[:20, :, 2])
    with pytest.raises(ConfigError, match="hold-out"):
        choose_faces(0.25, tmp_path, tmp_path)


def test_the_closed_form_is_a_model_like_any_other(faw, tmp_path, capsys):
    (tmp_path / "x.ini").write_text(f"[Paths]\nthreedfaw = {faw}\ndata = {tmp_path}\noutputs = {tmp_path}\n")
    config = ["--config", str(tmp_path / "x.ini")]
    assert closed_form(["threedfaw", str(tmp_path / "closed"), *config]) == 0
    face = random_faces(1, 9, (20, 40))[0]
    depth = Lifter(load_model(str(tmp_path / "closed"), tmp_path)).photo_depth(300 * face[:, :2])
    assert np.corrcoef(depth, face[:, 2])[0, 1] > 0.8
    assert 0.6 < depth.std() / (300 * face[:, 2].std()) < 1.6
    assert closed_form(["nowhere", str(tmp_path / "none"), *config]) == 2
    assert capsys.readouterr().err.startswith("error: ")
