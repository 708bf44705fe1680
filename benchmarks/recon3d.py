"""Speed and memory of weakly supervised reconstruction at the size of the Basel model's front.

    python -m benchmarks recon3d                              # one thread, a few minutes
    python -m benchmarks recon3d --parts step --backbone mobilenet --batch 8
    python -m benchmarks recon3d --parts pyramid layer        # those of python -m benchmarks graph, on this mesh

The Basel model may not be shipped, so its size is: the embedded head's face, subdivided twice, with as many triangles
(70,789), about as many vertices (35,709) and components (80 + 64 + 80). With one thread times are of the processor, so
that other programs do not count; with more they are wall times. The best of the repeats counts.
"""

import resource
import sys

import numpy as np
import torch
import trimesh
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.graph import benchmark_generator, benchmark_layer, benchmark_pyramid
from benchmarks.report import best_ms, make_parser, note, row, start
from common.runtime import make_accelerator
from geometry.raster.rasteriser import interpolate, rasterize
from morphable.model import EMBEDDED_HEAD, FaceModel, SurfacePoints
from networks.coefficient_net import BACKBONES
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction.coefficients import config_for, split
from recon3d.reconstruction.data import PhotoBatch
from recon3d.reconstruction.method import ReconstructionMethod
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.reconstruction.settings import ReconstructionSettings
from training.loop import EpochPosition

TRIANGLES, COMPONENTS = 70_789, (80, 64, 80)
PARTS = ("step", "inference", "pyramid", "layer", "generator")


