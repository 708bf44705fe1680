"""Training of the heatmap head (3FabRec stage 2, ParFace-Net 2D and 3DA-2D) and of the depth head (ParFace-Net 3D)."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from common.runtime import apply_gradients
from datasets.augment import Batch, BatchTransform
from geometry.heatmaps import decode_heatmaps, render_heatmaps
from geometry.schemes import LandmarkScheme
from landmarks.autoencoder import make_optimizer
from landmarks.evaluation import evaluate_batches
from landmarks.inference import read_coords
from landmarks.losses import AdaptiveWingLoss, depth_l2, heatmap_l2, pixel_l1, weighted_mean
from landmarks.pictures import prediction_pictures
from landmarks.settings import DepthSettings, LandmarkSettings
from metrics.landmarks import landmark_errors, normaliser
from networks.aae import AAE
from networks.landmark_heads import HEATMAP_SIZE
from training.loop import EpochPosition

COORDS_FACTOR = 300.0  # brings the coordinate read-out to the scale of the heatmap loss


class LandmarkMethod:
    """Updates of LMH and, where asked for, Q and P; see `training.loop.Method`."""

    stage = "aae_landmarks"

    def __init__(
        self,
        networks: AAE,
        settings: LandmarkSettings,
        accelerator: Accelerator,
        transform: BatchTransform,
        scheme: LandmarkScheme,
        describe: dict,
        validation: tuple | None = None,
    ) -> None:
        """describe: content of config.json; validation: (loader, transform, names) or None."""
        self.networks, self.settings, self.accelerator = networks, settings, accelerator
        self.transform, self.scheme, self.describe, self.validation = transform, scheme, describe, validation
        self.encode, self.head, self.lift = (getattr(networks, name, None) for name in ("Q", "LMH", "LMH_3D"))
        self.compilable = [part for part in (self.encode, self.head, self.lift) if part is not None]
        self.heatmap_loss = AdaptiveWingLoss() if settings.use_adaptive_wing_loss else heatmap_l2
        self.optimizers = self._prepare_networks()
        self._pictures: dict[str, np.ndarray] = {}

    def _prepare_networks(self) -> dict[str, torch.optim.Optimizer]:
        """Modes and optimisers: everything in eval mode (frozen batch norm) but the head, as in 3FabRec."""
        networks, settings = self.networks, self.settings
        networks.eval().requires_grad_(False)
        optimizers = {
            "LMH": make_optimizer(networks.LMH.train().requires_grad_().parameters(), settings.lr_heatmaps, settings)
        }
        if networks.config.coords_head:
            parameters = networks.coords.requires_grad_().parameters()
            optimizers["coords"] = make_optimizer(parameters, settings.lr_heatmaps, settings)
        if settings.train_encoder:
            networks.Q.train(settings.encoder_batchnorm == "train")
            optimizers["Q"] = make_optimizer(networks.Q.requires_grad_().parameters(), settings.lr, settings)
        if settings.train_decoder:
            optimizers["P"] = make_optimizer(networks.P.requires_grad_().parameters(), settings.lr, settings)
        return optimizers

    def training_step(self, batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of the head and whatever is fine-tuned."""
        raw = batch.to(self.accelerator.device)
        data = self.transform(raw.images, raw.landmarks, raw.visibility, raw.indices, step)
        with self.accelerator.autocast():
            with torch.set_grad_enabled(self.settings.train_encoder):
                z = self.encode(data.images)
            coords_only = epoch.number < self.settings.coords_epochs
            x1 = None if coords_only else self.networks.P.seed_features(z)
            heatmaps = None if coords_only else self.head(x1, self.networks.P)
        terms: dict[str, Tensor] = {}
        loss = z.new_zeros((), dtype=torch.float32)
        if heatmaps is not None:
            loss = loss + self._heatmap_term(heatmaps, data, step, terms)
        if self.networks.config.coords_head:
            terms["l_coords"] = self._coords_term(z, data)
            loss = loss + max(self.settings.w_coords, float(coords_only)) * terms["l_coords"]
        if self.settings.w_rec:
            part = max(1, int(self.settings.rec_share * len(z)))
            with self.accelerator.autocast():
                output = self.networks.P.image(self.networks.P.seed_features(z[:part]) if x1 is None else x1[:part])
            terms["l_rec"] = pixel_l1(output, data.images[:part])
            loss = loss + self.settings.w_rec * terms["l_rec"]
        self.accelerator.backward(loss)
        for optimizer in self.optimizers.values():
            apply_gradients(optimizer, self.accelerator, self.settings.clip_norm)
        terms["loss"] = loss
        return terms

    def _heatmap_term(self, heatmaps: Tensor, data: Batch, step: int, terms: dict[str, Tensor]) -> Tensor:
        scale = HEATMAP_SIZE / data.images.shape[-1]
        target = render_heatmaps(data.landmarks[..., :2] * scale, HEATMAP_SIZE, self.settings.sigma)
        terms["l_lms"] = self.heatmap_loss(heatmaps, target, data.visibility)
        if (step + 1) % self.settings.print_every == 0:  # decoding is only worth it where it is printed
            points = decode_heatmaps(heatmaps.detach())[0] / scale
            terms |= self._error_terms(points, data)
        return terms["l_lms"]

    def _error_terms(self, points: Tensor, data: Batch) -> dict[str, Tensor]:
        """NME of a batch in %: inner, outline, all."""
        truth = data.landmarks[..., :2]
        distances = normaliser(truth, self.scheme, self.settings.ocular_norm, image_size=data.images.shape[-1])
        errors = landmark_errors(points, truth, distances, data.visibility)
        groups = {
            "nme_inner": self.scheme.inner,
            "nme_outline": self.scheme.outline,
            "nme": range(self.scheme.num_points),
        }
        return {name: errors[:, list(group)].nanmean() for name, group in groups.items() if len(group)}

    def _coords_term(self, z: Tensor, data: Batch) -> Tensor:
        """Mean absolute distance of coordinates read linearly off z, in half crop sides, times COORDS_FACTOR."""
        read = read_coords(self.networks, z)
        wanted = data.landmarks[..., :2] / data.images.shape[-1] * 2 - 1
        error = (read - wanted).abs().mean(dim=-1)
        return weighted_mean(error, data.visibility) * COORDS_FACTOR

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """NME in % on the validation set; `score` is the NME of all points."""
        if self.validation is None:
            return {}
        modes = [(m, m.training) for m in self.networks.children()]
        self.networks.eval()
        loader, transform, names = self.validation
        report, first = evaluate_batches(
            self.networks, loader, transform, names, self.scheme, self.settings.ocular_norm, self.accelerator
        )
        for module, training in modes:
            module.train(training)
        if self.settings.show:
            normalize = self.networks.config.normalize
            self._pictures = prediction_pictures(
                *first, self.scheme, self.settings.ocular_norm, self.settings.sigma, normalize
            )
        summary = report.summary()
        scores = {k: v for k, v in summary.items() if isinstance(v, float)}
        return scores | {"score": summary["nme"]}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Landmarks and heatmaps of the last validation."""
        pictures, self._pictures = self._pictures, {}
        return pictures

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """The papers' line; −1 = not computed."""
        v = {name: means.get(name, -1.0) for name in ("l_rec", "l_lms", "nme_inner", "nme_outline", "nme", "l_coords")}
        coords = f" l_coords={v['l_coords']:.3f}" if self.networks.config.coords_head else ""
        return (
            f"l_rec={v['l_rec']:.3f} l_lms={v['l_lms']:.4f}{coords} "
            f"err_lms={v['nme_inner']:.2f}/{v['nme_outline']:.2f}/{v['nme']:.2f}"
        )


