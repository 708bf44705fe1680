"""Speed of the rasteriser on a dense face beside a plain z-buffer and the PyTorch path, in one run, as ratios.

    python -m benchmarks rasterise                          # two threads, about a minute
    python -m benchmarks rasterise --threads 1 --repeats 50
    python -m benchmarks rasterise --data tddfa             # where tri.mat, indices.npy and train.configs lie

The mesh is a generated face as dense as 3DDFA_V2's (38,416 vertices), or with --data that one (38,365 vertices).
The reference does what the papers' repositories do: normals, light and a z-buffer triangle by triangle, its depth
buffer of the picture's size, in float32, compiled by numba, on one thread; ours with one thread
and with --threads, and the PyTorch path. Times are the best of the repeats.
"""

from pathlib import Path

import numpy as np
import torch
from numba import njit
from scipy.io import loadmat

from benchmarks.report import best_ms, make_parser, note, row, start
from geometry.cameras import pinhole, rigid_transform, weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.painting import paint_lit
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.shading import sh_basis, sh_shade
from geometry.rotations import rotation_from_euler

PICTURES = ((120, 120, 100), (551, 413, 308), (689, 1536, 414))  # height, width, height of the face in px


def mean_face(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """(V, 3) vertices in dm around the origin and (F, 3) triangles of 3DDFA_V2's mesh."""
    kept = np.load(folder / "indices.npy")
    mean = sum(np.load(folder / "train.configs" / name, allow_pickle=False) for name in ("u_shp.npy", "u_exp.npy"))
    vertices = torch.from_numpy(mean.reshape(-1, 3)[kept] / 1e5).float()
    new_id = np.full(len(mean) // 3, -1)
    new_id[kept] = np.arange(len(kept))
    triangles = new_id[loadmat(folder / "tri.mat")["tri"].T.astype(np.int64) - 1]
    return vertices - vertices.mean(0), torch.from_numpy(triangles[(triangles >= 0).all(1)])


def generated_face(count: int = 196) -> tuple[torch.Tensor, torch.Tensor]:
    """Half an ellipsoid with a nose, count² vertices: by default as dense as 3DDFA_V2's mesh."""
    axis = torch.linspace(-1, 1, count)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    x, y = u * (1 - v * v / 2).sqrt(), -v * (1 - u * u / 2).sqrt()  # the square, mapped onto the disc
    z = (1 - x * x - y * y).clamp(min=0).sqrt() + 0.3 * torch.exp(-(x * x + y * y) * 30)
    first = (torch.arange(count - 1)[:, None] * count + torch.arange(count - 1)).flatten()[:, None]
    triangles = torch.cat([first + torch.tensor([0, count, 1]), first + torch.tensor([1, count, count + 1])])
    return torch.stack([0.75 * x, 0.95 * y, 0.8 * z], -1).reshape(-1, 3), triangles


@njit(cache=True)
def reference_normals(vertices, triangles):
    normals = np.zeros_like(vertices)
    for face in range(len(triangles)):
        a, b, c = triangles[face]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        for corner in (a, b, c):
            normals[corner, 0] += uy * vz - uz * vy
            normals[corner, 1] += uz * vx - ux * vz
            normals[corner, 2] += ux * vy - uy * vx
    for vertex in range(len(vertices)):
        x, y, z = normals[vertex]
        length = max(np.sqrt(x * x + y * y + z * z), np.float32(1e-6))
        for axis in range(3):
            normals[vertex, axis] /= length
    return normals


@njit(cache=True)
def reference_zbuffer(screen, triangles, colours, picture):
    height, width, _ = picture.shape
    buffer = np.full((height, width), np.inf, np.float32)
    for face in range(len(triangles)):
        a, b, c = screen[triangles[face, 0]], screen[triangles[face, 1]], screen[triangles[face, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        for line in range(max(int(min(a[1], b[1], c[1])), 0), min(int(max(a[1], b[1], c[1])) + 1, height)):
            for column in range(max(int(min(a[0], b[0], c[0])), 0), min(int(max(a[0], b[0], c[0])) + 1, width)):
                x, y = np.float32(column + 0.5), np.float32(line + 0.5)
                wa = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                wb = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                wc = 1 - wa - wb
                if wa >= 0 and wb >= 0 and wc >= 0:
                    depth = wa * a[2] + wb * b[2] + wc * c[2]
                    if depth < buffer[line, column]:
                        buffer[line, column] = depth
                        for channel in range(3):
                            colour = (
                                wa * colours[triangles[face, 0], channel] + wb * colours[triangles[face, 1], channel]
                            )
                            picture[line, column, channel] = np.uint8(
                                colour + wc * colours[triangles[face, 2], channel]
                            )


def benchmark_lit(
    mesh: tuple[torch.Tensor, torch.Tensor], picture: tuple[int, int, int], threads: int, repeats: int
) -> None:
    (vertices, triangles), (height, width, face) = mesh, picture
    rotation = rotation_from_euler(torch.tensor([[0.1, -0.4, 0.05]]))
    scale = face / (vertices[:, 1].max() - vertices[:, 1].min())
    screen = weak_perspective(vertices[None], rotation, scale[None], torch.tensor([[width / 2, height / 2]]))[0]
    posed, albedo = (vertices @ rotation[0].T).contiguous(), torch.full_like(vertices, 0.8)
    gamma = torch.randn(1, 9, generator=torch.Generator().manual_seed(0)).expand(3, 9) * 0.1
    background = torch.full((height, width, 3), 40, dtype=torch.uint8)

    def reference():
        normals = reference_normals(posed.numpy(), triangles.numpy())
        light = sh_basis(torch.from_numpy(normals)) @ (gamma + torch.eye(1, 9) * 0.8).T
        painted = background.numpy().copy()
        reference_zbuffer(
            screen.numpy(), triangles.numpy(), (albedo * light).clamp(0, 1).numpy() * np.float32(255), painted
        )
        return painted

    def plain_torch():
        colours = sh_shade(albedo[None], vertex_normals(posed[None], triangles, "area"), gamma[None]).clamp(0, 1)
        ids = rasterize(screen[None], triangles, (height, width), impl="torch")
        return interpolate(screen[None], triangles, ids, colours)

    def ours():
        return paint_lit(screen, posed, triangles, albedo, gamma, background)

    different = (np.abs(ours().numpy().astype(int) - reference()) > 2).any(-1).sum()
    name = f"lit, {width} × {height} px"
    torch.set_num_threads(1)
    slow = best_ms(reference, repeats)
    row(f"{name}, 1 thread; z-buffer", best_ms(ours, repeats), slow)
    torch.set_num_threads(threads)
    if threads > 1:
        row(f"{name}, {threads} threads; z-buffer of one", best_ms(ours, repeats), slow)
    row(f"{name}, {threads} threads; PyTorch path", best_ms(ours, repeats), best_ms(plain_torch, max(repeats // 10, 1)))
    note(f"{different} px differ from the z-buffer's")


def benchmark_visibility(mesh: tuple[torch.Tensor, torch.Tensor], repeats: int, batch: int = 8) -> None:
    vertices, triangles = mesh
    _, screen = pose(vertices, batch)
    numba = best_ms(lambda: rasterize(screen, triangles, (224, 224), True, impl="numba"), repeats) / batch
    torch_ms = (
        best_ms(lambda: rasterize(screen, triangles, (224, 224), True, impl="torch"), max(repeats // 10, 1)) / batch
    )
    row(f"visibility 224², batch {batch}, per image; PyTorch path", numba, torch_ms)


def benchmark_gradients(mesh: tuple[torch.Tensor, torch.Tensor], repeats: int, batch: int = 8) -> None:
    """Render and its gradient with respect to vertices, albedo and light: normals, light, camera, rasteriser."""
    vertices, triangles = mesh
    posed, _ = pose(vertices, batch)
    leaves = [posed, torch.rand(batch, *vertices.shape), torch.zeros(batch, 3, 9)]
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def forward(lit: bool, impl: str) -> torch.Tensor:
        screen = pinhole(leaves[0], 1015.0, (112.0, 112.0), 10.0)
        colours = sh_shade(leaves[1], vertex_normals(leaves[0], triangles), leaves[2]) if lit else leaves[1]
        return interpolate(screen, triangles, rasterize(screen, triangles, (224, 224), True, impl=impl), colours, True)

    for name, lit in (("albedo only", False), ("normals, light, albedo", True)):
        picture = forward(lit, "numba")
        gradient, wanted = torch.randn_like(picture), leaves if lit else leaves[:2]
        down, plain = (
            best_ms(lambda lit=lit, impl=impl: forward(lit, impl), count) / batch
            for impl, count in (("numba", repeats), ("torch", max(repeats // 10, 1)))
        )
        up = (
            best_ms(lambda p=picture, g=gradient, w=wanted: torch.autograd.grad(p, w, g, retain_graph=True), repeats)
            / batch
        )
        row(f"differentiable 224², {name}; PyTorch visibility", down, plain)
        row(f"its gradient, {name}", up)


def pose(vertices: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Posed vertices and screens of the batch in Deep3D's camera."""
    angles = torch.randn(batch, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 0.4, 0.1])
    posed = rigid_transform(vertices, rotation_from_euler(angles), torch.zeros(batch, 3))
    return posed, pinhole(posed, 1015.0, (112.0, 112.0), 10.0)


def main(arguments: list[str] | None = None) -> None:
    """Print a row per picture and part."""
    parser = make_parser(__doc__, threads=2)
    parts = ("lit", "visibility", "gradients")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--data", type=Path, default=None, help="3DDFA's files (default: a generated face)")
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args(arguments)
    mesh = generated_face(24 if options.smoke else 196) if options.data is None else mean_face(options.data)
    pictures, batch = (PICTURES[:1], 2) if options.smoke else (PICTURES, 8)
    repeats = 1 if options.smoke else options.repeats
    start(options)
    note(f"{len(mesh[0]):,} vertices, {len(mesh[1]):,} triangles")
    if "lit" in options.parts:
        for picture in pictures:
            benchmark_lit(mesh, picture, options.threads, repeats)
    if "visibility" in options.parts:
        benchmark_visibility(mesh, repeats, batch)
    if "gradients" in options.parts:
        benchmark_gradients(mesh, repeats, batch)


if __name__ == "__main__":
    main()
