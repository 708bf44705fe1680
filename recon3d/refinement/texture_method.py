"""Stage `gcn_texture`: train a generator of albedo per vertex as Lin et al. 2020; see `training.loop.Method`."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from common.runtime import apply_gradients
from geometry.raster.rasteriser import interpolate, rasterize
from morphable.model import FaceModel
from networks.graph_generators import FaceCritic
from recon3d.refinement.texture_losses import (
    TextureBatch,
    TextureWeights,
    critic_loss,
    identity_distance,
    seen_error,
    texture_terms,
    weighted_sum,
)
from recon3d.refinement.texture_refiner import TextureRefiner
from training.loop import EpochPosition

FC_DECAY = 5e-4  # of the fully connected layer's weights alone
CRITIC_STEPS = 5


class TextureMethod:
    """A texture refiner, and a critic where there is one.

    Args:
        networks: the refiner, on the device.  model: its face model, there too.
        prepare: what turns a batch of the loader into a `TextureBatch` on the device, given the step of the training,
            or None in validation; runs without gradient.
        identity: pictures (B, 3, H, W) → (B, D) features of a frozen network, or None for no such term.
        critic: trained too where it is given; pictures must be 224 px then.
        learning_rate: of both Adams; the published one falls by 2 % an epoch.  clip_norm: 0 = off.
        validation: gives the loader's batches anew at each call, or None.
        strips: draws pictures with the refiner, (H, W, 3) uint8 RGB, or None.
    Raises: MeshGraphError when refiner and face model do not fit.
    """

    stage = "gcn_texture"

    def __init__(
        self,
        networks: TextureRefiner,
        model: FaceModel,
        accelerator: Accelerator,
        prepare: Callable[[object, int | None], TextureBatch],
        weights: TextureWeights | None = None,
        identity: Callable[[Tensor], Tensor] | None = None,
        critic: FaceCritic | None = None,
        learning_rate: float = 1e-4,
        clip_norm: float = 5.0,
        describe: dict | None = None,
        validation: Callable[[], Iterable[object]] | None = None,
        strips: Callable[[TextureRefiner], np.ndarray] | None = None,
    ) -> None:
        networks.check_fits(model)
        self.refiner, self.model, self.accelerator = networks, model, accelerator
        self.prepare, self.identity, self.clip_norm = prepare, identity, clip_norm
        self.weights = weights or TextureWeights()
        self.description = describe or {}
        self.critic, self.validation, self.strips = critic, validation, strips
        parts = {"refiner": networks} if self.critic is None else {"refiner": networks, "critic": self.critic}
        self.networks = nn.ModuleDict(parts).train()
        fc = networks.network.fc.weight
        rest = [p for p in networks.parameters() if p is not fc]
        groups = [{"params": [fc], "weight_decay": FC_DECAY}, {"params": rest}]
        self.optimizers = {"gcn_texture": torch.optim.Adam(groups, learning_rate)}
        if self.critic is not None:
            self.optimizers["critic"] = torch.optim.Adam(self.critic.parameters(), learning_rate, betas=(0.5, 0.9))

    def render(self, albedo: Tensor, batch: TextureBatch) -> Tensor:
        """(B, 3, H, W) the lit face over the photo; the photo alone where the face lies outside."""
        size = batch.photo.shape[-2:]
        ids = rasterize(batch.screen, self.model.triangles, size, perspective=True, allow_empty=True)
        face = interpolate(batch.screen, self.model.triangles, ids, albedo * batch.shading, True).permute(0, 3, 1, 2)
        return torch.where((ids >= 0)[:, None], face, batch.photo)

    def training_step(self, batch: object, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of the refiner, after five of the critic where there is one."""
        with torch.no_grad():
            ready = self.prepare(batch, step)
        refined = self.refiner(ready)
        terms = texture_terms(refined, ready, self.model)
        if self.identity is not None or self.critic is not None:
            picture = self.render(refined, ready)
        if self.identity is not None:
            with torch.no_grad():
                wanted = self.identity(ready.photo)
            terms["l_identity"] = identity_distance(self.identity(picture), wanted)
        if self.critic is not None:
            terms["l_critic"] = self._train_critic(ready.photo, picture.detach())
            self.critic.requires_grad_(False)
            terms["l_adversarial"] = -self.critic(picture).mean()
        terms["loss"] = weighted_sum(terms, self.weights, epoch.fraction)
        self.accelerator.backward(terms["loss"])
        apply_gradients(self.optimizers["gcn_texture"], self.accelerator, self.clip_norm)
        if self.critic is not None:
            self.critic.requires_grad_(True)
        return terms

    def _train_critic(self, real: Tensor, fake: Tensor) -> Tensor:
        for _ in range(CRITIC_STEPS):
            loss = critic_loss(self.critic, real, fake)
            self.accelerator.backward(loss)
            apply_gradients(self.optimizers["critic"], self.accelerator)
        return loss.detach()

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Means over the validation faces: terms that need no picture, and the L1 distance of lit colours to the photo
        at vertices that it shows, of the face model's albedo (given) and of the refined one, which is the score.
        """
        if self.validation is None:
            return {}
        self.networks.eval()
        sums: dict[str, Tensor] = {}
        count = 0
        for batch in self.validation():
            ready = self.prepare(batch, None)
            refined = self.refiner(ready)
            values = texture_terms(refined, ready, self.model)
            values |= {"given_photo": seen_error(ready.albedo, ready), "refined_photo": seen_error(refined, ready)}
            for name, value in values.items():
                sums[name] = sums.get(name, 0) + value.double() * len(refined)
            count += len(refined)
        self.networks.train()
        scores = {name: float(total) / count for name, total in sums.items()}
        return scores | {"score": scores["refined_photo"]}

    @torch.no_grad()
    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Strips of the first validation photos, where something draws them."""
        if self.strips is None:
            return {}
        strips = self.strips(self.refiner.eval())
        self.networks.train()
        return {"imgs": strips}

    def histograms(self, epoch: int) -> dict[str, Tensor]:
        """Weights and biases of the generator."""
        return {f"gcn/{name}": parameter for name, parameter in self.refiner.network.named_parameters()}

    def config(self) -> dict:
        """Content of config.json."""
        return {**self.refiner.describe(), **self.description}

    def step_line(self, means: dict[str, float]) -> str:
        """All terms, unweighted, then their weighted sum."""
        terms = (f"{name.removeprefix('l_')}={value:.4g}" for name, value in means.items() if name.startswith("l_"))
        return f"loss={means.get('loss', -1.0):.5g} {' '.join(terms)}"
