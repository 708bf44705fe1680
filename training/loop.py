"""The one training loop: read it in one sitting.

A method brings `networks`, `optimizers`, `training_step(batch, step, epoch)` and `evaluate(epoch)`; the loop owns
progress, logs, snapshots, exact resume, signals and the stop on values that are not finite.
"""

import dataclasses
import itertools
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from common.checkpoint import json_safe, link_snapshot, newest_snapshot, read_state, save_snapshot, sessions_part
from common.config import LocalConfig
from common.errors import CheckpointError, ConfigError, DivergenceError, Interrupted
from common.logs import console
from common.runtime import average_buffers, gather_objects, main_object, random_state, restore_random_state
from training.batch_norm import synchronise_batch_norm
from training.lock import session_lock
from training.recompute import recompute_blocks
from training.runlog import RunLog
from training.sampling import EpochBatches, ShardBatches, Sharded, StepBatches
from training.schedules import learning_rate_factor
from training.settings import LoopSettings, warmup_share


class EpochPosition(NamedTuple):
    """Where a step lies: `number` completed epochs of the stage, and `batch` (from 0) of the `batches` of the running
    one.

    Only the loop knows this: sampling rounds the batch size to the number of processes, so steps alone do not tell the
        epoch.
    """

    number: int
    batch: int
    batches: int

    @property
    def fraction(self) -> float:
        """Epochs since the stage's begin, the running one by its share."""
        return self.number + self.batch / self.batches


class Batch(Protocol):
    """What a `collate` makes; beside it whatever its method needs."""

    indices: Tensor  # (B,) of the samples, for messages and augmentation


