"""Train a CycleGAN that paints the background of frontalised faces, or repairs faces that were pasted onto other heads.

    python train_facewarp_cyclegan.py --task background --dataset w300
    python train_facewarp_cyclegan.py --task faceswap --dataset w300 --size 80 --epochs 500
    python train_facewarp_cyclegan.py --task faceswap --base 16 --blocks 3 --count 200 --epochs 5  # small, for a CPU

Reads photos with 68 landmarks (datasets of local_config.ini), lifts the faces with a DepthNet, and writes snapshots to
<data>/models/snapshots/<session>/ and picture grids to <outputs>/reports/<session>/. Do not deceive: see
docs/results/depth.md.
"""

import sys

from common.checkpoint import resolve_snapshot
from common.config import LocalConfig
from common.logs import console
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from depthnet.pairs import Positions, collate_positions
from depthnet.replacement.training import CycleGANMethod, CycleGANSettings, load_or_build, open_domains
from training.loop import LoopOptions, train


def train_cyclegan(settings: CycleGANSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    folder = None if settings.resume is None else resolve_snapshot(settings.resume, local.snapshots)
    session = settings.sessionname or (folder.parent.name if folder is not None else f"cyclegan_{settings.task}")
    console().info("Use this only on faces of people who agree, and never to deceive.")

    domains = open_domains(settings, local)

    networks = load_or_build(settings, domains, folder)
    networks.to(accelerator.device).train()
    synchronise(networks, accelerator)

    size = min(settings.batch_size, len(domains.a))
    method = CycleGANMethod(networks, domains, settings, accelerator, batches=len(domains.a) // size)

    options = LoopOptions.from_settings(settings, local, session, batch_size=size)
    train(method, Positions(len(domains.a)), collate_positions, lambda i: f"picture {i}", options, accelerator, folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_cyclegan, CycleGANSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
