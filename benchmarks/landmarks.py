"""Speed of the landmark method beside a plain per-sample implementation, in one run, as ratios.

    python -m benchmarks landmarks                       # all parts, on drawings; about two minutes on 2 cores
    python -m benchmarks landmarks --parts structural decode
    python -m benchmarks landmarks --parts evaluation --config local_config.ini    # on the photos of 300-W, if they are there

The reference does what the papers' repositories do, sample by sample: cubic warp and Gaussians in NumPy and OpenCV, the
structural loss with its 31 × 31 kernel image by image, box blur and arg-max map by map, the whole decoder in float32.
On a GPU it also prints images per second of every training stage, bf16 + compile + channels-last against eager float32.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

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
from networks.autoencoder import PIXEL_MEAN

# The allocator otherwise gives large blocks back to the system after every step and fetches them again, page by page.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}

SIZE, PADDED, BATCH, POINTS, SIGMA = 256, 363, 40, 68, 7.0


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def report(name: str, reference_s: float, ours_s: float, goal: float, unit: str) -> None:
    ratio = reference_s / ours_s
    times = f"reference {reference_s * 1e3:9.1f} ms   ours {ours_s * 1e3:8.1f} ms"
    print(f"{name:42s} {times}   {ratio:6.1f}×  (goal {goal:g}×)  {unit}")


def reference_gaussians(points: np.ndarray) -> np.ndarray:
    """(K, 2) heatmap px → (K, 128, 128), point by point."""
    maps = np.zeros((len(points), 128, 128), np.float32)
    y, x = np.mgrid[:128, :128] + 0.5
    for k, (px, py) in enumerate(points):
        maps[k] = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
    return maps


def benchmark_augmentation() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (BATCH, 3, PADDED, PADDED), np.uint8))
    landmarks = torch.from_numpy(rng.uniform(60, 300, (BATCH, POINTS, 2)).astype(np.float32))
    visibility, indices = torch.ones(BATCH, POINTS), torch.arange(BATCH)
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
            maps.append(torch.from_numpy(reference_gaussians((points @ matrix[:, :2].T + matrix[:, 2]) * (128 / SIZE))))
        return torch.stack(samples), torch.stack(maps)

    report("augmentation + heatmaps, batch 40, 256 px", seconds(reference, 3), seconds(ours, 9), 5, "per batch")


def benchmark_structural() -> None:
    x, y = torch.rand(10, 3, SIZE, SIZE), torch.rand(10, 3, SIZE, SIZE)
    fast, slow = StructuralLoss(), StructuralLoss(impl="reference")

    def step(loss):
        output = x.clone().requires_grad_()
        loss(output, y).backward()

    times = seconds(lambda: step(slow), 2), seconds(lambda: step(fast), 5)
    report("structural loss + gradient, batch 10", *times, 5, "per batch")


def benchmark_decode() -> None:
    truth = torch.rand(BATCH, POINTS, 2) * 120 + 4
    maps = render_heatmaps(truth, 128, SIGMA) + 0.02 * torch.rand(BATCH, POINTS, 128, 128)

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

    report("heatmap decode + NME, batch 40", seconds(reference, 3), seconds(ours, 9), 5, "per batch")


def benchmark_training_step() -> None:
    images = torch.randn(16, 3, SIZE, SIZE)
    target = render_heatmaps(torch.rand(16, POINTS, 2) * 128, 128, SIGMA)
    plain, fast = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval(), AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval()
    fast = fast.to(memory_format=torch.channels_last)
    fast.P.requires_grad_(False)

    def reference():
        with torch.no_grad():
            z = plain.Q(images)
        x1 = plain.P.seed_features(z)
        plain.P.image(x1)  # upstream decodes the whole image to get at x1 and keeps P's gradients
        (heatmap_l2(plain.LMH(x1, plain.P), target)).backward()
        plain.zero_grad()

    def ours():
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                z = fast.Q(images.contiguous(memory_format=torch.channels_last))
            heatmaps = fast.LMH(fast.P.seed_features(z), fast.P)
        heatmap_l2(heatmaps, target).backward()
        fast.zero_grad()

    report("head training step, frozen encoder, batch 16", seconds(reference, 2), seconds(ours, 3), 2, "per batch")


def reference_evaluation(networks: AAE, dataset) -> float:
    """Photo by photo, float32, the whole decoder, arg-max map by map."""
    total = 0.0
    for annotation in dataset.annotations:
        image = read_image(annotation.path)
        crop = dataset.make_crop(annotation).centre(SIZE)
        cut = torch.from_numpy(crop.extract(image)).permute(2, 0, 1)[None].float() / 255
        cut = cut - torch.tensor(PIXEL_MEAN)[:, None, None]
        with torch.no_grad():
            z = networks.Q(cut)
            x1 = networks.P.seed_features(z)
            networks.P.image(x1)
            maps = networks.LMH(x1, networks.P)[0].numpy()
        points = []
        for heatmap in maps:
            blurred = cv2.blur(heatmap, (9, 9), borderType=cv2.BORDER_CONSTANT)
            row, column = np.unravel_index(np.argmax(blurred), blurred.shape)
            points.append([column * 2, row * 2])
        truth = crop.apply(annotation.landmarks)
        total += np.mean(np.linalg.norm(np.array(points) - truth, axis=1)) / np.linalg.norm(truth[36] - truth[45]) * 100
    return total / len(dataset)


def benchmark_evaluation(config: Path | None) -> None:
    local = read_local_config(config)
    with tempfile.TemporaryDirectory() as folder:
        root = local.dataset("w300")
        if not root.is_dir():
            root = Path(folder)
            write_dataset("w300", root, 112)
        dataset = build_dataset("w300", root, "common", SIZE, "lm_ground_truth")
        networks = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).eval()
        slow = seconds_once(lambda: reference_evaluation(networks, dataset))
        networks = networks.to(memory_format=torch.channels_last)
        model = LoadedModel(networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), root)
        accelerator = make_accelerator("auto", "bf16")
        fast = seconds_once(lambda: evaluate_dataset(model, dataset, EvalSettings(batchsize=32), accelerator, progress=False))
    report(f"full evaluation of {len(dataset)} photos, 256 px", slow, fast, 3, "in all")


def seconds_once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def benchmark_memory() -> None:
    """Peak memory of an evaluation of n and of 10 n photos, each in a process of its own."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (16, 160):
            root = Path(folder) / str(count)
            write_dataset("w300", root, count)
            command = [sys.executable, "-m", "benchmarks", "landmarks", "--measure-memory", str(root)]
            peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))
    print(f"peak memory of an evaluation, 128 px: 32 photos {peaks[0]:.0f} MiB, 320 photos {peaks[1]:.0f} MiB, "
          f"ratio {peaks[1] / peaks[0]:.2f}")


