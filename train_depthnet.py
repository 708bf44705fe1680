"""Train DepthNet: depths of keypoints from unpaired faces, with or without an adversary; or AIGN.

    python train_depthnet.py --sessionname fixm --dataset threedfaw --no-gan                 # solve for the affine
    python train_depthnet.py --sessionname gan --dataset threedfaw --dnorm 0.1 --seeds 5  # critic, five seeds at once
    python train_depthnet.py --sessionname based --dataset threedfaw --base spectral --source-only --no-gan
    python train_depthnet.py --sessionname learnm --dataset threedfaw --no-gan --learn-m     # predict the affine
    python train_depthnet.py --sessionname aign --dataset threedfaw --network aign --lamb 100
    python train_depthnet.py --sessionname gan --resume auto --dnorm 0.1 --seeds 5           # continue

Reads 3DFAW's layout from the folder named in local_config.ini, writes snapshots to <data>/models/snapshots/<session>/
and numbers to <outputs>/logs/<session>/.
"""

import sys

from common.config import LocalConfig
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from depthnet.method import AIGNMethod, DepthNetMethod
from depthnet.pairs import PairSampler, Positions, collate_positions
from depthnet.scores.evaluation import Faces
from depthnet.settings import TrainSettings
from depthnet.training import (
    VALIDATION_FACES,
    choose_faces,
    choose_session,
    describe,
    load_folder,
    load_or_build,
    report_start,
    validation_scores,
)
from training.loop import LoopOptions, train


def train_depthnet(settings: TrainSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train, all seeds side by side. Raises: UserError, DivergenceError,
    Interrupted.
    """
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    session, resume = choose_session(settings, local)

    root, cache = local.dataset(settings.dataset), local.cache(settings.dataset) / settings.dataset
    faces, valid = choose_faces(settings.hold_out, root, cache)

    networks = load_or_build(settings, local, resume, faces).to(accelerator.device)
    synchronise(networks, accelerator)
    networks.train()
    report_start(settings, faces, valid, networks)

    sampler = PairSampler(faces, accelerator.device, settings.seeds, settings.seed, settings.targets)
    held_out = Faces.of(valid, accelerator.device, VALIDATION_FACES)
    method_type = DepthNetMethod if settings.network == "depthnet" else AIGNMethod
    method = method_type(
        networks,
        settings,
        accelerator,
        sampler,
        lambda nets, _: validation_scores(nets, held_out),
        describe(settings, faces),
    )

    options = LoopOptions.from_settings(settings, local, session, compile=False)  # the method does, with CUDA graphs
    folder = load_folder(resume, local)
    train(method, Positions(len(faces)), collate_positions, lambda i: f"pair {i}", options, accelerator, folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_depthnet, TrainSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
