"""--report of eval_landmarks.py: the scored faces with their photos as `drawing.report` takes them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.files.images import read_image
from common.logs import console
from datasets.sample import FaceDataset
from datasets.thumbnails import cut_thumbnail
from drawing.report.faces import AnnotatedFaces
from drawing.report.landmarks import landmark_page
from drawing.report.page import write_report
from metrics.report import LandmarkReport


def scored_faces(dataset: FaceDataset) -> AnnotatedFaces:
    """All faces of a dataset that has landmarks."""
    annotations = dataset.annotations

    def thumbnail(number: int) -> tuple[np.ndarray, np.ndarray]:
        annotation = annotations[number]
        return cut_thumbnail(read_image(annotation.path, annotation.span), annotation.landmarks)

    return AnnotatedFaces(
        [a.name for a in annotations],
        np.stack([a.landmarks[:, :2] for a in annotations]).astype(np.float64),
        dataset.scheme,
        [a.labels for a in annotations],
        thumbnail,
    )


def write_landmark_report(folder: Path, dataset: FaceDataset, reports: Mapping[str, LandmarkReport]) -> None:
    """The page and the csv files of models that were scored on a dataset. Raises: DataError."""
    title = f"Landmarks on {dataset.name}/{dataset.split}: {', '.join(reports)}"
    path = write_report(folder, landmark_page(title, scored_faces(dataset), reports))
    console().info(f"wrote {path}")
