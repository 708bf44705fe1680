"""Whether reconstructions belong to the person: verification by coefficients, and colour errors by group."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.errors import DataError
from common.logs import console
from datasets.readers.packs import PackedPhotos
from drawing.report.candidates import Comparison, Measure
from drawing.report.faces import value_bins
from metrics.bootstrap import bootstrap, mean_interval
from metrics.verification import FOLDS, Pairs, accept_rate, area_under_curve, balanced_accuracy
from recon3d.inference.reconstructor import ReconstructedFaces, Reconstructor
from recon3d.scores.candidates import Candidate
from recon3d.scores.report import write_comparison

BATCH = 32
PAIR_DRAWS = 500  # of the bootstrap of an AUC


def read_pairs(path: Path) -> list[tuple[str, str, bool]]:
    """Lines "photo photo 1 or 0". Raises: DataError with the line."""
    try:
        lines = path.read_text().split("\n")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); it lists LFW's pairs as 'photo photo 1|0'."
        ) from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and (len(words) != 3 or words[2] not in ("0", "1")):
            raise DataError(f"{path}:{number}: expected 'photo photo 1|0', found '{line.strip()[:60]}'.")
        if words:
            pairs.append((words[0], words[1], words[2] == "1"))
    return pairs


def chosen_pairs(pairs: list[tuple[str, str, bool]], count: int | None) -> list[tuple[int, tuple[str, str, bool]]]:
    """(fold, pair): LFW's ten folds, each with the next tenth of the pairs of one person and of two, in the file's
    order.

    For a count, the first pairs of both kinds of every fold.
    """
    totals = {kind: sum(pair[2] == kind for pair in pairs) for kind in (True, False)}
    lengths = {kind: max(1, -(-total // FOLDS)) for kind, total in totals.items()}
    each = max(lengths.values()) if count is None else max(1, count // (2 * FOLDS))
    seen, kept = {True: 0, False: 0}, []
    for pair in pairs:
        fold, rank = divmod(seen[pair[2]], lengths[pair[2]])
        seen[pair[2]] += 1
        if rank < each:
            kept.append((fold, pair))
    return kept


def score_pairs(
    reconstructor: Reconstructor, folder: Path | None, count: int | None, report: Path | None = None
) -> dict:
    """AUC of the cosine of coefficients on LFW's pairs, folds as given: identity, albedo, and both, in spreads of the
    model.

    Args: folder with labels.csv, photos.tar and pairs.txt; count: pairs, evenly of folds and kinds, default all. Pairs
        of which a photo has no five points are left out and counted. Raises: DataError for a folder without them.
    """
    if folder is None:
        raise DataError("--images: name the folder of LFW's photos.tar, labels.csv and pairs.txt.")
    photos = PackedPhotos(folder)
    listed = chosen_pairs(read_pairs(Path(folder) / "pairs.txt"), count)
    usable = [
        (fold, pair) for fold, pair in listed if photos.five(pair[0]) is not None and photos.five(pair[1]) is not None
    ]
    names = sorted({name for _, (a, b, _) in usable for name in (a, b)})
    if not names:
        raise DataError(f"{folder}: none of its pairs has five points for both photos.")
    rows = {name: row for row, name in enumerate(names)}
    features = _features(reconstructor, photos, names)
    index = torch.tensor([[rows[a], rows[b], same, fold] for fold, (a, b, same) in usable])
    pairs = Pairs(index[:, 0], index[:, 1], index[:, 2].bool(), index[:, 3])
    result = {"benchmark": "pairs", "n": len(usable), "left_out": len(listed) - len(usable), "scores": {}}
    for name, values in features.items():
        result["scores"][name] = scores = pair_scores(values, pairs)
        low, high = scores["auc_interval"]
        console().info(
            f"{len(usable)} pairs, {name}: AUC {scores['auc']:.3f} [{low:.3f}, {high:.3f}],"
            f" accuracy {scores['accuracy']:.1f} %, TAR at FAR 1 % {scores['tar_at_far1']:.1f} %"
        )
    if report is not None:
        shown = [f"{a} – {b}" for _, (a, b, _) in usable]
        cosines = {name: pair_cosines(values, pairs).numpy() for name, values in features.items()}
        measure = Measure("distance of two photos", "1 − cosine", {name: 1 - c for name, c in cosines.items()}, 3)
        groups = {"pair": {"same person": pairs.same.numpy(), "two people": (~pairs.same).numpy()}}
        note = ", ".join(f"AUC of {name} {found['auc']:.3f}" for name, found in result["scores"].items()) + "."
        data = {"data": str(folder), "pairs": len(usable)}
        write_comparison(report, Comparison("People by coefficients", shown, [measure], data, groups, note=note))
    return result | {"auc": result["scores"]["identity and albedo"]["auc"]}


def pair_cosines(features: Tensor, pairs: Pairs) -> Tensor:
    """(P,) cosine of the features (N, D) of every pair, float64."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    return (unit[pairs.first] * unit[pairs.second]).sum(1)


