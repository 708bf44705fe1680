"""What every training script lets its user choose about the run itself; a method's settings inherit it."""

from dataclasses import dataclass
from typing import Any

from common.config import check_session, option
from training.schedules import SCHEDULES


@dataclass(frozen=True)
class LoopSettings:
    """One word for one thing in all training scripts; a script that differs gives its own default alone."""

    sessionname: str | None = option(
        None, "name of the run; default: that of --resume, else the script's", group="run", check=check_session
    )
    resume: str | None = option(
        None, "bundled name, session, session/epoch or path to continue from", "-r", group="run"
    )
    new_stage: bool = option(False, "begin schedule and optimisers anew at the resumed snapshot", group="run")
    epochs: int | None = option(
        None, "absolute number, earlier stages included; default endless", "-e", group="run", minimum=0
    )
    max_minutes: float = option(
        0.0, "minutes after which the stage ends, 0 = no limit; the schedule runs over them", group="run", minimum=0
    )
    batch_size: int = option(32, "samples per step, all processes together", "-b", group="run", minimum=1)
    workers: int = option(0, "loader processes, 0 = none", "-j", group="run", minimum=0)
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
    seed: int = option(0, "of weights, order, augmentation", group="run", minimum=0)
    patience: int = option(0, "validations without a better score before stopping, 0 = off", group="run", minimum=0)
    schedule: str = option("constant", "of all learning rates over this stage", choices=SCHEDULES, group="optimisation")
    warmup: float = option(
        0.0,
        "share of the stage with a rising learning rate (milestones: at a fifth), 0 = off; from 1: epochs",
        group="optimisation",
        minimum=-1,
    )
    milestones: list[int] = option(
        [],
        "epochs of the stage after which the rate falls to a fifth, schedule milestones",
        group="optimisation",
        minimum=1,
    )
    accumulate: int = option(
        1, "pieces that a process's share of a batch goes through in, for less memory", group="run", minimum=1
    )
    recompute: bool = option(False, "compute activations a second time instead of keeping them", group="run")
    sync_batchnorm: bool = option(False, "batch norm over the samples of all processes", group="run")
    compile: bool = option(False, "torch.compile the networks", group="run")
    save_every: int = option(1, "epochs between snapshots", group="logging", minimum=1)
    keep: int = option(0, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    eval_every: int = option(1, "epochs between validations and pictures", group="logging", minimum=1)
    print_every: int = option(20, "steps between console lines", "-p", group="logging", minimum=1)


def share_of_samples(default: float, what: str) -> Any:
    """An option of the augmentation: the share, 0 to 1, of samples that something is done to."""
    return option(default, f"share of samples {what}, 0 = off", group="augmentation", minimum=0, maximum=1)


@dataclass(frozen=True)
class DegradationSettings:
    """What makes training pictures worse, wherever it is done to crops."""

    occ: float = share_of_samples(0.0, "with a pasted occluder")
    colour: float = share_of_samples(0.0, "with changed colours")
    blur: float = share_of_samples(0.0, "that are blurred")
    jpeg: float = share_of_samples(0.0, "with JPEG artefacts")
    grey: float = share_of_samples(0.0, "without colour")
    noise: float = share_of_samples(0.0, "with sensor noise")

    def degradation(self) -> dict[str, float]:
        """Arguments of `datasets.augment.Degradation`."""
        return {
            "occlusion": self.occ,
            "colour": self.colour,
            "blur": self.blur,
            "jpeg": self.jpeg,
            "grey": self.grey,
            "noise": self.noise,
        }


def warmup_share(warmup: float, epochs: int | None) -> float:
    """Share of the stage; 3DDFA's command lines give epochs instead, from 1 on, and −1 for none."""
    return warmup / epochs if warmup >= 1 and epochs else max(0.0, warmup)