def measure_memory(root: Path) -> None:
    dataset = build_dataset("w300", root, "common", 128, "lm_ground_truth")
    networks = AAE(AAEConfig(128, num_landmarks=POINTS)).eval()
    model = LoadedModel(networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), root)
    evaluate_dataset(model, dataset, EvalSettings(batchsize=16), make_accelerator("cpu"), progress=False)
    print(peak_memory_mib())


def peak_memory_mib() -> float:
    """Of this process alone; getrusage would start from its parent's peak where Linux says VmHWM."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024


def benchmark_gpu() -> None:
    """Images per second of the training stages: eager float32 against bf16, compile and channels-last."""
    device, batch = torch.device("cuda"), 64
    images, target = torch.randn(batch, 3, SIZE, SIZE, device=device), torch.rand(batch, POINTS, 128, 128, device=device)

    def stage(kind: str, fast: bool) -> float:
        networks = AAE(AAEConfig(SIZE, num_landmarks=POINTS)).to(device)
        x = images
        if fast:
            networks, x = networks.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
        encode = torch.compile(networks.Q) if fast else networks.Q
        decode = torch.compile(networks.P) if fast else networks.P

        def step():
            with torch.autocast("cuda", torch.bfloat16, enabled=fast):
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
        rates = f"eager fp32 {slow:8.0f} images/s   bf16+compile+channels-last {fast:8.0f} images/s"
        print(f"{kind:42s} {rates}   {fast / slow:.1f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("augmentation", "structural", "decode", "step", "evaluation", "memory", "gpu")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--measure-memory", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_memory is not None:
        measure_memory(arguments.measure_memory)
        return
    if not ALLOCATOR.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, GPU: {torch.cuda.is_available()}")
    steps = {
        "augmentation": benchmark_augmentation, "structural": benchmark_structural, "decode": benchmark_decode,
        "step": benchmark_training_step, "evaluation": lambda: benchmark_evaluation(arguments.config),
        "memory": benchmark_memory,
        "gpu": lambda: benchmark_gpu() if torch.cuda.is_available() else print("no GPU: its part is left out"),
    }
    for part in arguments.parts:
        steps[part]()


if __name__ == "__main__":
    main()
