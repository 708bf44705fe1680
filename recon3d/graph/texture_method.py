"""Stage `gcn_texture`: train a generator of albedo per vertex as Lin et al. 2020; see `training.loop.Method`."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from geometry.face_model import FaceModel
from geometry.rasteriser import interpolate, rasterize
from networks.graph_generators import FaceCritic, GeneratorConfig, GraphGenerator
from recon3d.graph.levels import graph_levels
from recon3d.graph.meshes import MeshGraphError
from recon3d.graph.pyramid import MeshPyramid
from recon3d.graph.texture_losses import (
    SIGNAL_CHANNELS,
    TextureBatch,
    TextureWeights,
    critic_loss,
    identity_distance,
    texture_signal,
    texture_terms,
    weighted_sum,
)
from training.runtime import apply_gradients

KIND = "texture_refiner"
FC_DECAY = 5e-4  # of the fully connected layer's weights alone
CRITIC_STEPS = 5


class TextureRefiner(nn.Module):
    """Photo features and a `TextureBatch` in, albedo per vertex out. Raises: ValueError for a pyramid without five levels."""

    def __init__(self, features: int, pyramid: MeshPyramid, face_model: str = "", width: int = 1) -> None:
        super().__init__()
        self.config = GeneratorConfig(features, SIGNAL_CHANNELS, width, activation="elu")
        self.face_model, self.digest, self.num_vertices = face_model, pyramid.digest, pyramid.sizes[0]
        self.network = GraphGenerator(self.config, graph_levels(pyramid))

    def forward(self, batch: TextureBatch) -> Tensor:
        """(B, N, 3) albedo, 0 … 1."""
        return 0.5 + 0.5 * self.network(batch.features, texture_signal(batch))

    def describe(self) -> dict:
        """JSON-ready content of config.json."""
        return {"kind": KIND, "generator": asdict(self.config), "pyramid": self.digest, "face_model": self.face_model}


class TextureMethod:
    """A texture refiner, and a critic where `adversarial` asks for one.

    Args:
        networks: the refiner, on the device.  model: its face model, there too.
        prepare: what turns a batch of the loader into a `TextureBatch` on the device; runs without gradient.
        steps_per_epoch: the weights of the terms follow the epoch.
        identity: pictures (B, 3, H, W) → (B, D) features of a frozen network, or None for no such term.
        adversarial: train a `FaceCritic` too; pictures must be 224 px then.
        learning_rate: of both Adams; the published one falls by 2 % an epoch.  clip_norm: 0 = off.
    Raises: MeshGraphError when refiner and face model do not fit.
    """

    stage = "gcn_texture"

    def __init__(
        self,
        networks: TextureRefiner,
        model: FaceModel,
        accelerator: Accelerator,
        prepare: Callable[[object], TextureBatch],
        steps_per_epoch: int,
        weights: TextureWeights | None = None,
        identity: Callable[[Tensor], Tensor] | None = None,
        adversarial: bool = False,
        learning_rate: float = 1e-4,
        clip_norm: float = 5.0,
        describe: dict | None = None,
    ) -> None:
        if networks.num_vertices != model.num_vertices:
            raise MeshGraphError(
                f"the texture refiner was made for {networks.num_vertices} vertices, {model.name} has {model.num_vertices};"
                " choose the face model that it was trained with."
            )
        self.refiner, self.model, self.accelerator = networks, model, accelerator
        self.prepare, self.identity, self.clip_norm = prepare, identity, clip_norm
        self.weights = weights or TextureWeights()
        self.steps_per_epoch, self.description = steps_per_epoch, describe or {}
        self.critic = FaceCritic().to(accelerator.device) if adversarial else None
        parts = {"refiner": networks} if self.critic is None else {"refiner": networks, "critic": self.critic}
        self.networks = nn.ModuleDict(parts).train()
        fc = networks.network.fc.weight
        rest = [p for p in networks.parameters() if p is not fc]
        groups = [{"params": [fc], "weight_decay": FC_DECAY}, {"params": rest}]
        self.optimizers = {"gcn_texture": torch.optim.Adam(groups, learning_rate)}
        if self.critic is not None:
            self.optimizers["critic"] = torch.optim.Adam(self.critic.parameters(), learning_rate, betas=(0.5, 0.9))

    def render(self, albedo: Tensor, batch: TextureBatch) -> Tensor:
        """(B, 3, H, W) the lit face over the photo."""
        size = batch.photo.shape[-2:]
        ids = rasterize(batch.screen, self.model.triangles, size, perspective=True)
        face = interpolate(batch.screen, self.model.triangles, ids, albedo * batch.shading, True).permute(0, 3, 1, 2)
        return torch.where((ids >= 0)[:, None], face, batch.photo)

    def training_step(self, batch: object, step: int) -> dict[str, Tensor]:
        """One update of the refiner, after five of the critic where there is one."""
        with torch.no_grad():
            ready = self.prepare(batch)
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
        terms["loss"] = weighted_sum(terms, self.weights, step / self.steps_per_epoch)
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

    def evaluate(self, epoch: int) -> dict[str, float]:
        """Nothing: there is no truth to compare with."""
        return {}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None; strips are drawn where the renderer is (stage rnet)."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return {**self.refiner.describe(), **self.description}

    def step_line(self, means: dict[str, float]) -> str:
        """All terms, unweighted, then their weighted sum."""
        terms = (f"{name.removeprefix('l_')}={value:.4g}" for name, value in means.items() if name.startswith("l_"))
        return f"loss={means.get('loss', -1.0):.5g} {' '.join(terms)}"