def pair_scores(features: Tensor, pairs: Pairs) -> dict:
    """AUC with its 95 % interval over pairs, accuracy (%) by folds and TAR at FAR 1 % (%) of the cosines of features
    (N, D).
    """
    cosines = pair_cosines(features, pairs)

    def of(drawn: np.ndarray) -> float:
        rows = torch.from_numpy(drawn)
        same = pairs.same[rows]
        return area_under_curve(cosines[rows], same) if same.any() and not same.all() else float("nan")

    return {
        "auc": area_under_curve(cosines, pairs.same),
        "auc_interval": bootstrap(of, len(cosines), PAIR_DRAWS),
        "accuracy": 100 * balanced_accuracy(cosines, pairs),
        "tar_at_far1": 100 * accept_rate(cosines, pairs.same, 0.01),
    }


def _features(reconstructor: Reconstructor, photos: PackedPhotos, names: list[str]) -> dict[str, Tensor]:
    """Coefficients in spreads of their model, minus the mean of all photos."""
    identity, albedo = [], []
    for _, faces in _reconstructed(reconstructor, photos, names):
        model, found = faces.model, faces.coefficients
        identity.append((found.identity / model.identity_std).cpu())
        albedo.append((found.albedo / model.albedo_std).cpu())
    parts = {"identity": torch.cat(identity), "albedo": torch.cat(albedo)}
    parts = {name: values - values.mean(0) for name, values in parts.items()}
    # each part counts alike, whatever its number of coefficients and their spread
    both = torch.cat([values / values.norm(dim=1).mean() for values in parts.values()], 1)
    return parts | {"identity and albedo": both}


def _reconstructed(
    reconstructor: Reconstructor, photos: PackedPhotos, names: list[str]
) -> Iterator[tuple[list[str], ReconstructedFaces]]:
    for start in tqdm(range(0, len(names), BATCH), desc="reconstructing"):
        part = names[start : start + BATCH]
        five = [photos.five(name) for name in part]
        yield part, reconstructor.reconstruct([photos.image(name) for name in part], five, ordered=False)


def score_groups(
    reconstructor: Reconstructor, folder: Path | None, count: int | None, column: str, report: Path | None = None
) -> dict:
    """Photometric error of the reconstruction by group of people, and the spread between groups.

    Args: folder with labels.csv and photos.tar; count: photos of every group, default all; column of labels.csv that
        names the group, FairFace's "race". Raises: DataError for a folder or column that is not there.
    """
    if folder is None:
        raise DataError("--images: name the folder of photos.tar and labels.csv.")
    photos = PackedPhotos(folder, (column,))
    groups: dict[str, list[str]] = {}
    for name, row in photos.rows.items():
        if photos.five(name) is not None:
            groups.setdefault(row[column], []).append(name)
    found, scored = {}, {}
    for group, names in sorted(groups.items()):
        errors = [_colour_errors(faces) for _, faces in _reconstructed(reconstructor, photos, names[:count])]
        values = torch.cat(errors).cpu().numpy()
        scored |= dict(zip(names[:count], zip([group] * len(values), values, strict=True), strict=True))
        low, high = mean_interval(values)
        found[group] = {"photo": float(np.nanmean(values)), "interval": (low, high), "n": len(values)}
        console().info(
            f"{group}, n={len(values)}: photometric error {found[group]['photo']:.4f} [{low:.4f}, {high:.4f}]"
        )
    if report is not None:
        labels, values = zip(*scored.values(), strict=True)
        measure = Measure("photometric error", "", {"reconstruction": np.array(values)}, 4)
        groups = {column: value_bins(labels)}
        title = f"Colour errors by {column}"
        write_comparison(report, Comparison(title, list(scored), [measure], {"data": str(folder)}, groups))
    means = [group["photo"] for group in found.values()]
    console().info(f"largest group over smallest: {max(means) / min(means):.2f}")
    return {"benchmark": "groups", "groups": found, "photo": float(np.mean(means)), "ratio": max(means) / min(means)}


def _colour_errors(faces: ReconstructedFaces) -> Tensor:
    """(B,) of the reconstruction as it is drawn."""
    geometry = faces.geometry
    candidate = Candidate(geometry.shape, geometry.landmarks, geometry.screen, faces.colours, True)
    return candidate.photometric_errors(faces.model, torch.from_numpy(faces.images).to(faces.albedo) / 255)
