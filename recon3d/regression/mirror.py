"""Mirrored faces for training: parameters of a face seen in a mirror, where the face model can express it."""

import torch
from torch import Tensor

from common.errors import DataError
from datasets.augment import hash_uniform
from geometry.schemes import IBUG_68
from geometry.units import MM_PER_DM
from morphable.model import FaceModel
from recon3d.regression.data import RegressionBatch
from recon3d.regression.params import MATRIX_COLUMNS, Layout

TOLERANCE_MM = 0.25  # how far vertices and landmarks of a mirrored face of one spread may lie off, r.m.s.
STREAM = 14  # of hash_uniform


class FaceMirror:
    """Mirrors crops and their parameters; coefficients follow by re-projection onto the model's own modes.

    A mirrored face has the vertex π(i) mirrored in the place of vertex i, so its shape is mean + modes · (Gα + c) where
    the modes span their own mirror images. That holds for models built symmetric, and is measured before anything is
    mirrored.
    Args: model; layout of the parameters; share of the samples; seed.
    Raises: DataError for a model without mirror partners, or whose modes miss the mirrored faces by more than 0.25 mm.
    """

    def __init__(self, model: FaceModel, layout: Layout, share: float = 0.5, seed: int = 0) -> None:
        self.layout, self.share, self.seed = layout, share, seed
        if model.symmetry is None:
            raise DataError(
                f"--flip: face model {model.name} knows no mirror partners of its vertices; train without it."
            )
        partners, device = model.symmetry.cpu(), model.mean.device
        spread = (
            torch.cat([model.identity_std[: layout.identity], model.expression_std[: layout.expression]]).cpu().double()
        )
        modes = [model.identity[..., : layout.identity], model.expression[..., : layout.expression]]
        modes, mean = torch.cat(modes, dim=-1).cpu().double() * spread, model.mean.cpu().double()
        side = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
        reflected = torch.cat([modes[partners] * side[:, None], (mean[partners] * side - mean)[..., None]], dim=-1)
        basis = modes.flatten(0, 1)
        solution = torch.linalg.lstsq(basis, reflected.flatten(0, 1)).solution
        off = reflected - (basis @ solution).unflatten(0, (-1, 3))
        points = model.landmarks["ibug68"]
        swap = torch.as_tensor(IBUG_68.flip_permutation)
        shown = points.of(torch.cat([modes, mean[..., None]], -1).flatten(1).cpu()).unflatten(1, (3, -1))
        own = points.of((basis @ solution).unflatten(0, (-1, 3)).flatten(1)).unflatten(1, (3, -1))
        own[..., -1] += shown[..., -1]
        landmarks_off = own - shown[swap] * side[:, None]
        self.residual_mm = max(MM_PER_DM * float(t.square().sum((1, 2)).mean().sqrt()) for t in (off, landmarks_off))
        if not self.residual_mm <= TOLERANCE_MM:
            raise DataError(
                f"--flip: mirrored faces lie {self.residual_mm:.2f} mm off what face model {model.name} can express;"
                " train without it."
            )
        self._linear = (spread[:, None] * solution[:, :-1] / spread).float().T.contiguous().to(device)
        self._offset = (spread * solution[:, -1]).float().to(device)

    def __call__(self, batch: RegressionBatch, step: int) -> RegressionBatch:
        """Mirror that share of a batch, chosen by seed, step and sample."""
        chosen = hash_uniform(self.seed, step, batch.indices, STREAM, 1)[:, 0] < self.share
        images = torch.where(chosen[:, None, None, None], batch.images.flip(-1), batch.images)
        mirrored = self.mirror(batch.parameters, batch.images.shape[-1])
        parameters = torch.where(chosen[:, None], mirrored, batch.parameters)
        swapped = batch.landmarks[:, torch.as_tensor(IBUG_68.flip_permutation)]
        swapped = torch.stack([batch.images.shape[-1] - swapped[..., 0], swapped[..., 1]], dim=-1)
        landmarks = torch.where(chosen[:, None, None], swapped, batch.landmarks)
        return RegressionBatch(images, parameters, batch.indices, landmarks)

    def mirror(self, parameters: Tensor, width: float) -> Tensor:
        """(B, P) parameters, continuous convention, in a crop of that width → those of its mirror image."""
        pose, coefficients = parameters[:, :12].clone(), parameters[:, 12:]
        signs = pose.new_tensor([1, -1, -1, -1, 1, 1, -1, 1, 1])  # both sides of A change x
        pose[:, list(MATRIX_COLUMNS)] *= signs
        pose[:, 3] = width - pose[:, 3]
        return torch.cat([pose, torch.addmm(self._offset, coefficients, self._linear)], dim=1)
