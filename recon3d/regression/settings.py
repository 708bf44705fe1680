"""Settings of train_3dmm.py: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.runtime import PRECISIONS
from networks.regressors import ARCHITECTURES
from training.schedules import SCHEDULES
from training.settings import DegradationSettings, LoopSettings

LOSSES = ("pdc", "vdc", "wpdc", "fwpdc", "radan", "vanilla", "meta", "l1")
OPTIMIZERS = ("sgd", "adamw")
OPT_STYLES = ("resample", "all")


@dataclass(frozen=True)
class RegressionSettings(DegradationSettings, LoopSettings):
    """train_3dmm.py."""

    data: list[str] = option(
        [], "packed crops (python -m recon3d.regression.prepare), or 3DDFA's train.configs with --root", group="data"
    )
    val_data: str | None = option(None, "packed crops to validate on, default none", group="data")
    root: Path | None = option(None, "folder of 3DDFA's crops, for train.configs", group="data")
    face_model: str = option(
        "head", "face model of the parameters: head, or format:path as load_face_model takes it", group="model"
    )
    resume: str | None = option(
        None, "session, session/epoch, path or authors' checkpoint to continue from", "-r", group="run"
    )
    arch: str = option("mobilenet", "network", choices=ARCHITECTURES, group="model")
    trunk: str | None = option(
        None,
        "direct landmark model (train_landmarks_fast.py) whose trunk a new landmark_trunk starts from",
        group="model",
    )
    width: float = option(
        1.0,
        "factor on the channels of MobileNets and of landmark_trunk (1 = 32 channels)",
        group="model",
        minimum=0.01,
        maximum=16,
    )
    replay: list[int] = option(
        [], "blocks of MobileNet-V1 that replay attention follows, default none", group="model", minimum=0, maximum=12
    )
    loss: str = option(
        "vdc",
        "pdc, vdc, wpdc (3DDFA), fwpdc (V2), radan (0.5 WPDC + wing), vanilla, meta, l1 (of vertices)",
        choices=LOSSES,
        group="loss",
    )
    landmark_weight: float = option(
        0.0,
        "weight of the L1 distance in px from the crops' annotated landmarks, 0 = off",
        group="loss",
        minimum=0,
    )
    opt_style: str = option(
        "resample",
        "points of vertex losses: 68 landmarks and random vertices, or all",
        choices=OPT_STYLES,
        group="loss",
    )
    resample_num: int = option(132, "random vertices beside the landmarks", group="loss", minimum=0)
    lrr: float = option(
        0.0, "weight of the landmark head's regression (V2), 0 = off; the head is then added", group="loss", minimum=0
    )
    lrr_balance: bool = option(
        False, "scale that term to the main loss in every step, as V2's paper has it", group="loss"
    )
    beta: float = option(0.5, "share of fWPDC in the vanilla joint loss", group="loss", minimum=0, maximum=1)
    meta_steps: int = option(
        100, "batches that both candidates of meta-joint see before one is chosen", group="loss", minimum=0
    )
    jigsaw: bool = option(False, "add a cut-and-pasted copy of every crop to the batch (RADAN)", group="augmentation")
    jigsaw_grids: list[int] = option(
        [],
        "add a copy of every crop with its cells permuted, one for each of these numbers of rows (MFIRRN: 2 3)",
        group="augmentation",
        minimum=2,
        maximum=12,
    )
    clip_norm: float = option(0.0, "largest gradient norm, 0 = off; V2 needs 1", group="optimisation", minimum=0)
    optimizer: str = option("sgd", "sgd (Nesterov) or adamw", choices=OPTIMIZERS, group="optimisation")
    lr: float = option(0.001, "learning rate", group="optimisation", minimum=0)
    momentum: float = option(0.9, "of sgd", group="optimisation", minimum=0, maximum=1)
    weight_decay: float = option(5e-4, "on everything", group="optimisation", minimum=0)
    schedule: str = option(
        "milestones", "of the learning rate over this stage", choices=SCHEDULES, group="optimisation"
    )
    milestones: list[int] = option(
        [15, 25, 30], "epochs of the stage after which the rate falls to a fifth", group="optimisation", minimum=1
    )
    epochs: int = option(40, "absolute number of epochs, earlier stages included", "-e", group="run", minimum=0)
    batch_size: int = option(128, "samples per step, all processes together", "-b", group="run", minimum=1)
    batch_size_eval: int = option(128, "samples per validation step", "-vb", group="run", minimum=1)
    rotation: float = option(0.0, "augmentation: rotation up to ± degrees", group="augmentation", minimum=0)
    scale: float = option(0.0, "augmentation: size up to ± share", group="augmentation", minimum=0, maximum=1)
    shift: float = option(
        0.0, "augmentation: shift up to ± share of the crop's side", group="augmentation", minimum=0, maximum=1
    )
    flip: float = option(
        0.0,
        "share of mirrored samples, 0 = off; only for face models that are symmetric",
        group="augmentation",
        minimum=0,
        maximum=1,
    )
    video_frames: int = option(
        0,
        "frames of the short video that every sample becomes (V2: 8), 0 = off; labels must be fits",
        group="augmentation",
        minimum=0,
    )
    train_count: int | None = option(None, "only the first samples, default all", group="data", minimum=1)
    val_count: int | None = option(None, "only the first validation samples, default all", group="data", minimum=1)
    eval: bool = option(False, "validate once and stop", group="run")
    repeat: int = option(1, "passes over the data in one epoch, for few samples", group="data", minimum=1)
    precision: str = option("no", "no (float32) or bf16 (autocast)", choices=PRECISIONS, group="run")
