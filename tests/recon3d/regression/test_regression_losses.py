"""Losses against loops, definitions and each other."""

import math
import time

import pytest
import torch

from recon3d.regression.losses import (
    PointSampler,
    annotated_l1,
    balanced,
    exact_wpdc_weights,
    fast_wpdc_weights,
    landmark_regression,
    pdc,
    vanilla_joint,
    vdc,
    vertex_l1,
    weighted_pdc,
    wing,
    wpdc_weights,
)
from recon3d.regression.params import Layout, Whitening
from tests.recon3d.regression.small_models import random_parameters, small_model

LAYOUT = Layout()


@pytest.fixture(scope="module")
def faces():
    target = random_parameters(6).double()
    predicted = target + 0.05 * torch.randn(
        target.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double
    )
    sampler = PointSampler(small_model().to(dtype=torch.double), LAYOUT, count=20)
    return predicted, target, sampler, sampler.draw()


def test_sampler_draws_landmarks_and_distinct_vertices(faces):
    sampler = faces[2]
    first, second = sampler.draw(), sampler.draw()
    assert first.mean.shape == (88, 3) and first.modes.shape == (88, 3, 50)
    assert torch.equal(first.mean[:68], sampler.landmarks.mean) and not torch.equal(first.mean, second.mean)
    assert len(first.mean[68:].unique(dim=0)) == 20
    assert len(PointSampler(small_model(), LAYOUT, count=1000).draw().mean) == 68 + 90


def test_vdc_and_wing_against_loops(faces):
    predicted, target, _, points = faces
    squares, wings, sizes = [], [], []
    for p, t in zip(predicted, target, strict=True):
        p = p.clone()
        p[11] = t[11]
        sides = [LAYOUT.split(row[None]) for row in (p, t)]
        a, b = (points.shape(s)[0] @ s.matrix[0].T + s.translation[0] for s in sides)
        for e in (a - b).abs().flatten().tolist():
            squares.append(e * e)
            sizes.append(e)
            wings.append(10 * math.log(1 + e / 2) if e < 10 else e - (10 - 10 * math.log(6)))
    parts = LAYOUT.split(predicted), LAYOUT.split(target)
    assert math.isclose(vdc(*parts, points), sum(squares) / len(squares), rel_tol=1e-9)
    assert math.isclose(vertex_l1(*parts, points), sum(sizes) / len(sizes), rel_tol=1e-9)
    assert math.isclose(wing(*parts, points), sum(wings) / len(wings), rel_tol=1e-9)


def test_wing_is_continuous_at_its_width(faces):
    _, target, _, points = faces
    moved = target.clone()
    values = []
    for shift in (10 - 1e-6, 10 + 1e-6):
        moved[:, [3, 7]] = target[:, [3, 7]] + shift
        values.append(float(wing(LAYOUT.split(moved), LAYOUT.split(target), points)))
    assert abs(values[1] - values[0]) < 1e-5


def test_fast_weights_are_exact_for_scaled_rotations(faces):
    predicted, target, _, points = faces
    exact = exact_wpdc_weights(predicted, target, LAYOUT, points)
    fast = fast_wpdc_weights(predicted, target, LAYOUT, points)
    assert torch.allclose(exact, fast, atol=1e-6)  # the rotations themselves are float32
    assert torch.allclose(fast.amax(1), torch.ones(6, dtype=torch.double)) and (fast[:, 11] == 0).all()


def test_fast_weights_of_sheared_matrices_stay_close(faces):
    predicted, target, _, points = faces
    sheared = target.clone()
    sheared[:, [0, 1, 2]] *= 1.1
    exact = exact_wpdc_weights(predicted, sheared, LAYOUT, points).flatten()
    fast = fast_wpdc_weights(predicted, sheared, LAYOUT, points).flatten()
    assert torch.corrcoef(torch.stack([exact, fast]))[0, 1] > 0.99


def test_approximate_weights_by_hand(faces):
    predicted, target, _, points = faces
    weights = wpdc_weights(predicted, target, LAYOUT, points, scale=45.0)
    parts, difference = LAYOUT.split(target), (predicted - target).abs()
    shape, modes = points.shape(parts), points.modes.flatten(0, 1)
    for b in range(len(target)):
        raw = [0.0] * 62
        for i in (0, 1, 2, 4, 5, 6, 8, 9, 10):
            raw[i] = float(difference[b, i] * shape[b, :, i % 4].norm())
        for i in (3, 7, 11):
            raw[i] = float(difference[b, i] * math.sqrt(88))
        for i in range(50):
            raw[12 + i] = float(45 * difference[b, 12 + i] * modes[:, i].norm())
        raw = [w + (i != 11) * 1e-6 for i, w in enumerate(raw)]
        expected = torch.tensor([w / max(raw) for w in raw], dtype=torch.double)
        expected[11] = 0
        assert torch.allclose(weights[b], expected, atol=1e-9)
    radan = wpdc_weights(predicted, target, LAYOUT, points, 45.0, from_prediction=True)
    assert not torch.equal(radan, weights) and torch.allclose(radan, weights, atol=0.05)


