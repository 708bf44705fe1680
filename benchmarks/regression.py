"""Speed of 3DMM regression on one thread, each figure beside its reference.

    OMP_NUM_THREADS=1 python -m benchmarks regression mb05_120x120.pth --face-model 3ddfa:train.configs#noneck \
        [--photo trump_hillary.jpg --faceboxes FaceBoxesProd.pth] [--repeat 50]

References are those of the authors' code on a machine like ours (one thread): crop, regression and 68 points 2.25 ms in PyTorch
and 0.47 ms in onnxruntime (mb05), dense decoding 0.8 ms, detection on a photo of 1536 × 689 25.8 ms. Prints medians in ms.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from common.config import read_local_config
from common.files.images import read_image
from datasets.detection import faceboxes  # noqa: F401  registers the detector
from datasets.detection.detect import make_detector
from networks.radan import RADAN
from recon3d.regression.export import ExportedRegressor, export
from recon3d.regression.face_models import open_face_model
from recon3d.regression.losses import PointSampler, exact_wpdc_weights, fast_wpdc_weights
from recon3d.regression.models import load_regressor
from recon3d.regression.quick import frozen
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_detection

PHOTO = (689, 1536)  # height and width of the authors' example


def median_ms(run: Callable[[], object], repeat: int) -> float:
    """After three runs that do not count."""
    times = []
    for _ in range(repeat + 3):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[3:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--face-model", default=None)
    parser.add_argument("--photo", type=Path, default=None, help="with --faceboxes: detection and regression of all its faces")
    parser.add_argument("--faceboxes", type=Path, default=None, help="the authors' weights of the detector")
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--config", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    local, repeat = read_local_config(arguments.config), arguments.repeat
    loaded = load_regressor(arguments.checkpoint, local.snapshots)
    face_model = open_face_model(arguments.face_model, local, loaded.model)
    regressor = FaceRegressor(loaded, face_model, detector="none", device="cpu")
    photo = np.random.default_rng(0).integers(0, 255, (*PHOTO, 3), dtype=np.uint8)
    crops = [
        crop_from_detection(np.array([200.0 + 120 * i, 150, 460 + 120 * i, 430]), regressor.size, photo.shape) for i in range(8)
    ]

    def line(name: str, ms: float, reference: str) -> None:
        print(f"{name:48s} {ms:9.3f} ms   {reference}")

    one = median_ms(lambda: regressor.regress_crops([photo], crops[:1]), repeat)
    eight = median_ms(lambda: regressor.regress_crops([photo] * 8, crops), max(5, repeat // 4)) / 8
    line("crop + regress + 68 points + pose, PyTorch", one, "reference 2.25")
    line("the same, per face of a batch of 8", eight, f"{one / eight:.2f} × faster per face than one by one")
    if arguments.photo is not None:
        image, detect = read_image(arguments.photo), make_detector("faceboxes", arguments.faceboxes)
        ms = median_ms(lambda: regressor(image, [found.box for found in detect(image)]), max(5, repeat // 4))
        alone = median_ms(lambda: detect(image), max(5, repeat // 4))
        size = f"{image.shape[1]} × {image.shape[0]}"
        line(f"detection + regression of a photo, {size}", ms, f"detection alone {alone:.1f}, reference 25.8")
    with tempfile.TemporaryDirectory() as folder:
        export(ExportedRegressor(loaded.model, face_model, dense=False), Path(folder) / "net.onnx")
        regressor.use_onnx(Path(folder) / "net.onnx")
        exported = median_ms(lambda: regressor.regress_crops([photo], crops[:1]), repeat)
        line("crop + regress + 68 points + pose, onnxruntime", exported, "reference 0.47")
    (face,) = regressor.regress_crops([photo], crops[:1])
    line(
        f"dense decoding, {face_model.num_vertices} vertices",
        median_ms(lambda: regressor.screen([face]), repeat),
        "reference 0.8, goal 0.3",
    )
    parameters = loaded.model.mean + loaded.model.std * torch.randn(2, 128, len(loaded.model.mean))
    points = PointSampler(face_model, loaded.model.layout).draw()
    pair = parameters[0], parameters[1], loaded.model.layout, points
    exact, fast = (median_ms(lambda w=w: w(*pair), 5) for w in (exact_wpdc_weights, fast_wpdc_weights))
    line("fast WPDC weights, batch 128, 200 points", fast, f"{exact / fast:.1f} × faster than exact ({exact:.1f} ms)")
    image = torch.randint(0, 256, (1, 3, 120, 120), dtype=torch.uint8)
    with torch.inference_mode():
        network = frozen(RADAN().eval(), 120)
        line("RADAN forward", median_ms(lambda: network(image), 5), "reference 127 (the authors' network)")


if __name__ == "__main__":
    main()