class Method(Protocol):
    """What a method gives to the loop."""

    stage: str  # name of the training script's stage; optimiser state is only restored within one stage
    networks: nn.Module
    optimizers: dict[str, Optimizer]

    def training_step(self, batch: Batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update; named scalar tensors, `loss` among them, still on the device. Both count from the stage's
        begin.
        """

    def evaluate(self, epoch: int) -> dict[str, float]:
        """Validation numbers; `score` (lower is better) decides the best snapshot; empty when there is nothing to do.

        Every process is asked, and the numbers of process 0 count.
        """

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """(H, W, 3) uint8 RGB pictures by name."""

    def config(self) -> dict:
        """JSON-ready description that rebuilds the networks."""

    def step_line(self, means: dict[str, float]) -> str:
        """Console text of the mean terms in the paper's format."""


@runtime_checkable
class WithHistograms(Protocol):
    """A method that also reports histograms."""

    def histograms(self, epoch: int) -> dict[str, Tensor]:
        """Tensors by name, of the last evaluation or of the weights."""


@runtime_checkable
class WithCompilable(Protocol):
    """A method that says which of its modules --compile is for; else it is `networks`.

    Attributes: compilable: modules that the step calls.
    """

    compilable: list[nn.Module]


@dataclass(frozen=True)
class LoopOptions:
    """How a run proceeds.

    Attributes:
        session: folder of the session's snapshots.  log_folder, report_folder: for numbers and pictures.
        epochs: absolute number, earlier stages included; None = endless.  batch_size: of all processes together.
        max_minutes: of the stage, 0 = no limit; the schedule then runs over whichever of epochs and minutes ends first.
        repeat: passes over the data in one epoch (for few samples).  save_every, eval_every: epochs; print_every:
            steps.
        schedule, warmup, milestones: see `training.schedules`.
        patience: evaluations without a better score before stopping, 0 = off.
        keep: newest numbered snapshots to keep, 0 = all.  new_stage: begin the schedule and the optimisers anew.
        accumulate: pieces that a process's share of a batch goes through in, one after the other.
        recompute: see `training.recompute`.  sync_batchnorm: see `training.batch_norm`.  compile: torch.compile.
    """

    session: Path
    log_folder: Path
    report_folder: Path
    epochs: int | None
    batch_size: int
    seed: int = 0
    max_minutes: float = 0.0
    repeat: int = 1
    save_every: int = 1
    print_every: int = 50
    eval_every: int = 10
    schedule: str = "constant"
    warmup: float = 0.0
    patience: int = 0
    keep: int = 0
    workers: int = 0
    milestones: tuple[int, ...] = ()
    new_stage: bool = False
    accumulate: int = 1
    recompute: bool = False
    sync_batchnorm: bool = False
    compile: bool = False

    @classmethod
    def from_settings(
        cls, settings: LoopSettings, local: LocalConfig, session: str, reports: Path | str = "", **changes: object
    ) -> "LoopOptions":
        """The loop's part of a script's settings.

        Args: session: name of the run; reports: folder under <outputs>/reports/, default the session's; changes: by
        name.
        """
        shared = {item.name for item in dataclasses.fields(cls)} & {item.name for item in dataclasses.fields(settings)}
        values = {name: getattr(settings, name) for name in shared}
        values["milestones"] = tuple(settings.milestones)
        values["warmup"] = warmup_share(settings.warmup, settings.epochs)
        folders = {
            "session": local.snapshots / session,
            "log_folder": local.outputs / "logs" / session,
            "report_folder": local.outputs / "reports" / (reports or session),
        }
        return cls(**(values | folders | changes))


def session_name(settings: LoopSettings, local: LocalConfig, default: str) -> str:
    """--sessionname, else the session that --resume is in, else the script's or stage's own."""
    return settings.sessionname or (sessions_part(settings.resume, local.snapshots) if settings.resume else default)


@dataclass
class Position:
    """Where a run is: all that is not in weights, optimisers and generators."""

    epoch: int = 0  # completed epochs
    batches_done: int = 0  # of the running epoch
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    stage: str = ""
    stage_start: int = 0  # completed epochs when the stage began
    stage_step: int = 0  # steps since then
    stage_seconds: float = 0.0  # time since then
    best_score: float = float("inf")
    evaluations_since_best: int = 0


class Indexed(Dataset):
    """A dataset whose items are (index, item), as every `collate` takes them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, object]:
        return index, self.dataset[index]


class Repeated(Indexed):
    """A dataset seen several times per epoch; every repetition has its own index, hence its own augmentation."""

    def __init__(self, dataset: Dataset, times: int) -> None:
        super().__init__(dataset)
        self.times = times

    def __len__(self) -> int:
        return len(self.dataset) * self.times

    def __getitem__(self, index: int) -> tuple[int, object]:
        return index, self.dataset[index % len(self.dataset)]


@dataclass(frozen=True)
class Running:
    """A run's parts, handed on as one; only `position` changes. names: what to call a sample in an error message."""

    method: Method
    options: LoopOptions
    accelerator: Accelerator
    position: Position
    log: RunLog
    guard: "SignalGuard"
    names: Callable[[int], str]


def train(
    method: Method,
    dataset: Dataset,
    collate: Callable[[list], Batch],
    names: Callable[[int], str],
    options: LoopOptions,
    accelerator: Accelerator,
    resume: Path | None = None,
) -> Position:
    """Train until `options.epochs`; returns the final position.

    Args:
        dataset: items for `collate`, which gets a list of (index, item) and returns the batch of `training_step`.
        names: what to call a sample in an error message.
        resume: snapshot whose position (and, in the same stage, optimisers and generators) is continued.
    Raises: DivergenceError, Interrupted; ConfigError for a session that holds another run.
    """
    with session_lock(options.session, accelerator):
        return _train(method, dataset, collate, names, options, accelerator, resume)


def _train(
    method: Method,
    dataset: Dataset,
    collate: Callable[[list], Batch],
    names: Callable[[int], str],
    options: LoopOptions,
    accelerator: Accelerator,
    resume: Path | None,
) -> Position:
    refuse_to_mix(options.session, resume)
    position = restore(method, options, accelerator, resume)
    prepare_networks(method, options, accelerator)
    log = RunLog(options.log_folder, accelerator.is_main_process)
    repeated = Repeated(dataset, options.repeat)
    batches = make_batches(repeated, options, accelerator)
    say: Callable[[str], None] = console().info if accelerator.is_main_process else (lambda text: None)
    with SignalGuard() as guard:
        run = Running(method, options, accelerator, position, log, guard, names)
        while options.epochs is None or position.epoch < options.epochs:
            number = position.epoch + 1
            say("")
            say(f"===== Epoch {number}/{options.epochs or '∞'}")
            batches.set_position(position.epoch, position.batches_done)
            # a generator of its own, or the loader would draw from the global one and a resumed epoch would differ
            own = torch.Generator().manual_seed(options.seed)
            loader = DataLoader(
                repeated, batch_sampler=batches, collate_fn=collate, num_workers=options.workers, generator=own
            )
            means = run_epoch(run, loader, batches)
            position.epoch, position.batches_done = number, 0
            say("-" * 100)
            say(f"Train:         {method.step_line(means)} \tT: {_clock(position.seconds)}")
            log.scalars(number, position.step, "train", means)
            stop = finish_epoch(run, say)
            if stop:
                say(f"no better score for {options.patience} evaluations: stopping early")
            if stop or time_is_up(options, position, accelerator):
                break
    log.close()
    return position


def prepare_networks(method: Method, options: LoopOptions, accelerator: Accelerator) -> None:
    """What options change about networks without changing their weights or names."""
    if options.sync_batchnorm and accelerator.num_processes > 1:
        synchronise_batch_norm(method.networks)
    if options.recompute:
        recompute_blocks(method.networks)
    if options.compile:
        for module in method.compilable if isinstance(method, WithCompilable) else [method.networks]:
            module.compile()


def make_batches(data: Repeated, options: LoopOptions, accelerator: Accelerator) -> StepBatches:
    """The order of samples; of a dataset in files such that they are read one after the other.

    Raises: ConfigError for sizes that do not fit.
    """
    order = {"seed": options.seed, "rank": accelerator.process_index, "world": accelerator.num_processes}
    try:
        if isinstance(data.dataset, Sharded):
            lengths = list(data.dataset.shard_lengths) * options.repeat
            return ShardBatches(
                lengths, options.batch_size, buffer=data.dataset.buffer, parts=options.accumulate, **order
            )
        return EpochBatches(len(data), options.batch_size, parts=options.accumulate, **order)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def refuse_to_mix(session: Path, resume: Path | None) -> None:
    """A session is one run: what is resumed by its name must be the run that wrote last.

    Raises: ConfigError for snapshots in the session's folder that the run does not continue.
    """
    newest = newest_snapshot(session)
    if newest is not None and (resume is None or Path(resume).resolve().parent != session.resolve()):
        raise ConfigError(
            f"session '{session.name}' already holds {newest}: continue it with -r {session.name}, give another"
            " --sessionname,"
            " or delete its folder."
        )


def run_epoch(run: Running, loader: DataLoader, batches: StepBatches) -> dict[str, float]:
    """All remaining batches of one epoch; means of the terms."""
    method, options, accelerator, position = run.method, run.options, run.accelerator, run.position
    meters, recent = Means(), Means()
    watch = FiniteWatch(run.names, interval=1 if accelerator.device.type == "cpu" else options.print_every)
    bar = tqdm(
        grouped(start_workers(loader), options.accumulate),
        total=len(batches),
        initial=position.batches_done,
        disable=not accelerator.is_main_process,
        desc=f"epoch {position.epoch + 1}",
        leave=False,
        dynamic_ncols=True,
    )
    waiting = time.monotonic()
    for parts in bar:
        started = time.monotonic()
        _set_learning_rates(method, options, position, len(batches))
        epoch = EpochPosition(position.epoch - position.stage_start, position.batches_done, len(batches))
        terms, indices = take_step(method, parts, accelerator, position.stage_step, epoch)
        watch.see(terms, indices)
        meters.add(terms)
        recent.add(terms)
        position.step += 1
        position.stage_step += 1
        position.batches_done += 1
        position.images += len(indices) * accelerator.num_processes
        now = time.monotonic()
        position.seconds += now - waiting
        position.stage_seconds += now - waiting
        if position.batches_done % options.print_every == 0:
            watch.check()
            values = recent.take()
            run.log.scalars(position.epoch + 1, position.step, "iteration", values)
            if accelerator.is_main_process:
                console().info(
                    f"[{position.epoch + 1}][{position.batches_done}/{len(batches)}] {method.step_line(values)} "
                    f"{started - waiting:.2f}/{now - started:.2f}/{now - waiting:.2f} s "
                    f"({position.step:06d} {_clock(position.seconds)})"
                )
        waiting = now
        if run.guard.received(accelerator):
            watch.check()
            folder = options.session / "interrupted"
            save(method, folder, options, accelerator, position)
            raise Interrupted(run.guard.number, folder)
        if time_is_up(options, position, accelerator):
            break
    watch.check()
    return meters.take()


def grouped(batches: Iterator[Batch], count: int) -> Iterator[list[Batch]]:
    """The batches of one step each."""
    while parts := list(itertools.islice(batches, count)):
        yield parts


def take_step(
    method: Method, parts: list[Batch], accelerator: Accelerator, step: int, epoch: EpochPosition
) -> tuple[dict[str, Tensor], Tensor]:
    """One update by the mean gradient of the parts; the means of their terms, and their samples.

    Accelerate divides every part's loss by their number, and `apply_gradients` waits for the last one.
    """
    if len(parts) == 1:
        return method.training_step(parts[0], step, epoch), parts[0].indices
    accelerator.gradient_accumulation_steps = len(parts)
    found: dict[str, list[Tensor]] = {}
    try:
        for number, batch in enumerate(parts, start=1):
            accelerator.sync_gradients = number == len(parts)
            for name, term in method.training_step(batch, step, epoch).items():
                found.setdefault(name, []).append(term.detach())
    finally:
        accelerator.sync_gradients, accelerator.gradient_accumulation_steps = True, 1
    return {name: torch.stack(terms).mean() for name, terms in found.items()}, torch.cat([b.indices for b in parts])


def time_is_up(options: LoopOptions, position: Position, accelerator: Accelerator) -> bool:
    """Whether the stage has had its minutes, the same on every process: the slowest clock decides."""
    if not options.max_minutes:
        return False
    seconds = position.stage_seconds
    if accelerator.num_processes > 1:
        seconds = float(accelerator.gather(torch.tensor([seconds], device=accelerator.device)).min())
    return seconds >= 60 * options.max_minutes


def finish_epoch(run: Running, say: Callable[[str], None]) -> bool:
    """Validate, draw, save; whether patience is at its end."""
    method, options, accelerator, position, log = run.method, run.options, run.accelerator, run.position, run.log
    ended = options.epochs is not None and position.epoch >= options.epochs
    last = ended or time_is_up(options, position, accelerator)
    scores: dict[str, float] = {}
    if position.epoch % options.eval_every == 0 or last:
        average_buffers(method.networks, accelerator)
        # all processes must decide the same about the best snapshot, so one of them decides
        scores = main_object(method.evaluate(position.epoch), accelerator)
        log.scalars(position.epoch, position.step, "val", scores)
        for name, image in method.pictures(position.epoch).items() if accelerator.is_main_process else ():
            log.picture(name, image, position.step, options.report_folder / f"{name}_{position.epoch:05d}.jpg")
        if isinstance(method, WithHistograms):
            for name, values in method.histograms(position.epoch).items():
                log.histogram(name, values, position.step)
    # the best snapshot first: one that is resumed then knows the score of what lies in `best`
    best = scores.get("score", math.inf) < position.best_score
    if best:
        position.best_score, position.evaluations_since_best = scores["score"], 0
        save(method, options.session / "best", options, accelerator, position, scores)
    elif "score" in scores:
        position.evaluations_since_best += 1
    if position.epoch % options.save_every == 0 or last:
        say("*** saving snapshot ***")
        folder = options.session / f"{position.epoch:05d}"
        if not best:
            save(method, folder, options, accelerator, position, scores)
        elif accelerator.is_main_process:  # the same weights and state: not written twice
            link_snapshot(options.session / "best", folder)
        if accelerator.is_main_process:
            _remove_old(options)
    return "score" in scores and bool(options.patience) and position.evaluations_since_best >= options.patience


def save(
    method: Method,
    folder: Path,
    options: LoopOptions,
    accelerator: Accelerator,
    position: Position,
    scores: dict[str, float] | None = None,
) -> None:
    """Write a snapshot with full state; all processes take part, and their batch-norm statistics become the mean.

    Raises: DivergenceError when a weight is not finite; the old snapshot stays.
    """
    average_buffers(method.networks, accelerator)
    rng = gather_objects(random_state(), accelerator)
    if not accelerator.is_main_process:
        return
    tensors = method.networks.state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DivergenceError(
                f"weight {name} is not finite; snapshot {folder} not written, the last good one is kept."
            )
    state = {
        "position": vars(position),
        "rng": rng,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in method.optimizers.items()},
    }
    progress = {"epoch": position.epoch, "step": position.step, "stage": position.stage, "metrics": scores or {}}
    save_snapshot(folder, tensors, json_safe({**method.config(), **progress, "torch": torch.__version__}), state)


