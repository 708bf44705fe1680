"""Settings of train_recon3d.py --stage gcn and --stage gcn_texture: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from networks import graph_unet
from recon3d.identity.features import NETWORKS
from recon3d.reconstruction.settings import VARIANTS
from recon3d.refinement.refiner import OUTPUTS
from training.schedules import SCHEDULES
from training.settings import LoopSettings

GENERATORS = ("ours", "published", "seed")  # "seed": older spelling of "published"
LAYOUTS = tuple(graph_unet.GENERATORS)


@dataclass(frozen=True)
class GraphStageSettings(LoopSettings):
    """What both stages share."""

    data: list[str] = option(
        [], "folders of recon3d.reconstruction.prepare, PT data roots or their lists", group="data"
    )
    val_data: list[str] = option([], "the same to validate on, default none", group="data")
    rnet: str | None = option(
        None, "the frozen reconstructor: bundled name, session, session/epoch, path or published .pth", group="model"
    )
    face_model: str | None = option(
        None, "face model; default: the one that the reconstructor was trained for", group="model"
    )
    resume: str | None = option(None, "session, session/epoch or path to continue from", "-r", group="run")
    width: int = option(
        1, "factor on the widths of the graph network; Lin et al.'s --wide: 2", group="model", minimum=1
    )
    identity_network: str | None = option(
        None, "its embedding is a feature too, default off", choices=NETWORKS, group="model"
    )
    identity_weights: Path | None = option(None, "its weights; not needed for small", group="model")
    slide_contour: bool = option(
        True, "jaw landmarks lie on the silhouette where the face is turned away, as annotators draw", group="model"
    )
    variant: str = option(
        "pt", "pt: shift, scale, turn, flip; tf: no augmentation", choices=VARIANTS, group="augmentation"
    )
    shift_pixs: float = option(10.0, "augmentation: shift up to ± px", group="augmentation", minimum=0)
    scale_delta: float = option(0.1, "augmentation: size up to ± share", group="augmentation", minimum=0, maximum=1)
    rot_angle: float = option(10.0, "augmentation: turn up to ± degrees", group="augmentation", minimum=0)
    flip: float = option(0.5, "augmentation: share of mirrored samples", group="augmentation", minimum=0, maximum=1)
    clip_norm: float = option(5.0, "largest gradient norm, 0 = off", group="optimisation", minimum=0)
    milestones: list[int] = option(
        [10, 20], "epochs after which the rate falls to a fifth, schedule milestones", group="optimisation", minimum=1
    )
    batch_size_eval: int = option(32, "samples per validation step", "-vb", group="run", minimum=1)
    train_count: int | None = option(None, "only the first samples, default all", group="data", minimum=1)
    val_count: int | None = option(None, "only the first validation samples, default all", group="data", minimum=1)
    keep: int = option(3, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    repeat: int = option(1, "passes over the data in one epoch, for few samples", group="data", minimum=1)


@dataclass(frozen=True)
class RefineSettings(GraphStageSettings):
    """train_recon3d.py --stage gcn."""

    stage: str = option("gcn", "gcn: the mesh refiner behind a frozen reconstructor", choices=("gcn",), group="run")
    generator: str = option(
        "ours", "ours, or published: GCN_ResNet (absolute output, ReLU, its weights)", choices=GENERATORS, group="model"
    )
    gcn_output: str = option(
        "offset", "offset from R-Net's shape, or absolute positions", choices=OUTPUTS, group="model"
    )
    range_dm: float | None = option(
        None, "how far the output reaches; default 0.2 dm (offset), 1 dm (absolute)", group="model"
    )
    views: int = option(
        4,
        "augmented views of a photo that R-Net sees once and for all; 0: a new one at every step",
        group="data",
        minimum=0,
    )
    w_lm: float = option(1.6e-3, "weight of the landmark term", group="loss", minimum=0)
    w_shape: float = option(100.0, "weight of the distance to R-Net's shape", group="loss", minimum=0)
    w_normal: float = option(100.0, "weight of the difference to its normals", group="loss", minimum=0)
    w_truth: float = option(
        50.0, "weight of the distance to the true shape, rendered faces only", group="loss", minimum=0
    )
    lr: float = option(1e-3, "learning rate of Adam (seed: 1e-4)", group="optimisation", minimum=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES, group="optimisation")
    epochs: int = option(20, "absolute number of epochs", "-e", group="run", minimum=0)
    batch_size: int = option(32, "samples per step, all processes together (seed: 16)", "-b", group="run", minimum=1)


@dataclass(frozen=True)
class TextureSettings(GraphStageSettings):
    """train_recon3d.py --stage gcn_texture."""

    stage: str = option(
        "gcn_texture",
        "gcn_texture: albedo per vertex behind a frozen reconstructor",
        choices=("gcn_texture",),
        group="run",
    )
    layout: str = option(
        "resnet",
        "of the generator: resnet, or normal (U-shaped), as Lin et al. call them",
        choices=LAYOUTS,
        group="model",
    )
    gan: bool = option(False, "train Lin et al.'s WGAN-GP critic too", group="loss")
    w_identity: float = option(
        0.2, "weight of the identity term, with --identity-network only", group="loss", minimum=0
    )
    w_symmetry: float = option(0.5, "weight of left-right symmetry", group="loss", minimum=0)
    w_variance: float = option(0.01, "weight of the variance over the skin", group="loss", minimum=0)
    w_adversarial: float = option(1e-3, "weight of the critic", group="loss", minimum=0)
    lr: float = option(1e-4, "learning rate of both Adams", group="optimisation", minimum=0)
    schedule: str = option("decay", "of both; decay: 2 % less an epoch", choices=SCHEDULES, group="optimisation")
    epochs: int = option(50, "absolute number of epochs", "-e", group="run", minimum=0)
    batch_size: int = option(4, "samples per step, all processes together", "-b", group="run", minimum=1)
