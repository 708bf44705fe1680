"""Settings of train_recon3d.py --stage gcn and --stage gcn_texture: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from networks import graph_unet
from recon3d.identity.features import NETWORKS
from recon3d.reconstruction.settings import VARIANTS
from recon3d.refinement.refiner import OUTPUTS
from training.schedules import SCHEDULES

GENERATORS = ("ours", "published", "seed")  # "seed": older spelling of "published"
LAYOUTS = tuple(graph_unet.GENERATORS)


@dataclass(frozen=True)
class GraphStageSettings:
    """What both stages share."""

    data: list[str] = option([], "folders of recon3d.reconstruction.prepare, PT data roots or their lists", "--data_path")
    val_data: list[str] = option([], "the same to validate on, default none", "--val_data_path")
    rnet: str | None = option(None, "the frozen reconstructor: bundled name, session, session/epoch, path or published .pth")
    face_model: str | None = option(None, "face model; default: the one that the reconstructor was trained for")
    sessionname: str | None = option(
        None, "name of the run; default: that of --resume, else the stage", "--model_name", "--name"
    )
    resume: str | None = option(None, "session, session/epoch or path to continue from", "-r")
    new_stage: bool = option(False, "begin schedule and optimiser anew at the resumed snapshot")
    width: int = option(1, "factor on the widths of the graph network; Lin et al.'s --wide: 2")
    identity_network: str | None = option(None, "its embedding is a feature too, default off", choices=NETWORKS)
    identity_weights: Path | None = option(None, "its weights; not needed for small", "--net_recog_path")
    slide_contour: bool = option(True, "jaw landmarks lie on the silhouette where the face is turned away, as annotators draw")
    variant: str = option("pt", "pt: shift, scale, turn, flip; tf: no augmentation", choices=VARIANTS)
    shift_pixs: float = option(10.0, "augmentation: shift up to ± px", "--shift_pixs")
    scale_delta: float = option(0.1, "augmentation: size up to ± share", "--scale_delta")
    rot_angle: float = option(10.0, "augmentation: turn up to ± degrees", "--rot_angle")
    flip: float = option(0.5, "augmentation: share of mirrored samples")
    clip_norm: float = option(5.0, "largest gradient norm, 0 = off")
    milestones: list[int] = option([10, 20], "epochs after which the rate falls to a fifth, schedule milestones")
    batchsize_eval: int = option(32, "samples per validation step", "-vb")
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


@dataclass(frozen=True)
class RefineSettings(GraphStageSettings):
    """train_recon3d.py --stage gcn."""

    stage: str = option("gcn", "gcn: the mesh refiner behind a frozen reconstructor", choices=("gcn",))
    generator: str = option("ours", "ours, or published: GCN_ResNet (absolute output, ReLU, its weights)", choices=GENERATORS)
    gcn_output: str = option("offset", "offset from R-Net's shape, or absolute positions", "--gcn_output", choices=OUTPUTS)
    range_dm: float | None = option(None, "how far the output reaches; default 0.2 dm (offset), 1 dm (absolute)")
    views: int = option(4, "augmented views of a photo that R-Net sees once and for all; 0: a new one at every step")
    w_lm: float = option(1.6e-3, "weight of the landmark term")
    w_shape: float = option(100.0, "weight of the distance to R-Net's shape")
    w_normal: float = option(100.0, "weight of the difference to its normals")
    w_truth: float = option(50.0, "weight of the distance to the true shape, rendered faces only")
    lr: float = option(1e-3, "learning rate of Adam (GCN_ResNet: 1e-4)")
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES)
    epochs: int = option(20, "absolute number of epochs", "-e", "--n_epochs")
    batchsize: int = option(32, "samples per step, all processes (GCN_ResNet: 16)", "-b", "--batch-size", "--batch_size")


@dataclass(frozen=True)
class TextureSettings(GraphStageSettings):
    """train_recon3d.py --stage gcn_texture."""

    stage: str = option("gcn_texture", "gcn_texture: albedo per vertex behind a frozen reconstructor", choices=("gcn_texture",))
    layout: str = option("resnet", "of the generator: resnet, or normal (U-shaped), as Lin et al. call them", choices=LAYOUTS)
    gan: bool = option(False, "train Lin et al.'s WGAN-GP critic too")
    w_identity: float = option(0.2, "weight of the identity term, with --identity-network only")
    w_symmetry: float = option(0.5, "weight of left-right symmetry")
    w_variance: float = option(0.01, "weight of the variance over the skin")
    w_adversarial: float = option(1e-3, "weight of the critic")
    lr: float = option(1e-4, "learning rate of both Adams, falls by 2 % an epoch")
    epochs: int = option(50, "absolute number of epochs", "-e", "--n_epochs")
    batchsize: int = option(4, "samples per step, all processes together", "-b", "--batch-size", "--batch_size")
