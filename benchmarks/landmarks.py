"""Speed of the landmark method beside a plain per-sample implementation.

    python -m benchmarks landmarks                       # all parts, on drawings; about two minutes on 2 cores
    python -m benchmarks landmarks --parts structural decode
    python -m benchmarks landmarks --parts evaluation --config local_config.ini    # on the photos of 300-W

The reference does what the papers' repositories do, sample by sample: cubic warp in OpenCV, a Gaussian template pasted
at whole pixels into every heatmap (3FabRec), the structural loss with its 31 × 31 kernel image by image, box blur and
arg-max map by map, the whole decoder. Both sides of a row compute in the same precision; steps and evaluations have a
row in each. On a GPU there are also images per second of every training stage, compiled and channels-last against
eager, both in bfloat16.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.report import best_ms, make_parser, note, start
from benchmarks.report import row as print_row
from common.config import read_local_config
from common.files.images import read_image
from common.runtime import make_accelerator
from datasets.augment import LEVELS, Augmentation, BatchTransform, hash_uniform, sample_matrices
from datasets.registry import build_dataset
from datasets.synthetic.faces import write_dataset
from geometry.heatmaps import decode_heatmaps, render_heatmaps
from geometry.schemes import IBUG_68
from landmarks.evaluation import evaluate_dataset
from landmarks.losses import StructuralLoss, heatmap_l2
from landmarks.models import LoadedModel, model_config
from landmarks.settings import EvalSettings
from metrics.landmarks import landmark_errors, mean_error, normaliser
from networks.aae import AAE, AAEConfig
from networks.blocks import PIXEL_MEAN

SIZE, PADDED, POINTS, SIGMA = 256, 363, 68, 7.0
REACH = 18  # px left of and above the peak in 3FabRec's template
PRECISIONS = ("float32", "bfloat16")


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Shortest time, of the processor with one thread."""
    return best_ms(work, repeats) / 1e3


def row(name: str, reference_s: float, ours_s: float) -> None:
    """Both in seconds, printed in ms."""
    print_row(name, 1e3 * ours_s, 1e3 * reference_s)


def gaussian_template() -> np.ndarray:
    """The square of 5 σ that 3FabRec pastes, its peak just right of and below the middle."""
    offsets = np.arange(int(5 * SIGMA), dtype=np.float32) - REACH
    line = np.exp(-(offsets**2) / (2 * SIGMA**2))
    return np.outer(line, line)