def basel_sized() -> FaceModel:
    """The embedded head's triangles nearest to the nose, subdivided twice, with the Basel model's numbers of
    components.
    """
    head = FaceModel.load(EMBEDDED_HEAD)
    corners = head.mean[head.triangles]
    distance = (corners.mean(1) - head.points(head.mean, "ibug68")[30]).norm(dim=1)
    needed = torch.zeros(head.num_vertices, dtype=torch.bool)
    needed[head.landmarks["ibug68"].vertices.flatten()] = True
    distance[needed[head.triangles].any(1)] = 0
    nearest = head.triangles[distance.argsort()[: -(-TRIANGLES // 16)]]
    old = nearest.unique()
    number = torch.full((head.num_vertices,), -1)
    number[old] = torch.arange(len(old))
    regions = torch.stack(list(head.regions.values()), 1)
    columns = [head.identity, head.expression, head.albedo_mean[..., None], head.albedo]
    stacked = torch.cat([*(c.flatten(1) for c in columns), regions], 1)[old].numpy()
    vertices, triangles = head.mean[old].numpy(), number[nearest].numpy()
    for _ in range(2):  # the old vertices stay in front
        vertices, triangles, attributes = trimesh.remesh.subdivide(
            vertices, triangles, vertex_attributes={"all": stacked}
        )
        stacked = attributes["all"]
    rows = torch.from_numpy(np.ascontiguousarray(stacked)).float()
    parts = rows.split([*(c[0].numel() for c in columns), regions.shape[1]], 1)
    bases = [part.unflatten(1, (3, -1)) for part in parts[:4]]
    points = head.landmarks["ibug68"]
    spread = [
        pad(s, (0, n - len(s)), value=1.0)
        for s, n in zip((head.identity_std, head.expression_std, head.albedo_std), COMPONENTS, strict=True)
    ]
    model = FaceModel(
        "basel-sized head",
        head.licence,
        torch.from_numpy(vertices).float(),
        torch.from_numpy(triangles)[:TRIANGLES].long(),
        *(pad(bases[k], (0, n - bases[k].shape[2])) for k, n in ((0, 80), (1, 64))),
        bases[2][..., 0],
        pad(bases[3], (0, COMPONENTS[2] - bases[3].shape[2])),
        *spread,
        landmarks={"ibug68": SurfacePoints(number[points.vertices], points.weights)},
        regions={name: parts[4][:, i] for i, name in enumerate(head.regions)},
    )
    used = torch.zeros(model.num_vertices, dtype=torch.bool)
    used[model.triangles.flatten()] = True
    return model.submesh(used)


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def made_batch(model: FaceModel, renderer: FaceRenderer, batch: int) -> PhotoBatch:
    """Noise pictures with the landmarks of random faces."""
    raw = torch.randn(batch, sum(COMPONENTS) + 33) * 0.1
    landmarks = renderer.geometry(split(model, raw)).landmarks
    images = torch.randint(0, 255, (batch, 3, 224, 224), dtype=torch.uint8)
    truths = torch.full((batch, sum(COMPONENTS[:2])), torch.nan)
    return PhotoBatch(images, landmarks, images[:, :1], torch.arange(batch), truths)


def benchmark_step(model: FaceModel, backbone: str, batch: int, repeats: int) -> None:
    """A training step of R-Net and its parts; the rest of it is augmentation, shape, light, losses and Adam."""
    before = peak_mib()
    net = ReconstructionNet(config_for(model, backbone), "head").to(memory_format=torch.channels_last)
    renderer = FaceRenderer(model, net.camera)
    accelerator = make_accelerator("cpu")
    method = ReconstructionMethod(net, renderer, ReconstructionSettings(backbone=backbone, w_feat=0.0), accelerator, {})
    data = made_batch(model, renderer, batch)
    whole = best_ms(lambda: method.training_step(data, 0, EpochPosition(0, 0, 1)), repeats)
    images = data.images.float() / 255
    gradient = torch.randn(batch, sum(COMPONENTS) + 33)
    network = best_ms(lambda: net(images).backward(gradient), repeats)
    geometry = renderer.geometry(split(model, torch.randn_like(gradient) * 0.05))
    screen = geometry.screen.detach().requires_grad_()
    colours = torch.rand(batch, model.num_vertices, 4, requires_grad=True)
    ids = rasterize(screen, model.triangles, (224, 224), perspective=True)
    drawn = interpolate(screen, model.triangles, ids, colours, True)
    picture_gradient = torch.randn_like(drawn)

    def backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(drawn, (screen, colours), picture_gradient, retain_graph=True)

    parts = {
        "network": network,
        "visibility": best_ms(lambda: rasterize(screen, model.triangles, (224, 224), perspective=True), 3 * repeats),
        "interpolation": best_ms(lambda: interpolate(screen, model.triangles, ids, colours, True), 3 * repeats),
        "its gradient": best_ms(backward, 3 * repeats),
    }
    row(f"training step, {backbone}, 224², batch {batch}", whole)
    for name, value in parts.items():
        row(f"its {name.removeprefix('its ')}", value)
    note(f"rasteriser {100 * sum(list(parts.values())[1:]) / whole:.1f} % of the step")
    note(f"peak memory {peak_mib():,.0f} MiB, {before:,.0f} before")


def benchmark_inference(model: FaceModel, backbone: str, repeats: int) -> None:
    """A photo and its five points to shape, colours and landmarks; the picture of the face apart."""
    reconstructor = Reconstructor(ReconstructionNet(config_for(model, backbone), "head"), model)
    photo = np.random.default_rng(0).integers(0, 255, (600, 500, 3), dtype=np.uint8)
    five = model.five_points[:, :2].double().numpy() * [200, -200] + [250, 300]
    one = best_ms(lambda: reconstructor.reconstruct([photo], [five]), repeats)
    eight = best_ms(lambda: reconstructor.reconstruct([photo] * 8, [five] * 8), max(repeats // 2, 1)) / 8
    faces = reconstructor.reconstruct([photo], [five])
    row(f"inference, {backbone}, a photo", one)
    row("the same, per photo of 8; one at a time", eight, one)
    row("its picture", best_ms(faces.picture, repeats))
    note(f"peak memory {peak_mib():,.0f} MiB")


def main(arguments: list[str] | None = None) -> None:
    """Print the chosen parts."""
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.smoke:
        options.backbone, options.batch, options.repeats = "mobilenet_half", 1, 1
        options.parts = [part for part in options.parts if part in ("step", "inference")]  # the others: graph --smoke
    start(options)
    model = basel_sized()
    note(f"{model.num_vertices:,} vertices, {len(model.triangles):,} triangles, components {model.sizes}")
    if "step" in options.parts:
        benchmark_step(model, options.backbone, options.batch, options.repeats)
    if "inference" in options.parts:
        benchmark_inference(model, options.backbone, 2 * options.repeats)
    if {"pyramid", "layer", "generator"} & set(options.parts):
        pyramid = benchmark_pyramid((model.mean, model.triangles))
        for name, part in (("layer", benchmark_layer), ("generator", benchmark_generator)):
            if name in options.parts:
                part(pyramid, 4, 2 * options.repeats)


if __name__ == "__main__":
    main()
