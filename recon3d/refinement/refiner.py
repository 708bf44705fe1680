"""The mesh refiner: features of a photo and a face model's shape in, a free-form shape out; build, save, load.

refiner = MeshRefiner(RefinerConfig(features=512), cached_pyramid(model.mean, model.triangles, folder), "head")
vertices = refiner(features, vertices)                 # (B, Z), (B, N, 3) dm → (B, N, 3) dm
refiner.save(folder);  refiner = load_refiner("session").refiner
"""

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from networks.graph_generators import GeneratorConfig, GraphGenerator
from recon3d.refinement.meshes import MeshGraphError
from recon3d.refinement.pyramid import MeshPyramid
from recon3d.refinement.stored import OnFaceMesh, load_stored

KIND = "mesh_refiner"
OUTPUTS = ("offset", "absolute")
FLAT = 1e-6  # features of a smaller deviation say nothing and are left alone


@dataclass(frozen=True)
class RefinerConfig:
    """What a `MeshRefiner` is.

    Attributes:
        features: Z, length of the feature vector (3,840 in GCN_ResNet: R-Net's 2,048 and FaceNet's 1,792).
        output: "offset", the given shape plus range_dm · tanh, 0 at the start; "absolute", the mesh's middle plus
            range_dm · tanh, as GCN_ResNet has it, which knows the given shape only through its layers.
        range_dm: how far a coordinate may go; an offset of at most 2 cm, or the ±1 dm into which the Basel face just
            fits.
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
            self.features,
            3,
            self.width,
            self.activation,
            self.initialisation,
            zero_head=offset,
            rectified=self.rectified,
        )


class MeshRefiner(OnFaceMesh):
    """A `GraphGenerator` on the pyramid of one mesh, which is stored with its weights.

    Raises: MeshGraphError when an absolute output cannot reach the whole mesh, or the pyramid has not five levels.
    """

    title = "mesh refiner"

    def __init__(self, config: RefinerConfig, pyramid: MeshPyramid, face_model: str = "") -> None:
        super().__init__(pyramid, face_model)
        self.config = config
        self.network = GraphGenerator(config.generator(), self.levels())
        template = self.pyramid.vertices_0
        self.register_buffer("middle", template.mean(0), persistent=False)
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_spread", torch.ones(config.features))
        reach = float((template - self.middle).abs().max())
        if config.output == "absolute" and reach >= config.range_dm:
            raise MeshGraphError(
                f"the mesh reaches {reach:.2f} dm from its middle, an absolute output only {config.range_dm}"
                " dm; use a larger"
                " range or the offset output."
            )

    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation of the features of many faces (n, Z) for those of its input: pooled features are far
        from zero mean. GCN_ResNet has no such step; before the call, features go in as they are.
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
        return {"kind": KIND, "refiner": asdict(self.config), **super().describe()}


@dataclass(frozen=True)
class LoadedRefiner:
    """Attributes: refiner; info, config.json of the snapshot; folder that it came from."""

    refiner: MeshRefiner
    info: dict
    folder: Path


def load_refiner(name: str | Path, snapshots: Path | None = None) -> LoadedRefiner:
    """Load by bundled name, session, session/epoch or path.

    Args: snapshots: folder of sessions, default that of local_config.ini.
    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another kind.
    """

    def build(info: dict, pyramid: MeshPyramid) -> MeshRefiner:
        known = {field.name for field in dataclasses.fields(RefinerConfig)}
        config = RefinerConfig(**{key: value for key, value in info["refiner"].items() if key in known})
        return MeshRefiner(config, pyramid, info.get("face_model", ""))

    stored = load_stored(name, snapshots, KIND, MeshRefiner.title, build)
    return LoadedRefiner(stored.network, stored.info, stored.folder)
