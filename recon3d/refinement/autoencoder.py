"""CoMA (Ranjan et al. 2018) as a method of the loop: shapes, standardised vertices, L1."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from common.runtime import apply_gradients
from geometry.units import MM_PER_DM
from morphable.model import FaceModel
from networks.graph_generators import MeshAutoencoder
from training.loop import EpochPosition

KIND = "mesh_autoencoder"


@dataclass(frozen=True)
class ShapeBatch:
    """vertices (B, N, 3) dm; indices (B,) for messages of the loop."""

    vertices: Tensor
    indices: Tensor

    def to(self, device: torch.device) -> "ShapeBatch":
        """The same batch on a device."""
        return ShapeBatch(self.vertices.to(device), self.indices.to(device))


def collate(items: list[tuple[int, tuple[Tensor]]]) -> ShapeBatch:
    """[(index, (vertices,))] of a `TensorDataset` in the loop → batch."""
    return ShapeBatch(torch.stack([vertices for _, (vertices,) in items]), torch.tensor([index for index, _ in items]))


def random_shapes(model: FaceModel, count: int, seed: int) -> Tensor:
    """(count, N, 3) shapes of random identity and expression by the model's own priors."""
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(count, model.sizes[0], generator=generator) * model.identity_std
    if model.expression_prior == "gaussian":
        expression = torch.randn(count, model.sizes[1], generator=generator) * model.expression_std
    else:  # blendshape weights: a few are active at a time
        active = torch.rand(count, model.sizes[1], generator=generator) < 0.1
        expression = active * torch.rand(count, model.sizes[1], generator=generator)
    return model.shape(identity, expression)


class StandardisedAutoencoder(torch.nn.Module):
    """A `MeshAutoencoder` between the mean and deviation of the training shapes."""

    def __init__(self, network: MeshAutoencoder, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp_min(1e-6))

    def forward(self, vertices: Tensor) -> Tensor:
        """(B, N, 3) dm → (B, N, 3) dm."""
        return self.network((vertices - self.mean) / self.deviation) * self.deviation + self.mean


class AutoencoderMethod:
    """One autoencoder, L1 on standardised vertices; see `training.loop.Method`.

    Args: networks on the device; learning_rate of Adam, times 0.99 per epoch by the loop's schedule if wanted;
        validation (M, N, 3) unseen shapes or None; describe: content of config.json.
    """

    stage = "coma"

    def __init__(
        self,
        networks: StandardisedAutoencoder,
        accelerator: Accelerator,
        learning_rate: float = 1e-3,
        validation: Tensor | None = None,
        describe: dict | None = None,
    ) -> None:
        self.networks, self.accelerator, self.validation = networks.train(), accelerator, validation
        self.description = {"kind": KIND, **(describe or {})}
        self.optimizers = {"coma": torch.optim.Adam(networks.network.parameters(), learning_rate)}

    def training_step(self, batch: ShapeBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update."""
        vertices = batch.to(self.accelerator.device).vertices
        gap = self.networks(vertices) - vertices
        loss = (gap / self.networks.deviation).abs().mean()
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["coma"], self.accelerator)
        return {"loss": loss, "error_mm": MM_PER_DM * gap.detach().norm(dim=-1).mean()}

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """Mean distance per vertex in mm on the unseen shapes; also the `score`."""
        if self.validation is None:
            return {}
        self.networks.eval()
        device = self.accelerator.device
        errors = [
            (self.networks(part.to(device)) - part.to(device)).norm(dim=-1).mean(1)
            for part in self.validation.split(32)
        ]
        self.networks.train()
        error = MM_PER_DM * float(torch.cat(errors).mean())
        return {"error_mm": error, "score": error}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return self.description

    def step_line(self, means: dict[str, float]) -> str:
        """Loss and error per vertex."""
        return f"loss={means.get('loss', -1.0):.5f} error={means.get('error_mm', -1.0):.3f} mm"


def pca_error_mm(training: Tensor, unseen: Tensor, count: int) -> float:
    """Mean distance per vertex in mm of unseen shapes from their projection onto `count` components of the training
    shapes.
    """
    mean = training.mean(0)
    *_, basis = torch.pca_lowrank((training - mean).flatten(1), min(count, len(training) - 1), niter=4)
    flat = (unseen - mean).flatten(1)
    return MM_PER_DM * float((flat - flat @ basis @ basis.T).view_as(unseen).norm(dim=-1).mean())
