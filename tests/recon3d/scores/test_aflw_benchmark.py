"""The benchmark's arithmetic by hand, its four lines, and predictions made of the ground truth with noise."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import eval_recon3d
from common.config import read_local_config
from datasets.alignment import five_of_68, in_order
from geometry.cameras import weak_perspective
from geometry.rotations import rotation_from_euler
from morphable.open import load_face_model
from networks.regressors import RegressorConfig
from recon3d.regression.models import LoadedRegressor, ParameterRegressor, save_for_inference
from recon3d.regression.params import Whitening
from recon3d.scores.aflw2000 import (
    Scores,
    Truth,
    aflw_21,
    align_similarity,
    dense_errors,
    fitted_errors_3d,
    landmark_errors,
    pose_errors,
    read_aflw,
    read_aflw2000,
    reconstruction_errors,
)
from recon3d.scores.reconstruction import is_reconstructor
from recon3d.scores.regression import EvalSettings
from tests.recon3d.regression.small_models import random_parameters, small_model


def test_bins_means_and_lines():
    errors, yaw = np.array([1.0, 3.0, 5.0, 9.0, 11.0]), np.array([0.0, -30.0, 31.0, -61.0, 351.0])
    scores = Scores(errors, yaw)
    assert scores.means == [2, 5, 10] and scores.mean_of_bins == pytest.approx(17 / 3) and scores.plain == 5.8
    spread = np.std([2, 5, 10])
    assert scores.lines(colour=False) == [
        "[ 0, 30]\tMean: 2.000, Std: 1.000",
        "[30, 60]\tMean: 5.000, Std: 0.000",
        "[60, 90]\tMean: 10.000, Std: 1.000",
        f"[ 0, 90]\tMean: 5.667, Std: {spread:.3f}",
    ]
    assert "\033[92m2.000\033[00m" in scores.lines()[0]


def test_696_subset_takes_232_of_each_bin():
    yaw = np.repeat([0.0, 45.0, 80.0], [400, 300, 232])
    errors = np.concatenate([np.arange(400.0), np.arange(300.0), np.full(232, 7.0)])
    assert Scores(errors, yaw).subset() == pytest.approx((np.arange(232).sum() * 2 + 7 * 232) / 696)


def test_landmark_errors_ignore_invisible_points():
    points = np.array([[[0.0, 0.0], [8.0, 2.0], [np.nan, np.nan]]])
    truth = Truth(points, np.array([[[0.0, 0.0], [8.0, 2.0]]]), np.zeros(1), np.zeros((1, 4)))
    predicted = np.array([[[3.0, 4.0], [8.0, 2.0], [99.0, 99.0]]])
    assert landmark_errors(predicted, truth)[0] == pytest.approx(100 * 2.5 / 4)


def test_21_points():
    points = aflw_21(np.arange(68.0)[None, :, None].repeat(2, axis=2))[0, :, 0] + 1
    assert points.shape == (21,) and points[0] == 18 and points[7] == 39.5 and points[18] == 64.5 and points[20] == 9


def test_fitted_3d_error_forgives_axes():
    truth = np.random.default_rng(0).normal(size=(2, 68, 3))
    assert fitted_errors_3d(truth * [2, 3, 0.5] + 7, truth).max() < 1e-9
    moved = truth.copy()
    moved[0, 5] += 0.01 * np.ptp(truth[0], axis=0) * (truth[0, 5] < truth[0].max(0))
    assert 0 < fitted_errors_3d(moved, truth)[0] < 1


def test_similarity_and_reconstruction():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(90, 3))
    rotation = rotation_from_euler(torch.tensor([0.4, -0.7, 0.2], dtype=torch.double)).numpy()
    assert np.allclose(align_similarity(3 * truth @ rotation.T + [1, 2, 3], truth), truth)
    noisy = truth + 0.01 * rng.normal(size=truth.shape)
    error = reconstruction_errors(noisy[None], truth[None], (0, 1))[0]
    assert error == pytest.approx(
        100 * np.linalg.norm(noisy - truth, axis=1).mean() / np.linalg.norm(truth[0] - truth[1]), rel=0.2
    )
    assert dense_errors(truth[None] + [3, 4, 99], truth[None])[0] == pytest.approx(
        500 / np.sqrt(np.ptp(truth[:, :2], axis=0).prod())
    )


def test_pose_errors_leave_out_extreme_angles():
    truth = np.array([[0.0, 10.0, 0.0], [0.0, 120.0, 0.0]])
    assert pose_errors(truth + [[1, -2, 3], [50, 50, 50]], truth).tolist() == [1, 2, 3]


def test_real_arrays(shared_data, tmp_path, capsys):
    """The published facts of 3DDFA's files: sizes of bins, the distance of both annotations; and noise of known
    size.
    """
    folder = shared_data / "tddfa" / "test.configs"
    truth, again = read_aflw2000(folder), read_aflw2000(folder, reannotated=True)
    assert [int(b.sum()) for b in Scores(np.zeros(2000), truth.yaw_deg).bins] == [1312, 383, 305]
    new = read_aflw2000(folder, new_pose=True)
    assert [int(b.sum()) for b in Scores(np.zeros(2000), new.yaw_deg).bins] == [1306, 462, 232]
    assert landmark_errors(again.points, truth).mean() == pytest.approx(3.09, abs=0.01)
    rng = np.random.default_rng(0)
    sigma = 0.02 * np.sqrt(np.ptp(truth.points, axis=1).prod(axis=1))
    noise = rng.normal(size=truth.points.shape) * sigma[:, None, None]
    np.savez(tmp_path / "p.npz", landmarks=truth.points + noise)
    flags = [
        "--benchmark",
        "aflw2000",
        "--truth",
        folder,
        "--predictions",
        tmp_path / "p.npz",
        "--json",
        tmp_path / "s.json",
    ]
    assert eval_recon3d.main([str(f) for f in flags] + ["--colour", "0"]) == 0
    out = capsys.readouterr().out
    found = [float(v) for v in re.findall(r"\[ ?\d+, \d+\]\tMean: ([\d.]+)", out)]
    assert len(found) == 4 and found == pytest.approx(
        [2 * np.sqrt(np.pi / 2)] * 4, rel=0.02
    )  # mean of a Rayleigh distance
    assert eval_recon3d.main(["--benchmark", "aflw", "--truth", str(folder)]) == 2
    assert re.search(r"AFLW_GT_pts\d\d.npy not found; it comes with", capsys.readouterr().err)


@pytest.fixture
def photos(tmp_path):
    """Three photos with fits, and their truth in 3DDFA's layout."""
    from PIL import Image

    model, rng, folder = small_model(199, 29), np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    points, rois, yaws = [], [], []
    for i in range(3):
        shape, expression = np.zeros(199), np.zeros(29)
        shape[:40], expression[:10] = rng.normal(size=40), rng.normal(size=10)
        pose = np.array([0.1, -0.4 + 0.4 * i, 0.05, 200.0, 230.0, 0.0, 1e-3])
        vertices = (
            model.shape(*(torch.tensor(c, dtype=torch.float32)[None] for c in (shape, expression)))[0].numpy() * 1e5
        )
        posed = pose[6] * rotation_from_euler(torch.from_numpy(pose[:3])).numpy() @ vertices.T + pose[3:6, None]
        posed[1] = 451 - posed[1]
        posed = posed[:, :68]
        low, high = posed[:2].min(1), posed[:2].max(1)
        side, centre = np.sqrt(2) * (high - low).max(), (low + high) / 2
        Image.fromarray(rng.integers(0, 255, (450, 450, 3), dtype=np.uint8)).save(folder / f"image{i:05d}.jpg")
        savemat(
            folder / f"image{i:05d}.mat",
            {"Pose_Para": pose[None], "Shape_Para": shape, "Exp_Para": expression, "pt3d_68": posed},
        )
        points.append(posed)
        rois.append([*(centre - side / 2), *(centre + side / 2)])
        yaws.append(np.rad2deg(pose[1]))
    names = {"AFLW2000-3D.pts68": points, "AFLW2000-3D_crop.roi_box": rois, "AFLW2000-3D.pose": yaws}
    for name, values in names.items():
        np.save(tmp_path / f"{name}.npy", np.array(values, np.float32))
    small_model().save(tmp_path / "model.safetensors")
    whitening = Whitening.of(random_parameters(50))
    regressor = ParameterRegressor(RegressorConfig(width=0.25), whitening, "continuous", "small").eval()
    save_for_inference(LoadedRegressor(regressor, regressor.describe(), tmp_path), tmp_path / "net", half=False)
    return tmp_path


