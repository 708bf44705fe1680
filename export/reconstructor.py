"""Reconstructors as one module: aligned crops in, coefficients, landmarks and (if dense) vertices out."""

from torch import Tensor

from datasets.alignment import SIZE_PX
from export.module import ExportedModule
from geometry.cameras import rigid_transform
from morphable.model import FaceModel
from recon3d.reconstruction.coefficients import Coefficients, split
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import SCHEME


class ExportedReconstructor(ExportedModule):
    """Crops → coefficients (B, P) in the order of `recon3d.reconstruction.coefficients`, landmarks (B, 68, 2)
    continuous px of the crop on the mesh (jaw points do not slide to the silhouette), vertices (B, V, 3) x, y px and
    distance in dm.
    """

    size = SIZE_PX

    def __init__(self, net: ReconstructionNet, model: FaceModel, dense: bool) -> None:
        super().__init__()
        self.net, self.model, self.dense = net.float().eval(), model, dense
        self.camera = net.camera

    @property
    def outputs(self) -> list[str]:
        """Names in order."""
        return ["coefficients", "landmarks", *(["vertices"] if self.dense else [])]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, 224, 224) uint8 RGB → as `outputs` names them."""
        raw = self.net(crops.float() / 255)
        given = self._held(raw) if self.model.expression_prior == "unit" else split(self.model, raw)
        shape = self.model.shape(given.identity, given.expression)
        posed = rigid_transform(shape, given.rotation, given.translation)
        dense = [self.camera.project(posed)] if self.dense else []
        return given.vector(), self.camera.landmarks(self.model.points(posed, SCHEME)), *dense

    def _held(self, raw: Tensor) -> Coefficients:
        """Blendshape weights in 0 … 1 by a plain clamp, since the training's own gradient rule is no ONNX operator."""
        sizes = (*self.model.sizes, 3, 27, 3)
        identity, expression, albedo, angles, gamma, translation = raw.split(sizes, -1)
        return Coefficients(identity, expression.clamp(0, 1), albedo, angles, gamma.unflatten(-1, (3, 9)), translation)
