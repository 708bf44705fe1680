"""Updates of the small identity network by a margin softmax over people; see `training.loop.Method`."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from common.runtime import apply_gradients
from datasets.augment import Augmentation, BatchTransform
from metrics.verification import all_pairs, verification_scores
from networks.face_embedding import INPUT_PX, CosineClassifier, FaceEmbedding
from recon3d.identity.data import People, PeopleBatch, collate_people
from recon3d.identity.settings import IdentitySettings
from training.loop import EpochPosition, Indexed

STAGE = "identity"


class IdentityTraining(nn.Module):
    """What the snapshots of a training hold: the network, and the people's directions, which only training needs."""

    def __init__(self, network: FaceEmbedding, people: int) -> None:
        super().__init__()
        self.network, self.classifier = network, CosineClassifier(network.config.outputs, people)


class IdentityMethod:
    """Args: networks on their device; verification: frames of other people, None = no scores."""

    def __init__(
        self,
        networks: IdentityTraining,
        settings: IdentitySettings,
        accelerator: Accelerator,
        describe: dict,
        verification: People | None = None,
    ) -> None:
        self.stage = STAGE
        self.networks, self.settings, self.accelerator = networks.train(), settings, accelerator
        self.describe, self.verification = describe, verification
        self.optimizers = {
            "all": torch.optim.AdamW(networks.parameters(), settings.lr, weight_decay=settings.weight_decay)
        }
        augmentation = Augmentation(level=settings.daug, **settings.degradation())
        self.transform = BatchTransform(INPUT_PX, None, None, augmentation, settings.seed)

    def training_step(self, batch: PeopleBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update."""
        device = self.accelerator.device
        people = batch.people.to(device)
        nothing = torch.zeros(len(people), 0, 2, device=device)
        images = self.transform(
            batch.images.to(device), nothing, nothing[..., 0], batch.indices.to(device), step
        ).images
        with self.accelerator.autocast():
            cosines = self.networks.classifier(self.networks.network(prepared(images)))
        loss = margin_softmax(
            cosines.float(), people, self.settings.margin_angle, self.settings.margin_cosine, self.settings.sharpness
        )
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["all"], self.accelerator)
        return {"loss": loss.detach(), "accuracy": 100 * (cosines.argmax(1) == people).double().mean()}

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """AUC, accuracy and TAR on people that training never sees; the score is 1 − AUC."""
        if self.verification is None:
            return {}
        found = verification_scores(
            features_of(
                self.networks.network, self.verification, self.settings.batch_size_eval, self.accelerator.device
            ),
            all_pairs(self.verification.people, self.verification.videos),
        )
        return found | {"score": 1 - found["auc"]}

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """Loss, and share of training faces whose person is found."""
        return f"loss={means.get('loss', -1.0):.4f} accuracy={means.get('accuracy', 0.0):.2f}"


def margin_softmax(
    cosines: Tensor, people: Tensor, angle_rad: float = 0.3, cosine: float = 0.0, sharpness: float = 24.0
) -> Tensor:
    """Cross entropy of s·cos θ, where the right person's is s·(cos(θ + angle) − cosine).

    Args: cosines (B, P), people (B,) int64. ArcFace (Deng et al. 2019) has the angle, CosFace (Wang et al. 2018) the
        cosine. Past θ = π − angle, where cos(θ + angle) would rise again, the cosine's tangent continues it, as
        ArcFace's code does.
    """
    own = cosines.gather(1, people[:, None])[:, 0].clamp(-1 + 1e-6, 1 - 1e-6)
    sine, turn = (1 - own.square()).sqrt(), torch.tensor(angle_rad, dtype=own.dtype, device=own.device)
    turned = own * turn.cos() - sine * turn.sin()
    turned = torch.where(own > -turn.cos(), turned, own - turn.sin() * turn)
    logits = sharpness * cosines.scatter(1, people[:, None], (turned - cosine)[:, None])
    return F.cross_entropy(logits, people)


def prepared(images: Tensor) -> Tensor:
    """(B, 3, 112, 112) RGB 0 … 1 → −1 … 1, in the channels-last layout, half again as fast on CPUs."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def features_of(network: nn.Module, people: People, batch_size: int, device: torch.device | str) -> Tensor:
    """(N, D) features of all frames, on the CPU; each is the mean over the crop and its mirror image. The mode is
    kept.
    """
    was_training = network.training
    network.eval()
    plain = BatchTransform(INPUT_PX, None)
    parts = []
    for batch in DataLoader(Indexed(people), batch_size, collate_fn=collate_people):
        nothing = torch.zeros(len(batch.images), 0, 2, device=device)
        images = plain(batch.images.to(device), nothing, nothing[..., 0], batch.indices.to(device)).images
        both = F.normalize(network(prepared(images))) + F.normalize(network(prepared(images.flip(-1))))
        parts.append(both.float().cpu())
    network.train(was_training)
    return torch.cat(parts)