def test_photos_with_fits_get_every_score(photos, capsys):
    flags = [
        "-c",
        photos / "net",
        "--face-model",
        photos / "model.safetensors",
        "--truth",
        photos,
        "--images",
        photos / "photos",
    ]
    flags += ["--json", photos / "scores.json", "--save", photos / "p.npz", "--device", "cpu"]
    assert eval_recon3d.main([str(f) for f in flags]) == 0
    out = capsys.readouterr().out
    for text in ("plain mean", "Mean MAE = ", "dense NME", "reconstruction NME", "3D NME"):
        assert text in out
    assert np.load(photos / "p.npz")["landmarks"].shape == (3, 68, 3)


def test_missing_images_and_wrong_counts_are_named(photos, capsys):
    common = ["-c", str(photos / "net"), "--face-model", str(photos / "model.safetensors"), "--truth", str(photos)]
    assert eval_recon3d.main(common) == 2 and "--images None: no folder" in capsys.readouterr().err
    (photos / "photos" / "image00002.jpg").unlink()
    assert eval_recon3d.main([*common, "--images", str(photos / "photos")]) == 2
    assert "2 images for 3 rows" in capsys.readouterr().err
    np.savez(photos / "p.npz", landmarks=np.zeros((2, 68, 2)))
    assert eval_recon3d.main(["--truth", str(photos), "--predictions", str(photos / "p.npz")]) == 2
    assert "not (3, 68, 2 or 3)" in capsys.readouterr().err


