"""Stage `gcn`: train a mesh refiner behind a frozen regressor; see `training.loop.Method`.

One batch serves features, shapes and losses. (The seed draws three different batches per step for these.)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from geometry.cameras import rigid_transform
from geometry.face_model import FaceModel
from geometry.normals import vertex_normals
from recon3d.graph.refiner import MeshRefiner
from training.runtime import apply_gradients

SCHEME = "ibug68"
MM_PER_DM = 100


@dataclass(frozen=True)
class RefinementBatch:
    """What a refiner sees and is judged by; no gradient flows into it.

    Attributes:
        features: (B, Z) of frozen networks.  vertices: (B, N, 3) the face model's shape, unposed, dm.
        rotation, translation: (B, 3, 3) and (B, 3) dm, model → camera.
        landmarks: (B, 68, 2) continuous px, y down, in the regressor's crop; NaN = unknown; None where there are none.
        truth: (B, N, 3) true shape, unposed, where faces are synthetic, or None.
    """

    features: Tensor
    vertices: Tensor
    rotation: Tensor
    translation: Tensor
    landmarks: Tensor | None = None
    truth: Tensor | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Tensor]) -> "RefinementBatch":
        """From named tensors; others than the attributes are left out. Raises: TypeError naming one that is missing."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


@dataclass(frozen=True)
class RefinementWeights:
    """Weights of the terms, 0 = off; the first three are the seed's.

    landmark, per px²; shape: half mean square distance to the face model's shape, per dm²; normal: mean square difference of
    the normals; truth: mean distance to the true shape, per dm.
    """

    landmark: float = 1.6e-3
    shape: float = 100.0
    normal: float = 100.0
    truth: float = 0.0


def refinement_terms(
    found: Tensor,
    batch: RefinementBatch,
    model: FaceModel,
    project: Callable[[Tensor], Tensor],
    landmark_weights: Tensor,
    weights: RefinementWeights,
) -> dict[str, Tensor]:
    """Named unweighted terms of refined shapes (B, N, 3), and their weighted sum `loss`.

    Args: project: (B, K, 3) posed points, dm → (B, K, 2) px in the crop; landmark_weights (68,).
    Shape and normals are compared unposed: the rigid motion cancels.
    """
    terms: dict[str, Tensor] = {}
    total = found.new_zeros(())
    if weights.shape:
        terms["l_shape"] = 0.5 * (found - batch.vertices).square().mean()
        total = total + weights.shape * terms["l_shape"]
    if weights.normal:
        normals = (vertex_normals(vertices, model.triangles) for vertices in (found, batch.vertices))
        terms["l_normal"] = torch.sub(*normals).square().mean()
        total = total + weights.normal * terms["l_normal"]
    if weights.landmark and batch.landmarks is not None:
        points = rigid_transform(model.points(found, SCHEME), batch.rotation, batch.translation)
        known = torch.isfinite(batch.landmarks).all(-1)
        gap = (project(points) - batch.landmarks.nan_to_num()).square().sum(-1) * known
        terms["l_landmark"] = (landmark_weights * gap).sum() / known.numel()
        total = total + weights.landmark * terms["l_landmark"]
    if weights.truth and batch.truth is not None:
        terms["l_truth"] = (found - batch.truth).norm(dim=-1).mean()
        total = total + weights.truth * terms["l_truth"]
    return terms | {"loss": total}


class RefinerMethod:
    """One refiner, trained alone.

    Args:
        networks: the refiner, on the device.  model: its face model, there too, with landmarks ibug68.
        prepare: what turns a batch of the loader into a `RefinementBatch` on the device; runs without gradient, so a frozen
            regressor belongs in it.
        project, landmark_weights, weights: see `refinement_terms`.
        learning_rate: of Adam.  clip_norm: of gradients, 0 = off.  describe: further content of config.json.
        validation: gives the loader's batches anew at each call, or None.
    Raises: MeshGraphError when refiner and face model do not fit.
    """

    stage = "gcn"

    def __init__(
        self,
        networks: MeshRefiner,
        model: FaceModel,
        accelerator: Accelerator,
        prepare: Callable[[object], RefinementBatch],
        project: Callable[[Tensor], Tensor],
        landmark_weights: Tensor,
        weights: RefinementWeights = RefinementWeights(),
        learning_rate: float = 1e-4,
        clip_norm: float = 5.0,
        describe: dict | None = None,
        validation: Callable[[], Iterable[object]] | None = None,
    ) -> None:
        networks.check_fits(model)
        self.networks, self.model, self.accelerator = networks.train(), model, accelerator
        self.prepare, self.project, self.weights, self.clip_norm = prepare, project, weights, clip_norm
        self.landmark_weights, self.validation, self.description = landmark_weights, validation, describe or {}
        self.optimizers = {"gcn": torch.optim.Adam(networks.network.parameters(), learning_rate)}

    def training_step(self, batch: object, step: int) -> dict[str, Tensor]:
        """One update of the refiner."""
        with torch.no_grad():
            ready = self.prepare(batch)
        terms = self._terms(self.networks(ready.features, ready.vertices), ready)
        self.accelerator.backward(terms["loss"])
        apply_gradients(self.optimizers["gcn"], self.accelerator, self.clip_norm)
        return terms

    def _terms(self, found: Tensor, ready: RefinementBatch) -> dict[str, Tensor]:
        return refinement_terms(found, ready, self.model, self.project, self.landmark_weights, self.weights)

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Means over the validation batches: terms; on true shapes the error per vertex in mm, before and after.

        `score` is the error after where there is truth, else the loss.
        """
        if self.validation is None:
            return {}
        self.networks.eval()
        sums: dict[str, Tensor] = {}
        count = 0
        for batch in self.validation():
            ready = self.prepare(batch)
            found = self.networks(ready.features, ready.vertices)
            values = self._terms(found, ready)
            if ready.truth is not None:
                for name, shape in (("given_mm", ready.vertices), ("refined_mm", found)):
                    values[name] = MM_PER_DM * (shape - ready.truth).norm(dim=-1).mean()
            for name, value in values.items():
                sums[name] = sums.get(name, 0) + value.double() * len(found)
            count += len(found)
        self.networks.train()
        scores = {name: float(total) / count for name, total in sums.items()}
        return scores | {"score": scores.get("refined_mm", scores["loss"])} if scores else {}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None; strips are drawn where the renderer is (stage rnet)."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return {**self.networks.describe(), **self.description}

    def step_line(self, means: dict[str, float]) -> str:
        """All terms, unweighted, then their weighted sum."""
        terms = (f"{name.removeprefix('l_')}={value:.5g}" for name, value in means.items() if name.startswith("l_"))
        return f"loss={means.get('loss', -1.0):.5g} {' '.join(terms)}"
