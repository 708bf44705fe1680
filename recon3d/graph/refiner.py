"""The mesh refiner: features of a photo and a face model's shape in, a free-form shape out; build, save, load.

refiner = MeshRefiner(RefinerConfig(features=512), cached_pyramid(model.mean, model.triangles, folder), "head")
vertices = refiner(features, vertices)                 # (B, Z), (B, N, 3) dm → (B, N, 3) dm
refiner.save(folder);  refiner = load_refiner("session").refiner
"""

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from geometry.face_model import FaceModel
from networks.graph_generators import GeneratorConfig, GraphGenerator
from recon3d.graph.levels import graph_levels
from recon3d.graph.meshes import MeshGraphError
from recon3d.graph.pyramid import MeshPyramid
from training.checkpoint import CheckpointError, load_strict, read_config, read_tensors, resolve_snapshot, save_snapshot

KIND = "mesh_refiner"
PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
OUTPUTS = ("offset", "absolute")
FLAT = 1e-6  # features of a smaller deviation say nothing and are left alone


@dataclass(frozen=True)
class RefinerConfig:
    """What a `MeshRefiner` is.

    Attributes:
        features: Z, length of the feature vector (3,840 in the seed: R-Net's 2,048 and FaceNet's 1,792).
        output: "offset", the given shape plus range_dm · tanh, 0 at the start; "absolute", the mesh's middle plus
            range_dm · tanh, as GCN_ResNet has it, which knows the given shape only through its layers.
        range_dm: how far a coordinate may go; an offset of at most 2 cm, or the ±1 dm into which the Basel face just fits.
        width, activation, initialisation, rectified: see `GeneratorConfig`.
    """

    features: int
    output: str = "offset"
    range_dm: float = 0.2
    width: int = 1
    activation: str = "elu"
    initialisation: str = "he"
    rectified: bool = False

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise ValueError(f"unknown output of the refiner '{self.output}'; choose {' or '.join(OUTPUTS)}.")
        if not self.range_dm > 0:
            raise ValueError(f"range_dm is {self.range_dm}; a refiner needs a positive one.")
        self.generator()  # checks the rest

    @classmethod
    def of_authors(cls, features: int = 3840) -> "RefinerConfig":
        """GCN_ResNet's generator."""
        return cls(features, "absolute", 1.0, activation="relu", initialisation="authors", rectified=True)

    def generator(self) -> GeneratorConfig:
        """The network's part of it."""
        offset = self.output == "offset"
        return GeneratorConfig(
            self.features, 3, self.width, self.activation, self.initialisation, zero_head=offset, rectified=self.rectified
        )


