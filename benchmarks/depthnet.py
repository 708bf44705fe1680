"""Speed of DepthNet's evaluation, training and warping beside a plain implementation.

    python -m benchmarks depthnet                        # all parts, on synthetic keypoints; about a minute on 2 cores
    python -m benchmarks depthnet --parts evaluation

The reference does what the authors' repository does: the network pair by pair, the 132 × 8 system of the affine filled
number by number, its normal matrix inverted explicitly, and for warping a numpy rasteriser, frame by frame and triangle
by triangle. It is timed on a few pairs, steps or frames and scaled up, which a note says. AIGN has a row in each
precision.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.report import make_parser, note, start
from benchmarks.report import row as print_row
from common.runtime import make_accelerator
from datasets.readers.threedfaw import Keypoints
from datasets.synthetic.depth import random_faces, rotations
from depthnet.inference import all_pair_depths, all_pair_errors
from depthnet.lifting import rotation_affines
from depthnet.method import DepthNetMethod
from depthnet.pairs import PairSampler, PositionBatch
from depthnet.scores.evaluation import off_diagonal
from depthnet.settings import TrainSettings
from depthnet.warping.warper import warp_faces
from geometry.face_template import TEMPLATE_66, TRIANGLES_68, to_68
from metrics.depth import depth_corr
from networks.aign import AIGNGenerator
from networks.depthnet import DepthNet, DepthNetConfig
from training.loop import EpochPosition

TEST_FACES, TRAIN_FACES, BATCH, SIDE, FRAMES = 225, 13_671, 32, 252, 100
SMOKE_FACES, SMOKE_TRAIN, SMOKE_FRAMES = 20, 640, 3


def seconds(work: Callable[[], object], repeats: int, device: torch.device | None = None) -> float:
    """Median wall time after one warm-up."""

    def wait() -> None:
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize()

    work()
    wait()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name: str, ours_s: float, reference_s: float | None = None) -> None:
    """Both in seconds."""
    print_row(name, ours_s, reference_s, "s")


def keypoints(count: int) -> Keypoints:
    faces = random_faces(count, 0).astype(np.float32)
    return Keypoints(faces[..., :2], faces[..., 2], np.arange(count).astype(str), np.full(count, ""))


def reference_system(source: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """(B, 132, 8), number by number."""
    system = torch.zeros(len(source), 2 * source.shape[1], 8)
    for b in range(len(source)):
        for k in range(source.shape[1]):
            row = torch.cat([source[b, k], depth[b, k : k + 1]])
            system[b, 2 * k, 0:3], system[b, 2 * k, 6] = row, 1.0
            system[b, 2 * k + 1, 3:6], system[b, 2 * k + 1, 7] = row, 1.0
    return system


def reference_error(source: torch.Tensor, depth: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error with the affine by an explicit inverse per sample."""
    system = reference_system(source, depth)
    wanted = target.flatten(1)
    affines = [torch.inverse(a.T @ a) @ a.T @ x for a, x in zip(system, wanted, strict=True)]
    return ((system @ torch.stack(affines)[..., None])[..., 0] - wanted).square().mean()