def test_aflw_reads_invisible_points(tmp_path):
    points = np.full((4, 2, 21), 50.0)
    points[0, :, 3] = -1
    arrays = {"pts21": points, "pts68": np.random.default_rng(0).random((4, 2, 68)), "crop_yaws": np.zeros(4)}
    for name, array in (arrays | {"crop_roi_box": np.tile([1, 1, 101, 101], (4, 1))}).items():
        np.save(tmp_path / f"AFLW_GT_{name}.npy", array)
    truth = read_aflw(tmp_path)
    assert (
        np.isnan(truth.points[0, 3]).all()
        and (truth.points[1] == 49.5).all()
        and (truth.rois[0] == [0, 0, 100, 100]).all()
    )


def test_reconstructors_are_scored_on_true_profiles(tmp_path, capsys):
    """Five points of a face that is turned by more than 90° cross, which must not end the run."""
    model = load_face_model("head")
    angles = torch.deg2rad(torch.tensor([[0.0, 0, 0], [0, 105, 0], [0, -50, 0]]))
    vertices = model.mean.expand(3, -1, -1)
    scale, middle = torch.full((3,), 80.0), torch.full((3, 2), 225.0)
    points = model.points(weak_perspective(vertices, rotation_from_euler(angles), scale, middle), "ibug68").numpy()
    assert [in_order(five_of_68(face[:, :2])) for face in points] == [True, False, True]
    folder = tmp_path / "truth"
    folder.mkdir()
    np.save(folder / "AFLW2000-3D.pts68.npy", points.transpose(0, 2, 1) + [[0.5], [0.5], [0.0]])
    np.save(folder / "AFLW2000-3D.pose.npy", np.array([0.0, 105.0, -50.0]))
    np.save(folder / "AFLW2000-3D_crop.roi_box.npy", np.tile([100.0, 100, 350, 350], (3, 1)))
    for i in range(3):
        Image.new("RGB", (450, 450), (90, 80, 70)).save(tmp_path / f"image{i}.jpg")
    arguments = ["-c", "reconstructor", "--benchmark", "aflw2000", "--images", str(tmp_path), "--truth", str(folder)]
    assert eval_recon3d.main([*arguments, "--five", "gt", "--json", str(tmp_path / "s.json"), "--colour", "0"]) == 0
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["n"] == 3 and result["crossed"] == ["image1.jpg"] and np.isfinite(result["plain"])
    assert "image1.jpg" in capsys.readouterr().out


def test_published_reconstructors_are_known_by_what_is_in_them(tmp_path):
    torch.save({"net_recon": {"backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "epoch_20.pth")
    torch.save({"state_dict": {"module.fc.weight": torch.zeros(1)}}, tmp_path / "phase1.pth")
    local = read_local_config()
    for name, expected in (("epoch_20.pth", True), ("phase1.pth", False)):
        settings = EvalSettings(checkpoint=str(tmp_path / name), benchmark="photos")
        assert is_reconstructor(settings, local) == expected
