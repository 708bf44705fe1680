"""Stage `gcn`: train a mesh refiner behind a frozen regressor; see `training.loop.Method`.

One batch serves features, shapes and losses. (GCN_ResNet draws three different batches per step for these.)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from common.runtime import apply_gradients
from geometry.mesh.normals import vertex_normals
from geometry.units import MM_PER_DM
from morphable.model import FaceModel
from recon3d.refinement.batch import RefinementBatch
from recon3d.refinement.refiner import MeshRefiner
from recon3d.regression.method import box_nme
from training.loop import EpochPosition

# refined shapes (B, N, 3), unposed dm, and their batch → (B, 68, 2) px in the crop
Landmarks = Callable[[Tensor, RefinementBatch], Tensor]


@dataclass(frozen=True)
class RefinementWeights:
    """Weights of the terms, 0 = off; the first three are GCN_ResNet's.

    landmark, per px²; shape: half mean square distance to the face model's shape, per dm²; normal: mean square
    difference of the normals; truth: mean distance to the true shape, per dm. Where the true shape is
    known and that weight is on, the imitation losses are off: no shape term, normals compared with the true ones.
    """

    landmark: float = 1.6e-3
    shape: float = 100.0
    normal: float = 100.0
    truth: float = 0.0


def refinement_terms(
    found: Tensor,
    batch: RefinementBatch,
    model: FaceModel,
    landmarks: Landmarks,
    landmark_weights: Tensor,
    weights: RefinementWeights,
    vertex_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Named unweighted terms of refined shapes (B, N, 3), and their weighted sum `loss`.

    Args: landmarks: where the landmarks of shapes lie; landmark_weights (68,); vertex_weights (N,) of the truth term,
        default all alike.
    Shape and normals are compared unposed: the rigid motion cancels.
    """
    terms: dict[str, Tensor] = {}
    total = found.new_zeros(())
    target, imitating = batch.vertices, None
    if weights.truth and batch.truth is not None:
        known = torch.isfinite(batch.truth[:, 0, 0])
        target = torch.where(known[:, None, None], batch.truth, batch.vertices)
        imitating = (~known).to(found)
        terms["l_truth"] = _mean_over(known, _distance(found, target, vertex_weights))
        total = total + weights.truth * terms["l_truth"]
    if weights.shape:
        squared = (found - target).square().mean((1, 2))
        terms["l_shape"] = 0.5 * (squared if imitating is None else squared * imitating).mean()
        total = total + weights.shape * terms["l_shape"]
    if weights.normal:
        with torch.no_grad():
            wanted = vertex_normals(target, model.triangles)
        terms["l_normal"] = (vertex_normals(found, model.triangles) - wanted).square().mean()
        total = total + weights.normal * terms["l_normal"]
    if weights.landmark and batch.landmarks is not None:
        seen = torch.isfinite(batch.landmarks).all(-1)
        gap = (landmarks(found, batch) - batch.landmarks.nan_to_num()).square().sum(-1) * seen
        terms["l_landmark"] = (landmark_weights * gap).sum() / seen.numel()
        total = total + weights.landmark * terms["l_landmark"]
    return terms | {"loss": total}


