"""Fit what a landmark model's score means: python -m landmarks.calibrate MODEL [--count 300] [--config
local_config.ini]

Faces of training photos are found from exact, coarse and wrong boxes; a logistic function of the peaks' height, the way
of the landmarks between the last passes and their distance from those of the mirrored crop then says how likely an
error below 10 % is.
The weights are written into config.json of the model's folder, from where the detector reads them.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from common.config import LocalConfig, read_local_config
from common.errors import ConfigError
from common.files.atomic import write_file
from common.scripts import exits_with_user_errors
from datasets.sample import FaceDataset
from landmarks.box_evaluation import evaluate_boxes
from landmarks.confidence import FAILED_PERCENT, KEY, Calibration, fit_weights
from landmarks.data import locate_dataset
from landmarks.detector import LandmarkDetector
from landmarks.models import LoadedModel, load_model
from metrics.report import Protocol
from metrics.selective import area_under_risk_coverage, smallest_area

JITTERS = ((0.0, True), (0.15, True), (0.4, False), (0.8, False))  # share of the box; whether YuNet corrects the box
SEED = 1  # evaluations draw from 0


def collect(detector: LandmarkDetector, dataset: FaceDataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features (N,) each and NME (N,) in % of all faces of a dataset in boxes of all qualities."""
    protocol = Protocol(dataset.name, dataset.split, dataset.scheme.name, "outer")
    parts = []
    for jitter, detector.locate in JITTERS:
        scores = evaluate_boxes(detector, dataset, "landmarks", protocol, jitter, SEED)
        parts.append((scores.features, scores.errors.numpy()))
    features = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    return features, np.concatenate([errors for _, errors in parts])


def calibrate(model: LoadedModel, dataset: FaceDataset) -> tuple[Calibration, dict[str, tuple[float, float]]]:
    """Weights for every set of features, and for each the area under the risk-coverage curve of failures and the least
    one.

    Raises: ConfigError where the photos give no failures, or nothing else.
    """
    weights, areas = {}, {}
    for flip in (False, True):
        features, errors = collect(LandmarkDetector(model, flip=flip), dataset)
        good = errors <= FAILED_PERCENT
        for names in (["peak"], ["peak", "passes"]):
            chosen = {name: features[name] for name in (*names, *["flip"] * flip)}
            try:
                fitted = Calibration({"+".join(chosen): fit_weights(chosen, good)})
            except ValueError as error:
                raise ConfigError(
                    f"{model.folder}: cannot be calibrated on these photos: {error}; take more."
                ) from None
            weights |= fitted.weights
            risks = 100.0 * ~good
            areas["+".join(chosen)] = (area_under_risk_coverage(risks, fitted.score(chosen)), smallest_area(risks))
    return Calibration(weights), areas


def run(options: argparse.Namespace, local: LocalConfig) -> None:
    """Fit, print and write. Raises: ConfigError for a model or photos that cannot be used."""
    model = load_model(options.model, local.snapshots)
    path = model.folder / "config.json"
    if model.scheme is None or not path.is_file():
        raise ConfigError(
            f"{options.model}: no snapshot with a landmark head; give a bundled name, a session or a folder."
        )
    size = model.networks.config.input_size
    dataset = locate_dataset(options.dataset, options.split, local, size, model.crop_source, False, None)
    if dataset.scheme != model.scheme:
        raise ConfigError(
            f"--dataset {options.dataset} has other landmarks than {options.model}; choose another of the two."
        )
    chosen = np.linspace(0, len(dataset) - 1, min(options.count, len(dataset))).astype(int)
    dataset.annotations = [dataset.annotations[i] for i in chosen]
    calibration, areas = calibrate(model, dataset)
    for name, (area, best) in areas.items():
        row = ", ".join(f"{weight:.3f}" for weight in calibration.weights[name])
        sys.stdout.write(
            f"{name}: {row}; failures in %, area under the risk-coverage curve {area:.3f}, at best {best:.3f}\n"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    content[KEY] = calibration.to_json()
    write_file(path, json.dumps(content, indent=1))


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="bundled name, session, session/epoch or path")
    parser.add_argument("--dataset", default="w300", help="with the model's landmarks [%(default)s]")
    parser.add_argument("--split", default="train", help="never one that scores are reported on [%(default)s]")
    parser.add_argument("--count", type=int, default=300, help="photos, evenly spread [%(default)s]")
    parser.add_argument("--config", type=Path, default=None, metavar="FILE", help="ini file [local_config.ini]")
    options = parser.parse_args(arguments)
    run(options, read_local_config(options.config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