class DepthMethod(LandmarkMethod):
    """Updates of LMH_3D and, with finetune_2d, of LMH; depths count from their mean over the face, in crop sides."""

    stage = "aae_landmarks_3d"
    settings: DepthSettings

    def _prepare_networks(self) -> dict[str, torch.optim.Optimizer]:
        networks, settings = self.networks, self.settings
        networks.eval().requires_grad_(False)
        head = networks.LMH_3D.train().requires_grad_()
        optimizers = {"LMH_3D": make_optimizer(head.parameters(), settings.lr_heatmaps, settings)}
        if settings.finetune_2d:
            head_2d = networks.LMH.train().requires_grad_()
            optimizers["LMH"] = make_optimizer(head_2d.parameters(), settings.lr_heatmaps, settings)
        return optimizers

    def training_step(self, batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """Depth from ground-truth or predicted heatmaps and z."""
        raw = batch.to(self.accelerator.device)
        data = self.transform(raw.images, raw.landmarks, raw.visibility, raw.indices, step)
        size = data.images.shape[-1]
        target = render_heatmaps(data.landmarks[..., :2] * (HEATMAP_SIZE / size), HEATMAP_SIZE, self.settings.sigma)
        terms: dict[str, Tensor] = {}
        loss = target.new_zeros(())
        with self.accelerator.autocast():
            with torch.no_grad():
                z = self.encode(data.images)
            maps = target
            if self.settings.finetune_2d or not self.settings.use_groundtruth:
                maps = self.head(self.networks.P.seed_features(z), self.networks.P)
        if self.settings.finetune_2d:
            loss = loss + self._heatmap_term(maps, data, step, terms)
        chosen = target if self.settings.use_groundtruth else maps.detach()
        with self.accelerator.autocast():
            depth = self.lift(chosen, z).float()
        wanted = data.landmarks[..., 2] / size
        wanted = wanted - wanted.mean(dim=1, keepdim=True)
        terms["l_lms_3d"] = depth_l2(depth, wanted, data.visibility)
        terms["err_lms_3d"] = (depth.detach() - wanted).abs().mean() * size
        loss = loss + terms["l_lms_3d"]
        self.accelerator.backward(loss)
        for optimizer in self.optimizers.values():
            apply_gradients(optimizer, self.accelerator, self.settings.clip_norm)
        terms["loss"] = loss
        return terms

    def step_line(self, means: dict[str, float]) -> str:
        """The papers' line with the depth loss and the mean absolute depth error in crop px."""
        line = super().step_line(means)
        return f"{line} loss_lms_3d={means.get('l_lms_3d', -1.0):.4f} err_lms_3d={means.get('err_lms_3d', -1.0):.3f}"
