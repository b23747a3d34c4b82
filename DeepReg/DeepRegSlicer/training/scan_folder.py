"""Which scans lie in a folder, found without holding the interface, and whether they are those of last time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..steps import Steps

SCAN_ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
"""Files that training takes for scans."""
SOURCES = "sources.csv"
"""A table beside them, which the check reads too."""
ENTRIES_PER_STEP = 50
"""A network drive takes a millisecond for one."""


@dataclass(frozen=True)
class ScanFolder:
    """The scans in ``path`` and below: ``files``, relative to it with "/" between folders, sorted. Two are equal when
    nothing has changed: names, sizes and times of the files are part of it."""

    path: Path
    files: tuple[str, ...]
    state: frozenset[tuple[str, int, int]]


def look_into_in_steps(path: Path) -> Steps[ScanFolder]:
    """Everything in ``path`` and below that can be a scan; nothing where there is no such folder."""
    state: set[tuple[str, int, int]] = set()
    for number, entry in enumerate(_entries(path)):
        name = entry.name.lower()
        if name.endswith(SCAN_ENDINGS) or name == SOURCES:
            about = _about(entry)
            if about is not None:
                state.add((Path(entry.path).relative_to(path).as_posix(), *about))
        if number % ENTRIES_PER_STEP == 0:
            yield
    files = sorted(
        (name for name, *_about in state if name.lower().endswith(SCAN_ENDINGS)), key=lambda n: Path(n).parts
    )
    return ScanFolder(path, tuple(files), frozenset(state))


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    yield from _entries(Path(entry.path))
                yield entry
    except OSError:
        return  # no such folder, or none of ours: the check says so when it is asked


def _about(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    try:
        state = entry.stat()
        return (state.st_size, state.st_mtime_ns) if entry.is_file() else None
    except OSError:
        return None
