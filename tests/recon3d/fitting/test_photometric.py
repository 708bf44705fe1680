"""Light, albedo and photometric refinement: known light comes back, photos are explained better."""

import numpy as np
import pytest
import torch

from common.files.images import read_image
from common.files.points import read_pts
from datasets.synthetic.scene import random_light
from geometry.cameras import weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.render import render
from geometry.rotations import rotation_from_euler
from morphable.fit import fit_landmarks
from morphable.light import AMBIENT, estimate_light, light_and_albedo, sample_vertices, shading
from morphable.open import load_face_model
from recon3d.fitting.photometric import PhotometricSettings, refine, refine_photos, skin_weights

SIZE, SCALE = 128, torch.full((2,), 55.0)


@pytest.fixture(scope="module")
def head():
    return load_face_model("head")


def unlit(gamma: torch.Tensor) -> torch.Tensor:
    """γ for `sh_shade` from a light without the ambient term."""
    return torch.cat([gamma[..., :1] - AMBIENT, gamma[..., 1:]], -1)


@pytest.fixture(scope="module")
def drawn(head):
    """Two rendered faces: crops (2, S, S, 3), their fit's truth and landmarks."""
    generator = torch.Generator().manual_seed(1)
    identity = 0.7 * torch.randn(2, head.sizes[0], generator=generator)
    albedo = 0.7 * torch.randn(2, head.sizes[2], generator=generator)
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[5.0, 20, 3], [-4, -15, 0]])))
    vertices = head.shape(identity)
    screen = weak_perspective(vertices, rotation, SCALE, torch.tensor([[62.0, 68], [66, 70]]))
    gamma = unlit(random_light(2, generator))
    picture = render(screen, vertices @ rotation.mT, head.triangles, head.colours(albedo), gamma, (SIZE, SIZE))
    photos = torch.where(picture.mask[..., None], picture.colours.clamp(0, 1), 0.3)
    return {
        "photos": photos,
        "screen": screen,
        "posed": vertices @ rotation.mT,
        "albedo": albedo,
        "gamma": gamma,
        "landmarks": head.points(screen, "ibug68")[..., :2],
        "rotation": rotation,
    }


def test_vertex_samples_are_the_colours_of_the_photo(head, drawn):
    normals = vertex_normals(drawn["posed"], head.triangles)
    ids = rasterize(drawn["screen"], head.triangles, (SIZE, SIZE))
    depth = interpolate(drawn["screen"], head.triangles, ids, drawn["screen"])
    positions = depth[..., [0, 1, 1]] / SIZE
    colours, seen = sample_vertices(positions, drawn["screen"], SCALE, normals, head.triangles, ids)
    visible = seen > 0
    # the picture's colour is its own position, so that a vertex must see where it lies
    error = (colours[..., :2] * SIZE - drawn["screen"][..., :2]).abs().amax(-1)[visible]
    assert 0.2 < visible.float().mean() < 0.6 and error.quantile(0.99) < 0.6
    assert not seen[normals[..., 2] <= 0].any() and (seen <= 1).all()


def test_hidden_vertices_are_not_seen(head, drawn):
    """Turned by 20° and 15°: the ear of the far side is hidden, the near one seen."""
    normals = vertex_normals(drawn["posed"], head.triangles)
    ids = rasterize(drawn["screen"], head.triangles, (SIZE, SIZE))
    _, seen = sample_vertices(drawn["photos"], drawn["screen"], SCALE, normals, head.triangles, ids)
    assert (seen[:, head.regions["tongue"] > 0.5] > 0).float().mean() < 0.02  # the mouth is closed, but for a gap
    right, left = (
        seen[:, side & (head.regions["ears"] > 0.5)] > 0 for side in (head.mean[:, 0] < 0, head.mean[:, 0] > 0)
    )
    turned_right = drawn["rotation"][:, 0, 2] > 0
    for face in range(2):
        near, far = (right, left) if turned_right[face] else (left, right)
        assert near[face].float().mean() > 0.2 > far[face].float().mean()


def test_known_light_and_albedo_come_back(head, drawn):
    normals = vertex_normals(drawn["posed"], head.triangles)
    truth = head.colours(drawn["albedo"])
    colours = truth * shading(normals, drawn["gamma"])
    weights = (normals[..., 2].clamp_min(0) > 0.2) * skin_weights(head)
    gamma = estimate_light(colours, truth, normals, weights)
    lit = (weights > 0.5)[..., None]
    # the prior on tint pulls a little; what counts is the light on the visible skin
    assert ((shading(normals, gamma) - shading(normals, drawn["gamma"])).abs() * lit).sum() / (3 * lit.sum()) < 0.02
    both, albedo = light_and_albedo(head, colours, normals, weights)
    # brightness is shared between light and skin by their priors, their product is not
    explained = head.colours(albedo) * shading(normals, both)
    assert ((explained - colours).abs() * lit).sum() / (3 * lit.sum()) < 0.012