def _distance(found: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """(B,) weighted mean distance of vertices (B, N, 3)."""
    distance = (found - truth).norm(dim=-1)
    return distance.mean(1) if weights is None else distance @ (weights / weights.sum())


def _mean_over(known: Tensor, values: Tensor) -> Tensor:
    """Mean of the values (B,) of the known rows; 0 without one."""
    return (values * known).sum() / known.sum().clamp_min(1)


class RefinerMethod:
    """One refiner, trained alone.

    Args:
        networks: the refiner, on the device.  model: its face model, there too, with landmarks ibug68.
        prepare: what turns a batch of the loader into a `RefinementBatch` on the device, given the training's step, or
            None in validation; runs without gradient, so a frozen regressor belongs in it.
        landmarks, landmark_weights, weights, vertex_weights: see `refinement_terms`.
        learning_rate: of Adam.  clip_norm: of gradients, 0 = off.  describe: further content of config.json.
        validation: gives the loader's batches anew at each call, or None.
        strips: draws pictures with the refiner, (H, W, 3) uint8 RGB, or None.
    Raises: MeshGraphError when refiner and face model do not fit.
    """

    stage = "gcn"

    def __init__(
        self,
        networks: MeshRefiner,
        model: FaceModel,
        accelerator: Accelerator,
        prepare: Callable[[object, int | None], RefinementBatch],
        landmarks: Landmarks,
        landmark_weights: Tensor,
        weights: RefinementWeights = RefinementWeights(),
        learning_rate: float = 1e-4,
        clip_norm: float = 5.0,
        describe: dict | None = None,
        validation: Callable[[], Iterable[object]] | None = None,
        vertex_weights: Tensor | None = None,
        strips: Callable[[MeshRefiner], np.ndarray] | None = None,
    ) -> None:
        networks.check_fits(model)
        self.networks, self.model, self.accelerator = networks.train(), model, accelerator
        self.prepare, self.landmarks, self.weights, self.clip_norm = prepare, landmarks, weights, clip_norm
        self.landmark_weights, self.vertex_weights = landmark_weights, vertex_weights
        self.validation, self.strips, self.description = validation, strips, describe or {}
        self.optimizers = {"gcn": torch.optim.Adam(networks.network.parameters(), learning_rate)}

    def training_step(self, batch: object, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of the refiner."""
        with torch.no_grad():
            ready = self.prepare(batch, step)
        terms = self._terms(self.networks(ready.features, ready.vertices), ready)
        self.accelerator.backward(terms["loss"])
        apply_gradients(self.optimizers["gcn"], self.accelerator, self.clip_norm)
        return terms

    def _terms(self, found: Tensor, ready: RefinementBatch) -> dict[str, Tensor]:
        return refinement_terms(
            found, ready, self.model, self.landmarks, self.landmark_weights, self.weights, self.vertex_weights
        )

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Means over the validation faces: terms; before and after, landmark NME in % of the box and, of the faces with
        a true shape, the error per vertex in mm.

        `score` is the latter after refinement where there is truth, else the NME, else the loss.
        """
        if self.validation is None:
            return {}
        self.networks.eval()
        rows: dict[str, list[Tensor]] = {}
        for batch in self.validation():
            ready = self.prepare(batch, None)
            found = self.networks(ready.features, ready.vertices)
            for name, value in self._terms(found, ready).items():
                rows.setdefault(name, []).append(value.expand(len(found)))
            for name, shape in (("given", ready.vertices), ("refined", found)):
                for measure, values in self._errors(shape, ready).items():
                    rows.setdefault(f"{name}_{measure}", []).append(values)
        self.networks.train()
        scores = {name: float(torch.cat(values).double().nanmean()) for name, values in rows.items()}
        scores = {name: value for name, value in scores.items() if value == value}
        best = next((scores[name] for name in ("refined_mm", "refined_nme", "loss") if name in scores), None)
        return scores if best is None else scores | {"score": best}

    def _errors(self, shape: Tensor, ready: RefinementBatch) -> dict[str, Tensor]:
        """(B,) each, NaN where nothing is known."""
        errors = {}
        if ready.truth is not None:
            errors["mm"] = MM_PER_DM * _distance(shape, ready.truth, self.vertex_weights)
        if ready.landmarks is not None:
            errors["nme"] = box_nme(self.landmarks(shape, ready), ready.landmarks)
        return errors

    @torch.no_grad()
    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Strips of the first validation photos, where something draws them."""
        if self.strips is None:
            return {}
        strips = self.strips(self.networks.eval())
        self.networks.train()
        return {"imgs": strips}

    def histograms(self, epoch: int) -> dict[str, Tensor]:
        """Weights and biases of the generator."""
        return {f"gcn/{name}": parameter for name, parameter in self.networks.network.named_parameters()}

    def config(self) -> dict:
        """Content of config.json."""
        return {**self.networks.describe(), **self.description}

    def step_line(self, means: dict[str, float]) -> str:
        """All terms, unweighted, then their weighted sum."""
        terms = (f"{name.removeprefix('l_')}={value:.5g}" for name, value in means.items() if name.startswith("l_"))
        return f"loss={means.get('loss', -1.0):.5g} {' '.join(terms)}"
