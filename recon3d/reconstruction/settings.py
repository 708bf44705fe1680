"""Settings of train_recon3d.py --stage rnet: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.runtime import PRECISIONS
from networks.coefficient_net import BACKBONES
from recon3d.identity.features import NETWORKS
from training.schedules import SCHEDULES
from training.settings import LoopSettings

STAGES = ("rnet",)
VARIANTS = ("pt", "tf")
LANDMARK_NORMS = ("squared", "l1")


@dataclass(frozen=True)
class ReconstructionSettings(LoopSettings):
    """train_recon3d.py --stage rnet."""

    stage: str = option("rnet", "rnet: the network of coefficients", choices=STAGES, group="run")
    data: list[str] = option(
        [], "folders of recon3d.reconstruction.prepare, PT data roots or their lists", group="data"
    )
    val_data: list[str] = option([], "the same to validate on, default none", group="data")
    face_model: str = option(
        "head", "face model: head, head#photos, bfm09:<path>, ict:<path>, …, as load_face_model takes it", group="model"
    )
    resume: str | None = option(
        None, "session, session/epoch, path or published .pth to continue from", "-r", group="run"
    )
    variant: str = option(
        "pt",
        "pt: shift, scale, turn, flip; tf: no augmentation, clamped perceptual term",
        choices=VARIANTS,
        group="augmentation",
    )
    backbone: str = option("resnet50", "of a new network", choices=BACKBONES, group="model")
    one_head: bool = option(False, "one linear layer instead of seven heads", group="model")
    init_path: Path | None = option(
        None,
        "torchvision's ImageNet weights of the ResNet; of the others a regressor of their kind; default random",
        group="model",
    )
    freeze_backbone: bool = option(
        False, "train the heads alone, on the features that --init-path gives", group="model"
    )
    slide_contour: bool = option(
        True, "jaw landmarks lie on the silhouette where the face is turned away, as annotators draw", group="model"
    )
    use_crop_face: bool = option(True, "compare colours on facial skin alone; 0: on all of the model", group="data")
    identity_network: str | None = option(
        None, "of the perceptual term, default off; small is bundled", choices=NETWORKS, group="model"
    )
    identity_weights: Path | None = option(None, "its weights; not needed for small", group="model")
    w_color: float = option(1.92, "weight of the photometric term; at 0 nothing is rendered", group="loss", minimum=0)
    lm_norm: str = option(
        "squared", "of the landmark term: squared distances (Deng et al.) or l1", choices=LANDMARK_NORMS, group="loss"
    )
    w_lm: float = option(1.6e-3, "weight of the landmark term", group="loss", minimum=0)
    w_feat: float = option(0.2, "weight of the perceptual term", group="loss", minimum=0)
    w_reg: float = option(3e-4, "weight of the coefficients' prior", group="loss", minimum=0)
    w_id: float = option(1.0, "weight of identity within --w-reg", group="loss", minimum=0)
    w_exp: float = option(0.8, "weight of expression within --w-reg", group="loss", minimum=0)
    w_tex: float = option(1.7e-2, "weight of albedo within --w-reg", group="loss", minimum=0)
    w_reflc: float = option(5.0, "weight of even albedo on the skin", group="loss", minimum=0)
    w_gamma: float = option(10.0, "weight of white light", group="loss", minimum=0)
    w_shape: float = option(
        0.1, "weight of the distance in mm to the true shape, rendered faces only", group="loss", minimum=0
    )
    w_box: float = option(
        10.0, "weight of blendshapes outside 0 … 1, models with such weights only", group="loss", minimum=0
    )
    shift_pixs: float = option(10.0, "augmentation: shift up to ± px", group="augmentation", minimum=0)
    scale_delta: float = option(0.1, "augmentation: size up to ± share", group="augmentation", minimum=0, maximum=1)
    rot_angle: float = option(10.0, "augmentation: turn up to ± degrees", group="augmentation", minimum=0)
    flip: float = option(0.5, "augmentation: share of mirrored samples", group="augmentation", minimum=0, maximum=1)
    lr: float = option(1e-4, "learning rate of Adam", group="optimisation", minimum=0)
    schedule: str = option("milestones", "of the learning rate", choices=SCHEDULES, group="optimisation")
    milestones: list[int] = option(
        [10, 20],
        "epochs after which the rate falls to a fifth (TF: once, after 100k steps)",
        group="optimisation",
        minimum=1,
    )
    clip_norm: float = option(0.0, "largest gradient norm, 0 = off", group="optimisation", minimum=0)
    epochs: int = option(20, "absolute number of epochs", "-e", group="run", minimum=0)
    batch_size_eval: int = option(16, "samples per validation step", "-vb", group="run", minimum=1)
    train_count: int | None = option(None, "only the first samples, default all", group="data", minimum=1)
    val_count: int | None = option(None, "only the first validation samples, default all", group="data", minimum=1)
    keep: int = option(3, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    repeat: int = option(1, "passes over the data in one epoch, for few samples", group="data", minimum=1)
    precision: str = option("no", "no (float32) or bf16 (autocast of the network)", choices=PRECISIONS, group="run")
