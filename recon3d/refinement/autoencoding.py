"""Train CoMA, an autoencoder of face shapes, on random faces of a face model.

    python -m recon3d.refinement.autoencoding --epochs 12 --code 8  # the embedded head, some minutes
    python -m recon3d.refinement.autoencoding --face-model ict:/data/ict_light.npz --code 16 --sessionname coma_ict
    python -m recon3d.refinement.autoencoding -r coma --epochs 20                       # go on

Prints the error per vertex on unseen shapes beside that of the mean shape and of a PCA with as many numbers, fitted to
the same training shapes. Writes snapshots to <data>/models/snapshots/<session>/ and numbers to
<outputs>/logs/<session>/.
"""

import sys
from dataclasses import dataclass

from torch.utils.data import TensorDataset

from common.checkpoint import read_snapshot, resolve_snapshot
from common.config import LocalConfig, check_session, option
from common.errors import CheckpointError, ConfigError
from common.logs import console
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from morphable.open import load_face_model
from networks.graph_generators import MeshAutoencoder
from recon3d.refinement.autoencoder import (
    KIND,
    MM_PER_DM,
    AutoencoderMethod,
    StandardisedAutoencoder,
    collate,
    pca_error_mm,
    random_shapes,
)
from recon3d.refinement.levels import graph_levels
from recon3d.refinement.pyramid import cached_pyramid
from training.loop import LoopOptions, train
from training.schedules import SCHEDULES
from training.settings import LoopSettings


@dataclass(frozen=True)
class AutoencoderSettings(LoopSettings):
    """python -m recon3d.refinement.autoencoding."""

    face_model: str = option("head", "whose shapes: head, or format:path as load_face_model takes it", group="model")
    sessionname: str = option("coma", "name of the run", group="run", check=check_session)
    resume: str | None = option(None, "session, session/epoch or path to continue from", "-r", group="run")
    shapes: int = option(2000, "random training shapes", group="data")
    held_out: int = option(200, "unseen shapes", group="data")
    code: int = option(8, "numbers that a face is squeezed into", group="model")
    epochs: int = option(12, "passes over the shapes", "-e", group="run", minimum=0)
    batch_size: int = option(16, "shapes in one update", "-b", group="run", minimum=1)
    lr: float = option(3e-3, "learning rate of Adam", group="optimisation", minimum=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES, group="optimisation")
    keep: int = option(2, "newest numbered snapshots to keep, 0 = all", group="logging", minimum=0)
    print_every: int = option(50, "steps between console lines", "-p", group="logging", minimum=1)


def train_autoencoder(settings: AutoencoderSettings, local: LocalConfig) -> dict[str, float]:
    """Train; errors in mm of mean shape, PCA and network on unseen shapes."""
    if min(settings.shapes, settings.held_out, settings.batch_size, settings.code, settings.epochs) < 1:
        raise ConfigError("--shapes, --held-out, --batch-size, --code and --epochs are at least 1.")
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    model = load_face_model(settings.face_model, local)
    pyramid = cached_pyramid(model.mean, model.triangles, local.data / "pyramids")
    shapes = random_shapes(model, settings.shapes + settings.held_out, settings.seed)
    training, unseen = shapes[: settings.shapes], shapes[settings.shapes :]
    network = MeshAutoencoder(graph_levels(pyramid), settings.code)
    networks = StandardisedAutoencoder(network, training.mean(0), training.std(0))
    resumed = None if settings.resume is None else resolve_snapshot(settings.resume, local.snapshots)
    describe = {"face_model": settings.face_model, "code": settings.code, "pyramid": pyramid.digest}
    if resumed is not None:
        snapshot = read_snapshot(resumed, "a mesh autoencoder", KIND)
        if {key: snapshot.info.get(key) for key in describe} != describe:
            raise CheckpointError(
                f"{resumed}: not an autoencoder of this mesh with this --code; choose another --resume."
            )
        snapshot.restore(lambda: networks)
    networks.to(accelerator.device)
    synchronise(networks, accelerator)
    method = AutoencoderMethod(networks, accelerator, settings.lr, unseen, describe)
    options = LoopOptions.from_settings(settings, local, settings.sessionname)
    train(method, TensorDataset(training), collate, lambda i: f"shape {i}", options, accelerator, resumed)
    scores = {
        "mean_mm": MM_PER_DM * float((unseen - training.mean(0)).norm(dim=-1).mean()),
        "pca_mm": pca_error_mm(training, unseen, settings.code),
        "coma_mm": method.evaluate(settings.epochs)["error_mm"],
    }
    console().info(
        f"{len(unseen)} unseen shapes: " + "  ".join(f"{name}={value:.3f}" for name, value in scores.items())
    )
    return scores


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_autoencoder, AutoencoderSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
