"""Turned copies of packed crops: yaws, names, labels that belong to the pictures, the command."""

import numpy as np
import pytest
import torch

from morphable.open import load_face_model
from recon3d.regression import prepare
from recon3d.regression.data import PackedCrops, PackedSample, pack_crops
from recon3d.regression.drawn import draw_faces, random_faces
from recon3d.regression.large_yaws import own_yaws, turns_to
from recon3d.regression.params import Layout

LAYOUT = Layout(20, 10)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Three drawn heads of 120 px."""
    head = load_face_model("head")
    parameters = random_faces(head, LAYOUT, 3, 160, 0)
    drawn = list(draw_faces(head, LAYOUT, parameters, 160))
    samples = (PackedSample(image, parameters[i].numpy(), f"f{i}") for i, (image, _) in enumerate(drawn))
    return pack_crops(samples, 3, tmp_path_factory.mktemp("packed") / "set", LAYOUT, 120, "head", say=print)


def test_faces_turn_on_never_back():
    yaw = torch.tensor([0.0, 20.0, -40.0, 70.0, 95.0]).repeat_interleave(50)
    uniform = torch.rand(250, 2)
    turned = yaw + torch.rad2deg(turns_to(yaw, uniform, (30.0, 90.0))[:, 1])
    sides = turned.view(5, 50).sign()
    assert set(sides[0].tolist()) == {-1.0, 1.0} and (sides[1] == 1).all() and (sides[2] == -1).all()
    size = turned.abs().view(5, 50)
    assert (size >= torch.tensor([30.0, 30, 40, 70, 90])[:, None] - 1e-3).all() and (size <= 90 + 1e-3).all()
    assert size[0].max() > 80 and size[0].min() < 40


def test_the_command_writes_turned_crops(packed, tmp_path):
    flags = [
        "profiled",
        "--from",
        str(packed.folder),
        "--out",
        str(tmp_path / "turned"),
        "--copies",
        "2",
        "--yaw-from",
        "50",
    ]
    assert prepare.main(flags) == 0
    turned = PackedCrops(tmp_path / "turned")
    assert len(turned) == 6 and turned.names[:2] == ["f0#turned0", "f0#turned1"] and turned.face_model == "head"
    yaws = own_yaws(turned, torch.from_numpy(turned.parameters)).abs()
    assert (yaws > 49).all() and (yaws < 91).all() and yaws.std() > 3
    before = np.stack([packed.read_image(i // 2) for i in range(6)]).astype(float)
    after = np.stack([turned.read_image(i) for i in range(6)]).astype(float)
    assert (np.abs(before - after).mean((1, 2, 3)) > 5).all()
    assert np.array_equal(turned.parameters[0, 12:], packed.parameters[0, 12:])  # the same person


def test_wrong_requests(packed, tmp_path, capsys):
    flags = ["profiled", "--from", str(packed.folder), "--out", str(tmp_path / "t")]
    assert prepare.main([*flags, "--yaw-from", "80", "--yaw-to", "40"]) == 2
    assert "swap them" in capsys.readouterr().err
    assert prepare.main(["profiled", "--out", str(tmp_path / "t")]) == 2
    assert "--from FOLDER" in capsys.readouterr().err
