"""Updates of a regressor under each of the papers' losses; see `training.loop.Method`."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from common.errors import ConfigError
from common.runtime import apply_gradients
from morphable.model import FaceModel
from recon3d.regression import losses
from recon3d.regression.augment import CropTransform
from recon3d.regression.data import RegressionBatch, RegressionSet, collate
from recon3d.regression.decode import FaceDecoder
from recon3d.regression.jigsaw import crop_and_paste, jigsaw
from recon3d.regression.models import ParameterRegressor, normalise
from recon3d.regression.settings import RegressionSettings
from training.loop import EpochPosition, Indexed

SCHEME = "ibug68"
CANDIDATES = ("fwpdc", "vdc")  # what meta-joint optimisation chooses from


def make_optimizer(parameters, settings: RegressionSettings) -> Optimizer:
    """SGD with Nesterov momentum as 3DDFA, or AdamW."""
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, settings.lr, weight_decay=settings.weight_decay)
    momentum = settings.momentum
    return torch.optim.SGD(parameters, settings.lr, momentum, weight_decay=settings.weight_decay, nesterov=momentum > 0)


class RegressionMethod:
    """One network, one loss.

    Args: networks; settings; transform of training batches; face_model on the device; scale: mean crop px per dm of the
        training set; describe: content of config.json; validation set or None;
        changes: what happens to raw batches before the transform, such as mirroring (batch, step → batch).
    """

    def __init__(
        self,
        networks: ParameterRegressor,
        settings: RegressionSettings,
        accelerator: Accelerator,
        transform: CropTransform,
        face_model: FaceModel,
        scale: float,
        describe: dict,
        validation: RegressionSet | None = None,
        changes: Sequence[Callable[[RegressionBatch, int], RegressionBatch]] = (),
    ) -> None:
        self.stage = f"regression_{settings.loss}"
        self.networks, self.settings, self.accelerator = networks.train(), settings, accelerator
        self.transform, self.scale, self.describe, self.validation = transform, scale, describe, validation
        self.changes = changes
        self.layout = networks.layout
        self.sampler = losses.PointSampler(face_model, self.layout, settings.resample_num, SCHEME)
        self.landmarks = FaceDecoder(face_model, self.layout, face_model.landmarks[SCHEME]).to(accelerator.device)
        self.optimizers = {"all": make_optimizer(networks.network.parameters(), settings)}
        if settings.loss == "meta" and settings.accumulate > 1:
            raise ConfigError("--accumulate: meta-joint trains on whole batches; leave it out, or take another --loss.")
        self.compilable = [networks.network]
        self._candidates: dict[str, tuple[nn.Module, Optimizer]] = {}

    def training_step(self, batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update; with meta-joint one of both candidates, and a choice at the end of a round."""
        raw = batch.to(self.accelerator.device)
        for change in self.changes:
            raw = change(raw, step)
        images, parameters, landmarks = self.transform(raw.images, raw.parameters, raw.indices, step, raw.landmarks)
        images, parameters = self._with_puzzles(images, parameters, raw.indices, step)
        landmarks = landmarks.repeat(len(images) // len(landmarks), 1, 1)
        if self.settings.loss == "meta":
            return self._meta_step(images, parameters, landmarks, epoch)
        network, loss = self.networks.network, self.settings.loss
        terms = self._update(network, self.optimizers["all"], loss, images, parameters, landmarks)
        return self._with_error(terms, parameters)

    def _with_puzzles(self, images: Tensor, parameters: Tensor, indices: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The batch, and behind it its copies with cells in other places, which have the same parameters."""
        settings, copies = self.settings, [images]
        if settings.jigsaw:
            copies.append(crop_and_paste(images, indices, settings.seed, step))
        copies += [jigsaw(images, grid, settings.seed, step) for grid in settings.jigsaw_grids]
        return torch.cat(copies), parameters.repeat(len(copies), 1)

    def _update(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        loss: str,
        images: Tensor,
        parameters: Tensor,
        landmarks: Tensor,
    ) -> dict[str, Tensor]:
        with self.accelerator.autocast():
            if self.settings.lrr:
                whitened, head = network.with_landmarks(normalise(images))
            else:
                whitened, head = network(normalise(images)), None
        terms = self.loss_terms(whitened.float(), parameters, loss)
        if head is not None:
            terms["l_lrr"] = losses.landmark_regression(
                head.float(), self.layout.split(parameters), self.sampler, images.shape[-1]
            )
            extra = losses.balanced(terms["loss"], terms["l_lrr"]) if self.settings.lrr_balance else terms["l_lrr"]
            terms["loss"] = terms["loss"] + self.settings.lrr * extra
        predicted = self.networks.whitening.restore(whitened.float())
        if self.settings.landmark_weight:
            found, points = self.layout.split(predicted), self.sampler.landmarks
            terms["l_landmarks"] = losses.annotated_l1(found, points, landmarks, images.shape[-1])
            terms["loss"] = terms["loss"] + self.settings.landmark_weight * terms["l_landmarks"]
        self.accelerator.backward(terms["loss"])
        apply_gradients(optimizer, self.accelerator, self.settings.clip_norm)
        terms["predicted"] = predicted.detach()
        return terms

    def loss_terms(self, whitened: Tensor, parameters: Tensor, loss: str) -> dict[str, Tensor]:
        """Named terms and their sum `loss` of whitened predictions (B, P) against parameters (B, P)."""
        target, predicted = self.networks.whitening.whiten(parameters), self.networks.whitening.restore(whitened)
        found, truth = self.layout.split(predicted), self.layout.split(parameters)
        points = self.sampler.every if self.settings.opt_style == "all" else self.sampler.draw()
        terms: dict[str, Tensor] = {}
        if loss == "pdc":
            terms["l_pdc"] = losses.pdc(whitened, target)
        if loss in ("wpdc", "radan"):
            weights = losses.wpdc_weights(predicted, parameters, self.layout, points, self.scale, loss == "radan")
            terms["l_wpdc"] = losses.weighted_pdc(whitened, target, weights, squared=False)
        if loss in ("fwpdc", "vanilla"):
            weights = losses.fast_wpdc_weights(predicted, parameters, self.layout, points)
            terms["l_fwpdc"] = losses.weighted_pdc(whitened, target, weights, squared=True)
        if loss in ("vdc", "vanilla"):
            terms["l_vdc"] = losses.vdc(found, truth, points)
        if loss == "l1":
            terms["l_l1"] = losses.vertex_l1(found, truth, points)
        if loss == "radan":
            terms["l_wing"] = losses.wing(found, truth, self.sampler.draw())
            terms["loss"] = 0.5 * terms["l_wpdc"] + terms["l_wing"]
        elif loss == "vanilla":
            terms["loss"] = losses.vanilla_joint(terms["l_fwpdc"], terms["l_vdc"], self.settings.beta)
        else:
            (terms["loss"],) = terms.values()
        return terms

    def _meta_step(
        self, images: Tensor, parameters: Tensor, landmarks: Tensor, epoch: EpochPosition
    ) -> dict[str, Tensor]:
        """Meta-joint optimisation (Guo et al. 2020, algorithm 1): two candidates train side by side, the better one
        stays.

        The last batch of a round (and of an epoch, so that snapshots hold all there is) is not trained on: by its VDC
        over all vertices the winner is chosen.
        """
        network, optimizer = self.networks.network, self.optimizers["all"]
        if not self._candidates:
            self._candidates = {name: self._copy(network, optimizer) for name in CANDIDATES}
        done = epoch.batch + 1
        last = done % (self.settings.meta_steps + 1) == 0 or done == epoch.batches
        if not last:
            terms = {}
            for name, (candidate, own) in self._candidates.items():
                for group, shown in zip(own.param_groups, optimizer.param_groups, strict=True):
                    group["lr"] = shown["lr"]
                terms[name] = self._update(candidate, own, name, images, parameters, landmarks)
            merged = {key: value for one in terms.values() for key, value in one.items() if key.startswith("l_")}
            return self._with_error(merged | {k: terms["vdc"][k] for k in ("loss", "predicted")}, parameters)
        scores = {
            name: self._vertex_error(candidate, images, parameters) for name, (candidate, _) in self._candidates.items()
        }
        stacked = torch.stack(list(scores.values()))
        if self.accelerator.num_processes > 1:
            stacked = self.accelerator.reduce(stacked, "mean")
        winner, own = self._candidates[CANDIDATES[int(stacked.argmin())]]
        network.load_state_dict(winner.state_dict())
        rates = [group["lr"] for group in optimizer.param_groups]
        state = own.state_dict()
        optimizer.load_state_dict(
            {"state": copy.deepcopy(state["state"]), "param_groups": optimizer.state_dict()["param_groups"]}
        )
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._candidates = {}
        return {"loss": stacked.min(), "l_meta": stacked.min(), "fwpdc_won": (stacked[0] <= stacked[1]).float()}

    def _copy(self, network: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        twin = copy.deepcopy(network)
        own = make_optimizer(twin.parameters(), self.settings)
        own.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        return twin.train(), own

    @torch.no_grad()
    def _vertex_error(self, network: nn.Module, images: Tensor, parameters: Tensor) -> Tensor:
        """VDC over all vertices in evaluation mode."""
        network.eval()
        predicted = self.networks.whitening.restore(network(normalise(images)).float())
        return losses.vdc(self.layout.split(predicted), self.layout.split(parameters), self.sampler.every)

    @torch.no_grad()
    def _with_error(self, terms: dict[str, Tensor], parameters: Tensor) -> dict[str, Tensor]:
        """Replace the predictions by their landmark error, % of the box of the true landmarks."""
        predicted = terms.pop("predicted")
        return terms | {"nme": box_nme(self.landmarks(predicted)[..., :2], self.landmarks(parameters)[..., :2]).mean()}

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Landmark NME in % of √(w·h) of the landmarks' box: against the labels, and against 2D annotations where there
        are.

        `score` is the latter where it exists.
        """
        if self.validation is None:
            return {}
        self.networks.eval()
        transform, side = CropTransform(self.transform.size), self.transform.size
        offset = (self.validation.resolution - side) // 2
        loader = DataLoader(Indexed(self.validation), self.settings.batch_size_eval, collate_fn=collate)
        labels, annotated = [], []
        for batch in loader:
            raw = batch.to(self.accelerator.device)
            images, parameters, _ = transform(raw.images, raw.parameters, raw.indices)
            found, truth = self.landmarks(self.networks(images)), self.landmarks(parameters)
            labels.append(box_nme(found[..., :2], truth[..., :2]).cpu())
            if self.validation.landmarks is not None:
                points = torch.from_numpy(self.validation.landmarks[raw.indices.cpu().numpy()]) - offset
                upright = torch.stack([found[..., 0], side - found[..., 1]], dim=-1)
                annotated.append(box_nme(upright.cpu(), points))
        self.networks.train()
        scores = {"nme_labels": float(torch.cat(labels).mean())}
        if annotated:
            scores["nme"] = float(torch.cat(annotated).nanmean())
        return scores | {"score": scores.get("nme", scores["nme_labels"])}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """All terms, then the landmark error of the batch in %."""
        losses_ = [f"{name.removeprefix('l_')}={value:.5g}" for name, value in means.items() if name.startswith("l_")]
        return f"loss={means.get('loss', -1.0):.5g} {' '.join(losses_)} nme={means.get('nme', -1.0):.2f}"


def box_nme(found: Tensor, truth: Tensor) -> Tensor:
    """(B,) mean distance of landmarks (B, K, 2) in % of √(w·h) of the true landmarks' box; NaN where the truth is."""
    extent = truth.amax(1) - truth.amin(1)
    return 100 * (found - truth).norm(dim=-1).mean(1) / extent.prod(1).sqrt()
