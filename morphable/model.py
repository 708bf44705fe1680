"""The one 3D morphable model of this codebase: a linear model of a face's shape and albedo, and what its vertices mean.

Sizes are properties of the model, never constants. Space: x to the right of the picture, y up, z toward the viewer,
decimetres.
"""

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from common.errors import FaceModelError
from common.files.atomic import write_file
from geometry.schemes import FIVE_OF_68

FORMAT = 1
EMBEDDED_HEAD = Path(__file__).resolve().parent / "assets" / "head.safetensors"
REGION_PREFIX, LANDMARK_PREFIX = "region.", "landmarks."
PRIORS = ("gaussian", "unit")


@dataclass(frozen=True)
class SurfacePoints:
    """Points fixed to a mesh, such as landmarks: weighted means of three vertices."""

    vertices: Tensor  # (K, 3) int64 vertex ids; a point on a vertex repeats it
    weights: Tensor  # (K, 3), rows sum to 1

    @classmethod
    def at_vertices(cls, ids: Tensor | list[int]) -> "SurfacePoints":
        """Points that lie on the vertices `ids` (K,)."""
        ids = torch.as_tensor(ids, dtype=torch.int64)
        weights = torch.zeros(len(ids), 3)
        weights[:, 0] = 1
        return cls(ids[:, None].expand(-1, 3).contiguous(), weights)

    def of(self, vertices: Tensor) -> Tensor:
        """(..., N, C) vertex positions or attributes → (..., K, C) values at the points."""
        return (vertices[..., self.vertices, :] * self.weights.to(vertices)[..., None]).sum(-2)

    @property
    def nearest_vertices(self) -> Tensor:
        """(K,) id of the vertex with the largest weight."""
        return self.vertices.gather(1, self.weights.argmax(1, keepdim=True))[:, 0]


