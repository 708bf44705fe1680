"""Updates of R-Net from photos and landmarks alone; see `training.loop.Method`."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from common.errors import DivergenceError
from common.runtime import apply_gradients
from recon3d.identity.features import IdentityFeatures
from recon3d.reconstruction import losses
from recon3d.reconstruction.augment import AlignedAugmentation, augment
from recon3d.reconstruction.coefficients import Coefficients, raw_expression, split
from recon3d.reconstruction.data import PhotoBatch, PreparedPhotos, collate, true_shapes
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer, Geometry, Picture
from recon3d.reconstruction.settings import ReconstructionSettings
from recon3d.reconstruction.strips import training_strips
from recon3d.regression.method import box_nme
from training.loop import EpochPosition, Indexed

STAGE = "rnet"


class ReconstructionMethod:
    """One network, one face model, all loss terms from one batch.

    Args: networks; renderer whose model is on the device; identity: features of the perceptual term, None = off;
    describe:
        content of config.json; validation set or None; supervised: whether batches hold true coefficients of some
        faces.
    """

    def __init__(
        self,
        networks: ReconstructionNet,
        renderer: FaceRenderer,
        settings: ReconstructionSettings,
        accelerator: Accelerator,
        describe: dict,
        identity: IdentityFeatures | None = None,
        validation: PreparedPhotos | None = None,
        supervised: bool = False,
    ) -> None:
        self.stage = STAGE
        self.networks, self.renderer, self.settings, self.accelerator = (
            networks.train(),
            renderer,
            settings,
            accelerator,
        )
        self.describe, self.identity, self.validation, self.supervised = describe, identity, validation, supervised
        trained = networks.network.freeze_backbone() if settings.freeze_backbone else networks.parameters()
        self.optimizers = {"all": torch.optim.Adam(trained, settings.lr)}
        self.landmark_weights = losses.landmark_weights(accelerator.device)
        self.weights = weights_of(settings)
        self.augmentation = augmentation_of(settings)
        self._strips: np.ndarray | None = None
        self._outputs: Tensor | None = None

    def training_step(self, batch: PhotoBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update."""
        raw = batch.to(self.accelerator.device)
        images, masks, landmarks, mirrored = augment(
            raw.images, raw.masks, raw.landmarks, raw.indices, step, self.augmentation, self.settings.seed
        )
        truth = self._true_shapes(raw.truths, mirrored)
        with self.accelerator.autocast():
            output = self.networks(images)
        terms, _ = self.loss_terms(output.float(), images, masks, landmarks, truth)
        self.accelerator.backward(terms["loss"])
        apply_gradients(self.optimizers["all"], self.accelerator, self.settings.clip_norm)
        return terms

    def _true_shapes(self, truths: Tensor, mirrored: Tensor) -> Tensor | None:
        """(B, Ki + Ke), (B,) bool → (B, V, 3) unposed, NaN where unknown; None where no sample has a truth."""
        if not (self.supervised and self.weights.shape):
            return None
        return true_shapes(self.renderer.model, truths, mirrored)

    def loss_terms(
        self, output: Tensor, images: Tensor, masks: Tensor, landmarks: Tensor, truth: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Geometry]:
        """Named terms without their weights, and their weighted sum `loss`. What weighs nothing is not rendered.

        Args: output (B, P) of the network; images (B, 3, S, S), masks (B, 1, S, S) 0 … 1; landmarks (B, 68, 2) px;
            truth (B, V, 3) unposed dm, NaN where unknown, or None.
        Raises: DivergenceError for a network whose faces are not finite or absurdly far away.
        """
        model, renderer, weights = self.renderer.model, self.renderer, self.weights
        coefficients = split(model, output)
        geometry = renderer.geometry(coefficients)
        albedo = renderer.albedo(coefficients)
        terms = {
            "lm": self._landmark_term(geometry.landmarks, landmarks),
            "reg": self._prior(coefficients),
            "reflectance": losses.reflectance_loss(albedo, renderer.flat_albedo_weights),
            "gamma": losses.gamma_loss(coefficients.gamma),
        }
        scale = {
            "lm": weights.landmark,
            "reg": weights.coefficient,
            "reflectance": weights.reflectance,
            "gamma": weights.gamma,
        }
        if weights.photo or self._likeness_counts:
            picture = self._picture(coefficients, geometry, albedo)
            attention = masks[:, 0] * (picture.face if self.settings.use_crop_face else picture.mask)
            terms["photo"] = losses.photometric_loss(picture.colours, images.permute(0, 2, 3, 1), attention)
            scale["photo"] = weights.photo
        if truth is not None:
            terms["shape"] = losses.shape_loss(geometry.shape, truth, renderer.face_weights[:, 0])
            scale["shape"] = weights.shape
        if model.expression_prior == "unit":
            terms["box"], scale["box"] = losses.box_loss(raw_expression(model, output)), weights.box
        if self._likeness_counts:
            terms["id"], scale["id"] = self._perceptual(images, picture, geometry, landmarks), weights.perceptual
        return {"loss": sum(scale[name] * term for name, term in terms.items()), **terms}, geometry

    @property
    def _likeness_counts(self) -> bool:
        return self.identity is not None and self.weights.perceptual > 0

    def _landmark_term(self, found: Tensor, truth: Tensor) -> Tensor:
        if self.settings.lm_norm == "l1":
            return losses.landmark_l1(found, truth)
        return losses.landmark_loss(found, truth, self.landmark_weights)

    def _picture(self, coefficients: Coefficients, geometry: Geometry, albedo: Tensor) -> Picture:
        """Raises: DivergenceError for faces that are not finite or absurdly far away."""
        try:
            return self.renderer.picture(geometry, self.renderer.lit(coefficients, geometry, albedo))
        except ValueError as error:
            raise DivergenceError(
                f"the network's coefficients cannot be drawn (term: photo; {str(error).rstrip('.')}). The last"
                " good snapshot is kept; lower --lr."
            ) from None

    def _prior(self, coefficients: Coefficients) -> Tensor:
        model = self.renderer.model
        return losses.coefficient_loss(
            coefficients.identity / model.identity_std,
            coefficients.expression / model.expression_std,
            coefficients.albedo / model.albedo_std,
            self.weights,
        )

    def _perceptual(self, images: Tensor, picture: Picture, geometry: Geometry, landmarks: Tensor) -> Tensor:
        with torch.no_grad():
            truth = self.identity(images, landmarks)
        rendered = picture.colours.permute(0, 3, 1, 2).clamp(0, 1)
        found = self.identity(rendered, geometry.landmarks)
        return losses.perceptual_loss(found, truth, clamp=self.settings.variant == "tf")

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Means of the terms, and landmark NME in % of √(w·h) of the annotated box, which is the score."""
        if self.validation is None:
            return {}
        self.networks.eval()
        device = self.accelerator.device
        loader = DataLoader(Indexed(self.validation), self.settings.batch_size_eval, collate_fn=collate)
        sums, errors, outputs = {}, [], []
        self._strips = None
        for batch in loader:
            raw = batch.to(device)
            images, masks = raw.images.float() / 255, raw.masks.float() / 255
            outputs.append(self.networks(images).float())
            terms, geometry = self.loss_terms(outputs[-1], images, masks, raw.landmarks)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value * len(images)
            errors.append(box_nme(geometry.landmarks, raw.landmarks))
            if self._strips is None:
                photo, found = images.permute(0, 2, 3, 1), split(self.renderer.model, outputs[-1])
                picture = self._picture(found, geometry, self.renderer.albedo(found))
                self._strips = training_strips(photo, self.renderer, geometry, picture, raw.landmarks)
        self.networks.train()
        self._outputs = torch.cat(outputs)
        nme = float(torch.cat(errors).mean())
        return {name: float(total) / len(self.validation) for name, total in sums.items()} | {"nme": nme, "score": nme}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Strips of the first validation photos."""
        return {} if self._strips is None else {"imgs": self._strips}

    def histograms(self, epoch: int) -> dict[str, Tensor]:
        """Coefficients of the validation photos."""
        if self._outputs is None:
            return {}
        found = split(self.renderer.model, self._outputs)
        return {"id_coeff": found.identity, "ex_coeff": found.expression, "tex_coeff": found.albedo}

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """Loss, then the terms; lm as its root in px, as the TF version prints it."""
        shown = {k: v**0.5 if k == "lm" else v for k, v in means.items() if k != "loss"}
        return f"loss={means.get('loss', -1.0):.4f} " + " ".join(f"{name}={value:.4f}" for name, value in shown.items())


def weights_of(settings: ReconstructionSettings) -> losses.Weights:
    """The weights that the settings name as Deep3DFaceRecon_pytorch does."""
    return losses.Weights(
        settings.w_color,
        settings.w_lm,
        settings.w_feat,
        settings.w_reg,
        settings.w_id,
        settings.w_exp,
        settings.w_tex,
        settings.w_reflc,
        settings.w_gamma,
        settings.w_box,
        settings.w_shape,
    )


def augmentation_of(settings: ReconstructionSettings) -> AlignedAugmentation:
    """None for the TF variant."""
    if settings.variant == "tf":
        return AlignedAugmentation.none()
    return AlignedAugmentation(settings.shift_pixs, settings.scale_delta, settings.rot_angle, settings.flip)