def restore(method: Method, options: LoopOptions, accelerator: Accelerator, resume: Path | None) -> Position:
    """Position of a snapshot; optimisers and generators too where the stage is the same and the parameters match.

    The weights are loaded by the method's own code before, because a stage may add or leave out networks.
    """
    state_file = None if resume is None else Path(resume) / "state.pt"
    if state_file is None or not state_file.is_file():
        return Position(stage=method.stage)
    state = read_state(state_file)
    if not {"position", "rng", "optimizers"} <= set(state) or not set(state["position"]) <= set(vars(Position())):
        raise CheckpointError(
            f"{state_file}: not the state of a run of this version; delete it to keep only the weights."
        )
    position = Position(**state["position"])
    if position.stage != method.stage or options.new_stage:
        return Position(
            epoch=position.epoch,
            step=position.step,
            images=position.images,
            seconds=position.seconds,
            stage=method.stage,
            stage_start=position.epoch,
        )
    for name, optimizer in method.optimizers.items():
        if name in state["optimizers"]:
            _load_optimizer(optimizer, state["optimizers"][name])
    if len(state["rng"]) == accelerator.num_processes:
        restore_random_state(state["rng"][accelerator.process_index])
    return position


def _load_optimizer(optimizer: Optimizer, state: dict) -> None:
    """Moments and step counts; learning rates and other hyper-parameters stay those of the new settings."""
    mine = optimizer.state_dict()
    if [len(g["params"]) for g in mine["param_groups"]] == [len(g["params"]) for g in state["param_groups"]]:
        optimizer.load_state_dict({"state": state["state"], "param_groups": mine["param_groups"]})


