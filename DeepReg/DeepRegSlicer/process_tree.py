"""Ends a process with everything that it started, on every system."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTING_SECONDS = 1.0
"""``ps`` answers in some 20 ms; a system where it does not is not waited for."""
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""No console window flashes up in Windows; elsewhere 0, which is the default."""


@dataclass(frozen=True)
class ProcessEntry:
    """A process of the system, by its numbers."""

    pid: int
    parent: int
    group: int


def kill_process_tree(pid: int) -> None:
    """End process ``pid``, its descendants, and the process groups that any of them leads; returns at once.

    Slicer's Python runs below a launcher, which takes nothing with it when it is killed; and a process whose parent
    has ended is nobody's descendant, but is still in its group.
    """
    if os.name == "nt":
        subprocess.Popen(
            ["taskkill", "/T", "/F", "/PID", str(pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=NO_WINDOW,
        )
        return
    for process in process_tree(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def process_tree(pid: int) -> set[int]:
    """``pid``, its descendants and the members of the process groups that they lead, as far as they run (POSIX)."""
    entries = list(_processes())
    members = {pid}
    while grown := {e.pid for e in entries if e.parent in members or e.group in members} - members:
        members |= grown
    return members & {e.pid for e in entries}


def _processes() -> Iterator[ProcessEntry]:
    if (PROC / "self" / "stat").exists():
        yield from _listed_in_proc()
    else:
        yield from _listed_by_ps()


def _listed_in_proc() -> Iterator[ProcessEntry]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # pid (name) state parent group ...: the name may hold anything, spaces and brackets too.
            _state, parent, group, *_ = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            yield ProcessEntry(int(folder.name), int(parent), int(group))


def _listed_by_ps() -> Iterator[ProcessEntry]:
    words = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid="]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(words, capture_output=True, text=True, timeout=LISTING_SECONDS).stdout
        for line in listing.splitlines():
            yield ProcessEntry(*map(int, line.split()))
