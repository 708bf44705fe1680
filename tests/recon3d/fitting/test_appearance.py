"""Light and albedo of placed faces in closed form, in weak perspective and before a pinhole camera."""

import pytest
import torch

from datasets.synthetic.scene import random_light
from geometry.cameras import weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.rotations import rotation_from_euler
from morphable.light import AMBIENT, shading
from morphable.open import load_face_model
from recon3d.fitting.appearance import BATCH, Placed, light_and_albedo_seen, light_seen
from recon3d.fitting.photometric import skin_weights
from recon3d.reconstruction.renderer import Camera

COUNT = BATCH + 1  # one more than are solved at once


@pytest.fixture(scope="module")
def model():
    return load_face_model("head#photos")


@pytest.fixture(scope="module")
def faces(model):
    """Unposed vertices, rotation, normals in the camera's frame, light and lit colours of faces."""
    generator = torch.Generator().manual_seed(3)
    vertices = model.shape(0.7 * torch.randn(COUNT, model.sizes[0], generator=generator))
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[5.0, 20, 3], [-4, -15, 0], [0, 0, 0]])))
    rotation = rotation[torch.arange(COUNT) % 3]
    normals = vertex_normals(vertices @ rotation.mT, model.triangles)
    gamma = random_light(COUNT, generator)
    gamma[..., 0] -= AMBIENT
    albedo = torch.randn(COUNT, model.sizes[2], generator=generator)
    return vertices, rotation, normals, gamma, model.colours(albedo)


def placed(kind, vertices, rotation, normals):
    if kind == "pinhole":
        camera = Camera.of_size(128)
        return Placed.before_camera(camera.project(vertices @ rotation.mT), camera.focal, normals)
    scale = torch.full((COUNT,), 55.0)
    return Placed(weak_perspective(vertices, rotation, scale, torch.full((COUNT, 2), 64.0)), scale, normals)


@pytest.mark.parametrize("kind", ["weak perspective", "pinhole"])
def test_colours_of_rendered_faces_come_back(kind, model, faces):
    vertices, rotation, normals, gamma, albedo = faces
    lit = albedo * shading(normals, gamma)
    there = placed(kind, vertices, rotation, normals)
    ids = rasterize(there.screen, model.triangles, (128, 128), perspective=there.perspective)
    photos = interpolate(there.screen, model.triangles, ids, lit, there.perspective).clamp(0, 1)
    skin = skin_weights(model)
    found_gamma, found = light_and_albedo_seen(model, photos, there, skin)
    colours = model.colours(found) * shading(normals, found_gamma)
    seen = (normals[..., 2] > 0.3) & (skin > 0)
    plain = (model.albedo_mean - lit).abs()[seen].mean()
    assert (colours - lit.clamp(0, 1)).abs()[seen].mean() < min(0.03, 0.3 * plain)
    known = light_seen(model, photos, there, skin, albedo)
    assert (shading(normals, known) - shading(normals, gamma)).abs()[seen].mean() < 0.05


def test_a_face_that_is_not_seen_gets_the_priors(model, faces):
    vertices, rotation, normals, _, _ = faces
    there = placed("weak perspective", vertices, rotation, normals)
    outside = Placed(there.screen + torch.tensor([1000.0, 0, 0]), there.scale, normals)
    gamma, albedo = light_and_albedo_seen(model, torch.ones(COUNT, 128, 128, 3), outside, skin_weights(model))
    assert torch.equal(albedo, torch.zeros_like(albedo)) and (gamma == gamma[0, 0]).all() and gamma[0, 0, 0] > 0
