"""The report of landmark models on a test set: scores with intervals, curves, errors by point, pose, size and label,
and the faces on which the models are best and worst.
"""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from common.errors import DataError
from drawing.landmarks import GREEN, draw_landmarks, draw_offsets
from drawing.report.charts import ced_chart, face_chart, interval_chart
from drawing.report.faces import AnnotatedFaces
from drawing.report.page import Chart, Gallery, Page, Picture, Section, Table
from metrics.bootstrap import Estimate
from metrics.landmarks import per_image
from metrics.report import LandmarkReport

UNITS = {  # of errors by their normaliser
    "outer": "% of the outer eye corners' distance",
    "pupil": "% of the pupils' distance",
    "eyes": "% of the eyes' distance",
    "box": "% of √(w·h) of the box",
    "diagonal": "% of the box's diagonal",
    "image": "% of the crop's side",
    "none": "px",
}
SHOWN = 24  # faces of each kind: best, median, worst
BLANK = np.full((200, 200, 3), 225, np.uint8)  # where a photo cannot be read


class Scored:
    """One model's errors in the order of the faces.

    Attributes: errors (N, K) in %; means (N,), inf where nothing was predicted; predicted (N, K, 2) px of the photos,
        NaN likewise.
    """

    def __init__(self, report: LandmarkReport, faces: AnnotatedFaces) -> None:
        rows = {name: row for row, name in enumerate(report.names)}
        order = [rows[name] for name in faces.names]
        self.report = report
        self.errors = report.errors[order].numpy().astype(np.float64)
        self.means = per_image(report.errors[order]).nan_to_num(nan=np.inf, posinf=np.inf).numpy().astype(np.float64)
        missing = np.full(faces.truth.shape[1:], np.nan)
        self.predicted = np.stack([report.points.get(name, missing) for name in faces.names])

    @property
    def areas(self) -> np.ndarray:
        """(N,) whose mean is the exact AUC."""
        return np.clip(1 - self.means / self.report.protocol.threshold, 0, 1)

    @property
    def failed(self) -> np.ndarray:
        """(N,) 100 or 0, whose mean is the failure rate in %."""
        return 100.0 * ~(self.means <= self.report.protocol.threshold)


def landmark_page(title: str, faces: AnnotatedFaces, reports: Mapping[str, LandmarkReport]) -> Page:
    """The page of one or several models on the same faces.

    Args: reports: by model, of all faces, with the predicted points kept (`LandmarkReport.keep`). Raises: DataError for
        no face.
    """
    if not len(faces.names):
        raise DataError("--report: no face was scored; check the dataset and its split.")
    models = {name: Scored(report, faces) for name, report in reports.items()}
    first = next(iter(reports.values()))
    unit = UNITS.get(first.protocol.normaliser, f"% of {first.protocol.normaliser}")
    sections = [_scores(models, unit), _points(models, faces, unit), _groups(models, faces, unit)]
    sections += [_pictures(name, model, faces) for name, model in models.items()]
    headline = [
        (f"NME of {name}, {unit}", f"{report.summary()['nme']:.2f}") for name, report in list(reports.items())[:4]
    ]
    protocols = {name: asdict(report.protocol) for name, report in reports.items()}
    return Page(
        title,
        [*headline, ("faces", str(len(faces.names)))],
        shared_protocol(protocols),
        [section for section in sections if section is not None],
        {"faces.csv": faces_csv(models, faces), "points.csv": points_csv(models)},
    )


