"""Face replacement: domains built from photos, the CycleGAN's networks, a training run that resumes."""

import cv2
import numpy as np
import pytest
import torch

import train_facewarp_cyclegan
from common.errors import DataError
from common.pretrained import PRETRAINED
from datasets.crop import crop_from_landmarks
from datasets.synthetic.depth import random_faces
from depthnet.lifting import Lifter
from depthnet.models import load_model
from depthnet.replacement.domains import (
    FaceCrops,
    asymmetry,
    background_domains,
    domains_key,
    frontal_target,
    load_crops,
    move_faces,
    remove_faces,
    swap_domains,
)
from depthnet.replacement.repair import Repairer, face_mask, frontalise, repair_swap, to_photo
from depthnet.warping.warper import warp_faces
from geometry.face_template import TRIANGLES_68, to_68
from geometry.schemes import IBUG_68
from networks.cyclegan import CycleGAN, CycleGANConfig, PatchDiscriminator, ResidualGenerator

SIZE = 80


@pytest.fixture(scope="module")
def lifter():
    return Lifter(load_model("depthnet_gan", PRETRAINED))


@pytest.fixture(scope="module")
def crops(drawn):
    return load_crops("w300", drawn("w300", 12)[0], "train", SIZE)


def test_asymmetry_grows_with_the_yaw():
    def mean(low, high):
        return asymmetry(to_68(random_faces(30, 0, (low, high))[..., :2])).mean()

    assert mean(-3, 3) < 0.2 < mean(15, 20) < mean(40, 45)


def test_domains(crops, lifter):
    swap = swap_domains(crops, lifter)
    assert swap.a.shape == swap.b.shape == (len(crops), 3, SIZE, SIZE) and swap.a.dtype == np.uint8
    changed = (swap.a != swap.b).any(axis=1)
    assert 0.05 < changed.mean() < 0.9, "a face replaces a face and not the whole photo"
    np.testing.assert_array_equal(swap.b, crops.images.transpose(0, 3, 1, 2))
    background = background_domains(crops, lifter)
    assert background.a.shape[1] == 6 and background.b.shape[1] == 3
    hidden = remove_faces(crops)
    same = np.broadcast_to([[1.0, 0, 0, 0], [0, 1, 0, 0]], (len(crops), 2, 4))
    covered = warp_faces(crops.images, crops.points, np.zeros((len(crops), 68)), same)[..., 3]
    kernel = np.ones((3, 3), np.uint8)
    for image, photo, inside, points in zip(hidden, crops.images, covered, crops.points, strict=True):
        assert (image[inside > 0] == 0).all()
        edges = np.zeros_like(inside)  # slivers cover no pixel centre and are filled all the same
        cv2.polylines(edges, list(np.round((points[TRIANGLES_68] - 0.5) * 16).astype(np.int32)), True, 1, shift=4)
        outside = cv2.dilate(np.maximum(inside, edges), kernel) == 0
        np.testing.assert_array_equal(image[outside], photo[outside])


def test_frontalised_faces_lie_on_the_frontal_target(crops, lifter):
    target = frontal_target(SIZE)
    assert (target > 0).all() and (target < SIZE).all()
    covered = move_faces(crops, target, lifter)[..., 3] > 0
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    for mask in covered:
        assert abs(x[mask].mean() - target[:, 0].mean()) < 6 and abs(y[mask].mean() - target[:, 1].mean()) < 8


def test_networks_have_the_published_form():
    assert sum(p.numel() for p in ResidualGenerator(3, 3).parameters()) == 11_378_179  # 9 blocks, Zhu et al.
    assert PatchDiscriminator(3)(torch.zeros(2, 3, 80, 80)).shape == (2, 1, 8, 8)
    net = CycleGAN(CycleGANConfig(6, 3, 8, 1))
    image = torch.rand(1, 6, 32, 32)
    out = net(image)
    assert out.shape == (1, 3, 32, 32) and out.abs().max() <= 1
    torch.testing.assert_close(net.eval()(image), out)  # no running statistics


