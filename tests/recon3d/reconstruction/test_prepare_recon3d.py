"""Prepared photos: both layouts come back as they went in, damaged ones are named."""

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from common.files.images import read_image
from common.files.points import format_pts, read_pts
from datasets.alignment import align, five_of_68
from datasets.readers.prepared import find_entries, read_alignment, read_sample
from datasets.synthetic import faces as synthetic
from datasets.synthetic.faces import embedded_faces
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.reconstruction import prepare as prepare_recon3d
from recon3d.reconstruction import prepare_packed
from recon3d.reconstruction import prepare_synthetic as synthetic_recon3d
from recon3d.regression.data import PackedSample, pack_crops
from recon3d.regression.decode import FaceDecoder
from recon3d.regression.drawn import draw_faces, random_faces
from recon3d.regression.params import Layout

REFERENCE = prepare_recon3d.reference_points("head")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two drawn faces with their 68 points."""
    folder = tmp_path_factory.mktemp("photos")
    faces = embedded_faces(120, seed=3).batch(0, 2)
    points = faces.landmarks_2d.numpy()
    for i in range(2):
        Image.fromarray(faces.images[i].numpy()).save(folder / f"face{i}.png")
        (folder / f"face{i}.pts").write_text(format_pts(points[i]))
    return folder, np.stack([read_pts(folder / f"face{i}.pts", 68) for i in range(2)])  # with the rounding of the files


@pytest.mark.parametrize("layout", ["tf", "pt"])
def test_both_layouts_give_the_same_samples(photos, tmp_path, layout):
    folder, points = photos
    assert prepare_recon3d.main(["--img_path", str(folder), "--save_path", str(tmp_path), "--layout", layout]) == 0
    entries = find_entries(tmp_path)
    assert len(entries) == 2
    for entry, face in zip(entries, points, strict=True):
        sample = read_sample(entry, REFERENCE)
        crop = align(five_of_68(face), REFERENCE).crop()
        assert np.abs(sample.landmarks - crop.apply(face)).max() < 5e-3
        truth = crop.extract(np.array(Image.open(folder / f"{entry.image.stem}.png")))
        difference = np.abs(sample.image.astype(int) - truth)
        assert difference.mean() < 0.1 and sample.mask.shape == (224, 224) and sample.mask.max() > 200
        if layout == "tf":
            assert np.allclose(read_alignment(tmp_path, entry.image.stem).crop().matrix, crop.matrix, atol=5e-3)
            (tmp_path / "lm" / f"{entry.image.stem}.txt").unlink()
    if layout == "tf":  # Microsoft's binary files alone are enough
        assert (
            np.abs(read_sample(find_entries(tmp_path)[0], REFERENCE).landmarks - truth_landmarks(points[0])).max()
            < 5e-3
        )


def truth_landmarks(face):
    return align(five_of_68(face), REFERENCE).crop().apply(face)


def test_photos_that_cannot_be_used_are_named(photos, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in photos[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (20, 20)).save(folder / "tiny.png")
    Image.new("RGB", (100, 100), (0, 0, 255)).save(folder / "blue.png")
    (folder / "blue.txt").write_text("35 40\n65 40\n50 60\n40 70\n60 70\n")
    (folder / "four.txt").write_text("35 40\n65 40\n50 60\n40 70\n")
    Image.new("RGB", (100, 100)).save(folder / "four.png")
    fake = (photos[1][0] - photos[1][0].mean(0)) * 0.4 + 50
    (folder / "blue.txt").write_text("".join(f"{x} {y}\n" for x, y in fake))
    out = tmp_path / "out"
    assert prepare_recon3d.main(["--images", str(folder), "--out", str(out)]) == 0
    text = (out / "skipped.txt").read_text()
    assert "tiny.png: 20×20" in text and "four.txt: 4 landmarks" in text and "colour of skin" in text
    assert sorted(p.name for p in out.glob("*.png")) == ["face0.png", "face1.png"]


def test_folders_that_disagree(photos, tmp_path, capsys):
    assert prepare_recon3d.main(["--images", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: --images")
    with pytest.raises(DataError, match="neither lm"):
        find_entries(tmp_path)
    prepare_recon3d.main(["--images", str(photos[0]), "--out", str(tmp_path / "pt"), "--layout", "pt"])
    lists = tmp_path / "pt/datalist/train"
    (lists / "masks.txt").write_text("mask/face0.png\n")
    with pytest.raises(DataError, match="lists disagree"):
        find_entries(tmp_path / "pt")
    prepare_recon3d.main(["--images", str(photos[0]), "--out", str(tmp_path / "tf")])
    (tmp_path / "tf/mask/face1.png").unlink()
    with pytest.raises(DataError, match="face1.png: missing"):
        find_entries(tmp_path / "tf")


def test_packed_crops_keep_the_shape_of_their_fits(tmp_path, capsys):
    head = FaceModel.load(EMBEDDED_HEAD)
    layout, side = Layout(*head.sizes[:2]), 160
    parameters = random_faces(head, layout, 4, side, 3)
    points = FaceDecoder(head, layout, head.landmarks["ibug68"])(parameters)[..., :2]
    points[..., 1] = side - points[..., 1]
    points[3] = torch.nan
    drawn = [image for image, _ in draw_faces(head, layout, parameters, side)]
    samples = (PackedSample(drawn[i], parameters[i].numpy(), f"f{i}", points[i].numpy()) for i in range(4))
    pack_crops(samples, 4, tmp_path / "packed", layout, 120, "head", say=print)
    assert prepare_packed.main([str(tmp_path / "packed"), str(tmp_path / "out")]) == 0
    assert "3 faces" in capsys.readouterr().out
    samples = [read_sample(entry, REFERENCE) for entry in find_entries(tmp_path / "out")]
    np.testing.assert_array_equal(samples[1].truth, parameters[1, 12:].numpy())
    aligned = [align(five_of_68(sample.landmarks), REFERENCE, "x") for sample in samples]
    assert np.ptp([a.scale for a in aligned]) < 1e-3 * aligned[0].scale  # all faces have one size and place now
    part = (PackedSample(drawn[0], parameters[0, :62].numpy(), "f", points[0].numpy()) for _ in range(1))
    pack_crops(part, 1, tmp_path / "part", Layout(), 120, "head", say=print)
    assert prepare_packed.main([str(tmp_path / "part"), str(tmp_path / "out2")]) == 2
    assert "hold a part of face model" in capsys.readouterr().err


def test_rendered_faces_come_with_the_shape_that_they_were_made_from(tmp_path, monkeypatch, capsys):
    for module in (synthetic, synthetic_recon3d):
        monkeypatch.setattr(module, "FACES", {"train": 4})
        monkeypatch.setattr(module, "BATCH", 2)
    out = tmp_path / "prepared"
    assert synthetic_recon3d.main([str(out), "--root", str(tmp_path / "rendered"), "--count", "3"]) == 0
    entries = find_entries(out)
    samples = [read_sample(entry, REFERENCE) for entry in entries]
    assert len(samples) == 3 and all(sample.image.shape == (224, 224, 3) for sample in samples)
    model = FaceModel.load(EMBEDDED_HEAD)
    with np.load(tmp_path / "rendered/train/0001.npz") as truth:
        expected = np.concatenate([truth["identity"][0], truth["expression"][0]])
    np.testing.assert_array_equal(samples[2].truth, expected)
    assert expected.shape == (sum(model.sizes[:2]),)
    assert synthetic_recon3d.main([str(out), "--root", str(tmp_path / "rendered"), "--count", "5"]) == 2
    assert "--count 5" in capsys.readouterr().err
    entries[0].truth.write_bytes(b"damaged")
    with pytest.raises(DataError, match="render the faces again"):
        read_sample(entries[0], REFERENCE)


def test_landmarks_are_found_from_five_points(shared_data):
    """Photos with five points alone are labelled by our own detector: close to what annotators drew."""
    find = prepare_recon3d.own_detector("landmarks_300w", "cpu")
    errors = []
    for path in sorted((shared_data / "300w/images/test/common/lfpw").glob("*.pts"))[:40:5]:
        truth = read_pts(path).astype(float)
        photo = next(path.with_suffix(suffix) for suffix in (".jpg", ".png") if path.with_suffix(suffix).is_file())
        found = find(read_image(photo), prepare_recon3d.crop_of_five(five_of_68(truth)))
        box = np.sqrt(np.ptp(truth[:, 0]) * np.ptp(truth[:, 1]))
        errors.append(np.linalg.norm(found - truth, axis=1).mean() / box)
    assert np.mean(errors) < 0.035, errors


def test_files_hold_what_the_published_codes_expect(photos, tmp_path):
    """Deep3D's files: pixel indices from 0, x and (height − 1 − y), by hand; .pts have three digits."""
    folder, points = photos
    for layout in ("tf", "pt"):
        assert prepare_recon3d.main(["--images", str(folder), "--out", str(tmp_path / layout), "--layout", layout]) == 0
    column, row = (truth_landmarks(points[0]) - 0.5).T
    stored = np.loadtxt(tmp_path / "tf/lm/face0.txt")
    assert np.abs(stored - np.stack([column, 223 - row], 1)).max() < 5e-3
    assert np.abs(np.fromfile(tmp_path / "tf/lm_bin/face0.bin", np.float64).reshape(68, 2) - stored).max() < 1e-6
    assert np.array(Image.open(tmp_path / "tf/mask/face0.png")).shape == (224, 224, 3)
    column, row = (points[0] - 0.5).T
    whole = tmp_path / "pt"
    assert np.abs(np.loadtxt(whole / "landmarks/face0.txt") - np.stack([column, 119 - row], 1)).max() < 5e-3
    assert np.abs(np.loadtxt(whole / "detections/face0.txt") - (five_of_68(points[0]) - 0.5)).max() < 5e-3
    lists = [(whole / f"datalist/train/{name}.txt").read_text().split() for name in ("images", "landmarks", "masks")]
    patterns = ("face{}.png", "landmarks/face{}.txt", "mask/face{}.png")
    assert lists == [[pattern.format(i) for i in range(2)] for pattern in patterns]