def test_skin_tone_is_not_taken_for_light(head):
    """Dark and light people under the same light: most of the difference goes to the albedo."""
    coefficients = torch.zeros(2, head.sizes[2])
    coefficients[:, 0] = torch.tensor([-1.5, 1.5])  # melanin
    normals = vertex_normals(head.mean.expand(2, -1, -1), head.triangles)
    gamma = torch.zeros(2, 3, 9)
    gamma[..., 2] = 0.1
    colours = head.colours(coefficients) * shading(normals, gamma)
    _, found = light_and_albedo(head, colours, normals, (normals[..., 2] > 0.2) * skin_weights(head))
    assert found[0, 0] < -0.9 and found[1, 0] > 0.9


def test_light_ignores_an_occluder(head, drawn):
    normals = vertex_normals(drawn["posed"], head.triangles)
    truth = head.colours(drawn["albedo"])
    colours = truth * shading(normals, drawn["gamma"])
    weights = (normals[..., 2].clamp_min(0) > 0.2) * skin_weights(head)
    covered = colours.clone()
    covered[:, head.mean[:, 1] < -0.35] = 0.02  # a black scarf over mouth and chin
    clean, spoilt = (shading(normals, estimate_light(c, truth, normals, weights)) for c in (colours, covered))
    upper = (weights > 0.5) & (head.mean[:, 1] > -0.2)
    assert (clean - spoilt).abs()[upper].mean() < 0.05


def test_batches_agree_with_single_faces(head, drawn):
    normals = vertex_normals(drawn["posed"], head.triangles)
    colours = head.colours(drawn["albedo"]) * shading(normals, drawn["gamma"])
    weights = (normals[..., 2] > 0.2) * skin_weights(head)
    together = light_and_albedo(head, colours, normals, weights)
    alone = light_and_albedo(head, colours[1:], normals[1:], weights[1:])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b, atol=2e-3, rtol=0)


def test_refinement_explains_a_rendered_face_and_keeps_its_landmarks(head, drawn):
    start = fit_landmarks(head, drawn["landmarks"])
    better = refine(head, drawn["photos"], drawn["landmarks"], start, PhotometricSettings(iterations=25))
    assert (better.error < 0.75 * better.error_before).all() and better.error.max() < 0.03
    assert (better.fit.error < start.error + 0.2).all()
    assert better.fit.expression.min() >= 0 and better.fit.expression.max() <= 1
    colours = better.colours(head)
    assert colours.shape == (2, head.num_vertices, 3) and colours.min() >= 0 and colours.max() <= 1


def test_refinement_of_real_photos(shared_data):
    """Measured with 40 steps at 160 px on 32 LFPW test photos: colours 0.090 → 0.073, landmarks 1.35 → 1.41 % of the
    box.
    """
    files = sorted((shared_data / "300w/images/test/common/lfpw").glob("*.pts"))[::56]
    landmarks = np.stack([read_pts(path, 68) for path in files])
    photos = [read_image(next(p for p in (f.with_suffix(".jpg"), f.with_suffix(".png")) if p.exists())) for f in files]
    model = load_face_model("head")
    start = fit_landmarks(model, torch.from_numpy(landmarks))
    better = refine_photos(model, photos, landmarks, start, PhotometricSettings(iterations=15, size_px=112))
    assert (better.error < better.error_before).all() and better.error.mean() < 0.85 * better.error_before.mean()
    assert better.fit.error.mean() < start.error.mean() + 0.15
    moved = (better.fit.translation - start.translation).norm(dim=1) / start.scale
    assert moved.max() < 0.2  # dm: back in the pixels of the photo


def test_a_model_without_albedo_can_be_refined(shared_data, head, drawn):
    ict = load_face_model(f"ict:{shared_data / 'ict_facekit/ict_light.npz'}")
    start = fit_landmarks(ict, drawn["landmarks"])
    better = refine(ict, drawn["photos"], drawn["landmarks"], start, PhotometricSettings(iterations=10))
    assert better.albedo.shape == (2, 0) and (better.error <= better.error_before).all()
