"""Landmarks as users get them: from boxes of faces in whole photos instead of crops by annotated landmarks."""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from common.errors import DataError
from common.files.images import read_image
from datasets.detection.boxes import CROP_KIND, Detection, box_overlap
from datasets.sample import Annotation, FaceDataset, landmark_box
from landmarks.detector import LandmarkDetector
from metrics.landmarks import per_image
from metrics.report import LandmarkReport, Protocol
from metrics.selective import area_under_risk_coverage, smallest_area

GIVEN = ("crops", "landmarks")  # squares by annotated landmarks; tight boxes around them
OVERLAP = 0.4  # of a detector's box and the tight box, from which it is the annotated face
MISSED_PERCENT = 100.0  # error of a missed face in the area under the risk-coverage curve
MISSED_SCORE = -1.0
BATCH = 32


@dataclass(frozen=True)
class BoxScores:
    """Errors of the faces of a dataset in boxes, and what the scores are worth.

    Attributes: scores (N,): in the report's order, MISSED_SCORE for a missed face; features: (N found,) of the others.
    """

    report: LandmarkReport
    scores: np.ndarray
    features: dict[str, np.ndarray]

    @property
    def errors(self) -> torch.Tensor:
        """(N,) NME in %; inf for a missed face."""
        return per_image(self.report.errors)

    def summary(self) -> dict[str, float]:
        """Areas under the risk-coverage curve: of the NME in %, of failures in %, and of failures at best."""
        errors, scores = self.errors, torch.from_numpy(self.scores)
        failed = 100.0 * (~(errors <= self.report.protocol.threshold)).double()
        return {
            "aurc_nme": area_under_risk_coverage(errors.nan_to_num(posinf=MISSED_PERCENT), scores),
            "aurc_failures": area_under_risk_coverage(failed, scores),
            "aurc_failures_best": smallest_area(failed),
        }


def jittered(box: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A box (4,) moved by up to ±amount of its width and height, and scaled by 1 ± amount, uniformly."""
    centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    centre = centre + rng.uniform(-amount, amount, 2) * extent
    extent = extent * (1 + rng.uniform(-amount, amount))
    return np.concatenate([centre - extent / 2, centre + extent / 2])


def evaluate_boxes(
    detector: LandmarkDetector,
    dataset: FaceDataset,
    kind: str,
    protocol: Protocol,
    jitter: float = 0.0,
    seed: int = 0,
    progress: bool = True,
) -> BoxScores:
    """Score the detector on the annotated faces of whole photos.

    Args: kind: `crops` or `landmarks` from the annotation, anything else is found by `detector.detect`, of whose boxes
        the one that overlaps the annotated face counts; jitter, seed: random shift and scale of given boxes.
    """
    report, rng = LandmarkReport(protocol, dataset.scheme), np.random.default_rng(seed)
    scores: list[float] = []
    features: list[dict[str, np.ndarray]] = []
    for start in tqdm(range(0, len(dataset), BATCH), desc="evaluating boxes", disable=not progress, leave=False):
        found = []
        for annotation in dataset.annotations[start : start + BATCH]:
            try:
                image = read_image(annotation.path, annotation.span)
                found.append((annotation, image, _find(annotation, image, kind, detector, jitter, rng)))
            except DataError as error:
                report.add_failure(annotation.name, str(error))
                scores.append(MISSED_SCORE)
        if not found:
            continue
        annotations, images, faces = map(list, zip(*found, strict=True))
        reading = detector.read(images, range(len(images)), faces)
        _add(report, annotations, reading.landmarks)
        features.append(reading.features)
        scores += detector.calibration.score(reading.features).tolist()
    joined = {name: np.concatenate([f[name] for f in features]) for name in features[0]} if features else {}
    return BoxScores(report, np.array(scores), joined)


def _find(
    annotation: Annotation,
    image: np.ndarray,
    kind: str,
    detector: LandmarkDetector,
    jitter: float,
    rng: np.random.Generator,
) -> Detection:
    """The annotated face as a box of that kind. Raises: DataError where the detector misses it."""
    tight = landmark_box(annotation.landmarks)
    if kind == "crops":
        crop = detector.crop_by_landmarks(annotation.landmarks)
        return Detection(crop.invert(np.array([[0.0, 0.0], [crop.size] * 2])).ravel(), float("nan"), CROP_KIND)
    if kind == "landmarks":
        return Detection(jittered(tight, jitter, rng), float("nan"), "landmarks")
    face = max(detector.detect(image), key=lambda face: box_overlap(face.box, tight), default=None)
    if face is None or box_overlap(face.box, tight) <= OVERLAP:
        raise DataError("the detector misses the face")
    return face


def _add(report: LandmarkReport, annotations: list[Annotation], landmarks: list[np.ndarray]) -> None:
    """Compare in photo pixels."""
    truth = torch.from_numpy(np.stack([a.landmarks[:, :2] for a in annotations])).float()
    seen = torch.isfinite(truth).all(-1)
    weights = [np.ones(len(a.landmarks)) if a.visibility is None else a.visibility for a in annotations]
    visibility = torch.from_numpy(np.stack(weights)).float() * seen
    predicted = torch.from_numpy(np.stack(landmarks)[..., :2]).float()
    report.add([a.name for a in annotations], predicted, truth.nan_to_num(), visibility, float("nan"))
    for annotation, points in zip(annotations, predicted, strict=True):
        report.keep(annotation.name, points.numpy())
