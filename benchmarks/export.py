"""What other precisions of exported networks cost and gain: size, speed on one thread, points against float32.

    python -m benchmarks export --photos 300w/images/test/common/lfpw --calibration 300w/images/train/afw

Crops are cut by the 68 points in the `.pts` beside --photos, as the models were trained; points are compared in % of
the crop's side, those of landmark models also with the annotation (NME, outer eye corners). Without photos: random
crops, and no int8.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.report import best_ms, make_parser, note, row, start
from common.config import LocalConfig, read_local_config
from common.files.images import read_image
from common.files.points import read_pts
from datasets.alignment import align, five_of_68
from datasets.crop import Crop
from export.module import INPUT, ExportedModule, random_crops, write_onnx
from export.run import finishing, kind_of, make_module
from export.settings import ExportSettings
from landmarks.detector import LandmarkDetector
from recon3d.regression.roi import crop_from_points

MODELS = ("landmarks_fast", "regressor_120", "reconstructor")
RIGHT, LEFT = 36, 45  # outer eye corners
BATCH = 16


def main(arguments: list[str] | None = None) -> None:
    """Print one block per model."""
    parser = make_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--photos", type=Path, help="folder of photos with .pts whose faces are compared")
    parser.add_argument("--calibration", type=Path, help="folder of other photos, for int8")
    parser.add_argument("--count", type=int, default=224, help="photos (default: %(default)s)")
    options = parser.parse_args(arguments)
    start(options)
    local = read_local_config()
    for name in options.models[:1] if options.smoke else options.models:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, Path(folder), options, local)


def compare(name: str, folder: Path, options, local: LocalConfig) -> None:
    """All precisions of a model."""
    kind, exact, truths, cuts = kind_of(name, local), None, [], []
    for dtype in ("fp32", "fp16", *(["int8"] if options.calibration else [])):
        settings = ExportSettings([name], dtype=dtype, calibration=options.calibration)
        module, path = make_module(kind, name, settings, local), folder / f"{dtype}.onnx"
        write_onnx(module, path, finishing(kind, name, module.size, settings))
        if exact is None:
            crops = random_crops(module.size, 8).numpy()
            if options.photos is not None:
                crops, cuts, truths = annotated_crops(kind, name, module, options)
        single = onnxruntime.SessionOptions()
        single.intra_op_num_threads = options.threads
        session = onnxruntime.InferenceSession(str(path), single, ["CPUExecutionProvider"])
        parts = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
        points = np.concatenate([session.run(["landmarks"], {INPUT: part})[0] for part in parts])[..., :2]
        exact = points if exact is None else exact
        one = crops[:1]
        row(f"{name}, {dtype}, one face", best_ms(lambda: session.run(None, {INPUT: one}), 1 if options.smoke else 20))  # noqa: B023
        moved = 100 * np.linalg.norm(points - exact, axis=-1).mean() / module.size
        note(f"{path.stat().st_size / 2**20:.1f} MiB, points moved by {moved:.3f} % of the crop, {len(crops)} crops")
        if truths and kind in ("aae", "landmark_net"):
            found = [crop.invert(own) for crop, own in zip(cuts, points, strict=True)]
            wrong = [np.linalg.norm(a - b, axis=1).mean() for a, b in zip(found, truths, strict=True)]
            eyes = [np.linalg.norm(points[RIGHT] - points[LEFT]) for points in truths]
            note(f"NME outer: {100 * np.mean(np.divide(wrong, eyes)):.3f} %")


def annotated_crops(
    kind: str, name: str, module: ExportedModule, options
) -> tuple[np.ndarray, list[Crop], list[np.ndarray]]:
    """(N, 3, S, S) uint8 of the photos, how they were cut, and the (68, 2) points."""
    if kind in ("aae", "landmark_net"):
        rule = LandmarkDetector.from_pretrained(name, device="cpu").crop_by_landmarks
    elif kind == "regressor":
        rule = lambda points: crop_from_points(points, module.size)  # noqa: E731
    else:
        reference = module.model.five_points.double().numpy()
        rule = lambda points: align(five_of_68(points), reference, ordered=False).crop(module.size)  # noqa: E731
    paths = sorted(options.photos.rglob("*.pts"))[: options.count]
    truths = [read_pts(path, 68).astype(np.float64) for path in paths]
    cuts = [rule(points) for points in truths]
    photos = (next(path.with_suffix(s) for s in (".jpg", ".png") if path.with_suffix(s).is_file()) for path in paths)
    crops = np.stack([crop.extract(read_image(photo)) for crop, photo in zip(cuts, photos, strict=True)])
    return crops.transpose(0, 3, 1, 2), cuts, truths
