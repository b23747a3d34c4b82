"""Processes that outlive the application, and who is who among processes when the application comes back.

``subprocess`` and not ``QProcess.startDetached``: that takes its process id through a pointer, which PythonQt cannot
give. A number alone does not name a process: numbers are used again. Together with the time at which the process began
it does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from DeepRegLib.errors import DeepRegError, OutputProblem

from ..process_tree import LISTING_SECONDS, NO_WINDOW, PROC, kill_process_tree

SAME_TIME_S = 2.0
"""Clocks of processes and of files differ by parts of a second."""
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
OUT_OF_THE_JOB = getattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0)
"""In Windows, a program that started Slicer may have asked that all it started ends with it."""
BELOW_NORMAL = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
NICER = 5
"""Added to our own niceness: somebody works in front of this computer."""
LEAST_URGENT = 19
ENDED = "Z"
"""State of a process that has ended and that nobody has asked for its exit code yet."""

_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class ProcessIdentity:
    """Process ``pid`` of ``computer``, which had begun by ``started`` (seconds since 1970)."""

    pid: int
    started: float
    computer: str

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this computer, of which alone one can tell whether it runs."""
        return self.computer == socket.gethostname()

    @property
    def runs(self) -> bool:
        return self.is_here and is_alive(self.pid, self.started)

    def kill_tree(self) -> None:
        """End it and everything that it started, unless the number is another process's by now."""
        if self.runs:
            kill_process_tree(self.pid)


def start_detached(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> ProcessIdentity:
    """Start the program ``arguments[0]`` so that it goes on when this process ends, however that ends.

    It gets a session of its own (in Windows a process group), no standard input, and the end of the file ``output`` for
    what it prints; ``environment`` is added to ours. Raises :class:`~DeepRegLib.errors.OutputProblem` when the file
    cannot be written, :class:`~DeepRegLib.errors.DeepRegError` when there is no such program.
    """
    forget_ended_children()
    try:
        file = output.open("ab")
    except OSError as error:
        raise OutputProblem(f"The folder '{output.parent}' cannot be written to: {error.strerror}.") from error
    with file:
        try:
            child = _popen(list(arguments), {**os.environ, **environment}, file)
        except OSError as error:
            raise DeepRegError(
                f"The training could not be started: {error.strerror}.", "Check that the installation is complete."
            ) from error
    _children.append(child)
    return identity_of(child.pid)


def identity_of(pid: int) -> ProcessIdentity:
    """A process of this computer that runs now."""
    return ProcessIdentity(pid, started_at(pid) or time.time(), socket.gethostname())


def is_alive(pid: int, started: float) -> bool:
    """Whether the process that had number ``pid`` at the time ``started`` (or began then) still runs. One that got the
    number after it began later."""
    began = started_at(pid) if pid > 0 else None
    return began is not None and began <= started + SAME_TIME_S


def forget_ended_children() -> None:
    """Have the system drop children of ours that ended: nobody else asks for their exit codes."""
    _children[:] = [child for child in _children if child.poll() is None]


def _popen(arguments: list[str], environment: dict[str, str], output) -> subprocess.Popen[bytes]:
    # In Windows no detached console: Slicer's Python runs below a launcher, and a program without a console opens a
    # window for what it starts. One that has a console which nobody sees passes that on.
    words = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT, "env": environment}
    flags = NO_WINDOW | NEW_GROUP | BELOW_NORMAL
    if os.name != "nt":
        child = subprocess.Popen(arguments, **words, start_new_session=True)
        with contextlib.suppress(OSError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, child.pid, min(os.getpriority(os.PRIO_PROCESS, 0) + NICER, LEAST_URGENT))
        return child
    try:
        return subprocess.Popen(arguments, **words, creationflags=flags | OUT_OF_THE_JOB)
    except OSError:  # the job does not let go of its processes
        return subprocess.Popen(arguments, **words, creationflags=flags)


if os.name == "nt":
    import ctypes
    from ctypes import wintypes

    QUERY = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
    STILL_ACTIVE = 259
    EPOCH_S = 11_644_473_600  # from 1601, where Windows counts from, to 1970

    def started_at(pid: int) -> float | None:
        """When process ``pid`` began (seconds since 1970); None when there is none that runs."""
        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = wintypes.HANDLE(kernel.OpenProcess(QUERY, False, pid))
        if not handle:
            return None
        try:
            code = wintypes.DWORD()
            began, *others = (wintypes.FILETIME() for _ in range(4))
            found = kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and kernel.GetProcessTimes(
                handle, ctypes.byref(began), *map(ctypes.byref, others)
            )
        finally:
            kernel.CloseHandle(handle)
        if not found or code.value != STILL_ACTIVE:
            return None
        return (began.dwHighDateTime << 32 | began.dwLowDateTime) / 1e7 - EPOCH_S

else:

    def started_at(pid: int) -> float | None:
        """When process ``pid`` began (seconds since 1970); None when there is none that runs."""
        return _told_by_proc(pid) if (PROC / "self" / "stat").exists() else told_by_ps(pid)


def _told_by_proc(pid: int) -> float | None:
    try:
        # pid (name) state ...: the name may hold anything, spaces and brackets too.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[0] == ENDED:
            return None
        ticks = int(fields[19])  # since the start of the system
        booted = next(line for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, IndexError, ValueError, StopIteration):
        return None
    return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


def told_by_ps(pid: int) -> float | None:
    """:func:`started_at` where there is no /proc (macOS)."""
    words = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        told = subprocess.run(
            words, capture_output=True, text=True, timeout=LISTING_SECONDS, env={**os.environ, "LC_ALL": "C"}
        ).stdout
        state, *date = told.split()
        if not state.startswith(ENDED):
            return time.mktime(time.strptime(" ".join(date), "%a %b %d %H:%M:%S %Y"))
    return None
