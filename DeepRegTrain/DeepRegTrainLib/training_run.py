"""A run from its first or last checkpoint to its end: steps, numbers, validation, checkpoints, stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from DeepRegLib.errors import BadInput, Cancelled, OutputProblem

from .distributed import Group
from .pairs.prefetched import Prefetched
from .pairs.training_pair import TrainingPair
from .run_folder.checkpoint import Checkpoint, full_disk, read_last_checkpoint, restore, state_of, write_checkpoint
from .run_folder.layout import RunFolder
from .run_folder.status import FAILED, FINISHED, STOPPED, TRAINING, VALIDATING, Status, StatusFile, words_for
from .run_folder.tables import STEP, Table
from .step_window import StepWindow
from .trainable.interface import stage_at
from .training_step import StepNumbers, Steps
from .validation import COLUMNS as VALIDATION_COLUMNS
from .validation import PairSource
from .validators import Validators

METRICS_COLUMNS = (
    "step",
    "stage",
    "loss",
    "error_mm",
    "zero_mm",
    "gradient",
    "learning_rate",
    "seconds",
    "drawing_share",
)
CHECKPOINT_S = 300.0
"""However slow the steps are, no more than this is lost when the process is killed."""
DRAWN_AHEAD = 4
"""Pairs that a thread makes ahead for a graphics card."""

Progress = Callable[[float, str], None]
Asked = Callable[[], bool]


class TrainingRun:
    """The process that holds the lock of ``run`` (the first of ``group``) keeps its files; the others only compute.

    ``asked`` says that somebody wants the run to save and end; a file called "stop" in the folder does the same.
    """

    def __init__(
        self,
        run: RunFolder,
        steps: Steps,
        pairs: PairSource,
        validators: Validators,
        progress: Progress = lambda fraction, words: None,
        asked: Asked = lambda: False,
    ) -> None:
        self._run = run
        self._steps = steps
        self._group: Group = steps.group
        self._settings = steps.settings
        self._pairs = _Share(pairs, self._settings.pairs, steps.group)
        self._validators = validators
        self._progress = progress
        self._asked = asked
        self._metrics = Table(run.metrics, METRICS_COLUMNS)
        self._validation = Table(run.validation, VALIDATION_COLUMNS)
        self._stages = steps.trainable.stages(self._settings.steps)
        self._status = StatusFile(run.status, self._settings.steps)
        self._window = StepWindow()
        self._best: float | None = None
        self._before = 0.0
        self._begun = time.perf_counter()
        self._cut_short = False
        self._saved_step: int | None = None
        self._saved_at = time.perf_counter()

    def go(self) -> Status:
        """Train until the last step or until somebody asks to stop; gives the last status.

        Raises :class:`~DeepRegTrainLib.training_step.TrainingExploded`, and
        :class:`~DeepRegLib.errors.OutputProblem` when the disk is full; the run can be resumed from its last state.
        """
        try:
            return self._go()
        except BaseException as problem:
            state = STOPPED if isinstance(problem, Cancelled | KeyboardInterrupt) else FAILED
            self._say(state, message=words_for(problem))
            raise
        finally:
            self._steps.leave_group()

    def _go(self) -> Status:
        first = self._resume()
        self._say(TRAINING, step=first)
        if self._validation_is_missing(first):
            self._validate(first)
        with self._pairs.stream(first) as drawn:
            for step in range(first, self._settings.steps):
                if self._asked_to_stop():
                    return self._stop(step)
                self._step(step, drawn)
        if self._cut_short:
            return self._stop(self._settings.steps)
        if self._saved_step != self._settings.steps:
            self._save(self._settings.steps)
        self._say(FINISHED, step=self._settings.steps, seconds_left=0.0)
        return self._status.now

    def _step(self, step: int, drawn: Callable[[], list[TrainingPair]]) -> None:
        start = time.perf_counter()
        pairs = drawn()
        drawing = time.perf_counter() - start
        numbers = self._steps.do(step, pairs)
        self._window.add(numbers, time.perf_counter() - start, drawing)
        done = step + 1
        last = done == self._settings.steps
        self._log(done, numbers)
        if self._is_validated(done):
            self._validate(done)
        overdue = time.perf_counter() - self._saved_at > CHECKPOINT_S
        if done % self._settings.checkpoint_every == 0 or last or overdue:
            self._save(done)

    def _log(self, done: int, numbers: StepNumbers) -> None:
        if not self._group.is_first:
            return
        stage = stage_at(self._stages, done - 1).name
        foreseen = self._window.seconds_per_step() * (self._settings.steps - done)
        self._say(
            TRAINING,
            step=done,
            stage=stage,
            error_mm=numbers.error_mm,
            seconds_left=round(foreseen, 1),
        )
        words = f"Step {done} of {self._settings.steps}, {stage}: error {numbers.error_mm:.2f} mm"
        self._progress(done / self._settings.steps, words)
        if done % self._settings.log_every == 0 or done == self._settings.steps:
            with self._disk_may_be_full():
                self._metrics.append({"step": done, "stage": stage, **self._window.row(), "seconds": self._seconds()})
            self._window.clear()

    def _is_validated(self, done: int) -> bool:
        return done > 0 and (done % self._settings.validate_every == 0 or done == self._settings.steps)

    def _validation_is_missing(self, done: int) -> bool:
        """Whether the last validation was cut short: somebody had asked to stop."""
        mine = self._group.is_first and self._is_validated(done)
        missing = mine and not any(row[STEP] == str(done) for row in self._validation.rows())
        return self._group.any(missing, self._steps.device)

    def _validate(self, done: int) -> None:
        if self._group.is_first:
            self._say(VALIDATING, step=done)
            try:
                self._keep_best(self._validated(done), done)
            except Cancelled:
                self._cut_short = True
                self._run.note(f"Step {done}: the validation was cut short; it is made when the run goes on")
            self._say(TRAINING, best_error_mm=self._best)
        self._cut_short = self._group.any(self._cut_short, self._steps.device)

    def _validated(self, done: int) -> float | None:
        with self._disk_may_be_full():
            return self._validators.run(self._steps, done, self._validation, self._is_asked)

    def _keep_best(self, found: float | None, done: int) -> None:
        if found is None:
            return
        if self._best is None or found < self._best:
            self._best = found
            with self._disk_may_be_full():
                write_checkpoint(self._run.best, self._state(done), kept=1)
        self._run.note(f"Step {done}: validation error {found:.3f} mm")

    def _stop(self, step: int) -> Status:
        if self._saved_step != step:
            self._save(step)
        if self._group.is_first:
            self._run.stop.unlink(missing_ok=True)
        self._say(STOPPED, step=step, message=f"Stopped after step {step}; the state is saved.")
        return self._status.now

    def _asked_to_stop(self) -> bool:
        return self._group.any(self._is_asked(), self._steps.device)

    def _is_asked(self) -> bool:
        """Whether somebody asked this process."""
        return self._asked() or (self._group.is_first and self._run.stop.exists())

    def _save(self, done: int) -> None:
        if self._group.is_first:
            with self._disk_may_be_full():
                write_checkpoint(self._run.checkpoints, self._state(done))
        self._saved_step, self._saved_at = done, time.perf_counter()

    def _state(self, done: int) -> Checkpoint:
        numbers = {
            "seconds": self._seconds(),
            "best_error_mm": self._best,
            "window": self._window.to_dict(),
            "steps": self._steps.state(),
        }
        return state_of(done, self._steps.network, self._steps.optimiser, self._steps.average, numbers)

    def _resume(self) -> int:
        """Bring everything to the last state; gives its step. A new run gets the state of step 0."""
        checkpoint, problems = read_last_checkpoint(self._run.checkpoints)
        if self._group.is_first:
            for problem in problems:
                self._run.note(problem)
        if checkpoint is None:
            if problems:
                raise BadInput(" ".join(problems), "The run cannot go on; start a new one.")
            self._save(0)
            return 0
        steps = self._steps
        numbers: dict[str, Any] = restore(checkpoint, steps.network, steps.optimiser, steps.average)
        self._steps.set_state(numbers["steps"])
        self._window = StepWindow.from_dict(numbers["window"])
        self._best, self._before = numbers["best_error_mm"], numbers["seconds"]
        self._saved_step = checkpoint.step
        self._status.now = Status(
            TRAINING, checkpoint.step, self._settings.steps, best_error_mm=self._best,
            pid=self._status.now.pid, started=self._status.now.started,
        )  # fmt: skip
        if self._group.is_first:
            for table in (self._metrics, self._validation):
                table.cut_after(checkpoint.step)
            self._run.note(f"Goes on from step {checkpoint.step}")
        return checkpoint.step

    def _say(self, state: str, **changes: Any) -> None:
        if self._group.is_first:
            self._status.update(state=state, seconds=round(self._seconds(), 1), **changes)
            if state not in (TRAINING, VALIDATING):
                self._run.note(f"{state}: {changes.get('message', '')}".rstrip(": "))

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._begun

    @contextmanager
    def _disk_may_be_full(self) -> Iterator[None]:
        try:
            yield
        except OutputProblem as problem:
            raise full_disk(problem, self._saved_step) from problem


class _Share:
    """The pairs of this process: of the ``count`` of each step every ``size``-th, from its rank on."""

    def __init__(self, source: PairSource, count: int, group: Group) -> None:
        if count % group.size:
            raise BadInput(f"{count} pairs for each step cannot be divided among {group.size} processes.")
        self.device = source.device
        self._source = source
        self._count, self._group = count, group
        self._own = count // group.size

    def draw(self, number: int) -> TrainingPair:
        step, member = divmod(number, self._own)
        return self._source.draw(step * self._count + member * self._group.size + self._group.rank)

    @contextmanager
    def stream(self, first_step: int) -> Iterator[Callable[[], list[TrainingPair]]]:
        """A function that gives the pairs of the next step. For a card they are made ahead; on the processor, where
        both would wait for the same threads, when they are asked for."""
        if self.device.type == "cuda":
            with Prefetched(self, DRAWN_AHEAD, first_step * self._own) as ahead:
                yield lambda: [ahead.next() for _ in range(self._own)]
            return
        numbers = iter(range(first_step * self._own, 1 << 62))
        yield lambda: [self.draw(next(numbers)) for _ in range(self._own)]
