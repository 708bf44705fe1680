"""Learning-rate factors as pure functions of the position in a stage, so that a resumed run needs no scheduler
state.
"""

import math

SCHEDULES = ("constant", "cosine", "step", "decay", "milestones")


def learning_rate_factor(
    schedule: str, progress: float, epochs_done: int, warmup: float = 0.0, milestones: tuple[int, ...] = ()
) -> float:
    """Factor on every optimiser's initial learning rate.

    Args:
        schedule: constant; cosine (to 1 % at the end of the stage); step (×0.9 every 10 epochs, ParFace-Net's
            --lr-adjust); decay (×0.98 every epoch, Lin et al. 2020);
            milestones (×0.2 after each of some epochs of the stage, and during the warm-up instead of a ramp, 3DDFA).
        progress: done share of the stage in [0, 1].  epochs_done: whole epochs of the stage.
        warmup: share of the stage with a linear ramp from 0, 0 = off.  milestones: epochs, for that schedule alone.
    """
    if schedule == "milestones":
        return 0.2 ** (sum(epochs_done >= epoch for epoch in milestones) + (progress < warmup))
    ramp = min(1.0, progress / warmup) if warmup > 0 else 1.0
    if schedule == "constant":
        return ramp
    if schedule == "step":
        return ramp * 0.9 ** (epochs_done // 10)
    if schedule == "decay":
        return ramp * 0.98**epochs_done
    if schedule == "cosine":
        return ramp * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
    raise ValueError(f"unknown schedule '{schedule}'; choose one of: {', '.join(SCHEDULES)}")
