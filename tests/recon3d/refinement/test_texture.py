"""Texture refinement: inputs and losses against closed forms, a step with all parts."""

import pytest
import torch

from common.runtime import make_accelerator
from geometry.cameras import pinhole
from geometry.mesh.normals import vertex_normals
from morphable.open import load_face_model
from networks.graph_generators import FaceCritic
from recon3d.refinement.meshes import MeshGraphError
from recon3d.refinement.pyramid import build_pyramid
from recon3d.refinement.texture_losses import (
    TextureBatch,
    TextureWeights,
    critic_loss,
    rendering_and_reference,
    sample_nearest,
    texture_signal,
    texture_terms,
    visibility,
    weighted_sum,
)
from recon3d.refinement.texture_method import TextureMethod
from recon3d.refinement.texture_refiner import TextureRefiner
from tests.recon3d.refinement.shapes import grid
from training.loop import EpochPosition


@pytest.fixture(scope="module")
def model():
    return load_face_model("head")


@pytest.fixture(scope="module")
def batch(model):
    vertices = model.shape(torch.zeros(2, 1))
    photo = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    return TextureBatch(
        features=torch.randn(2, 5, generator=torch.Generator().manual_seed(1)),
        albedo=model.albedo_mean.expand(2, -1, -1).clamp(0, 1),
        photo=photo,
        skin=torch.ones(2, 224, 224),
        screen=pinhole(vertices, 1015.0, (112.0, 112.0), 10.0),
        normals=vertex_normals(vertices, model.triangles),
        shading=torch.full_like(vertices, 0.7),
    )


def test_weights_follow_the_epoch():
    assert rendering_and_reference(0) == (0, 1) and rendering_and_reference(50) == (1, 0.2)
    assert rendering_and_reference(2.5) == (0.5, 0.5)


def test_nearest_pixel_and_outside():
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    points = torch.tensor([[[0.1, 0.9], [3.99, 2.0], [2.5, 1.5], [4.0, 1.0], [-0.1, 1.0]]])
    assert sample_nearest(picture, points)[0, :, 0].tolist() == [0, 11, 6, 0, 0]


def test_only_vertices_that_face_the_camera_are_visible(batch, model):
    seen = visibility(batch)[..., 0]
    assert ((seen > 0) <= (batch.normals[..., 2] > 0)).all() and 0.2 < seen.mean() < 0.9
    signal = texture_signal(batch)
    assert signal.shape == (2, model.num_vertices, 7) and signal[..., :6].abs().max() <= 1


def test_terms_of_known_albedo(batch, model):
    terms = texture_terms(batch.albedo + 0.1, batch, model)
    assert terms["l_reference"].item() == pytest.approx(0.1, rel=1e-4)
    hidden = (1 - visibility(batch)) * 0.3 * 0.07
    photo = sample_nearest(batch.photo, batch.screen)
    seen = visibility(batch) * ((batch.albedo + 0.1) * 0.7 - photo).abs()
    assert terms["l_projection"].item() == pytest.approx((hidden + seen).mean().item(), rel=1e-4)
    flat = texture_terms(torch.full_like(batch.albedo, 0.5), batch, model)
    assert flat["l_variance"] < 1e-10 and flat["l_symmetry"] == 0
    total = weighted_sum(terms, TextureWeights(), 2.5)
    inner = terms["l_projection"] + 0.5 * terms["l_symmetry"] + 0.01 * terms["l_variance"]
    assert total.item() == pytest.approx((0.5 * terms["l_reference"] + 0.5 * inner).item(), rel=1e-5)


def test_penalty_of_a_linear_critic():
    """Its gradient has one length everywhere: the norm of its weights."""
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1, bias=False))
    real, fake = torch.rand(3, 3, 2, 2), torch.rand(3, 3, 2, 2)
    expected = linear(fake).mean() - linear(real).mean() + 10 * (linear[1].weight.norm() - 1) ** 2
    assert torch.allclose(critic_loss(linear, real, fake), expected, atol=1e-5)


def test_a_step_trains_refiner_and_critic(batch, model):
    refiner = TextureRefiner(5, build_pyramid(model.mean, model.triangles), "head")
    features = torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten())
    method = TextureMethod(
        refiner, model, make_accelerator("cpu"), lambda raw, step: raw, None, features, FaceCritic(), learning_rate=1e-3
    )
    before = {name: p.clone() for name, p in method.networks.named_parameters()}
    terms = method.training_step(batch, 5, EpochPosition(5, 0, 1))
    assert all(torch.isfinite(value) for value in terms.values())
    assert {"l_identity", "l_adversarial", "l_critic", "l_projection"} <= set(terms)
    still = [name for name, p in method.networks.named_parameters() if torch.equal(p, before[name])]
    assert still in ([], ["critic.main.23.bias"])  # a constant on all scores is no part of a Wasserstein critic's loss
    assert all(p.grad is None for p in method.critic.parameters())


def test_albedo_is_learned(batch, model):
    """At epoch 0 only the model's albedo counts."""
    refiner = TextureRefiner(5, build_pyramid(model.mean, model.triangles), "head")
    method = TextureMethod(refiner, model, make_accelerator("cpu"), lambda raw, step: raw, learning_rate=3e-3)
    losses = [method.training_step(batch, 0, EpochPosition(0, 0, 10))["l_reference"].item() for _ in range(30)]
    assert losses[-1] < 0.6 * losses[0]


def test_another_mesh(model):
    with pytest.raises(MeshGraphError, match="choose the face model"):
        TextureMethod(TextureRefiner(5, build_pyramid(*grid(40))), model, make_accelerator("cpu"), None)
