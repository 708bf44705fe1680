"""The albedo that is learned from photos: completion, principal components, the file, and how it explains photos."""

import numpy as np
import pytest
import torch

from common.errors import FaceModelError
from common.files.images import read_image
from common.files.points import read_pts
from common.pretrained import PRETRAINED
from geometry.cameras import weak_perspective
from geometry.raster.render import render
from geometry.rotations import rotation_from_euler
from morphable.fit import fit_landmarks
from morphable.open import load_face_model, save_albedo
from recon3d.fitting.photometric import PhotometricSettings, refine_photos, skin_weights
from recon3d.head import build_albedo
from recon3d.head.incomplete_pca import incomplete_components


@pytest.fixture(scope="module")
def head():
    return load_face_model("head")


def low_rank(samples: int = 200, values: int = 60, rank: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(samples, rank)) * [3, 2, 1] @ random.normal(size=(rank, values)) + 5).astype(np.float32)


def test_complete_samples_give_the_usual_components():
    samples = low_rank() + np.random.default_rng(1).normal(size=(200, 60)).astype(np.float32) * 0.1
    mean, basis, kept = incomplete_components(samples, np.ones_like(samples), 3)
    np.testing.assert_allclose(mean, samples.mean(0), atol=1e-4)
    covariance = np.cov(samples.T)
    values, vectors = np.linalg.eigh(covariance)
    expected = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    np.testing.assert_allclose(basis @ basis.T, expected, atol=0.02 * np.abs(expected).max())
    assert kept == pytest.approx(values[-3:].sum() / values.sum(), abs=1e-3)


def test_a_third_may_be_missing():
    samples = low_rank()
    weights = (np.random.default_rng(2).random(samples.shape) > 0.33).astype(np.float32)
    spoilt = np.where(weights > 0, samples, 1000).astype(np.float32)
    mean, basis, _ = incomplete_components(spoilt, weights, 3, rounds=60)
    np.testing.assert_allclose(mean, samples.mean(0), atol=0.15)
    expected = np.cov(samples.T)
    assert np.abs(basis @ basis.T - expected).max() < 0.08 * np.abs(expected).max()


def test_values_that_nobody_knows_are_refused():
    weights = np.ones((10, 4), np.float32)
    weights[:, 2] = 0
    with pytest.raises(ValueError, match="1 of 4 values are unknown"):
        incomplete_components(weights, weights, 2)
    with pytest.raises(ValueError, match="cannot give 12 components"):
        incomplete_components(weights, np.ones_like(weights), 12)


def test_albedo_of_rendered_faces_is_read_back(head):
    """Half the face lies in the dark of the other side: its albedo comes from the mirror image."""
    generator = torch.Generator().manual_seed(5)
    coefficients = 0.8 * torch.randn(2, head.sizes[2], generator=generator)
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[0.0, 30, 0], [0, -30, 0]])))
    screen = weak_perspective(head.mean.expand(2, -1, -1), rotation, torch.full((2,), 75.0), torch.full((2, 2), 113.0))
    gamma = torch.zeros(2, 3, 9)
    gamma[..., 2] = 0.15
    picture = render(screen, head.mean @ rotation.mT, head.triangles, head.colours(coefficients), gamma, (227, 227))
    landmarks = head.points(screen, "ibug68")[..., :2]
    albedo, weights = build_albedo.read_albedo(head, picture.colours.clamp(0, 1), landmarks, build_albedo.border(head))
    face = (build_albedo.border(head) == 1) & (skin_weights(head) > 0.9)
    assert len(albedo) == 2 and weights[:, face].mean() > 0.8
    error = (albedo - head.colours(coefficients)).abs().mean(-1)[:, face]
    assert error.median() < 0.05


def test_grey_photos_teach_nothing(head):
    rotation = torch.eye(3)[None]
    screen = weak_perspective(head.mean[None], rotation, torch.tensor([75.0]), torch.full((1, 2), 113.0))
    grey = head.albedo_mean.mean(-1, keepdim=True).expand(-1, 3)
    picture = render(screen, head.mean[None], head.triangles, grey, torch.zeros(1, 3, 9), (227, 227))
    landmarks = head.points(screen, "ibug68")[..., :2]
    albedo, _ = build_albedo.read_albedo(head, picture.colours, landmarks, build_albedo.border(head))
    assert len(albedo) == 0


def test_the_head_takes_an_albedo(head, tmp_path, monkeypatch):
    mean, basis = torch.rand(head.num_vertices, 3), torch.rand(head.num_vertices, 3, 2)
    save_albedo(tmp_path / "albedo_mine/model.safetensors", mean, basis, "Albedo: mine.")
    monkeypatch.setattr("morphable.open.PRETRAINED", tmp_path)
    model = load_face_model("head#mine")
    assert torch.equal(model.albedo_mean, mean.half().float()) and model.sizes == (*head.sizes[:2], 2)
    assert model.name == "head#mine" and model.licence.endswith("Albedo: mine.") and "procedural" not in model.licence
    with pytest.raises(FaceModelError, match="no albedo 'yours'; there are: mine"):
        load_face_model("head#yours")
    (tmp_path / "albedo_bad").mkdir()
    (tmp_path / "albedo_bad/model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(FaceModelError, match="albedo_bad/model.safetensors: not an albedo"):
        load_face_model("head#bad")


def test_the_shipped_albedo(head):
    path = PRETRAINED / "albedo_photos/model.safetensors"
    model = load_face_model("head#photos")
    assert path.stat().st_size < 5 * 2**20 and path.with_name("README.md").is_file()
    assert "research use" in model.licence and model.sizes[2] == 40
    face = skin_weights(model) > 0.9
    red, green, blue = model.albedo_mean[face].mean(0)
    assert red > green > blue > 0.2 and red < 0.9
    eyeball = head.regions["eyeball"] > 0.5
    assert (model.albedo_mean - head.albedo_mean)[eyeball].abs().mean() < 0.05  # stays painted


def test_real_albedo_explains_test_photos_better(shared_data):
    files = sorted((shared_data / "300w/images/test/common/lfpw").glob("*.pts"))[::28]
    landmarks = np.stack([read_pts(path, 68) for path in files])
    photos = [read_image(next(p for p in (f.with_suffix(".jpg"), f.with_suffix(".png")) if p.exists())) for f in files]
    errors = []
    for name in ("head", "head#photos"):
        model = load_face_model(name)
        start = fit_landmarks(model, torch.from_numpy(landmarks))
        settings = PhotometricSettings(iterations=10, size_px=112)
        errors.append(refine_photos(model, photos, landmarks, start, settings).error.mean())
    assert errors[1] < errors[0]
