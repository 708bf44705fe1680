"""Unsupervised training of the autoencoder: pixel, structural, perceptual and adversarial terms (3FabRec §3.1,
ParFace-Net).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from common.logs import console
from common.runtime import apply_gradients
from datasets.augment import Batch, BatchTransform
from landmarks.baselines import LinearFaces
from landmarks.inference import to_unit
from landmarks.losses import (
    PerceptualLoss,
    StructuralLoss,
    discriminator_loss,
    generator_loss,
    pixel_l1,
    pixel_l2,
)
from landmarks.pictures import autoencoder_pictures
from landmarks.settings import CommonSettings, UnsupervisedSettings
from metrics.images import pixel_error, ssim
from networks.aae import AAE
from training.loop import EpochPosition
from training.penalties import interpolation_penalty

GRADIENT_PENALTY_WEIGHT = 10.0
W_CRITIC = 0.001  # of scores without a bound, beside an L2 of about 0.05; ParFace-Net's 1 belongs to a sigmoid


def make_optimizer(parameters: Iterable[nn.Parameter], lr: float, settings: CommonSettings) -> torch.optim.Optimizer:
    """Adam, or AdamW where a weight decay is set."""
    betas = (settings.beta1, settings.beta2)
    if settings.weight_decay:
        return torch.optim.AdamW(parameters, lr, betas, weight_decay=settings.weight_decay)
    return torch.optim.Adam(parameters, lr, betas)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through a module but not into its parameters."""
    before = [p.requires_grad for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, value in zip(module.parameters(), before, strict=True):
            parameter.requires_grad_(value)


class AutoencoderMethod:
    """Updates of Q, P, D_z and D as the settings switch them on; see `training.loop.Method`."""

    stage = "aae_unsupervised"

    def __init__(
        self,
        networks: AAE,
        settings: UnsupervisedSettings,
        accelerator: Accelerator,
        transform: BatchTransform,
        describe: dict,
        validation: tuple | None = None,
        perceptual: PerceptualLoss | None = None,
        baseline: Callable[[], LinearFaces] | None = None,
    ) -> None:
        """describe: content of config.json; validation: (loader, transform) or None; baseline: makes what stands beside
        it.
        """
        self.networks, self.settings, self.accelerator = networks, settings, accelerator
        self.transform, self.describe, self.validation, self.perceptual = transform, describe, validation, perceptual
        self.structural = StructuralLoss()
        self.baseline, self._baseline_scores = baseline, None
        trained = []
        for module, train in ((networks.Q, settings.train_encoder), (networks.P, settings.train_decoder)):
            # a frozen part also keeps its batch-norm statistics, or in-domain inversion would drift
            module.train(train).requires_grad_(train)
            trained += list(module.parameters()) if train else []
        self.optimizers = {"AE": make_optimizer(trained, settings.lr, settings)}
        if settings.with_zgan:
            self.optimizers["D_z"] = make_optimizer(
                networks.D_z.parameters(), settings.lr_latent or settings.lr, settings
            )
        self.image_gan = settings.with_gan or settings.with_wgan_gp
        self.w_adv = (W_CRITIC if settings.with_wgan_gp else 1.0) if settings.w_adv is None else settings.w_adv
        if self.image_gan:
            self.optimizers["D"] = make_optimizer(networks.D.parameters(), 0.5 * settings.lr, settings)
        networks.D_z.train()
        networks.D.train()
        self.compilable = [networks.Q, networks.P]  # not D, whose penalty needs a second derivative
        self._pictures: dict[str, np.ndarray] = {}

    def training_step(self, batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of everything that is switched on; all terms as device scalars."""
        raw = batch.to(self.accelerator.device)
        data = self.transform(raw.images, raw.landmarks, raw.visibility, raw.indices, step)
        with self.accelerator.autocast():
            z = self.networks.Q(data.images)
            output = self.networks.P(z).float()
        z = z.float()
        terms = {"z_mu": z.detach().mean()}
        loss = self._reconstruction(output, data, terms)
        if (step + 1) % self.settings.print_every == 0:  # only worth it where it is printed
            terms["ssim"] = self._ssim(output.detach(), data.images).mean()
        if self.settings.with_zgan:
            loss = loss + self._latent_gan(z, step, terms)
        if self.image_gan:
            loss = loss + self._image_gan(z, output, data, step, terms)
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["AE"], self.accelerator, self.settings.clip_norm)
        terms["loss"] = loss
        return terms

    def _reconstruction(self, output: Tensor, data: Batch, terms: dict[str, Tensor]) -> Tensor:
        """Pixel, structural and perceptual terms with their weights."""
        settings = self.settings
        pixel = pixel_l1 if settings.with_l1_loss else pixel_l2
        terms["l_rec"] = pixel(output, data.images)
        loss = settings.w_rec * terms["l_rec"]
        if settings.with_ssim_loss:
            terms["l_ssim"] = settings.w_ssim * self.structural(output, data.images)
            loss = 0.5 * loss + 0.5 * terms["l_ssim"]
        if self.perceptual is not None:
            terms["l_perc"] = self.perceptual(output, data.images)
            loss = loss + settings.w_ploss * terms["l_perc"]
        return loss

    def _latent_gan(self, z: Tensor, step: int, terms: dict[str, Tensor]) -> Tensor:
        """D_z learns every 4th step, Q learns to fool it every 2nd (3FabRec)."""
        discriminator = self.networks.D_z
        if step % 4 == 0:
            terms["l_D_z"] = discriminator_loss(discriminator(torch.randn_like(z)), discriminator(z.detach()))
            self.accelerator.backward(terms["l_D_z"])
            apply_gradients(self.optimizers["D_z"], self.accelerator)
        if step % 2 or not self.settings.train_encoder:
            return z.new_zeros(())
        with frozen(discriminator):
            terms["l_E"] = generator_loss(discriminator(z))
        return terms["l_E"]

    def _image_gan(self, z: Tensor, output: Tensor, data: Batch, step: int, terms: dict[str, Tensor]) -> Tensor:
        """D learns every update_D_freq steps, the autoencoder every update_E_freq."""
        settings = self.settings
        fakes = {"rec": output}
        if settings.with_gen_loss:
            between = z + torch.rand(len(z), 1, device=z.device) * (z[torch.randperm(len(z), device=z.device)] - z)
            with self.accelerator.autocast():
                fakes["gen"] = self.networks.P(between).float()
        shares = {"rec": 1 - settings.w_gen, "gen": settings.w_gen} if settings.with_gen_loss else {"rec": 1.0}
        if step % settings.update_D_freq == 0:
            losses = {k: self._critic_loss(data.images, fake.detach()) for k, fake in fakes.items()}
            terms |= {f"l_D_{k}": v for k, v in losses.items()}
            terms["l_D"] = sum(shares[k] * v for k, v in losses.items())
            self.accelerator.backward(terms["l_D"])
            apply_gradients(self.optimizers["D"], self.accelerator)
        if step % settings.update_E_freq:
            return output.new_zeros(())
        with frozen(self.networks.D), self.accelerator.autocast():
            scores = {k: self.networks.D(fake) for k, fake in fakes.items()}
        losses = {k: -s.float().mean() if settings.with_wgan_gp else generator_loss(s) for k, s in scores.items()}
        terms |= {f"l_G_{k}": v for k, v in losses.items()}
        terms["l_G"] = sum(shares[k] * v for k, v in losses.items())
        return self.w_adv * terms["l_G"]

    def _critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """WGAN-GP (Gulrajani et al. 2017) or the logistic loss of the original GAN."""
        critic = self.networks.D
        with self.accelerator.autocast():
            real_score, fake_score = critic(real), critic(fake)
        if not self.settings.with_wgan_gp:
            return discriminator_loss(real_score, fake_score)
        penalty = interpolation_penalty(critic, real, fake)
        return fake_score.float().mean() - real_score.float().mean() + GRADIENT_PENALTY_WEIGHT * penalty

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """l_rec (0–255), ssim and structural loss over the validation set; nothing is updated.

        Beside them l_rec and ssim of the mean face and of principal components as many as z is long, computed once.
        """
        if self.validation is None:
            return {}
        loader, transform = self.validation
        modes = [(m, m.training) for m in self.networks.children()]
        self.networks.eval()
        sums, count = torch.zeros(3, dtype=torch.float64), 0
        for number, raw in enumerate(loader):
            raw = raw.to(self.accelerator.device)
            data = transform(raw.images, raw.landmarks, raw.visibility, raw.indices)
            with self.accelerator.autocast():
                output = self.networks.P(self.networks.Q(data.images)).float()
            l1, similarity = pixel_error(output, data.images), self._ssim(output, data.images)
            values = [l1, similarity, self.structural.per_image(output, data.images)]
            sums += torch.stack([v.double().sum() for v in values]).cpu()
            count += len(output)
            if number == 0 and self.settings.show:
                self._pictures = autoencoder_pictures(
                    self.networks, data.images, output, self.structural, self.settings
                )
        for module, training in modes:
            module.train(training)
        l_rec, similarity, l_ssim = (sums / count).tolist()
        scores = {"l_rec": l_rec, "ssim": similarity, "l_ssim": l_ssim * self.settings.w_ssim, "score": l_rec}
        return scores | self._beside()

    def _validation_images(self) -> Iterator[Tensor]:
        """(B, 3, S, S) in 0 … 1."""
        loader, transform = self.validation
        for raw in loader:
            raw = raw.to(self.accelerator.device)
            data = transform(raw.images, raw.landmarks, raw.visibility, raw.indices)
            yield to_unit(data.images, self.networks.config.normalize)

    def _ssim(self, output: Tensor, images: Tensor) -> Tensor:
        normalize = self.networks.config.normalize
        return ssim(to_unit(output, normalize), to_unit(images, normalize))

    def _beside(self) -> dict[str, float]:
        """l_rec and ssim of the baselines on the validation set."""
        if self.baseline is None:
            return {}
        if self._baseline_scores is None:
            linear = self.baseline()
            if self.accelerator.is_main_process:
                console().info(f"baselines: of {linear.photos:,} training photos")
            self._baseline_scores = linear.scores(self._validation_images())
        return self._baseline_scores

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Reconstructions, structural errors, random faces, interpolations of the last validation."""
        pictures, self._pictures = self._pictures, {}
        return pictures

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """The papers' line; −1 = not computed, as l_lmrec and l_lmssim always are, there too; SSIM in brackets."""
        names = "loss l_rec l_ssim ssim l_lmrec l_lmssim l_perc z_mu".split()
        names += "l_D_z l_E l_D l_D_rec l_D_gen l_G l_G_rec l_G_gen".split()
        v = {name: means.get(name, -1.0) for name in names}
        perceptual = f"l_perc={v['l_perc']:.3f} " if self.perceptual is not None else ""
        return (
            f"l={v['loss']:.3f}  l_rec={v['l_rec']:.3f} l_ssim={v['l_ssim']:.3f}({v['ssim']:.2f}) {perceptual}"
            f"l_lmrec={v['l_lmrec']:.3f} l_lmssim={v['l_lmssim']:.2f} z_mu={v['z_mu']: .3f} "
            f"l_D_z={v['l_D_z']:.3f} l_E={v['l_E']:.3f} l_D={v['l_D']:.3f}({v['l_D_rec']:.3f}/{v['l_D_gen']:.3f}) "
            f"l_G={v['l_G']:.3f}({v['l_G_rec']:.3f}/{v['l_G_gen']:.3f})"
        )
