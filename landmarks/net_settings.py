"""Settings of train_landmarks_fast.py: one line each, with unit and "off" value."""

from dataclasses import dataclass

from common.config import option
from landmarks.settings import CommonSettings
from metrics.landmarks import NORMALISERS


@dataclass(frozen=True)
class LandmarkNetSettings(CommonSettings):
    """train_landmarks_fast.py."""

    input_size: int = option(128, "side of the network's input in px", "-i", choices=(64, 96, 128, 192, 256), group="model")
    width: int = option(48, "channels of the first stage, a multiple of 16", group="model")
    blocks: int = option(2, "residual blocks of every stage", group="model")
    batch_size: int = option(128, "samples per step, all processes together", "-b", group="run")
    batch_size_eval: int = option(128, "samples per validation step", group="run")
    lr: float = option(2e-3, "largest learning rate", group="optimisation")
    beta1: float = option(0.9, "Adam's first momentum", group="optimisation")
    weight_decay: float = option(1e-4, "AdamW's weight decay, 0 = Adam", group="optimisation")
    clip_norm: float = option(5.0, "largest gradient norm, 0 = off", group="optimisation")
    schedule: str = option("cosine", "of the learning rate", group="optimisation")
    warmup: float = option(0.05, "share of the stage with a rising learning rate", group="optimisation")
    ema: float = option(0.999, "decay of the averaged weights that are validated and kept", group="optimisation")
    daug: int = option(8, "augmentation level 0 to 8", choices=tuple(range(9)), group="augmentation")
    occ: float = option(0.4, "share of samples with a pasted occluder, 0 = off", group="augmentation")
    colour: float = option(0.8, "share of samples with changed colours, 0 = off", group="augmentation")
    blur: float = option(0.2, "share of blurred samples, 0 = off", group="augmentation")
    grey: float = option(0.15, "share of samples without colour, 0 = off", group="augmentation")
    noise: float = option(0.3, "share of samples with sensor noise, 0 = off", group="augmentation")
    ocular_norm: str = option("outer", "normaliser of the NME", "-n", choices=NORMALISERS, group="loss")
    dataset: list[str] = option(["w300"], "landmark datasets, or folders of packed crops", group="data")
    repeats: list[int] = option([], "times that every dataset is seen in an epoch, default once each", group="data")
    dataset_val: list[str] | None = option(None, "validation datasets; default: those of --dataset", group="data")
    train_split: str = option("train", "split to train on", group="data")
    test_split: str = option("full", "split to validate on", group="data")