def reference_gaussians(points: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(K, 2) heatmap px → (K, 128, 128): the template pasted at whole pixels, cut at the border."""
    maps, side = np.zeros((len(points), 128, 128), np.float32), len(template)
    for heatmap, (column, row_) in zip(maps, np.floor(points + 0.5).astype(int), strict=True):
        left, top = column - REACH, row_ - REACH
        x, y, x_end, y_end = max(left, 0), max(top, 0), min(left + side, 128), min(top + side, 128)
        if x < x_end and y < y_end:
            part = template[y - top : y_end - top, x - left : x_end - left]
            np.maximum(heatmap[y:y_end, x:x_end], part, out=heatmap[y:y_end, x:x_end])
    return maps


def benchmark_augmentation(batch: int) -> None:
    rng, template = np.random.default_rng(0), gaussian_template()
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, PADDED, PADDED), np.uint8))
    landmarks = torch.from_numpy(rng.uniform(60, 300, (batch, POINTS, 2)).astype(np.float32))
    visibility, indices = torch.ones(batch, POINTS), torch.arange(batch)
    transform = BatchTransform(SIZE, PIXEL_MEAN, IBUG_68.flip_permutation, Augmentation(6))

    def ours():
        data = transform(images, landmarks, visibility, indices)
        return render_heatmaps(data.landmarks * (128 / SIZE), 128, SIGMA)

    photos = images.permute(0, 2, 3, 1).contiguous().numpy()
    uniform = hash_uniform(0, 0, indices, 0, 6)
    matrices = sample_matrices(LEVELS[6], uniform, PADDED, SIZE, uniform[:, 0] < 0.5).numpy()

    def reference():
        samples, maps = [], []
        for photo, matrix, points in zip(photos, matrices, landmarks.numpy(), strict=True):
            warped = cv2.warpAffine(photo, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC).astype(np.float32) / 255
            samples.append(torch.from_numpy((warped - np.float32(PIXEL_MEAN)).transpose(2, 0, 1).copy()))
            moved = (points @ matrix[:, :2].T + matrix[:, 2]) * (128 / SIZE)
            maps.append(torch.from_numpy(reference_gaussians(moved, template)))
        return torch.stack(samples), torch.stack(maps)

    row(f"augmentation + heatmaps, batch {batch}, 256 px; sample by sample", seconds(reference, 3), seconds(ours, 9))


def benchmark_structural(batch: int) -> None:
    x, y = torch.rand(2, batch // 4, 3, SIZE, SIZE)
    fast, slow = StructuralLoss(), StructuralLoss(impl="reference")

    def step(loss):
        output = x.clone().requires_grad_()
        loss(output, y).backward()

    times = seconds(lambda: step(slow), 2), seconds(lambda: step(fast), 5)
    row(f"structural loss + gradient, batch {batch // 4}; image by image", *times)


def benchmark_decode(batch: int) -> None:
    truth = torch.rand(batch, POINTS, 2) * 120 + 4
    maps = render_heatmaps(truth, 128, SIGMA) + 0.02 * torch.rand(batch, POINTS, 128, 128)

    def ours():
        points = decode_heatmaps(maps)[0] * 2
        distances = normaliser(truth * 2, IBUG_68, "outer")
        return mean_error(landmark_errors(points, truth * 2, distances))

    def reference():
        total = 0.0
        for sample, points in zip(maps.numpy(), truth.numpy(), strict=True):
            errors = []
            for heatmap, point in zip(sample, points, strict=True):
                blurred = cv2.blur(heatmap, (9, 9), borderType=cv2.BORDER_CONSTANT)
                row, column = np.unravel_index(np.argmax(blurred), blurred.shape)
                errors.append(np.linalg.norm(np.array([column, row]) * 2 - point * 2))
            total += np.mean(errors) / np.linalg.norm(points[36] * 2 - points[45] * 2) * 100
        return total / len(maps)

    row(f"heatmap decode + NME, batch {batch}; map by map", seconds(reference, 3), seconds(ours, 9))


def autocast(precision: str):
    """Of the CPU; nothing for float32."""
    return nullcontext() if precision == "float32" else torch.autocast("cpu", torch.bfloat16)


def benchmark_training_step(batch: int) -> None:
    """The head's step with a frozen encoder: upstream decodes the whole image to get at x1 and keeps P's gradients."""
    count = max(batch * 2 // 5, 1)
    images = torch.randn(count, 3, SIZE, SIZE)
    target = render_heatmaps(torch.rand(count, POINTS, 2) * 128, 128, SIGMA)
    plain, fast = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval(), AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval()
    fast = fast.to(memory_format=torch.channels_last)
    fast.P.requires_grad_(False)

    def reference(precision: str):
        with autocast(precision):
            with torch.no_grad():
                z = plain.Q(images)
            x1 = plain.P.seed_features(z)
            plain.P.image(x1)
            heatmaps = plain.LMH(x1, plain.P)
        heatmap_l2(heatmaps, target).backward()
        plain.zero_grad()

    def ours(precision: str):
        with autocast(precision):
            with torch.no_grad():
                z = fast.Q(images.contiguous(memory_format=torch.channels_last))
            heatmaps = fast.LMH(fast.P.seed_features(z), fast.P)
        heatmap_l2(heatmaps, target).backward()
        fast.zero_grad()

    for precision in PRECISIONS:
        times = (seconds(lambda work=work, p=precision: work(p), 2) for work in (reference, ours))
        row(f"head training step, batch {count}, {precision}; whole decoder", *times)


def reference_evaluation(networks: AAE, dataset, precision: str) -> float:
    """Photo by photo, the whole decoder, arg-max map by map."""
    total = 0.0
    for annotation in dataset.annotations:
        image = read_image(annotation.path)
        crop = dataset.make_crop(annotation).centre(SIZE)
        cut = torch.from_numpy(crop.extract(image)).permute(2, 0, 1)[None].float() / 255
        cut = cut - torch.tensor(PIXEL_MEAN)[:, None, None]
        with torch.no_grad(), autocast(precision):
            x1 = networks.P.seed_features(networks.Q(cut))
            networks.P.image(x1)
            maps = networks.LMH(x1, networks.P)[0].float().numpy()
        points = []
        for heatmap in maps:
            blurred = cv2.blur(heatmap, (9, 9), borderType=cv2.BORDER_CONSTANT)
            row, column = np.unravel_index(np.argmax(blurred), blurred.shape)
            points.append([column * 2, row * 2])
        truth = crop.apply(annotation.landmarks)
        total += np.mean(np.linalg.norm(np.array(points) - truth, axis=1)) / np.linalg.norm(truth[36] - truth[45]) * 100
    return total / len(dataset)


def benchmark_evaluation(config: Path | None, count: int) -> None:
    """All photos of a test split, drawn ones without a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        if config is None:
            write_dataset("w300", Path(folder), count)
        root = Path(folder) if config is None else read_local_config(config).dataset("w300")
        dataset = build_dataset("w300", root, "common", SIZE, "lm_ground_truth")
        networks = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval()
        slow = {p: seconds_once(lambda p=p: reference_evaluation(networks, dataset, p)) for p in PRECISIONS}
        networks = networks.to(memory_format=torch.channels_last)
        model = LoadedModel(
            networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), root
        )
        settings, accelerator = EvalSettings(batch_size=32), make_accelerator("cpu")
        for precision in PRECISIONS:
            with autocast(precision):
                ours = seconds_once(lambda: evaluate_dataset(model, dataset, settings, accelerator, progress=False))
            row(f"evaluation of {len(dataset)} photos, {precision}; photo by photo", slow[precision], ours)


