"""Speed of 3DMM regression on one thread, with the bundled regressor on the astronaut photo.

    python -m benchmarks regression
    python -m benchmarks regression --checkpoint mb05_120x120.pth --face-model 3ddfa:train.configs#noneck
        [--faceboxes FaceBoxesProd.pth] [--repeats 50]

References, in the same run: one face at a time for the batch, PyTorch for onnxruntime, the full basis in one product
and the similarity apart for dense decoding (as the authors' code does), the exact weights for fast WPDC, the network as
trained for the frozen one.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import best_ms, make_parser, row, start
from common.config import read_local_config
from common.files.images import read_image
from datasets.detection.detect import DEFAULT_DETECTOR, make_detector
from datasets.detection.faceboxes import FaceBoxesDetector
from export.module import write_onnx
from export.regressor import ExportedRegressor
from networks.radan import RADAN
from recon3d.regression.face_models import open_face_model
from recon3d.regression.losses import PointSampler, exact_wpdc_weights, fast_wpdc_weights
from recon3d.regression.models import load_regressor
from recon3d.regression.quick import frozen
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_detection


def photo_and_box(path: Path | None, weights: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The photo, by default NASA's astronaut of scikit-image, and the box of its first face."""
    if path is None:
        from skimage.data import astronaut

        image = astronaut()
    else:
        image = read_image(path)
    detect = make_detector(DEFAULT_DETECTOR) if weights is None else FaceBoxesDetector(weights)
    found = detect(image)
    return image, np.asarray(found[0].box) if found else np.array([0.0, 0.0, image.shape[1], image.shape[0]])


def full_product(model: torch.nn.Module, basis: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(3 V, K) by (K,) and the mean, in the authors' way."""
    return model.mean + (basis @ weights).view(-1, 3)


def main(arguments: list[str] | None = None) -> None:
    """Print milliseconds of every step."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--checkpoint", default="regressor_120", help="bundled name, session, path or authors' checkpoint"
    )
    parser.add_argument("--face-model", default=None)
    parser.add_argument("--photo", type=Path, default=None, help="default: the astronaut")
    parser.add_argument(
        "--faceboxes", type=Path, default=None, help="the authors' weights of the detector (default: yunet)"
    )
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--config", type=Path, default=None)
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats = 1
    start(options)
    local, repeats = read_local_config(options.config), options.repeats
    few = max(1, repeats // 10)
    loaded = load_regressor(options.checkpoint, local.snapshots)
    face_model = open_face_model(options.face_model, local, loaded.model)
    regressor = FaceRegressor(loaded, face_model, detector="none", device="cpu")
    photo, box = photo_and_box(options.photo, options.faceboxes)
    crops = [crop_from_detection(box + 2 * i, regressor.size, photo.shape) for i in range(8)]

    one = best_ms(lambda: regressor.predict_crops([photo], crops[:1]), repeats)
    eight = best_ms(lambda: regressor.predict_crops([photo] * 8, crops), few) / 8
    (face,) = regressor.predict_crops([photo], crops[:1])
    row("crop, regression, 68 points and pose, PyTorch", one)
    row("the same, per face of 8; one at a time", eight, one)
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(ExportedRegressor(loaded.model, face_model, dense=False), Path(folder) / "net.onnx")
        regressor.use_onnx(Path(folder) / "net.onnx")
        row(
            "the same, onnxruntime; PyTorch", best_ms(lambda: regressor.predict_crops([photo], crops[:1]), repeats), one
        )
    basis = torch.cat([face_model.identity, face_model.expression], 2).flatten(0, 1)
    weights = torch.randn(basis.shape[1])
    dense = best_ms(lambda: regressor.screen([face]), repeats)
    row(
        f"dense decoding, {face_model.num_vertices:,} vertices; full product alone",
        dense,
        best_ms(lambda: full_product(face_model, basis, weights), repeats),
    )
    parameters = loaded.model.mean + loaded.model.std * torch.randn(2, 128, len(loaded.model.mean))
    points = PointSampler(face_model, loaded.model.layout).draw()
    pair = parameters[0], parameters[1], loaded.model.layout, points
    exact, fast = (best_ms(lambda w=w: w(*pair), few) for w in (exact_wpdc_weights, fast_wpdc_weights))
    row("fast WPDC weights, batch 128, 200 points; exact", fast, exact)
    image, network = torch.randint(0, 256, (1, 3, 120, 120), dtype=torch.uint8), RADAN().eval()
    with torch.inference_mode():
        as_trained = best_ms(lambda: network((image.float() - 127.5) / 128), few)
        quick = frozen(network, 120)
        row("RADAN, frozen; as trained", best_ms(lambda: quick(image), few), as_trained)


if __name__ == "__main__":
    main()
