"""Settings of the autoencoder's scripts: one line each, with unit and "off" value."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.runtime import PRECISIONS
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP
from datasets.sample import CROP_SOURCES
from metrics.landmarks import NORMALISERS
from networks.aae import READOUTS
from networks.blocks import ACTIVATIONS
from training.settings import DegradationSettings, LoopSettings


@dataclass(frozen=True)
class FaceSettings(DegradationSettings, LoopSettings):
    """What all landmark trainings share: data, crops, augmentation, optimisation."""

    input_size: int = option(256, "side of the networks' input in px", "-i", choices=(128, 256, 512), group="model")
    batch_size: int = option(50, "samples per step, all processes together", "-b", group="run", minimum=1)
    eval: bool = option(False, "validate once and stop", group="run")
    lr: float = option(2e-5, "learning rate of encoder and decoder", group="optimisation", minimum=0)
    beta1: float = option(0.0, "Adam's first momentum", group="optimisation", minimum=0, maximum=1)
    beta2: float = option(0.999, "Adam's second momentum", group="optimisation", minimum=0, maximum=1)
    weight_decay: float = option(0.0, "AdamW's weight decay, 0 = Adam", group="optimisation", minimum=0)
    clip_norm: float = option(0.0, "largest gradient norm, 0 = off", group="optimisation", minimum=0)
    print_every: int = option(50, "steps between console lines", "-p", group="logging", minimum=1)
    eval_every: int = option(10, "epochs between validations", group="logging", minimum=1)
    batch_size_eval: int = option(20, "samples per validation step", group="run", minimum=1)
    repeat: int = option(1, "passes over the data in one epoch, for few samples", group="data", minimum=1)
    train_count: int | None = option(None, "samples of every training dataset, default all", group="data", minimum=1)
    train_count_multi: int | None = option(
        None, "samples of all training datasets together, default all", group="data", minimum=1
    )
    train_seed: int | None = option(
        None,
        "draw --train-count at random with this seed; default: the first rows, as 3FabRec",
        group="data",
        minimum=0,
    )
    train_start: int = option(0, "first row of --train-count", group="data", minimum=0)
    val_count: int | None = option(None, "samples of every validation dataset, default all", group="data", minimum=1)
    daug: int = option(
        0,
        "augmentation level 0 to 8; every level mirrors half of the samples",
        choices=tuple(range(9)),
        group="augmentation",
    )
    shuffle_buffer: int = option(
        16384, "samples of a sharded set that are mixed with each other", group="data", minimum=1
    )
    align: bool = option(False, "level the eyes in landmark crops", group="data")
    crop_source: str = option(
        "bb_ground_truth", "rule that cuts faces out of photos", choices=CROP_SOURCES, group="data"
    )
    use_cache: bool = option(True, "keep packed crops; 0 packs anew", group="data")
    scheme: str | None = option(None, "landmark scheme of `folder` data: a name or a .json file", group="data")
    detector: str = option(
        DEFAULT_DETECTOR,
        f"finds the face in photos of a folder without points: {DETECTOR_HELP}",
        group="data",
    )
    precision: str = option("no", "no (float32) or bf16 (autocast)", choices=PRECISIONS, group="run")


@dataclass(frozen=True)
class CommonSettings(FaceSettings):
    """What the autoencoder's training scripts share."""

    embedding_dims: int = option(99, "length of the latent z", "-z", group="model", minimum=1)
    activation: str | None = option(
        None,
        "relu (3FabRec) or leaky_relu (ParFace-Net) of a new model, default relu, and of a saae.mdl, whose"
        " file does not "
        "tell; other resumed models keep theirs",
        choices=ACTIVATIONS,
        group="model",
    )
    normalize: bool = option(True, "subtract the pixel mean; a resumed model keeps its own", group="model")
    phases: list[str] = option(["train", "val"], "parts of an epoch to run", choices=("train", "val"), group="run")
    resident: bool = option(False, "keep all crops decoded on the device: 0.1 MB each at 128 px", group="data")
    show: bool = option(True, "write pictures with every validation", group="logging")
    show_random_faces: bool = option(True, "random faces and interpolations among the pictures", group="logging")
    init_weights: Path | None = option(
        None, "torchvision ResNet-18 weights to start a new encoder, and a new depth head, from", group="model"
    )


