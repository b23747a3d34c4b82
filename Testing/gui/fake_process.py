"""A registration process that does not exist: it says what a test wants, when the test wants it.

::

    process = FakeProcess()                      # a DeepRegSlicer.background_process.BackgroundProcess
    ...                                          # give it to the panel, press Register
    process.say({"progress": 0.5, "stage": "Refining the deformation", "seconds_left": 3.0})
    process.give_result(shift_mm=(5.0, 0.0, 0.0))
    process.end(0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from DeepRegLib.images.region import Region
from DeepRegLib.images.volume import Volume
from DeepRegLib.job_folder import RESULT_FOLDER, Job, read_job, write_result
from DeepRegLib.result import Registration
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegLib.worker_protocol import as_line, failure_message, message_of

SIGKILL = 9


class FakeProcess:
    """Runs nothing. A test calls :meth:`say`, :meth:`print_line`, :meth:`log`, :meth:`give_result`, :meth:`fail`,
    :meth:`end` and :meth:`crash`; ``script`` does so at the start: functions that get the process, called in turn.

    With ``heeds_cancel`` it ends with status 130 when it is asked to; otherwise it hangs until it is killed, and with
    ``dies`` false even then. ``arguments``, ``environment``, ``sent`` (messages) and ``kills`` tell what it was told.
    """

    def __init__(
        self, script: Sequence[Callable[[FakeProcess], object]] = (), heeds_cancel: bool = True, dies: bool = True
    ) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_log: Callable[[str], None] = lambda text: None
        self.on_end: Callable[[int | None, bool], None] = lambda exit_code, crashed: None
        self.script = list(script)
        self.heeds_cancel = heeds_cancel
        self.dies = dies
        self.arguments: list[str] = []
        self.environment: dict[str, str] = {}
        self.sent: list[dict[str, Any]] = []
        self.kills = 0
        self._running = False

    @property
    def running(self) -> bool:
        return self._running

    @property
    def folder(self) -> Path:
        """The folder of the job that it was started with."""
        return Path(self.arguments[-1])

    @property
    def job(self) -> Job:
        """What it was asked to register."""
        return read_job(self.folder)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.arguments, self.environment = list(arguments), dict(environment)
        self._running = True
        for act in self.script:
            act(self)

    def send(self, line: str) -> None:
        message = message_of(line)
        assert message is not None, f"not a message: {line}"
        self.sent.append(message)
        if message.get("cancel") and self.heeds_cancel:
            self.end(130)

    def kill_tree(self) -> None:
        self.kills += 1
        if self._running and self.dies:
            self.crash(SIGKILL)

    def say(self, message: Mapping[str, Any]) -> None:
        self.print_line(as_line(message))

    def print_line(self, text: str) -> None:
        """Print any line to standard output."""
        self.on_line(text)

    def log(self, text: str) -> None:
        """Print to standard error."""
        self.on_log(text)

    def give_result(self, shift_mm: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        """Write a result that moves every point by ``shift_mm`` (LPS mm) and say so."""
        result = self.folder / RESULT_FOLDER
        write_result(result, shifted(self.job, shift_mm), self.job.options)
        self.say({"result": str(result)})

    def fail(self, error: BaseException) -> None:
        """Say that ``error`` ended the work."""
        self.say(failure_message(error))

    def end(self, exit_code: int | None) -> None:
        """End by itself; None means that it never started."""
        self._end(exit_code, crashed=False)

    def crash(self, signal_number: int) -> None:
        """End by a signal."""
        self._end(signal_number, crashed=True)

    def _end(self, exit_code: int | None, crashed: bool) -> None:
        if self._running:
            self._running = False
            self.on_end(exit_code, crashed)


def shifted(job: Job, shift_mm: Sequence[float]) -> Registration:
    """The registration of ``job`` whose map is T(x) = x + shift."""
    geometry = job.fixed.geometry
    field = DisplacementField(np.broadcast_to(np.float32(shift_mm), (*geometry.shape, 3)).copy(), geometry)
    region = job.fixed_mask or Volume(np.ones(geometry.shape, np.uint8), geometry)
    return Registration(
        fixed=job.fixed,
        moving=job.moving,
        field=field,
        prealignment=LinearTransform(),
        transform=field,
        region=Region.given(region),
        fixed_landmarks=job.fixed_landmarks,
        moving_landmarks=job.moving_landmarks,
        evidence={"method": "fake", "warnings": [], "folding_percent": 0.0},
    )