def shared_protocol(protocols: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """What all models share by name; where they differ, each one's value."""
    found = {}
    for key in next(iter(protocols.values())):
        values = {name: str(fields[key]) for name, fields in protocols.items()}
        if len(set(values.values())) == 1:
            found[key] = next(iter(values.values())) or "–"
        else:
            found[key] = "; ".join(f"{name}: {value}" for name, value in values.items())
    return found


def _scores(models: Mapping[str, Scored], unit: str) -> Section:
    threshold = next(iter(models.values())).report.protocol.threshold
    titles = [
        "model",
        "NME",
        "median",
        "inner points",
        "outline",
        f"AUC@{threshold:g}",
        f"FR@{threshold:g} %",
        "missed",
    ]
    rows, first = [], next(iter(models))
    for name, model in models.items():
        scheme = model.report.scheme
        parts = [per_part(model, part) if part else "–" for part in (scheme.inner, scheme.outline)]
        finite = model.means[np.isfinite(model.means)]
        median = f"{np.median(finite):.2f}" if len(finite) else "–"
        scores = [Estimate.of(model.areas).text(3), Estimate.of(model.failed).text(1)]
        missed = str(len(model.means) - len(finite))
        rows.append([name, Estimate.of(model.means).text(), median, *parts, *scores, missed])
    caption = f"In {unit}, with 95 % bootstrap intervals of the means over faces. Missed faces are no part of the NME."
    tables = [Table(titles, rows, caption)]
    if len(models) > 1:
        tables.append(_differences(models, first))
    for name, model in models.items():
        controls = {label: control.summary()["nme"] for label, control in model.report.controls.items()}
        if controls:
            cells = [[label, f"{nme:.2f}"] for label, nme in controls.items()]
            tables.append(Table([f"control of {name}", "NME"], cells, "What a model must be better than."))
    legend = {
        name: f"NME {Estimate.of(model.means).mean:.2f}, AUC {model.areas.mean():.3f}" for name, model in models.items()
    }
    curves = {name: model.means for name, model in models.items()}
    chart = Chart(ced_chart(curves, threshold, unit, legend), "Cumulative error distribution; missed faces count.")
    return Section("Scores", "", tables, [chart])


def per_part(model: Scored, part: Sequence[int]) -> str:
    """The NME of some of the points, with its interval."""
    errors = np.where(np.isfinite(model.errors), model.errors, np.nan)[:, list(part)]
    seen = np.isfinite(errors).any(1)
    return Estimate.of(np.nanmean(errors[seen], axis=1)).text() if seen.any() else "–"


def _differences(models: Mapping[str, Scored], first: str) -> Table:
    """Of the same faces, which is far surer than the difference of two intervals."""
    base = models[first].means
    rows = []
    for name, model in list(models.items())[1:]:
        both = np.isfinite(base) & np.isfinite(model.means)
        difference = model.means[both] - base[both]
        better = f"{100 * (difference < 0).mean():.0f} %" if len(difference) else "–"
        rows.append([f"{name} − {first}", Estimate.of(difference).text(), better, str(len(difference))])
    caption = "Paired over the faces that both found; an interval without 0 is a difference."
    return Table(["difference", "NME", "faces better", "n"], rows, caption)


def mean_shape(truth: np.ndarray) -> np.ndarray:
    """(N, K, 2) → (K, 2) mean of the shapes, each centred and divided by √(w · h) of its box."""
    return np.nanmean(normalised(truth, truth), axis=0)


def normalised(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, K, 2) points about the middle of their faces' boxes, in sizes √(w · h) of those."""
    low, high = np.nanmin(truth, 1), np.nanmax(truth, 1)
    size = np.sqrt(np.prod(np.maximum(high - low, 1e-6), axis=1))
    return (points - ((low + high) / 2)[:, None]) / size[:, None, None]


def point_errors(errors: np.ndarray) -> np.ndarray:
    """(N, K) → (K,) mean over the faces that have the point, NaN where none has."""
    finite = np.where(np.isfinite(errors), errors, 0.0)
    count = np.isfinite(errors).sum(0)
    return np.where(count > 0, finite.sum(0) / np.maximum(count, 1), np.nan)


def spread(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(K, 2, 2) covariance of the errors in sizes of the face; NaN for points with fewer than three errors."""
    offsets = normalised(predicted, truth) - normalised(truth, truth)
    found = np.full((truth.shape[1], 2, 2), np.nan)
    for k in range(truth.shape[1]):
        known = offsets[np.isfinite(offsets[:, k]).all(1), k]
        if len(known) > 2:
            found[k] = np.cov(known.T)
    return found


def _points(models: Mapping[str, Scored], faces: AnnotatedFaces, unit: str) -> Section:
    values = {name: point_errors(model.errors) for name, model in models.items()}
    spreads = {name: spread(model.predicted, faces.truth) for name, model in models.items()}
    svg = face_chart(mean_shape(faces.truth), faces.scheme.contours, values, f"mean error ({unit})", spreads)
    text = "Colour is the mean error of a point, the ellipse one standard deviation of its errors, drawn on the mean "
    text += "of the annotated faces. Long ellipses along a contour are points that slide on it."
    return Section("Error by landmark", text, (), [Chart(svg, wide=len(models) > 1)])


def _groups(models: Mapping[str, Scored], faces: AnnotatedFaces, unit: str) -> Section | None:
    charts = []
    for title, bins in faces.groups().items():
        found = {
            name: {label: Estimate.of(model.means[mask]) for label, mask in bins.items()}
            for name, model in models.items()
        }
        charts.append(Chart(interval_chart(found, unit), f"NME by {title}."))
    if not charts:
        return None
    text = "Yaw is positive when the face is turned to the left side of the picture, pitch when it looks up."
    return Section("Error by pose, size and group", text if faces.angles_deg is not None else "", (), charts)


def _pictures(name: str, model: Scored, faces: AnnotatedFaces) -> Section:
    def draw(number: int, picture: np.ndarray, matrix: np.ndarray) -> None:
        truth, predicted = (
            points @ matrix[:, :2].T + matrix[:, 2] for points in (faces.truth[number], model.predicted[number])
        )
        known = np.isfinite(truth).all(1)
        if np.isfinite(predicted).all():
            draw_offsets(picture, predicted[known], truth[known])
        else:
            draw_landmarks(picture, truth[known], colour=GREEN)

    galleries = face_galleries(model.means, faces, draw, "missed")
    return Section(f"Faces of {name}", "Annotation green, prediction blue, errors red.", (), (), galleries)


def face_galleries(
    errors: np.ndarray,
    faces: AnnotatedFaces,
    draw: Callable[[int, np.ndarray, np.ndarray], None],
    infinite: str,
) -> list[Gallery]:
    """The worst, the median and the best faces by their errors (N,).

    Args: draw: number, picture, matrix from photo to picture → draws into the picture; infinite: word for an error that
        is not finite.
    """
    order = np.argsort(errors, kind="stable")
    count = min(SHOWN, max(1, len(order) // 3))
    middle = max(0, len(order) // 2 - count // 2)
    chosen = {
        "Worst": order[::-1][:count],
        "Around the median": order[middle : middle + count],
        "Best": order[:count],
    }
    shown = short_names(faces.names)
    galleries = []
    for title, numbers in chosen.items():
        pictures = []
        for number in numbers.tolist():
            error = f"{errors[number]:.2f}" if np.isfinite(errors[number]) else infinite
            pictures.append(Picture(_drawn(faces, number, draw), f"{error} · {shown[number]}"))
        galleries.append(Gallery(f"{title} {count}", pictures))
    return galleries


def short_names(names: Sequence[str]) -> list[str]:
    """The names without the folder that all of them share."""
    shared = len(os.path.commonprefix(list(names)).rpartition("/")[0])
    return [name[shared:].lstrip("/") for name in names]


def _drawn(faces: AnnotatedFaces, number: int, draw: Callable[[int, np.ndarray, np.ndarray], None]) -> np.ndarray:
    try:
        picture, matrix = faces.thumbnail(number)
    except DataError:
        return BLANK
    picture = picture.copy()
    draw(number, picture, matrix)
    return picture


def faces_csv(models: Mapping[str, Scored], faces: AnnotatedFaces) -> str:
    """One row per face: name, size, pose, labels, and of every model the NME and the largest error in %."""
    keys = list(dict.fromkeys(key for labels in faces.labels for key in labels))
    angles = faces.angles_deg
    header = ["name", "size_px", *([] if angles is None else ["pitch_deg", "yaw_deg", "roll_deg"]), *keys]
    header += [f"{kind}_{name}" for name in models for kind in ("nme", "max")]
    rows = []
    for i, name in enumerate(faces.names):
        row = [name, f"{faces.sizes_px[i]:.1f}", *([] if angles is None else [f"{v:.2f}" for v in angles[i]])]
        row += [faces.labels[i].get(key, "") for key in keys]
        for model in models.values():
            known = model.errors[i][~np.isnan(model.errors[i])]
            row += [f"{model.means[i]:.4f}", f"{known.max(initial=0.0):.4f}"]
        rows.append(row)
    return csv_text(header, rows)


def points_csv(models: Mapping[str, Scored]) -> str:
    """One row per landmark: index, and of every model the mean error in %."""
    columns = {name: point_errors(model.errors) for name, model in models.items()}
    count = len(next(iter(columns.values())))
    rows = [[k, *(f"{column[k]:.4f}" for column in columns.values())] for k in range(count)]
    return csv_text(["point", *(f"error_{name}" for name in columns)], rows)


def csv_text(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A csv table as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