@dataclass(frozen=True)
class FaceModel:
    """Shape S = mean + identity·α + expression·β and albedo T = albedo_mean + albedo·τ, both per vertex.

    Blanz and Vetter 1999; coefficients are in units of their basis, whose prior spread `*_std` gives (1 for scaled
    bases).
    """

    name: str
    licence: str
    mean: Tensor  # (N, 3) dm
    triangles: Tensor  # (F, 3) int64, counter-clockwise seen from outside
    identity: Tensor  # (N, 3, Ki)
    expression: Tensor  # (N, 3, Ke)
    albedo_mean: Tensor  # (N, 3) linear in what the model's author used (mostly sRGB), 0 … 1
    albedo: Tensor  # (N, 3, Ka)
    identity_std: Tensor  # (Ki,)
    expression_std: Tensor  # (Ke,)
    albedo_std: Tensor  # (Ka,)
    expression_prior: str = "gaussian"  # or unit: blendshape weights in 0 … 1
    expression_names: tuple[str, ...] = ()
    landmarks: dict[str, SurfacePoints] = field(default_factory=dict)  # by scheme name
    regions: dict[str, Tensor] = field(default_factory=dict)  # (N,) weights 0 … 1 by name: face, skin, lips, …
    uv: Tensor | None = None  # (U, 2) texture coordinates, v up, 0 … 1
    uv_triangles: Tensor | None = None  # (F, 3) int64 into uv; U ≥ N where the texture has seams
    symmetry: Tensor | None = None  # (N,) int64 id of the mirror image of each vertex
    contour: Tensor | None = None  # (17, L) int64 vertices along which each jaw point may slide; rows end in repeats
    position_code: Tensor | None = None  # (N, 3) PNCC colours; None: min-max of the mean

    def __post_init__(self) -> None:
        _check(self)

    @property
    def num_vertices(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(Ki, Ke, Ka): numbers of identity, expression and albedo coefficients."""
        return self.identity.shape[-1], self.expression.shape[-1], self.albedo.shape[-1]

    @property
    def pncc(self) -> Tensor:
        """(N, 3) projected normalised coordinate code, 0 … 1 (Zhu et al. 2016, eq. 5)."""
        if self.position_code is not None:
            return self.position_code
        low, high = self.mean.amin(0), self.mean.amax(0)
        return (self.mean - low) / (high - low)

    @property
    def five_points(self) -> Tensor:
        """(5, 3) eye centres (viewer's left first), nose tip and mouth corners of the mean shape, dm."""
        points = self.points(self.mean, "ibug68")
        return torch.stack([points[list(group)].mean(0) for group in FIVE_OF_68])

    def shape(self, identity: Tensor, expression: Tensor | None = None) -> Tensor:
        """Vertices of faces.

        Args: identity (B, Ki); expression (B, Ke) or None for the neutral face. Fewer columns than the model has are
        allowed:
            the rest is 0.
        Returns: (B, N, 3) dm.
        """
        vertices = _combine(self.mean, self.identity, identity)
        return vertices if expression is None else vertices + _combine(None, self.expression, expression)

    def colours(self, albedo: Tensor) -> Tensor:
        """(B, Ka) albedo coefficients → (B, N, 3) albedo, not clipped."""
        return _combine(self.albedo_mean, self.albedo, albedo)

    def points(self, vertices: Tensor, scheme: str) -> Tensor:
        """(..., N, 3) vertices → (..., K, 3) landmarks of a scheme. Raises: FaceModelError if the model does not know
        it.
        """
        if scheme not in self.landmarks:
            known = ", ".join(sorted(self.landmarks)) or "none"
            raise FaceModelError(f"face model {self.name} has no landmarks '{scheme}'; it has: {known}.")
        return self.landmarks[scheme].of(vertices)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "FaceModel":
        """The model on a device; dtype changes its floating tensors only."""

        def move(value):
            if isinstance(value, Tensor):
                return value.to(device, dtype if value.is_floating_point() else None)
            if isinstance(value, SurfacePoints):
                return SurfacePoints(move(value.vertices), move(value.weights))
            return {key: move(item) for key, item in value.items()} if isinstance(value, dict) else value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def truncated(
        self, identity: int | None = None, expression: int | None = None, albedo: int | None = None
    ) -> "FaceModel":
        """The model with the leading components only."""
        return replace(
            self,
            identity=self.identity[..., :identity],
            identity_std=self.identity_std[:identity],
            expression=self.expression[..., :expression],
            expression_std=self.expression_std[:expression],
            expression_names=self.expression_names[:expression],
            albedo=self.albedo[..., :albedo],
            albedo_std=self.albedo_std[:albedo],
        )

    def submesh(self, keep: Tensor) -> "FaceModel":
        """The model on the vertices of a mask (N,) bool, with the triangles that lie wholly within.

        Landmark sets and contour lines that lose a vertex are dropped; a texture keeps all its coordinates.
        """
        new_id = torch.cumsum(keep, 0) - 1
        whole = keep[self.triangles].all(1)
        kept_landmarks = {name: p for name, p in self.landmarks.items() if keep[p.vertices].all()}
        symmetric = self.symmetry is not None and bool(keep[self.symmetry][keep].all())
        contour = self.contour if self.contour is not None and bool(keep[self.contour].all()) else None
        return replace(
            self,
            mean=self.mean[keep],
            triangles=new_id[self.triangles[whole]],
            identity=self.identity[keep],
            expression=self.expression[keep],
            albedo_mean=self.albedo_mean[keep],
            albedo=self.albedo[keep],
            landmarks={name: SurfacePoints(new_id[p.vertices], p.weights) for name, p in kept_landmarks.items()},
            regions={name: region[keep] for name, region in self.regions.items()},
            uv_triangles=None if self.uv_triangles is None else self.uv_triangles[whole],
            symmetry=new_id[self.symmetry[keep]] if symmetric else None,
            contour=None if contour is None else new_id[contour],
            position_code=None if self.position_code is None else self.position_code[keep],
        )

    def save(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write one safetensors file, beside its place and then renamed; dtype (float16 halves it) is that of the
        bases.
        """
        tensors, scalars = {}, {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                tensors[f.name] = value.to(dtype) if f.name in ("identity", "expression", "albedo") else value
            elif f.name == "landmarks":
                for name, points in value.items():
                    tensors[f"{LANDMARK_PREFIX}{name}.vertices"] = points.vertices
                    tensors[f"{LANDMARK_PREFIX}{name}.weights"] = points.weights
            elif f.name == "regions":
                tensors |= {f"{REGION_PREFIX}{name}": region.half() for name, region in value.items()}
            elif value is not None:
                scalars[f.name] = list(value) if isinstance(value, tuple) else value
        tensors = {
            k: (v.to(torch.int32) if v.dtype == torch.int64 else v).cpu().contiguous() for k, v in tensors.items()
        }
        write_file(path, save(tensors, metadata={"face_model": json.dumps({"format": FORMAT, **scalars})}))

    @classmethod
    def load(cls, path: Path) -> "FaceModel":
        """Read what `save` wrote. Raises: FaceModelError naming the file and what is wrong with it."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                scalars = json.loads((file.metadata() or {}).get("face_model", "null"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise FaceModelError(f"{path}: not a face model file ({error}).") from None
        if not isinstance(scalars, dict) or scalars.pop("format", None) != FORMAT:
            raise FaceModelError(f"{path}: a safetensors file, but not a face model of format {FORMAT}.")
        try:
            return cls(
                **_fields_from(tensors), **{k: tuple(v) if isinstance(v, list) else v for k, v in scalars.items()}
            )
        except (TypeError, KeyError, FaceModelError) as error:
            raise FaceModelError(f"{path}: {error}") from None


def _fields_from(tensors: dict[str, Tensor]) -> dict:
    """Dataclass fields from the flat names of a file, at full precision."""
    tensors = {k: v.float() if v.is_floating_point() else v.long() for k, v in tensors.items()}
    names = {k[len(LANDMARK_PREFIX) :].rsplit(".", 1)[0] for k in tensors if k.startswith(LANDMARK_PREFIX)}
    landmarks = {
        n: SurfacePoints(tensors[f"{LANDMARK_PREFIX}{n}.vertices"], tensors[f"{LANDMARK_PREFIX}{n}.weights"])
        for n in names
    }
    regions = {k[len(REGION_PREFIX) :]: v for k, v in tensors.items() if k.startswith(REGION_PREFIX)}
    plain = {k: v for k, v in tensors.items() if not k.startswith((LANDMARK_PREFIX, REGION_PREFIX))}
    return plain | {"landmarks": landmarks, "regions": regions}


def _combine(offset: Tensor | None, basis: Tensor, coefficients: Tensor) -> Tensor:
    """offset + basis·coefficients: (N, 3), (N, 3, K), (B, k ≤ K) → (B, N, 3)."""
    vertices, _, available = basis.shape
    count = coefficients.shape[1]
    if count > available:
        raise FaceModelError(f"{count} coefficients came for a basis of {available}")
    flat = coefficients @ basis[..., :count].reshape(vertices * 3, count).T
    flat = flat.unflatten(-1, (vertices, 3))
    return flat if offset is None else offset + flat


def _check(model: FaceModel) -> None:
    """Raise FaceModelError at the first field that contradicts the others."""
    count, mesh = len(model.mean), model.triangles

    def need(condition: bool, text: str) -> None:
        if not condition:
            raise FaceModelError(f"face model {model.name}: {text}.")

    need(
        model.expression_prior in PRIORS,
        f"expression_prior is '{model.expression_prior}', not one of {', '.join(PRIORS)}",
    )
    need(model.mean.shape == (count, 3) and count > 0, f"mean has shape {tuple(model.mean.shape)}, not (N, 3)")
    need(
        mesh.ndim == 2 and mesh.shape[1] == 3 and len(mesh) > 0, f"triangles have shape {tuple(mesh.shape)}, not (F, 3)"
    )
    for name in ("identity", "expression", "albedo"):
        basis, spread = getattr(model, name), getattr(model, f"{name}_std")
        need(
            basis.ndim == 3 and basis.shape[:2] == (count, 3),
            f"{name} has shape {tuple(basis.shape)}, not ({count}, 3, K)",
        )
        need(
            spread.shape == basis.shape[2:],
            f"{name}_std has {tuple(spread.shape)}, the basis {basis.shape[2]} components",
        )
        need(bool(torch.isfinite(basis).all()), f"{name} holds a number that is not finite")
    need(
        model.albedo_mean.shape == (count, 3),
        f"albedo_mean has shape {tuple(model.albedo_mean.shape)}, not ({count}, 3)",
    )
    need(bool(torch.isfinite(model.mean).all()), "mean holds a number that is not finite")
    indices = {"triangles": mesh, "contour": model.contour, "symmetry": model.symmetry}
    indices |= {f"landmarks {name}": points.vertices for name, points in model.landmarks.items()}
    for name, ids in indices.items():
        if ids is not None and ids.numel():
            need(0 <= int(ids.min()) and int(ids.max()) < count, f"{name} name a vertex outside 0 … {count - 1}")
    need(model.symmetry is None or len(model.symmetry) == count, "symmetry does not name one vertex for each vertex")
    for name, region in model.regions.items():
        need(region.shape == (count,), f"region {name} has shape {tuple(region.shape)}, not ({count},)")
    need((model.uv is None) == (model.uv_triangles is None), "uv and uv_triangles come together or not at all")
    if model.uv_triangles is not None:
        need(model.uv_triangles.shape == mesh.shape, "uv_triangles do not match the triangles")
        need(
            int(model.uv_triangles.max()) < len(model.uv),
            f"uv_triangles name a coordinate outside 0 … {len(model.uv) - 1}",
        )
    names = model.expression_names
    need(
        not names or len(names) == model.expression.shape[2],
        f"{len(names)} expression names for {model.sizes[1]} components",
    )
