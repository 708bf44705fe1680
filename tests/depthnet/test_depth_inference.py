"""All pairs at once give what the networks give pair by pair; scores against plain definitions."""

import numpy as np
import pytest
import torch

from datasets.readers.threedfaw import Keypoints
from datasets.synthetic.depth import random_faces
from depthnet.inference import all_pair_depths, all_pair_errors
from depthnet.scores.controls import make_controls
from depthnet.scores.evaluation import Faces, score_controls, score_networks, summarise
from depthnet.scores.report import comparison, pose_comparison, spread, upstream_lines
from geometry.lifted_affine import apply_affine, free_depth_bound, plane_error, solve_affine
from networks.aign import AIGN, AIGNConfig
from networks.depthnet import DepthNet, DepthNetConfig


@pytest.fixture(scope="module")
def keypoints():
    poses = np.repeat(["left", "center", "right"], 4)
    faces = np.concatenate([random_faces(4, seed, yaw) for seed, yaw in enumerate([(-45, -20), (-5, 5), (20, 45)])])
    faces = faces.astype(np.float32)
    return Keypoints(faces[..., :2], faces[..., 2], np.arange(12).astype(str), poses)


@pytest.fixture(scope="module")
def faces(keypoints):
    return Faces.of(keypoints, torch.device("cpu"), train=keypoints)


def trained_like(config):
    """A network whose running statistics and heads are not the initial ones."""
    net = DepthNet(config).train()
    for _ in range(3):
        net(torch.rand(config.seeds, 16, 66, 2), torch.rand(config.seeds, 16, 66, 2))
    return net.eval()


@pytest.mark.parametrize(
    "config", [DepthNetConfig(2), DepthNetConfig(2, learn_m=True), DepthNetConfig(2, source_only=True)]
)
def test_all_pairs_are_the_plain_network_pair_by_pair(config, faces):
    net = trained_like(config)
    depths, affines = all_pair_depths(net, faces.points, faces.points)
    for i, j in ((0, 1), (7, 3), (11, 11)):
        source, target = (faces.points[k][None, None].expand(2, 1, 66, 2) for k in (i, j))
        depth, affine = net(source, target)
        torch.testing.assert_close(depths[:, i, 0 if config.source_only else j], depth[:, 0], rtol=1e-4, atol=1e-5)
        if config.learn_m:
            torch.testing.assert_close(affines[:, i, j], affine[:, 0], rtol=1e-4, atol=1e-5)


def test_errors_are_those_of_the_least_squares_affine(faces):
    depth = torch.randn(12, 12, 66)
    source, target = faces.points[:, None].double(), faces.points[None].double()
    matrix = solve_affine(source, depth.double(), target)
    wanted = (apply_affine(matrix, source.expand(12, 12, 66, 2), depth.double()) - target).square().mean(dim=(2, 3))
    torch.testing.assert_close(all_pair_errors(faces.points, depth, faces.points), wanted, rtol=1e-8, atol=1e-14)
    ours = all_pair_errors(faces.points, depth[:, :1], faces.points)
    torch.testing.assert_close(ours, all_pair_errors(faces.points, depth[:, :1].expand(12, 12, 66), faces.points))
    given = all_pair_errors(faces.points, depth, faces.points, matrix)
    torch.testing.assert_close(given, wanted, rtol=1e-8, atol=1e-14)
    flat = all_pair_errors(faces.points, faces.points[:, None, :, 0], faces.points)
    torch.testing.assert_close(flat, plane_error(source, target), rtol=1e-6, atol=1e-12)


def test_scores_of_the_truth_and_of_a_constant(faces, keypoints):
    rows = score_controls(make_controls(keypoints), faces)
    truth = rows["true depth"]
    assert truth["depth_corr"] == pytest.approx(66, abs=1e-6) and truth["gauge_corr"] == pytest.approx(66, abs=1e-6)
    assert (
        truth["cosine"] == pytest.approx(1) and truth["beyond"] == pytest.approx(1) and truth["r2"] == pytest.approx(1)
    )
    assert truth["table"] == [[pytest.approx(66, abs=1e-6)]] * 3
    for name in ("constant template", "mean depth"):
        assert rows[name]["depth_corr"] == 0
    assert rows["constant template"]["r2_gain"] == 0 and rows["constant template"]["beyond"] == 0
    assert abs(rows["mean depth"]["beyond_mean"]) < 1e-6
    assert rows["template in the face's pose"]["depth_corr"] > 40
    assert rows["2D affine"]["kp_mean"] > 3 * truth["kp_mean"]


def test_spectral_depth_explains_all_targets_best(faces, keypoints):
    """No other shared depth of a source has a smaller summed error: not the truth, not random steps away from it."""
    spectral = make_controls(keypoints)["spectral (closed form)"](faces.points)
    best = all_pair_errors(faces.points, spectral[:, None], faces.points).sum(dim=1)
    others = [faces.depth] + [spectral + 0.02 * torch.randn(12, 66) for _ in range(5)]
    for other in others:
        assert (all_pair_errors(faces.points, other[:, None], faces.points).sum(dim=1) >= best * (1 - 1e-6)).all()
    bound = free_depth_bound(faces.points[:, None].double(), faces.points[None].double()).sum(dim=1)
    assert (best >= bound).all()


def test_pair_counts_and_table(faces):
    depth = torch.randn(12, 12, 66)
    scores = summarise(depth, all_pair_errors(faces.points, depth, faces.points), faces)
    cell = [(i, j) for i in range(4) for j in range(4) if i != j]
    assert len(cell) == 12  # 75 faces of one pose: 75 · 74 = 5,550
    predicted = np.array([depth[i, j].numpy() for i, j in cell])
    truth = np.array([faces.depth[i].numpy() for i, _ in cell])
    wanted = sum(abs(np.corrcoef(predicted[:, k], truth[:, k])[0, 1]) for k in range(66))
    assert scores["table"][0][0] == pytest.approx(wanted, abs=1e-4)
    cell = [(i, j) for i in range(4) for j in range(8, 12)]
    predicted = np.array([depth[i, j].numpy() for i, j in cell])
    truth = np.array([faces.depth[i].numpy() for i, _ in cell])
    wanted = sum(abs(np.corrcoef(predicted[:, k], truth[:, k])[0, 1]) for k in range(66))
    assert scores["table"][0][2] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("net", [DepthNet(DepthNetConfig(2)), AIGN(AIGNConfig(1))], ids=["depthnet", "aign"])
def test_reports_have_every_line(net, faces, keypoints):
    runs = score_networks(net.eval(), faces)
    lines = upstream_lines(runs[0], runs[0])
    assert lines[0] == "Computing stats on validation set..." and "src: all, tgt: all" in lines
    assert any(line.startswith("left\t" if isinstance(net, DepthNet) else "left = ") for line in lines)
    controls = score_controls(make_controls(keypoints), faces)
    table = comparison({"net": runs}, controls)
    assert len({line.count("|") for line in table}) == 1 and any("constant template" in line for line in table)
    assert sum("center" in line for line in pose_comparison({"net": runs}, controls)) >= 2
    assert spread([1.0, 3.0], "{:+.1f}") == "+2.0 ± 1.4"
