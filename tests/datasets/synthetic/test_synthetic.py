"""Rendered faces: the truth is exact, the stream repeats, every layout and the dataset can be written."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from common.errors import DataError
from datasets.registry import build_dataset
from datasets.synthetic import faces as synthetic
from datasets.synthetic.accessories import Tailor, Wardrobe
from datasets.synthetic.backgrounds import PhotoBackgrounds
from datasets.synthetic.layouts import WRITERS
from datasets.synthetic.rendered import SyntheticFaces, SyntheticSettings
from datasets.synthetic.scene import LOBE, procedural_backgrounds, random_light
from datasets.synthetic.skin import MELANIN_RANGE, grain_coordinates, random_complexions, skin_colour, srgb
from geometry.cameras import weak_perspective
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.shading import sh_basis
from geometry.rotations import rotation_from_euler
from morphable.model import EMBEDDED_HEAD, FaceModel

BARE = Wardrobe(hair=0, long_hair=0, hat=0, glasses=0, sunglasses=0, hand=0)


@pytest.fixture(scope="module")
def head():
    return FaceModel.load(EMBEDDED_HEAD)


@pytest.fixture(scope="module")
def batch(head):
    return SyntheticFaces(head, SyntheticSettings(size_px=96), seed=3).batch(2, 6)


def test_the_same_index_gives_the_same_batch(head, batch):
    again = SyntheticFaces(head, SyntheticSettings(size_px=96), seed=3).batch(2, 6)
    for field in dataclasses.fields(batch):
        old, new = getattr(batch, field.name), getattr(again, field.name)
        pairs = [(old[k], new[k]) for k in old] if isinstance(old, dict) else [(old, new)]
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs), field.name
    other = SyntheticFaces(head, SyntheticSettings(size_px=96), seed=4).batch(2, 6)
    assert not torch.equal(other.images, batch.images)


def test_truth_is_the_projection_of_the_parameters(head, batch):
    assert torch.allclose(rotation_from_euler(torch.deg2rad(batch.angles_deg)), batch.rotation, atol=1e-6)
    screen = weak_perspective(
        head.shape(batch.identity, batch.expression), batch.rotation, batch.scale, batch.translation
    )
    for scheme in ("ibug68", "wflw98"):
        points = head.points(screen, scheme)
        expected = torch.cat([points[..., :2], -points[..., 2:]], -1)
        torch.testing.assert_close(batch.landmarks[scheme], expected, atol=1e-3, rtol=0)


def test_depth_normals_and_skin_are_those_of_the_rendered_head(head):
    settings = SyntheticSettings(size_px=96, oversample=1, wardrobe=BARE)
    batch = SyntheticFaces(head, settings, seed=5).batch(0, 3)
    screen = weak_perspective(
        head.shape(batch.identity, batch.expression), batch.rotation, batch.scale, batch.translation
    )
    ids = rasterize(screen, head.triangles, (96, 96))
    depth = interpolate(screen, head.triangles, ids, -screen[..., 2:])[..., 0]
    covered = ids >= 0
    assert (covered == batch.depth.isfinite()).float().mean() > 0.999, "nobody wears anything"
    both = covered & batch.depth.isfinite()
    assert ((depth - batch.depth).abs()[both] < 0.01).float().mean() > 0.99
    assert torch.allclose(batch.normals[both].norm(dim=-1), torch.ones(int(both.sum())), atol=1e-4)
    assert not (batch.skin & ~covered).any()
    assert 0.05 < batch.skin.float().mean() < 0.6


def test_visible_landmarks_lie_on_the_surface_that_the_camera_sees(batch):
    points, seen = batch.landmarks["ibug68"], batch.visibility["ibug68"] > 0
    column, row = (points[..., axis].long().clamp(0, 95) for axis in (0, 1))
    surface = batch.depth.flatten(1).gather(1, row * 96 + column)
    behind = surface - points[..., 2]
    limit = 0.06 * batch.scale[:, None] + 3  # half a pixel of a steep surface
    assert (behind[seen] < limit.expand_as(seen)[seen]).float().mean() > 0.97
    frontal = batch.angles_deg[:, 1].abs() < 30
    assert seen[frontal].float().mean() > 0.6
    assert seen.float().mean() < 1, "some point is hidden"


def test_jaw_points_of_the_far_side_lie_on_the_silhouette(head):
    settings = SyntheticSettings(size_px=96, wardrobe=BARE, any_yaw=0, yaw_std_deg=0, pitch_std_deg=0, roll_std_deg=0)
    stream = SyntheticFaces(head, settings, seed=0)
    frontal = stream.batch(0, 2)
    torch.testing.assert_close(frontal.landmarks_2d, frontal.landmarks["ibug68"][..., :2])
    turned = SyntheticFaces(head, dataclasses.replace(settings, yaw_std_deg=60), seed=1).batch(0, 8)
    fixed, drawn = turned.landmarks["ibug68"][..., :2], turned.landmarks_2d
    assert torch.equal(drawn[:, 17:], fixed[:, 17:])
    toward_right = turned.rotation[:, 0, 2] > 0.3
    moved = drawn[:, :17, 0] - fixed[:, :17, 0]
    # entry 0 of a contour line is the vertex nearest to the landmark, up to half a pixel from it
    assert (moved[toward_right][:, 9:] >= -0.5).all(), "the far jaw moves outwards"
    assert (moved[turned.rotation[:, 0, 2] < -0.3][:, :8] <= 0.5).all()


def test_occluders_hide_landmarks(head):
    dressed = Wardrobe(hair=0, long_hair=0, hat=0, glasses=1, sunglasses=1, hand=0)
    plain = SyntheticSettings(size_px=96, any_yaw=0, yaw_std_deg=5, wardrobe=BARE)
    eyes = slice(36, 48)
    seen = [
        SyntheticFaces(head, dataclasses.replace(plain, wardrobe=w), seed=2)
        .batch(0, 4)
        .visibility["ibug68"][:, eyes]
        .mean()
        for w in (BARE, dressed)
    ]
    assert seen[0] > 0.9 and seen[1] < 0.2


def test_worn_things_are_finite_and_unworn_ones_shrink(head):
    vertices = head.mean.expand(3, -1, -1)
    tone = torch.full((3, 3), 0.5)
    everything = Wardrobe(1, 1, 1, 1, 1, 1)
    worn = Tailor(head).dress(vertices, tone, tone, everything, torch.Generator().manual_seed(0))
    assert worn.vertices.isfinite().all() and worn.colours.isfinite().all()
    assert int(worn.triangles.max()) < worn.vertices.shape[1] == len(worn.strands)
    bare = Tailor(head).dress(vertices, tone, tone, BARE, torch.Generator().manual_seed(0))
    shells = 2 * len(Tailor(head).shell)
    assert (bare.vertices[:, shells:] == 0).all()


def test_skin_gets_darker_with_melanin_and_redder_with_blood():
    melanin = torch.linspace(*MELANIN_RANGE, 8)
    colours = skin_colour(melanin, torch.full((8,), 0.004))
    assert (colours.diff(dim=0) < 0).all(), "every channel darkens"
    blood = skin_colour(torch.full((8,), 0.05), torch.linspace(0.001, 0.01, 8))
    assert ((blood[:, 0] / blood[:, 1]).diff() > 0).all()
    light, dark = colours[0], colours[-1]
    assert (light > light.new_tensor([0.75, 0.6, 0.5])).all() and (dark < 0.5).all(), "as measured skins in sRGB"


def test_srgb_is_the_standards_curve():
    values = torch.tensor([0.0, 0.0031308, 0.18, 0.5, 1.0])
    torch.testing.assert_close(srgb(values), torch.tensor([0.0, 0.04045, 0.46136, 0.73536, 1.0]), atol=2e-4, rtol=0)


def test_noise_coordinates_keep_distances():
    points = torch.randn(20, 3)
    moved = grain_coordinates(points, torch.tensor([1, 2]))
    for person in moved:
        torch.testing.assert_close(torch.cdist(person, person), torch.cdist(points, points), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(moved[0], moved[1])


def test_a_lamp_lights_a_matt_surface_by_the_cosine():
    normals = functional.normalize(torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    lamp = functional.normalize(torch.tensor([0.3, 0.5, 0.8]), dim=0)
    light = sh_basis(normals) @ (sh_basis(lamp) * LOBE)
    exact = (normals @ lamp).clamp_min(0)
    # 1/4 + c/2 + 5 (3 c² − 1)/32 errs most at the terminator, by 3/32 (Ramamoorthi and Hanrahan 2001)
    assert (light - exact).abs().max() < 3 / 32 + 1e-4


def test_lights_are_exposed_and_backgrounds_vary():
    generator = torch.Generator().manual_seed(0)
    gamma = random_light(32, generator)
    front = functional.normalize(torch.randn(500, 3).abs() * torch.tensor([1, 1, 1.0]), dim=-1)
    assert ((sh_basis(front) @ gamma.mT).mean(-1).amax(1) < 1.6).all()
    pictures = procedural_backgrounds(4, 32, generator)
    assert pictures.shape == (4, 32, 32, 3) and pictures.min() >= 0 and pictures.max() <= 1
    assert pictures.std(dim=(1, 2)).mean() > 0.02


def test_complexions_are_drawn_from_the_ranges():
    people = random_complexions(500, torch.Generator().manual_seed(0))
    assert people.melanin.min() >= MELANIN_RANGE[0] and people.melanin.max() <= MELANIN_RANGE[1]
    assert 0.1 < (people.lipstick > 0).float().mean() < 0.5
    assert people.at(torch.tensor([4, 4])).hair.shape == (2, 3)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_every_layout_is_written(tmp_path, drawn, name):
    root, faces = drawn(name)
    assert any(root.rglob("*.*")) and faces[0].image.shape == (synthetic.PHOTO_PX, synthetic.PHOTO_PX, 3)


def test_dataset_is_rendered_once_and_goes_on_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "BATCH", 2)
    monkeypatch.setattr(synthetic, "FACES", {"train": 4, "test": 2})
    dataset = build_dataset("synthetic", tmp_path / "faces", "train", 64, "lm_ground_truth")
    assert len(dataset) == 4 and dataset[3].image.shape == (91, 91, 3)
    photo = tmp_path / "faces" / "train" / "0001" / "01.jpg"
    before = photo.read_bytes()
    (tmp_path / "faces" / "train" / "0001.npz").unlink()
    kept = (tmp_path / "faces" / "train" / "0000.npz").stat().st_mtime_ns
    again = build_dataset("synthetic", tmp_path / "faces", "train", 64, "lm_ground_truth")
    assert photo.read_bytes() == before and (tmp_path / "faces" / "train" / "0000.npz").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(again.annotations[3].landmarks, dataset.annotations[3].landmarks)
    spatial = build_dataset("synthetic3d", tmp_path / "faces", "train", 64, "lm_ground_truth")
    assert spatial.annotations[0].landmarks.shape == (68, 3)
    assert cv2.imread(str(photo)).shape == (synthetic.PHOTO_PX, synthetic.PHOTO_PX, 3)


def test_command_line(tmp_path, capsys):
    assert synthetic.main([str(tmp_path), "--dataset", "folder", "--count", "2"]) == 0
    assert len(list((tmp_path / "folder").glob("*.pts"))) == 2
    assert synthetic.main([str(tmp_path), "--dataset", "w301"]) == 2
    assert "unknown dataset 'w301'" in capsys.readouterr().err
    assert synthetic.main([str(tmp_path), "--count", "0"]) == 2
    with pytest.raises(DataError, match="at least one"):
        synthetic.write_dataset("w300", tmp_path, 0)
    with pytest.raises(ValueError, match="at least one"):
        synthetic.embedded_faces().batch(0, 0)


def test_photos_stand_behind_the_heads(tmp_path):
    for name, colour in (("a.png", (250, 0, 0)), ("deep/b.jpg", (0, 250, 0))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (90, 60), colour).save(tmp_path / name)
    generator = torch.Generator().manual_seed(0)
    squares = PhotoBackgrounds(tmp_path)(12, 32, generator)
    assert squares.shape == (12, 32, 32, 3) and set(squares.argmax(-1).flatten().tolist()) == {0, 1}
    again = PhotoBackgrounds(tmp_path)(12, 32, torch.Generator().manual_seed(0))
    assert torch.equal(squares, again)
    drawn = synthetic.embedded_faces(64, seed=3, backgrounds=tmp_path).batch(0, 4)
    corners = drawn.images[:, 0, 0].float()
    pure = (corners[:, 2] < 60) & (
        corners[:, :2].amax(1) > 120
    )  # red or green, without blue, but where hair reaches there
    assert pure.float().mean() >= 0.75


def test_backgrounds_without_photos_are_refused(tmp_path, capsys):
    assert synthetic.main([str(tmp_path / "out"), "--backgrounds", str(tmp_path)]) == 2
    assert "holds no picture" in capsys.readouterr().err
    assert synthetic.main([str(tmp_path / "out"), "--backgrounds", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
