"""A generator of albedo per vertex (Lin et al. 2020) behind a reconstructor, and how it is loaded."""

from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from networks.graph_generators import GeneratorConfig
from networks.graph_unet import GENERATORS
from recon3d.refinement.pyramid import MeshPyramid
from recon3d.refinement.stored import OnFaceMesh, Stored, load_stored
from recon3d.refinement.texture_losses import SIGNAL_CHANNELS, TextureBatch, texture_signal

KIND = "texture_refiner"


class TextureRefiner(OnFaceMesh):
    """A `TextureBatch` in, albedo per vertex out. Raises: MeshGraphError for a pyramid without five levels."""

    title = "texture refiner"

    def __init__(
        self, features: int, pyramid: MeshPyramid, face_model: str = "", width: int = 1, layout: str = "resnet"
    ) -> None:
        super().__init__(pyramid, face_model)
        self.config, self.layout = GeneratorConfig(features, SIGNAL_CHANNELS, width, activation="elu"), layout
        self.network = GENERATORS[layout](self.config, self.levels())

    def forward(self, batch: TextureBatch) -> Tensor:
        """(B, N, 3) albedo, 0 … 1."""
        return 0.5 + 0.5 * self.network(batch.features, texture_signal(batch))

    def describe(self) -> dict:
        """JSON-ready content of config.json."""
        return {"kind": KIND, "generator": asdict(self.config), "layout": self.layout, **super().describe()}


def load_texture_refiner(name: str | Path, snapshots: Path | None = None) -> Stored[TextureRefiner]:
    """Load by bundled name, session, session/epoch or path; a critic's tensors are among `others`.

    Args: snapshots: folder of sessions, default that of local_config.ini.
    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another kind.
    """

    def build(info: dict, pyramid: MeshPyramid) -> TextureRefiner:
        generator = info["generator"]
        name, layout = info.get("face_model", ""), info.get("layout", "resnet")
        return TextureRefiner(generator["features"], pyramid, name, generator["width"], layout)

    return load_stored(name, snapshots, KIND, TextureRefiner.title, build, "refiner.")
