"""The phases that train_facewarp_cyclegan.py names, and the method: a CycleGAN on `depthnet.replacement.domains`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from common.config import LocalConfig, check_session, option
from common.errors import ConfigError
from common.logs import console
from common.runtime import apply_gradients
from depthnet.lifting import Lifter
from depthnet.models import load_model
from depthnet.pairs import PositionBatch
from depthnet.replacement.domains import BUILDERS, Domains, load_crops, load_domains
from depthnet.replacement.models import KIND, load_cyclegan, to_unit
from networks.cyclegan import CycleGAN, CycleGANConfig, discriminator_parameters, generator_parameters
from training.loop import EpochPosition
from training.settings import LoopSettings

ROWS = 6  # of the picture


@dataclass(frozen=True)
class CycleGANSettings(LoopSettings):
    """train_facewarp_cyclegan.py."""

    task: str = option(
        "background", "background synthesis or repair of swapped faces", choices=tuple(BUILDERS), group="run"
    )
    sessionname: str | None = option(None, "name of the run; default cyclegan_<task>", group="run", check=check_session)
    dataset: str = option("w300", "landmark dataset with 68 points: key in local_config.ini", group="data")
    split: str = option("train", "its split", group="data")
    count: int | None = option(None, "only the first photos, default all", group="data", minimum=1)
    model: str = option("depthnet_gan", "DepthNet that lifts the faces", group="model")
    resume: str | None = option(None, "session, session/epoch or path", "-r", group="run")
    size: int = option(80, "side of the crops in px, a multiple of 4", group="model", minimum=32)
    base: int = option(64, "width of the first layers", group="model", minimum=1)
    blocks: int = option(9, "residual blocks of a generator", group="model", minimum=1)
    loss: str = option("mse", "adversarial loss", choices=("mse", "bce"), group="loss")
    lamb: float = option(10.0, "weight of the cycle's absolute error", group="loss", minimum=0)
    beta: float = option(
        0.0, "weight of the identity loss of A → B on B, 0 = off; needs equal channels", group="loss", minimum=0
    )
    batch_size: int = option(16, "crops per step", "-b", group="run", minimum=1)
    epochs: int = option(500, "absolute number of epochs", "-e", group="run", minimum=0)
    lr: float = option(2e-4, "learning rate of all networks", group="optimisation", minimum=0)
    beta1: float = option(0.5, "Adam's first momentum", group="optimisation", minimum=0, maximum=1)
    beta2: float = option(0.999, "Adam's second momentum", group="optimisation", minimum=0, maximum=1)
    keep: int = option(2, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    print_every: int = option(50, "steps between console lines", "-p", group="logging", minimum=1)

    def __post_init__(self) -> None:
        """Raises: ConfigError."""
        if self.size % 4 or self.size < 32:
            raise ConfigError(f"--size {self.size}: the crops' side must be a multiple of 4 and at least 32.")
        if self.beta and self.task == "background":
            raise ConfigError(
                "--beta compares A with B, which have 6 and 3 channels in --task background; leave it out."
            )


class CycleGANMethod:
    """LSGAN (or cross entropy) in both directions, cycle loss; discriminators at half weight."""

    stage = "cyclegan"

    def __init__(
        self, networks: CycleGAN, domains: Domains, settings: CycleGANSettings, accelerator: Accelerator, batches: int
    ) -> None:
        self.networks, self.settings, self.accelerator, self.batches = networks, settings, accelerator, batches
        device = accelerator.device
        self.a, self.b = torch.from_numpy(domains.a).to(device), torch.from_numpy(domains.b).to(device)
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {
            "g": torch.optim.Adam(generator_parameters(networks), settings.lr, betas),
            "d": torch.optim.Adam(discriminator_parameters(networks), settings.lr, betas),
        }

    def batch(self, positions: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Pictures of A at the positions and of B at places drawn as a function of (seed, step, process)."""
        rank = self.accelerator.process_index
        generator = torch.Generator().manual_seed(
            (self.settings.seed * 1_000_003 + step + rank * 1_000_000_007) % 2**63
        )
        other = torch.randint(len(self.b), (len(positions),), generator=generator)
        return to_unit(self.a[positions.to(self.a.device)]), to_unit(self.b[other.to(self.b.device)])

    def _score(self, logits: Tensor, real: bool) -> Tensor:
        wanted = torch.full_like(logits, float(real))
        if self.settings.loss == "mse":
            return F.mse_loss(logits, wanted)
        return F.binary_cross_entropy_with_logits(logits, wanted)

    def training_step(self, batch: PositionBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """Generators, then discriminators on the same fakes."""
        n, s = self.networks, self.settings
        a, b = self.batch(batch.indices, step)
        for parameter in discriminator_parameters(n):
            parameter.requires_grad_(False)
        fake_b, fake_a = n.ab(a), n.ba(b)
        adversarial = self._score(n.db(fake_b), True) + self._score(n.da(fake_a), True)
        cycle = (n.ba(fake_b) - a).abs().mean() + (n.ab(fake_a) - b).abs().mean()
        loss = adversarial + s.lamb * cycle
        if s.beta:
            loss = loss + s.beta * (n.ab(b) - b).abs().mean()
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["g"], self.accelerator)
        for parameter in discriminator_parameters(n):
            parameter.requires_grad_(True)
        critic = 0.5 * sum(
            self._score(d(real), True) + self._score(d(fake.detach()), False)
            for d, real, fake in ((n.da, a, fake_a), (n.db, b, fake_b))
        )
        self.accelerator.backward(critic)
        apply_gradients(self.optimizers["d"], self.accelerator)
        return {"loss": loss.detach(), "adv": adversarial.detach(), "cycle": cycle.detach(), "d": critic.detach()}

    def evaluate(self, epoch: int) -> dict[str, float]:
        """Nothing to score: there are no pairs; look at the pictures."""
        return {}

    @torch.no_grad()
    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """Rows of: parts of A, the generated B, and A's reconstruction."""
        a = to_unit(self.a[:ROWS])
        fake = self.networks.ab(a)
        parts = [*a.split(3, dim=1), fake, *self.networks.ba(fake).split(3, dim=1)]
        rows = torch.cat(parts, dim=3).permute(0, 2, 3, 1).flatten(0, 1)
        return {"cyclegan": ((rows + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()}

    def config(self) -> dict:
        """Rebuilds the networks."""
        return {
            "kind": KIND,
            "networks": dataclasses.asdict(self.networks.config),
            "settings": dataclasses.asdict(self.settings),
        }

    def step_line(self, means: dict[str, float]) -> str:
        """All terms."""
        return "  ".join(f"{name}={value:.4f}" for name, value in means.items())


def open_domains(settings: CycleGANSettings, local: LocalConfig) -> Domains:
    """Both domains, built once with the DepthNet that lifts the faces. Raises: DataError, ConfigError."""
    lifted = load_model(settings.model, local.snapshots)
    if lifted.kind != "depthnet":
        raise ConfigError(f"--model {settings.model}: is an AIGN, which knows no targets; choose a DepthNet.")
    faces = load_crops(settings.dataset, local.dataset(settings.dataset), settings.split, settings.size, settings.count)
    domains = load_domains(local.cache("cyclegan") / "cyclegan", settings.task, faces, Lifter(lifted))
    console().info(f"{len(domains.a)} pictures of A ({domains.a.shape[1]} channels), {len(domains.b)} of B")
    return domains


def load_or_build(settings: CycleGANSettings, domains: Domains, folder: Path | None) -> CycleGAN:
    """Networks for the domains' channels, new or of a snapshot. Raises: CheckpointError, ConfigError."""
    config = CycleGANConfig(domains.a.shape[1], domains.b.shape[1], settings.base, settings.blocks)
    return CycleGAN(config) if folder is None else load_cyclegan(folder, config)
