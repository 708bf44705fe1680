"""A score is a probability that the face did not fail; calibration and the evaluation on boxes."""

import json

import numpy as np
import pytest
import torch

import eval_landmarks
from common.errors import CheckpointError
from datasets.readers.w300 import W300
from geometry.schemes import IBUG_68
from landmarks.box_evaluation import MISSED_SCORE, evaluate_boxes, jittered
from landmarks.calibrate import main as calibrate
from landmarks.confidence import KEY, Calibration, fit_weights, read_calibration
from landmarks.detector import LandmarkDetector
from landmarks.models import LoadedModel, load_model, model_config, save_for_inference
from metrics.report import Protocol
from networks.aae import AAE, AAEConfig

PROTOCOL = Protocol("w300", "train", "ibug68", "outer")


@pytest.fixture(scope="module")
def faces():
    """Features of 4,000 faces, and whether each is good, drawn from a known probability."""
    rng = np.random.default_rng(0)
    features = {"peak": rng.uniform(0.2, 1, 4000), "passes": np.exp(rng.normal(-4, 1, 4000))}
    logit = -4 + 8 * features["peak"] - 1.0 * (np.log(np.maximum(features["passes"], 1e-3)) + 4)
    return features, rng.random(4000) < 1 / (1 + np.exp(-logit))


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    networks = AAE(AAEConfig(128, num_landmarks=68))
    loaded = LoadedModel(
        networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), tmp_path
    )
    save_for_inference(loaded, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def configuration(tmp_path, drawn):
    path = tmp_path / "x.ini"
    path.write_text(f"[Paths]\ndata = {tmp_path / 'data'}\noutputs = {tmp_path / 'out'}\nw300 = {drawn('w300')[0]}\n")
    return path


def test_the_score_is_the_probability(faces):
    features, good = faces
    weights = fit_weights(features, good)
    assert weights == pytest.approx((-8, 8, -1), abs=0.8), "constant −4 − 1 · 4"
    scores = Calibration({"peak+passes": weights}).score(features)
    assert 0 <= scores.min() and scores.max() <= 1
    for low in np.arange(0, 1, 0.2):
        chosen = (scores >= low) & (scores < low + 0.2)
        assert abs(good[chosen].mean() - scores[chosen].mean()) < 0.06


def test_each_set_of_features_has_its_own_weights(faces):
    features, good = faces
    calibration = Calibration({"peak": (0.0, 0.0), "peak+passes": (50.0, 0.0, 0.0)})
    assert (calibration.score({"peak": features["peak"]}) == 0.5).all()
    assert (calibration.score(features) > 0.99).all()
    uncalibrated = Calibration().score({"peak": np.array([-0.5, 0.7, 1.4])})
    assert uncalibrated.tolist() == [0, 0.7, 1]


def test_separable_and_one_sided_faces():
    features = {"peak": np.linspace(0, 1, 50)}
    assert np.isfinite(fit_weights(features, features["peak"] > 0.5)).all()
    with pytest.raises(ValueError, match="succeed"):
        fit_weights(features, np.ones(50, bool))


@pytest.mark.parametrize(
    "rows", [[1, 2], {"peak": [1.0]}, {"peak": [1.0, float("nan")]}, {"peak": ["a", "b"]}, {"peak": 3}]
)
def test_damaged_calibrations_are_told(rows, tmp_path):
    with pytest.raises(CheckpointError, match="landmarks.calibrate"):
        read_calibration({KEY: rows}, tmp_path)


def test_jitter_keeps_within_its_share():
    box, rng = np.array([10.0, 20, 110, 220]), np.random.default_rng(0)
    boxes = np.array([jittered(box, 0.15, rng) for _ in range(500)])
    sides, middles = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    scales = sides / [100, 200]
    np.testing.assert_allclose(scales[:, 0], scales[:, 1])
    assert 0.85 <= scales.min() < 0.87 and 1.13 < scales.max() <= 1.15
    assert np.abs(middles - [60, 120]).max(0) == pytest.approx([15, 30], rel=0.03)
    assert jittered(box, 0, rng).tolist() == box.tolist()


def test_missed_faces_count(model, drawn):
    """A detector that sees nothing: every photo is a failure, with the lowest score."""
    dataset = W300(drawn("w300")[0], "train")
    seen = []

    def detect(image):
        seen.append(image.shape)
        return []

    detector = LandmarkDetector(load_model(str(model)), detector=detect, passes=1)
    scores = evaluate_boxes(detector, dataset, "own", PROTOCOL, progress=False)
    assert len(seen) == len(dataset) == len(scores.report.failures)
    assert (scores.scores == MISSED_SCORE).all() and scores.summary()["aurc_failures"] == 100


def test_exact_answers_have_no_error(model, drawn, monkeypatch):
    """Landmarks that a network reads exactly where they are: the errors in photo pixels are 0, whatever the boxes."""
    dataset = W300(drawn("w300")[0], "train")
    detector = LandmarkDetector(load_model(str(model)), locate=False)

    def to_photo(prediction, crops):
        return [a.landmarks.astype(float) for a in dataset.annotations]

    monkeypatch.setattr(detector, "_to_photo", to_photo)
    for kind, jitter in (("crops", 0), ("landmarks", 0.15)):
        scores = evaluate_boxes(detector, dataset, kind, PROTOCOL, jitter, progress=False)
        assert float(scores.errors.max()) < 1e-4 and scores.features["passes"].max() == 0


def test_evaluation_on_boxes_prints_the_areas(model, configuration, tmp_path, capsys):
    flags = [
        "-r",
        str(model),
        "--dataset",
        "w300",
        "--test-split",
        "train",
        "--config",
        str(configuration),
        "--benchmark",
    ]
    assert (
        eval_landmarks.main([*flags, "--boxes", "landmarks", "--jitter", "0.15", "--json", str(tmp_path / "s.json")])
        == 0
    )
    assert "aurc_failures" in capsys.readouterr().out
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["aurc_nme"] > 0 and summary["protocol"]["crop"] == "boxes:landmarks±0.15"
    assert eval_landmarks.main([*flags, "--boxes", "crops", "--jitter", "0.15"]) == 2
    assert "--boxes landmarks" in capsys.readouterr().err
    assert eval_landmarks.main([*flags, "--boxes", "mtcnn"]) == 2
    assert "unknown --detector 'mtcnn'" in capsys.readouterr().err


def test_calibration_is_written_beside_the_model(model, configuration, capsys, monkeypatch):
    rng = np.random.default_rng(0)

    def collect(detector, dataset):
        features = {"peak": rng.random(60), "passes": rng.random(60)}
        if detector.permutation is not None:
            features["flip"] = rng.random(60)
        return features, np.where(features["peak"] + 0.2 * rng.random(60) > 0.6, 3.0, 30.0)

    monkeypatch.setattr("landmarks.calibrate.collect", collect)
    assert calibrate([str(model), "--config", str(configuration)]) == 0
    assert "peak+passes+flip" in capsys.readouterr().out
    loaded = load_model(str(model))
    assert set(read_calibration(loaded.info, model).weights) == {"peak", "peak+passes", "peak+flip", "peak+passes+flip"}
    assert LandmarkDetector(loaded).calibration.score({"peak": np.array([0.1, 0.9])}).round().tolist() == [0, 1]
    assert calibrate(["nothing", "--config", str(configuration)]) == 2
    assert "no model 'nothing'" in capsys.readouterr().err
