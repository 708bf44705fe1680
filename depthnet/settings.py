"""Settings of DepthNet's training and evaluation: one line each, with unit and "off" value.

The spellings of the DepthNets repository (`--batch_size`, `--no_gan`, `--learn_m`, …) are accepted beside the house's.
"""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.errors import ConfigError
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP
from networks.depthnet import BASES, NORMS
from training.settings import LoopSettings

NETWORKS = ("depthnet", "aign", "aign_sn")


@dataclass(frozen=True)
class TrainSettings(LoopSettings):
    """train_depthnet.py."""

    network: str = option(
        "depthnet", "depthnet, aign (LSGAN) or aign_sn (spectral norm)", choices=NETWORKS, group="model"
    )
    dataset: str = option(
        "threedfaw", "key of a folder in 3DFAW's layout in local_config.ini, or <data>/<key>", group="data"
    )
    resume: str | None = option(
        None, "session, session/epoch, path, 'auto' (the session's newest) or an author's .pkl", "-r", group="run"
    )
    batch_size: int = option(32, "pairs per step and seed", "-b", group="run", minimum=2)
    epochs: int = option(100, "absolute number of epochs", "-e", group="run", minimum=0)
    seeds: int = option(
        1, "independent runs trained side by side; run k has the seed --seed + k", group="run", minimum=1
    )
    lr: float = option(2e-4, "learning rate of both networks", group="optimisation", minimum=0)
    beta1: float = option(0.5, "Adam's first momentum", group="optimisation", minimum=0, maximum=1)
    beta2: float = option(0.999, "Adam's second momentum", group="optimisation", minimum=0, maximum=1)
    l2_decay: float = option(0.0, "weight decay, 0 = off", group="optimisation", minimum=0)
    lamb: float = option(1.0, "weight of the keypoint loss beside the adversary's", group="loss", minimum=0)
    dnorm: float = option(
        0.0, "weight of the critic's gradient penalty on real faces, 0 = off", group="loss", minimum=0
    )
    no_gan: bool = option(False, "keypoint loss alone", group="loss")
    use_l1: bool = option(False, "absolute instead of squared keypoint error", group="loss")
    detach: bool = option(False, "no gradient through the solve; changes nothing for squared errors", group="loss")
    learn_m: bool = option(False, "predict the affine instead of solving for it", group="model")
    sigma: float = option(0.0, "ridge of the solve as in the authors' first version, 0 = off", group="loss", minimum=0)
    update_g_every: int = option(
        1, "steps between adversarial updates of the generator", group="optimisation", minimum=1
    )
    source_only: bool = option(
        False, "the generator does not see the target, so its depth cannot carry it", group="model"
    )
    targets: int = option(
        1, "targets that one source's depth must explain; above 1 needs --source-only", group="loss", minimum=1
    )
    critic_norm: str = option("batch", "normalisation in the critic", choices=NORMS, group="model")
    base: str = option(
        "none",
        "depth that the network's is added to: none, template (in the face's pose) or spectral (closed form)",
        choices=BASES,
        group="model",
    )
    hold_out: float = option(
        0.0,
        "share of the training faces that validation uses instead of its own, 0 = off",
        group="data",
        minimum=0,
        maximum=0.5,
    )
    w_depth: float = option(
        0.0, "weight of the squared error against the true depth (supervised), 0 = off", group="loss", minimum=0
    )
    jitter: float = option(
        0.0,
        "deviation of noise on the generator's source keypoints, image sides, 0 = off",
        group="augmentation",
        minimum=0,
    )
    save_every: int = option(10, "epochs between snapshots", group="logging", minimum=1)
    keep: int = option(2, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    eval_every: int = option(
        10, "epochs between validations on all pairs of the first 225 validation faces", group="logging", minimum=1
    )
    print_every: int = option(1000, "steps between console lines", "-p", group="logging", minimum=1)
    precision: str = option("no", "of AIGN's convolutions: no (float32) or bf16", choices=("no", "bf16"), group="run")
    compile: bool = option(False, "torch.compile the generator, on a GPU with CUDA graphs", group="run")

    def __post_init__(self) -> None:
        """Raises: ConfigError for combinations that mean nothing."""
        if self.no_gan and self.lamb != 1:
            raise ConfigError("--lamb weighs the keypoint loss against the adversary; with --no-gan leave it at 1.")
        if self.no_gan and self.dnorm:
            raise ConfigError("--dnorm is the critic's penalty; it needs the GAN, so leave out --no-gan or --dnorm.")
        if self.targets > 1 and (not self.source_only or self.learn_m):
            raise ConfigError(
                "--targets above 1 shares one depth over targets; it needs --source-only and no --learn-m."
            )
        if self.source_only and self.learn_m:
            raise ConfigError(
                "--learn-m predicts the affine to the target, which --source-only hides; choose one of them."
            )
        if (self.learn_m or self.targets > 1) and self.sigma:
            raise ConfigError(
                "--sigma is the ridge of the solve for one target; leave it out with --learn-m or --targets."
            )
        if self.base != "none" and self.learn_m:
            raise ConfigError("--base works with the solved affine; leave out --learn-m or --base.")
        if self.network != "depthnet" and (
            self.no_gan or self.learn_m or self.source_only or self.sigma or self.w_depth or self.base != "none"
        ):
            raise ConfigError(
                f"--network {self.network} takes no --no-gan, --learn-m, --source-only, --sigma, --w-depth or --base."
            )


@dataclass(frozen=True)
class EvalSettings:
    """eval_depthnet.py."""

    checkpoint: list[str] = option(
        ["depthnet_gan"],
        "bundled names, sessions, session/epochs, paths or authors' .pkl files",
        "-c",
        "-r",
        group="model",
    )
    dataset: str = option(
        "threedfaw", "key of a folder in 3DFAW's layout in local_config.ini, or <data>/<key>", group="data"
    )
    seed: int = option(0, "written beside the scores; the evaluation draws nothing", group="run", minimum=0)
    compute_stats: bool = option(False, "print DepthCorr, the pose table and keypoint errors", group="protocol")
    controls: bool = option(True, "scores of depths that need no learning beside the model's", group="protocol")
    dump_depths: Path | None = option(
        None, "write the test faces' depths here: npz with (225, 225, 66) preds", group="output"
    )
    figures: Path | None = option(None, "folder for figures 2 and 3 of the test faces", group="output")
    json: Path | None = option(None, "write all numbers here", group="output")
    stats_count: int = option(
        225, "validation faces, from the first, that the statistics use", group="protocol", minimum=1
    )
    faces: int = option(6, "test faces of figure 2", group="output", minimum=1)
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")


@dataclass(frozen=True)
class WarpSettings:
    """warp_face.py."""

    inputs: list[str] = option([], "action, then its files; see above", positional=True)
    out: Path | None = option(
        None, "result: .png, .gif, .mp4, or a folder for several; default in <outputs>/warp", group="output"
    )
    output_dir: Path | None = option(None, "folder of export and export-animation", group="output")
    checkpoint: str = option(
        "depthnet_gan", "bundled name, session, session/epoch, path or an author's .pkl", "-c", "-r", group="model"
    )
    src_kpts_file: Path | None = option(None, "keypoints of the source, pixels; default: a detector's", group="data")
    tgt_kpts_file: Path | None = option(None, "keypoints of the one target; default: a detector's", group="data")
    tgt_kpts_dir: Path | None = option(None, "folder with <target>.txt keypoints of all targets", group="data")
    kpt_file_separator: str = option(",", "between the numbers of a keypoint file; ' ' for white space", group="data")
    output_size: str = option("tgt", "tgt, src, a number or WIDTHxHEIGHT in px", group="output")
    mode: str | None = option(
        None,
        "visible hides what is hidden, compat has FaceWarper's pixels; default: visible, of serve compat",
        choices=("visible", "compat"),
        group="protocol",
    )
    onto: str = option(
        "black", "what is behind the face", choices=("black", "target", "source", "transparent"), group="protocol"
    )
    repair: str | None = option(
        None, "CycleGAN session: repairs `warp --onto target`, paints the background of frontalise", group="protocol"
    )
    axis: str = option(
        "y", "of rotate and export-animation: x nods, y turns, z tilts", choices=("x", "y", "z"), group="protocol"
    )
    angles: list[float] = option([45.0, -45.0], "degrees: from 0 to the first, then to the second", group="protocol")
    source_depth: bool = option(False, "use the depths of --src-kpts-file instead of the model's", group="data")
    scale_depth: float | None = option(
        None,
        "a keypoint file's depths divided by it are in image sides; 0: their range is one side; default: the unit is "
        "told by the numbers, sides or pixels",
        group="data",
    )
    rotate_about: str = option(
        "face",
        "its centre, or origin: the picture's corner, as FaceWarper's exporter did",
        choices=("face", "origin"),
        group="protocol",
    )
    rotate_source: bool = option(
        True, "0: turn the target, whose file has depths, and fit the source to it", group="protocol"
    )
    whole_pixels: bool = option(
        True, "export keypoints as whole pixels, as FaceWarper's example has them", group="protocol"
    )
    save_plots: bool | None = option(
        None,
        "export: draw plots and plot_warp, by default for one target; export-animation: plot_source and plot_target, "
        "by default not",
        group="output",
    )
    fps: float = option(25.0, "of movies", group="output")
    identity: bool = option(False, "dataset: ignore the affines, which cuts faces out", group="protocol")
    start_index: int = option(0, "dataset: first item", group="data", minimum=0)
    img_override: Path | None = option(None, "dataset: one source picture for all items", group="data")
    use_dir: str = option("source", "dataset: folder whose files name the items", group="data")
    detector: str = option(DEFAULT_DETECTOR, DETECTOR_HELP, group="run")
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