@dataclass(frozen=True)
class UnsupervisedSettings(CommonSettings):
    """train_aae_unsupervised.py."""

    lr_latent: float | None = option(
        None, "learning rate of the latent discriminator, default that of --lr", group="optimisation", minimum=0
    )
    train_encoder: bool = option(True, "update Q", group="optimisation")
    train_decoder: bool = option(True, "update P; 0 = in-domain inversion with a frozen decoder", group="optimisation")
    reset: bool = option(False, "start the image discriminator anew", group="optimisation")
    with_zgan: bool = option(True, "latent discriminator", group="loss")
    with_gan: bool = option(False, "image discriminator", group="loss")
    with_gen_loss: bool = option(False, "image discriminator sees decoded interpolations of latents too", group="loss")
    with_ssim_loss: bool = option(False, "structural loss", group="loss")
    with_l1_loss: bool = option(True, "1: L1 pixel loss; 0: L2 pixel loss", group="loss")
    with_wgan_gp: bool = option(
        False, "Wasserstein critic with gradient penalty instead of the image discriminator", group="loss"
    )
    with_perceptual_loss: bool = option(False, "VGG-19 loss; needs weights, see [Paths] vgg19", group="loss")
    p_loss_features: list[int] = option([8], "VGG-19 layers of the perceptual loss: 3 8 15 22", group="loss", minimum=1)
    w_rec: float = option(1.0, "weight of the pixel loss", group="loss", minimum=0)
    w_ssim: float = option(60.0, "weight of the structural loss", group="loss", minimum=0)
    w_gen: float = option(0.25, "share of the interpolation term", group="loss", minimum=0)
    w_adv: float | None = option(
        None,
        "weight of the adversarial loss; default 1, with --with-wgan-gp 0.001: a critic's scores have no bound",
        group="loss",
        minimum=0,
    )
    w_ploss: float = option(0.1, "weight of the perceptual loss", group="loss", minimum=0)
    update_D_freq: int = option(2, "steps between updates of the image discriminator", group="optimisation", minimum=1)
    update_E_freq: int = option(
        1, "steps between adversarial updates of the autoencoder", group="optimisation", minimum=1
    )
    dataset_train: list[str] = option(["vggface2", "affectnet"], "training datasets", group="data")
    dataset_val: list[str] | None = option(
        None, "validation datasets; default: the first of --dataset-train", group="data"
    )
    train_split: str = option("train", "split of the training datasets; 1 to 6 and unlabeled for ParFace", group="data")
    test_split: str | None = option(
        None, "split of the validation datasets; default: val, test or full, the first that a dataset has", group="data"
    )


@dataclass(frozen=True)
class LandmarkSettings(CommonSettings):
    """train_aae_landmarks.py."""

    batch_size: int = option(40, "samples per step, all processes together", "-b", group="run", minimum=1)
    train_encoder: bool = option(False, "fine-tune Q", group="optimisation")
    train_decoder: bool = option(False, "fine-tune P; reconstructions then drift", group="optimisation")
    encoder_batchnorm: str = option(
        "eval", "of a fine-tuned Q: eval (frozen, 3FabRec) or train", choices=("eval", "train"), group="optimisation"
    )
    beta1: float = option(0.9, "Adam's first momentum", group="optimisation", minimum=0, maximum=1)
    lr_heatmaps: float = option(1e-3, "learning rate of the landmark head", group="optimisation", minimum=0)
    sigma: float = option(7.0, "Gaussian width in heatmap px (128 px maps)", group="loss", minimum=0)
    w_rec: float = option(
        0.0, "weight of a pixel loss that keeps reconstructions while Q is fine-tuned, 0 = off", group="loss", minimum=0
    )
    rec_share: float = option(
        0.25, "share of a batch that the pixel loss is computed on", group="loss", minimum=0, maximum=1
    )
    w_coords: float = option(0.0, "weight of a linear read-out of coordinates from z, 0 = off", group="loss", minimum=0)
    coords_epochs: int = option(
        0, "first epochs of the stage with that read-out alone, without heatmaps; 0 = none", group="loss", minimum=0
    )
    use_adaptive_wing_loss: bool = option(False, "adaptive wing instead of L2 on heatmaps", group="loss")
    ocular_norm: str = option("outer", "normaliser of the NME", "-n", choices=NORMALISERS, group="loss")
    dataset: list[str] = option(["w300"], "landmark datasets", group="data")
    dataset_val: list[str] | None = option(None, "validation datasets; default: those of --dataset", group="data")
    train_split: str = option("train", "split to train on; 1 to 6 for ParFace", group="data")
    test_split: str | None = option(
        None, "split to validate on; default: val, test or full, the first that a dataset has", group="data"
    )


