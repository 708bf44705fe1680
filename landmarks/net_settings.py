"""Settings of train_landmarks_fast.py: one line each, with unit and "off" value."""

from dataclasses import dataclass

from common.config import option
from landmarks.settings import FaceSettings
from metrics.landmarks import NORMALISERS
from training.schedules import SCHEDULES
from training.settings import share_of_samples


@dataclass(frozen=True)
class LandmarkNetSettings(FaceSettings):
    """train_landmarks_fast.py."""

    input_size: int = option(
        128, "side of the network's input in px", "-i", choices=(64, 96, 128, 192, 256), group="model"
    )
    width: int = option(48, "channels of the first stage", choices=(16, 32, 48, 64, 96, 128), group="model")
    blocks: int = option(2, "residual blocks of every stage", group="model", minimum=1)
    batch_size: int = option(128, "samples per step, all processes together", "-b", group="run", minimum=1)
    batch_size_eval: int = option(128, "samples per validation step", group="run", minimum=1)
    lr: float = option(2e-3, "largest learning rate", group="optimisation", minimum=0)
    beta1: float = option(0.9, "Adam's first momentum", group="optimisation", minimum=0, maximum=1)
    weight_decay: float = option(1e-4, "AdamW's weight decay, 0 = Adam", group="optimisation", minimum=0)
    clip_norm: float = option(5.0, "largest gradient norm, 0 = off", group="optimisation", minimum=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES, group="optimisation")
    warmup: float = option(0.05, "share of the stage with a rising learning rate", group="optimisation", minimum=-1)
    ema: float = option(
        0.999,
        "decay of the averaged weights that are validated and kept",
        group="optimisation",
        minimum=0,
        maximum=0.999999,
    )
    daug: int = option(8, "augmentation level 0 to 8", choices=tuple(range(9)), group="augmentation")
    occ: float = share_of_samples(0.4, "with a pasted occluder")
    colour: float = share_of_samples(0.8, "with changed colours")
    blur: float = share_of_samples(0.2, "that are blurred")
    grey: float = share_of_samples(0.15, "without colour")
    noise: float = share_of_samples(0.3, "with sensor noise")
    ocular_norm: str = option("outer", "normaliser of the NME", "-n", choices=NORMALISERS, group="loss")
    dataset: list[str] = option(["w300"], "landmark datasets, or folders of packed crops", group="data")
    repeats: list[int] = option(
        [], "times that every dataset is seen in an epoch, default once each", group="data", minimum=1
    )
    dataset_val: list[str] | None = option(None, "validation datasets; default: those of --dataset", group="data")
    train_split: str = option("train", "split to train on", group="data")
    test_split: str = option("full", "split to validate on", group="data")