def _set_learning_rates(method: Method, options: LoopOptions, position: Position, batches_per_epoch: int) -> None:
    done = position.epoch - position.stage_start + position.batches_done / batches_per_epoch
    total = (options.epochs or 0) - position.stage_start
    progress = done / total if total > 0 else 0.0
    if options.max_minutes:
        progress = min(1.0, max(progress, position.stage_seconds / (60 * options.max_minutes)))
    factor = learning_rate_factor(options.schedule, progress, int(done), options.warmup, options.milestones)
    for optimizer in method.optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor


def _remove_old(options: LoopOptions) -> None:
    if options.keep:
        numbered = sorted(p for p in options.session.glob("[0-9]*") if p.is_dir() and p.name.isdigit())
        for folder in numbered[: -options.keep]:
            shutil.rmtree(folder)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Means:
    """Running means of named device scalars, read only when asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means as floats; starts anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


class FiniteWatch:
    """Remembers terms and their samples; reads the losses every `interval` steps and stops on the first that is not
    finite.
    """

    def __init__(self, names: Callable[[int], str], interval: int) -> None:
        self.names, self.interval = names, interval
        self._seen: list[tuple[dict[str, Tensor], Tensor]] = []

    def see(self, terms: dict[str, Tensor], indices: Tensor) -> None:
        self._seen.append(({name: term.detach() for name, term in terms.items()}, indices))
        if len(self._seen) >= self.interval:
            self.check()

    def check(self) -> None:
        """Raises: DivergenceError naming the terms and samples of the first bad batch."""
        seen, self._seen = self._seen, []
        if not seen or torch.isfinite(torch.stack([terms["loss"] for terms, _ in seen])).all():
            return
        terms, indices = next(one for one in seen if not torch.isfinite(one[0]["loss"]))
        bad = [name for name, term in terms.items() if name != "loss" and not torch.isfinite(term).all()]
        which = f" (term: {', '.join(bad)})" if bad else ""
        files = ", ".join(dict.fromkeys(self.names(int(i)) for i in indices))
        raise DivergenceError(
            f"the loss is not finite{which}; batch: {files}. The last good snapshot is kept; lower --lr."
        )


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_workers(loader: DataLoader) -> Iterator[Batch]:
    """The loader's batches, from workers that both signals pass by.

    One that goes to the whole process group would else end them before the loop has saved. They inherit the blocked
    signals, so there is no instant in which they can be reached.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where no signal goes to a group
        return iter(loader)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SignalGuard:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps."""

    def __enter__(self) -> "SignalGuard":
        self.number = 0
        self._previous = {}
        for number in STOP_SIGNALS:
            try:
                self._previous[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread: whoever runs us handles signals
                pass
        return self

    def _note(self, number: int, _frame: object) -> None:
        self.number = number

    def received(self, accelerator: Accelerator) -> bool:
        """Whether any process was asked to stop."""
        if accelerator.num_processes == 1:
            return bool(self.number)
        flag = torch.tensor([self.number], device=accelerator.device)
        self.number = int(accelerator.gather(flag).max())
        return bool(self.number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