@dataclass(frozen=True)
class DepthSettings(LandmarkSettings):
    """train_aae_landmarks_3d.py."""

    lr_heatmaps: float = option(1e-5, "learning rate of the depth head", group="optimisation", minimum=0)
    use_groundtruth: bool = option(
        True, "depth head sees ground-truth heatmaps in training; 0: predicted", group="loss"
    )
    finetune_2d: bool = option(False, "update the heatmap head too", group="optimisation")
    eval_3d: bool = option(True, "report 3D errors (GTE)", group="logging")
    dataset: list[str] = option(["wlp300"], "landmark datasets with depth", group="data")


@dataclass(frozen=True)
class EvalSettings:
    """eval_landmarks.py."""

    checkpoint: list[str] = option(
        [],
        "bundled name, session, session/epoch or path of the model; several are scored on the same faces",
        "-c",
        "-r",
        group="model",
    )
    dataset: list[str] = option(["w300"], "dataset", group="data")
    test_split: str = option("full", "split", group="data")
    benchmark: bool = option(
        False, "print the score of the whole split; without it also draw the first faces", group="data"
    )
    ocular_norm: str = option("outer", "normaliser of the NME", "-n", choices=NORMALISERS, group="protocol")
    crop_source: str | None = option(
        None, "rule that cuts faces out of photos; default: the model's", choices=CROP_SOURCES, group="protocol"
    )
    boxes: str | None = option(
        None,
        "find landmarks in whole photos: from `landmarks` (tight boxes around the annotated points), `crops`"
        " by them, or "
        f"from a detector: {DETECTOR_HELP}; default: crops as in training",
        group="protocol",
    )
    jitter: float = option(
        0.0, "with --boxes landmarks: random shift and scale, as shares of the box", group="protocol", minimum=0
    )
    passes: int = option(2, "with --boxes: 2 cuts again by the first landmarks", group="protocol", minimum=1)
    align: bool = option(False, "level the eyes in landmark crops", group="protocol")
    flip: bool = option(False, "average the heatmaps with those of the mirrored crop", group="protocol")
    subpixel: bool = option(True, "0: integer peaks, as 3FabRec decodes", group="protocol")
    readout: str | None = option(
        None, "heatmaps (the papers), coords (from z) or mean; default: the model's", choices=READOUTS, group="model"
    )
    activation: str | None = option(
        None, "of a saae.mdl without depth head: leaky_relu for ParFace-Net", choices=ACTIVATIONS, group="model"
    )
    threshold: float = option(
        10.0, "NME in % above which a face counts as failed; end of the AUC", group="protocol", minimum=0
    )
    auc_steps: int = option(0, "0: exact AUC; 50: 3FabRec's sum over 50 thresholds", group="protocol", minimum=0)
    sigma: float = option(7.0, "Gaussian width in heatmap px of drawn ground truth", group="protocol", minimum=0)
    eval_3d: bool = option(False, "report 3D errors (GTE) of a model with a depth head", group="protocol")
    use_groundtruth: bool = option(False, "depth head sees ground-truth heatmaps; 0: predicted", group="protocol")
    batch_size: int = option(32, "samples per step", "-b", "--batch-size-eval", group="run", minimum=1)
    val_count: int | None = option(None, "only the first samples, default all", group="data", minimum=1)
    workers: int = option(0, "loader processes, 0 = none", "-j", group="run", minimum=0)
    scheme: str | None = option(None, "landmark scheme of `folder` data: a name or a .json file", group="data")
    json: Path | None = option(None, "write the summary here", group="output")
    csv: Path | None = option(None, "write the error of every face here", group="output")
    ced: Path | None = option(None, "draw the cumulative error curve here", group="output")
    report: Path | None = option(
        None,
        "write report.html with curves, intervals, groups and pictures, and its csv, into this folder",
        group="output",
    )
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
    precision: str = option("no", "no (float32) or bf16 (autocast)", choices=PRECISIONS, group="run")
    seed: int = option(0, "of the model's training, written beside the score; of --jitter", group="run", minimum=0)