class MeshRefiner(nn.Module):
    """A `GraphGenerator` on the pyramid of one mesh, which is stored with its weights.

    Raises: MeshGraphError when an absolute output cannot reach the whole mesh, or the pyramid has not five levels.
    """

    def __init__(self, config: RefinerConfig, pyramid: MeshPyramid, face_model: str = "") -> None:
        super().__init__()
        if len(pyramid.sizes) != 5:
            raise MeshGraphError(f"the refiner needs a pyramid of five levels, not {len(pyramid.sizes)}.")
        self.config, self.face_model, self.digest = config, face_model, pyramid.digest
        arrays = {k: v.astype("float32") if v.dtype.kind == "f" else v for k, v in pyramid.arrays().items()}
        pyramid = MeshPyramid.from_arrays(pyramid.digest, arrays)  # at the precision of the file, or a resumed run would differ
        self.network = GraphGenerator(config.generator(), graph_levels(pyramid))
        template = torch.from_numpy(pyramid.vertices[0]).float()
        self.register_buffer("middle", template.mean(0), persistent=False)
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_spread", torch.ones(config.features))
        reach = float((template - self.middle).abs().max())
        if config.output == "absolute" and reach >= config.range_dm:
            raise MeshGraphError(
                f"the mesh reaches {reach:.2f} dm from its middle, an absolute output only {config.range_dm} dm; use a larger"
                " range or the offset output."
            )
        self.pyramid = nn.Module()
        for name, array in arrays.items():
            self.pyramid.register_buffer(name.replace(".", "_"), torch.from_numpy(array))

    @property
    def num_vertices(self) -> int:
        """N."""
        return len(self.pyramid.vertices_0)

    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation of the features of many faces (n, Z) for those of its input: pooled features are far from
        zero mean. The seed has no such step; before the call, features go in as they are.
        """
        spread, mean = torch.std_mean(features, 0, correction=0)
        self.feature_mean.copy_(mean)
        self.feature_spread.copy_(torch.where(spread > FLAT, spread, 1.0))

    def forward(self, features: Tensor, vertices: Tensor) -> Tensor:
        """(B, Z) features, (B, N, 3) unposed vertices in dm → (B, N, 3) refined ones.

        Raises: ValueError for features or vertices of another size.
        """
        if features.shape[1:] != (self.config.features,) or vertices.shape[1:] != (self.num_vertices, 3):
            raise ValueError(
                f"features of shape {tuple(features.shape)} and vertices of shape {tuple(vertices.shape)} came where"
                f" (B, {self.config.features}) and (B, {self.num_vertices}, 3) are expected."
            )
        with torch.autocast(vertices.device.type, enabled=False):  # sparse products know no half precision
            features = (features.to(vertices.dtype) - self.feature_mean) / self.feature_spread
            movement = self.config.range_dm * self.network(features, vertices)
        return (vertices if self.config.output == "offset" else self.middle) + movement

    def describe(self) -> dict:
        """JSON-ready content of config.json that `load_refiner` rebuilds this from."""
        return {"kind": KIND, "refiner": asdict(self.config), "pyramid": self.digest, "face_model": self.face_model}

    def check_fits(self, model: FaceModel) -> None:
        """Raises: MeshGraphError when a face model has another mesh than the one that this was made for."""
        triangles = self.pyramid.triangles_0.cpu()
        if model.num_vertices != self.num_vertices or not torch.equal(model.triangles.cpu().int(), triangles):
            raise MeshGraphError(
                f"the refiner was made for the mesh of '{self.face_model}' ({self.num_vertices} vertices), not for that of"
                f" {model.name} ({model.num_vertices}); choose the face model that it was trained with."
            )

    def save(self, folder: Path, half: bool = False) -> None:
        """Write a snapshot without training state; half: weights in fp16, the form of bundled models."""
        tensors = self.state_dict()
        if half:
            tensors = {k: v.half() if k.startswith("network.") else v for k, v in tensors.items()}
        save_snapshot(folder, tensors, self.describe())


@dataclass(frozen=True)
class LoadedRefiner:
    """Attributes: refiner; info, config.json of the snapshot; folder that it came from."""

    refiner: MeshRefiner
    info: dict
    folder: Path


def load_refiner(name: str, snapshots: Path = Path("data/models/snapshots")) -> LoadedRefiner:
    """Load by bundled name, session, session/epoch or path.

    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another kind.
    """
    folder = resolve_snapshot(str(name), snapshots, PRETRAINED)
    info = read_config(folder)
    if info.get("kind") != KIND:
        raise CheckpointError(f"{folder}: holds a '{info.get('kind')}', not a mesh refiner; choose another snapshot.")
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in read_tensors(folder / "model.safetensors").items()}
    stored = {k.removeprefix("pyramid.").replace("_", "."): v.numpy() for k, v in tensors.items() if k.startswith("pyramid.")}
    try:
        pyramid = MeshPyramid.from_arrays(info["pyramid"], stored)
        fields = {field.name for field in dataclasses.fields(RefinerConfig)}
        config = RefinerConfig(**{key: value for key, value in info["refiner"].items() if key in fields})
        refiner = MeshRefiner(config, pyramid, info.get("face_model", ""))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{folder}: its description is not usable ({error}); copy the snapshot again.") from None
    load_strict(refiner, tensors, folder)
    return LoadedRefiner(refiner.eval(), info, folder)
