"""What graph networks of a face model's mesh have in common: the pyramid is stored with the weights, and read from
there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from common.checkpoint import read_snapshot, resolve_snapshot, save_snapshot
from morphable.model import FaceModel
from networks.graph import GraphLevels
from recon3d.refinement.levels import graph_levels
from recon3d.refinement.meshes import MeshGraphError
from recon3d.refinement.pyramid import MeshPyramid

LEVELS = 5


class OnFaceMesh(nn.Module):
    """A network on the mesh of one face model. Raises: MeshGraphError for a pyramid without five levels."""

    title = "graph network"  # in messages

    def __init__(self, pyramid: MeshPyramid, face_model: str) -> None:
        super().__init__()
        if len(pyramid.sizes) != LEVELS:
            raise MeshGraphError(f"the {self.title} needs a pyramid of five levels, not {len(pyramid.sizes)}.")
        self.face_model, self.digest = face_model, pyramid.digest
        self.pyramid = nn.Module()
        for name, array in _as_stored(pyramid).items():
            self.pyramid.register_buffer(name.replace(".", "_"), torch.from_numpy(array))

    def levels(self) -> GraphLevels:
        """Constants of the pyramid at the precision of the file, or a resumed run would differ from an uninterrupted
        one.
        """
        return graph_levels(MeshPyramid.from_arrays(self.digest, _stored_arrays(self.state_dict())))

    @property
    def num_vertices(self) -> int:
        """N."""
        return len(self.pyramid.vertices_0)

    def describe(self) -> dict:
        """JSON-ready content of config.json."""
        return {"pyramid": self.digest, "face_model": self.face_model}

    def check_fits(self, model: FaceModel) -> None:
        """Raises: MeshGraphError when a face model has another mesh than the one that this was made for."""
        triangles = self.pyramid.triangles_0.cpu()
        if model.num_vertices != self.num_vertices or not torch.equal(model.triangles.cpu().int(), triangles):
            raise MeshGraphError(
                f"the {self.title} was made for the mesh of '{self.face_model}' ({self.num_vertices} vertices),"
                " not for that of"
                f" {model.name} ({model.num_vertices}); choose the face model that it was trained with."
            )

    def save(self, folder: Path, half: bool = False, describe: dict | None = None) -> None:
        """Write a snapshot without training state; half: weights in fp16, the form of bundled models; describe: more
        content of config.json.
        """
        tensors = self.state_dict()
        if half:
            tensors = {k: v.half() if k.startswith("network.") else v for k, v in tensors.items()}
        save_snapshot(folder, tensors, {**self.describe(), **(describe or {})})


Network = TypeVar("Network", bound=OnFaceMesh)


@dataclass(frozen=True)
class Stored(Generic[Network]):
    """Attributes: network; info, config.json of the snapshot; folder that it came from; tensors of other networks
    beside it.
    """

    network: Network
    info: dict
    folder: Path
    others: dict[str, torch.Tensor]


def load_stored(
    name: str | Path,
    snapshots: Path | None,
    kind: str,
    title: str,
    build: Callable[[dict, MeshPyramid], Network],
    prefix: str = "",
) -> Stored[Network]:
    """Load by bundled name, session, session/epoch or path.

    Args: snapshots: folder of sessions, None: that of local_config.ini; kind, of config.json, and its title in
    messages;
        build: from config.json and pyramid; prefix: of its tensors in files that hold several networks.
    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another kind.
    """
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), f"a {title}", kind)
    info, tensors = snapshot.info, snapshot.tensors
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)} or tensors
    network = snapshot.restore(
        lambda: build(info, MeshPyramid.from_arrays(info["pyramid"], _stored_arrays(own))), tensors=own
    )
    others = {k: v for k, v in tensors.items() if not k.startswith(prefix)} if own is not tensors else {}
    return Stored(network, info, snapshot.folder, others)


def _as_stored(pyramid: MeshPyramid) -> dict:
    return {k: v.astype("float32") if v.dtype.kind == "f" else v for k, v in pyramid.arrays().items()}


def _stored_arrays(tensors: dict[str, torch.Tensor]) -> dict:
    """Arrays of a pyramid by the names of `MeshPyramid.arrays`."""
    kept = {k.removeprefix("pyramid."): v for k, v in tensors.items() if k.startswith("pyramid.")}
    return {name.replace("_", "."): value.cpu().numpy() for name, value in kept.items()}
