"""Settings of train_recon3d.py --stage rnet: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.runtime import PRECISIONS
from networks.rnet import BACKBONES
from recon3d.identity.features import NETWORKS
from training.schedules import SCHEDULES

STAGES = ("rnet",)
VARIANTS = ("pt", "tf")


@dataclass(frozen=True)
class WeakSettings:
    """train_recon3d.py --stage rnet."""

    stage: str = option("rnet", "rnet: the network of coefficients", choices=STAGES)
    data: list[str] = option([], "folders of recon3d.reconstruction.prepare, PT data roots or their lists", "--data_path")
    val_data: list[str] = option([], "the same to validate on, default none", "--val_data_path")
    face_model: str = option("head", "face model: head, head#photos, bfm09:<path>, ict:<path>, …, as load_face_model takes it")
    sessionname: str | None = option(None, "name of the run; default: that of --resume, else 'rnet'", "--model_name", "--name")
    resume: str | None = option(None, "session, session/epoch, path or published .pth to continue from", "-r")
    new_stage: bool = option(False, "begin schedule and optimiser anew at the resumed snapshot")
    variant: str = option("pt", "pt: shift, scale, turn, flip; tf: no augmentation, clamped perceptual term", choices=VARIANTS)
    backbone: str = option("resnet50", "of a new network", choices=BACKBONES)
    one_head: bool = option(False, "one linear layer instead of seven heads", "--use_last_fc")
    init_path: Path | None = option(
        None, "torchvision's ImageNet weights of the ResNet; for a MobileNet a regressor; default random", "--init_path"
    )
    slide_contour: bool = option(True, "jaw landmarks lie on the silhouette where the face is turned away, as annotators draw")
    use_crop_face: bool = option(True, "compare colours on facial skin alone; 0: on all of the model")
    identity_network: str | None = option(None, "of the perceptual term, default off; small is bundled", choices=NETWORKS)
    identity_weights: Path | None = option(None, "its weights; not needed for small", "--net_recog_path")
    w_color: float = option(1.92, "weight of the photometric term")
    w_lm: float = option(1.6e-3, "weight of the landmark term")
    w_feat: float = option(0.2, "weight of the perceptual term")
    w_reg: float = option(3e-4, "weight of the coefficients' prior")
    w_id: float = option(1.0, "weight of identity within --w-reg")
    w_exp: float = option(0.8, "weight of expression within --w-reg")
    w_tex: float = option(1.7e-2, "weight of albedo within --w-reg")
    w_reflc: float = option(5.0, "weight of even albedo on the skin")
    w_gamma: float = option(10.0, "weight of white light")
    w_shape: float = option(0.1, "weight of the distance in mm to the true shape, rendered faces only")
    w_box: float = option(10.0, "weight of blendshapes outside 0 … 1, models with such weights only")
    shift_pixs: float = option(10.0, "augmentation: shift up to ± px", "--shift_pixs")
    scale_delta: float = option(0.1, "augmentation: size up to ± share", "--scale_delta")
    rot_angle: float = option(10.0, "augmentation: turn up to ± degrees", "--rot_angle")
    flip: float = option(0.5, "augmentation: share of mirrored samples")
    lr: float = option(1e-4, "learning rate of Adam")
    warmup: float = option(0.0, "epochs in which the rate rises (milestones: stays at a fifth), 0 = off")
    schedule: str = option("milestones", "of the learning rate", choices=SCHEDULES)
    milestones: list[int] = option([10, 20], "epochs after which the rate falls to a fifth (TF: once, after 100k steps)")
    clip_norm: float = option(0.0, "largest gradient norm, 0 = off")
    epochs: int = option(20, "absolute number of epochs", "-e", "--n_epochs")
    batchsize: int = option(32, "samples per step, all processes together", "-b", "--batch-size", "--batch_size")
    batchsize_eval: int = option(16, "samples per validation step", "-vb")
    train_count: int | None = option(None, "only the first samples, default all")
    val_count: int | None = option(None, "only the first validation samples, default all")
    save_freq: int = option(1, "epochs between snapshots")
    keep: int = option(3, "newest numbered snapshots to keep, 0 = all")
    print_freq: int = option(20, "steps between console lines and TensorBoard scalars", "-p")
    eval_freq: int = option(1, "epochs between validations and pictures")
    patience: int = option(0, "validations without a better score before stopping, 0 = off")
    repeat: int = option(1, "passes over the data in one epoch, for few samples")
    workers: int = option(0, "loader processes, 0 = none", "-j")
    seed: int = option(0, "of weights, order, augmentation")
    device: str = option("auto", "auto, cpu, cuda or mps")
    precision: str = option("no", "no (float32) or bf16 (autocast of the network)", choices=PRECISIONS)