def benchmark_evaluation(device: torch.device, smoke: bool) -> None:
    count = SMOKE_FACES if smoke else TEST_FACES
    faces = keypoints(count)
    points, truth = torch.from_numpy(faces.points).to(device), torch.from_numpy(faces.depth).to(device)
    network = DepthNet(DepthNetConfig()).to(device).eval()

    def ours() -> tuple[float, float]:
        depths, _ = all_pair_depths(network, points, points)
        errors = all_pair_errors(points, depths[0], points)
        corr = depth_corr(off_diagonal(depths[0]), off_diagonal(truth[:, None].expand(-1, len(truth), -1)))
        return corr, float(off_diagonal(errors).mean())

    pairs = count * (count - 1)
    sample = 15 if smoke else 150
    cpu_points, cpu_network = points.cpu(), DepthNet(DepthNetConfig()).eval()

    def reference() -> None:
        # upstream computes the depth twice, once for DepthCorr and once for the keypoint error
        for i in range(sample):
            source, target = cpu_points[i % 15][None], cpu_points[15 + i // 15][None]
            cpu_network(source[None], target[None])
            depth, _ = cpu_network(source[None], target[None])
            reference_error(source, depth[0].detach(), target)

    slow = seconds(reference, 1) / sample * pairs
    fast = seconds(ours, 5, device)
    row(f"evaluation, {pairs:,} pairs, {device.type}; pair by pair", fast, slow)
    note(f"reference timed on {sample} pairs, on the CPU")


def make_method(device: torch.device, faces: int, seeds: int = 1, gan: bool = False) -> DepthNetMethod:
    settings = TrainSettings(seeds=seeds, no_gan=not gan, dnorm=0.1 if gan else 0.0)
    network = DepthNet(DepthNetConfig(seeds, critic=gan)).to(device).train()
    sampler = PairSampler(keypoints(faces), device, seeds, 0)
    return DepthNetMethod(network, settings, make_accelerator(device.type), sampler, None, {})


def benchmark_training(device: torch.device, smoke: bool) -> None:
    faces = SMOKE_TRAIN if smoke else TRAIN_FACES
    steps, timed = faces // BATCH, 2 if smoke else 40
    positions = [PositionBatch(torch.arange(i * BATCH, (i + 1) * BATCH)) for i in range(timed)]

    def epochs(method: DepthNetMethod) -> float:
        def some_steps() -> None:
            for step, batch in enumerate(positions):
                method.training_step(batch, step, EpochPosition(0, step, steps))

        return seconds(some_steps, 3, device) / timed * steps

    method = make_method(torch.device("cpu"), faces)
    optimizer = torch.optim.Adam(method.networks.parameters(), 2e-4, (0.5, 0.999))

    def reference() -> None:
        pairs = method.sampler(0, positions[0].indices)
        depth, _ = method.networks(pairs.source, pairs.targets[:, :, 0])
        optimizer.zero_grad()
        reference_error(pairs.source[0], depth[0], pairs.targets[0, :, 0]).backward()
        optimizer.step()

    slow = seconds(reference, 2) * steps
    one = epochs(make_method(device, faces))
    row(f"training epoch, {faces:,} pairs, {device.type}; number by number", one, slow)
    note(f"ours timed on {timed} of {steps} steps, the reference on 2, on the CPU")
    row("5 seeds side by side; one seed five times", epochs(make_method(device, faces, 5)), 5 * one)
    row("with critic", epochs(make_method(device, faces, 1, True)))


def benchmark_aign(device: torch.device, smoke: bool) -> None:
    """Forward and backward of AIGN's generator; the reference draws 66 heatmaps of 128 × 128 and convolves them
    whole.
    """
    batch = 2 if smoke else BATCH
    generator, points = AIGNGenerator().to(device), torch.rand(batch, 66, 2, device=device)

    def step(impl: str, precise: bool) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=not precise):
            _, projection = generator(points, impl)
        projection.square().sum().backward()
        generator.zero_grad()

    for name, precise in (("float32", True), ("bfloat16", False)):
        fast, slow = (seconds(lambda i=i, p=precise: step(i, p), 3, device) for i in ("sparse", "reference"))
        row(f"AIGN step, {batch} faces, {name}, {device.type}; whole heatmaps", fast, slow)


def reference_frame(image: np.ndarray, points: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """One frame in numpy, triangle by triangle over the whole picture, nearest sample."""
    height, width = image.shape[:2]
    out = np.zeros_like(image)
    y, x = np.mgrid[:height, :width] + 0.5
    for corners in TRIANGLES_68:
        (x0, y0), (x1, y1), (x2, y2) = moved[corners]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
        w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
        inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        weights = np.stack([1 - w1 - w2, w1, w2], axis=-1)[inside]
        u, v = (weights @ points[corners]).T.astype(int)
        out[inside] = image[v.clip(0, height - 1), u.clip(0, width - 1)]
    return out


def benchmark_warp(_: torch.device, smoke: bool) -> None:
    frames = SMOKE_FRAMES if smoke else FRAMES
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    turned = to_68(TEMPLATE_66 @ rotations(np.array([5.0]), np.zeros(1), np.zeros(1))[0].T) * SIDE * 0.3
    points, depth = turned[:, :2] + SIDE * 0.47, turned[:, 2]
    affines = rotation_affines(points, depth, "y", np.linspace(-0.78, 0.78, frames))
    many_points, many_depths = np.repeat(points[None], frames, 0), np.repeat(depth[None], frames, 0)
    lifted = np.column_stack([points, depth])

    def reference() -> None:
        for affine in affines[:3]:
            reference_frame(image, points, lifted @ affine[:, :3].T + affine[:, 3])

    slow = seconds(reference, 1) / 3 * frames
    for mode in ("visible", "compat"):
        fast = seconds(lambda mode=mode: warp_faces(image[None], many_points, many_depths, affines, mode), 5)
        row(f"warp, {frames} frames of {SIDE}², {mode}; triangle by triangle", fast, slow)
        note("reference timed on 3 frames")


def main(arguments: list[str] | None = None) -> None:
    """Print the chosen parts."""
    parts = {
        "evaluation": benchmark_evaluation,
        "training": benchmark_training,
        "aign": benchmark_aign,
        "warp": benchmark_warp,
    }
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=tuple(parts), default=tuple(parts))
    options = parser.parse_args(arguments)
    start(options)
    devices = [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])
    for part in options.parts:
        for device in devices if part != "warp" else devices[:1]:
            parts[part](device, options.smoke)


if __name__ == "__main__":
    main()