def seconds_once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def benchmark_memory(count: int) -> None:
    """Peak memory of an evaluation of n and of 10 n photos, each in a process of its own."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for faces in (count, 10 * count):
            root = Path(folder) / str(faces)
            write_dataset("w300", root, faces)
            command = [sys.executable, "-m", "benchmarks", "landmarks", "--measure-memory", str(root)]
            peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))
    print_row(f"peak memory of an evaluation of {20 * count} photos; of {2 * count}", *peaks[::-1], unit="MiB")


def measure_memory(root: Path) -> None:
    dataset = build_dataset("w300", root, "common", 128, "lm_ground_truth")
    networks = AAE(AAEConfig(128, num_landmarks=POINTS)).eval()
    model = LoadedModel(networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), root)
    evaluate_dataset(model, dataset, EvalSettings(batch_size=16), make_accelerator("cpu"), progress=False)
    print(peak_memory_mib())


def peak_memory_mib() -> float:
    """Of this process alone; getrusage would start from its parent's peak where Linux says VmHWM."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024


def benchmark_gpu() -> None:
    """Images per second of the training stages: eager against compiled and channels-last, both in bfloat16."""
    device, batch = torch.device("cuda"), 64
    images, target = (
        torch.randn(batch, 3, SIZE, SIZE, device=device),
        torch.rand(batch, POINTS, 128, 128, device=device),
    )

    def stage(kind: str, fast: bool) -> float:
        networks = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).to(device)
        x = images
        if fast:
            networks, x = (
                networks.to(memory_format=torch.channels_last),
                images.contiguous(memory_format=torch.channels_last),
            )
        encode = torch.compile(networks.Q) if fast else networks.Q
        decode = torch.compile(networks.P) if fast else networks.P

        def step():
            with torch.autocast("cuda", torch.bfloat16):
                if kind == "autoencoder":
                    loss = (decode(encode(x)).float() - x).abs().mean()
                else:
                    with torch.set_grad_enabled(kind == "landmarks + encoder"):
                        z = encode(x)
                    loss = heatmap_l2(networks.LMH(networks.P.seed_features(z), networks.P), target)
            loss.backward()
            networks.zero_grad()

        return batch / seconds(step, 20)

    for kind in ("autoencoder", "landmarks, frozen encoder", "landmarks + encoder"):
        slow, fast = stage(kind, False), stage(kind, True)
        print_row(f"{kind}; eager", fast, slow, "im/s", more_is_better=True)


def main(arguments: list[str] | None = None) -> None:
    """Print the chosen parts."""
    parser = make_parser(__doc__)
    parts = ("augmentation", "structural", "decode", "step", "evaluation", "memory", "gpu")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--config", type=Path, default=None, help="where w300 is named (default: drawn faces)")
    parser.add_argument(
        "--measure-memory", type=Path, default=None, help="print the peak memory of evaluating this folder"
    )
    options = parser.parse_args(arguments)
    if options.measure_memory is not None:
        measure_memory(options.measure_memory)
        return
    if options.smoke:
        options.parts = [part for part in options.parts if part not in ("memory", "gpu")]  # processes and compilers
    batch, photos = (4, 1) if options.smoke else (40, 112)
    start(options)
    steps = {
        "augmentation": lambda: benchmark_augmentation(batch),
        "structural": lambda: benchmark_structural(batch),
        "decode": lambda: benchmark_decode(batch),
        "step": lambda: benchmark_training_step(batch),
        "evaluation": lambda: benchmark_evaluation(options.config, photos),
        "memory": lambda: benchmark_memory(16),
        "gpu": lambda: benchmark_gpu() if torch.cuda.is_available() else note("no GPU: its part is left out"),
    }
    for part in options.parts:
        steps[part]()


if __name__ == "__main__":
    main()