def test_fast_is_much_faster_than_exact():
    target = random_parameters(128)
    predicted = target + 0.1
    points = PointSampler(small_model(vertices=600), LAYOUT).draw()
    seconds = {}
    for name, weights in (("exact", exact_wpdc_weights), ("fast", fast_wpdc_weights)):
        weights(predicted, target, LAYOUT, points)
        started = time.perf_counter()
        for _ in range(3):
            weights(predicted, target, LAYOUT, points)
        seconds[name] = time.perf_counter() - started
    assert seconds["exact"] > 5 * seconds["fast"]


def test_weighted_distances_and_their_gradients():
    whitened, target = torch.randn(3, 62, requires_grad=True), torch.randn(3, 62)
    weights = torch.rand(3, 62)
    once, twice = (weighted_pdc(whitened, target, weights, squared) for squared in (False, True))
    error = whitened.detach() - target
    assert torch.allclose(once, (weights * error**2).mean()) and torch.allclose(twice, ((weights * error) ** 2).mean())
    assert torch.allclose(pdc(whitened, target), (error**2).mean())
    once.backward()
    assert torch.allclose(whitened.grad, 2 * weights * error / weights.numel())


def test_joint_losses():
    main, other = torch.tensor(2.0, requires_grad=True), torch.tensor(8.0, requires_grad=True)
    assert balanced(main, other) == 2
    vanilla_joint(main, other, 0.25).backward()
    assert main.grad == 0.25 and other.grad == 0.75 * 2 / 8
    assert torch.isfinite(balanced(main, torch.tensor(0.0)))


def test_landmark_regression_is_zero_at_the_landmarks(faces):
    _, target, sampler, _ = faces
    points = sampler.landmarks.posed(LAYOUT.split(target))
    head = torch.stack([points[..., 0] - 60, 60 - points[..., 1]], dim=-1) / 60
    assert landmark_regression(head, LAYOUT.split(target), sampler, 120) < 1e-12
    assert math.isclose(landmark_regression(head + 0.1, LAYOUT.split(target), sampler, 120), 0.01, rel_tol=1e-6)


def test_annotated_landmarks_count_where_they_are(faces):
    _, target, sampler, _ = faces
    parts = LAYOUT.split(target)
    points = sampler.landmarks.posed(parts)[..., :2]
    annotated = torch.stack([points[..., 0], 120 - points[..., 1]], dim=-1)
    assert annotated_l1(parts, sampler.landmarks, annotated, 120) < 1e-9
    annotated[0, 5] += torch.tensor([3.0, -1.0])
    annotated[1:] = torch.nan
    annotated[0, 6] = torch.nan
    assert math.isclose(annotated_l1(parts, sampler.landmarks, annotated, 120), 4 / (2 * 67), rel_tol=1e-6)
    start = target[:1].clone().requires_grad_()
    annotated_l1(LAYOUT.split(start), sampler.landmarks, annotated[:1], 120).backward()
    assert start.grad.isfinite().all() and start.grad.abs().sum() > 0
    assert annotated_l1(parts, sampler.landmarks, torch.full_like(annotated, torch.nan), 120) == 0


def test_gradcheck(faces):
    predicted, target, _, points = faces
    wanted = LAYOUT.split(target[:2])
    start = predicted[:2].clone().requires_grad_()
    for loss in (vdc, wing):
        assert torch.autograd.gradcheck(lambda p, loss=loss: loss(LAYOUT.split(p), wanted, points), start)


@pytest.mark.parametrize("name", ["pdc", "vdc", "wpdc", "fwpdc"])
def test_descent_brings_the_vertices_home(faces, name):
    """Every loss alone leads from 3 spreads away to the right face."""
    _, target, _, points = faces
    target = random_parameters(64, seed=2).double()
    whitening = Whitening.of(target)
    y = whitening.whiten(target[:4])
    guess = (
        y + 0.5 * torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    ).requires_grad_()
    optimizer = torch.optim.Adam([guess], 0.03)
    wanted = LAYOUT.split(target[:4])
    start = float(vdc(LAYOUT.split(whitening.restore(guess.detach())), wanted, points))
    for _ in range(150):
        p = whitening.restore(guess)
        if name == "vdc":
            loss = vdc(LAYOUT.split(p), wanted, points)
        elif name == "pdc":
            loss = pdc(guess, y)
        else:
            weights = (
                wpdc_weights(p, target[:4], LAYOUT, points, 45.0)
                if name == "wpdc"
                else fast_wpdc_weights(p, target[:4], LAYOUT, points)
            )
            loss = weighted_pdc(guess, y, weights, squared=name == "fwpdc")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(vdc(LAYOUT.split(whitening.restore(guess.detach())), wanted, points)) < 0.05 * start