@pytest.fixture
def place(drawn, tmp_path):
    (tmp_path / "x.ini").write_text(
        f"[Paths]\nw300 = {drawn('w300', 12)[0]}\ndata = {tmp_path / 'data'}\noutputs = {tmp_path / 'out'}\n"
    )
    flags = ["--config", str(tmp_path / "x.ini"), "--device", "cpu", "--base", "8", "--blocks", "1", "--size", "32"]
    return [*flags, "-b", "4"]


def face_mask_of(points):
    """The mask of a repair by a network for crops of 32 pixels."""
    return face_mask(crop_from_landmarks(points, IBUG_68, 32).apply(points), 32)


def test_values_of_a_crop_return_to_their_place(crops):
    photo, points = crops.images[0], crops.points[0]
    crop = crop_from_landmarks(points, IBUG_68, SIZE)
    place = to_photo(crop, np.dstack([np.mgrid[0.5:SIZE, 0.5:SIZE]]).transpose(1, 2, 0), photo.shape[:2])
    wanted = crop.apply(np.array([[x + 0.5, y + 0.5] for y in (30, 40) for x in (35, 45)]))[:, ::-1]
    np.testing.assert_allclose(place[[30, 30, 40, 40], [35, 45, 35, 45]], wanted, atol=0.05)
    assert frontalise(photo, points, Lifter(load_model("depthnet_gan", PRETRAINED)), None).shape == (256, 256, 3)


@pytest.mark.parametrize("task", ["background", "faceswap"])
def test_training_runs_resumes_and_serves(place, tmp_path, crops, lifter, task):
    extra = ["--loss", "bce"] if task == "background" else ["--beta", "1"]
    flags = [*place, "--task", task, *extra]
    assert train_facewarp_cyclegan.main([*flags, "--epochs", "1"]) == 0
    assert train_facewarp_cyclegan.main([*flags, "--epochs", "2", "-r", f"cyclegan_{task}"]) == 0
    assert (tmp_path / f"data/models/snapshots/cyclegan_{task}/00002/model.safetensors").exists()
    assert (tmp_path / f"out/reports/cyclegan_{task}/cyclegan_00002.jpg").exists()
    repairer = Repairer(f"cyclegan_{task}", tmp_path / "data/models/snapshots", task, torch.device("cpu"))
    photo, points = crops.images[0], crops.points[0]
    if task == "background":
        assert frontalise(photo, points, lifter, repairer).shape == (32, 32, 3)
        with pytest.raises(DataError, match="was trained for --task background"):
            Repairer("cyclegan_background", tmp_path / "data/models/snapshots", "faceswap", torch.device("cpu"))
        return
    mended = repair_swap(repairer, photo, points)
    far = to_photo(crop_from_landmarks(points, IBUG_68, 32), face_mask_of(points), photo.shape[:2]) < 0.001
    assert (mended != photo).any() and far.any()
    np.testing.assert_array_equal(mended[far], photo[far])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--size", "50"], "multiple of 4"),
        (["--beta", "1"], "--beta"),
        (["--dataset", "nothing"], "unknown dataset"),
        (["--count", "1"], "at least 2"),
        (["-r", "depthnet_gan_x"], "no model"),
    ],
)
def test_bad_flags(place, capsys, flags, says):
    assert train_facewarp_cyclegan.main([*place, *flags]) == 2
    assert says in capsys.readouterr().err


def test_the_cache_of_domains_knows_points_and_weights(crops, lifter):
    key = domains_key("faceswap", crops, lifter)
    assert key == domains_key("faceswap", crops, Lifter(load_model("depthnet_gan", PRETRAINED)))
    moved = FaceCrops(crops.images, crops.points + 0.5, crops.names)
    other = Lifter(load_model("depthnet_gan", PRETRAINED))
    other.networks.g.depth.bias.data += 0.01
    keys = {key, domains_key("faceswap", moved, lifter), domains_key("faceswap", crops, other)}
    assert len(keys) == 3 and domains_key("background", crops, lifter) not in keys
