"""Arrays as .npy files, written and read in pieces: a window whose event loop runs between them never stands still.

Nothing is forced onto the disk here (no fsync, which :func:`~DeepRegLib.files.whole_file` does): these files pass a job
from one process to another and need not outlive a power cut, while the wait for a slow disk would be seen.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import BadInput
from .files import cannot_write
from .parallel import slabs
from .steps import Steps

PIECE_BYTES = 4 << 20
"""A step of this size takes 2 to 10 ms, and 20 ms on a disk that takes 200 MB/s."""
FREED_BYTES = 32 << 20
"""To give back the blocks of a file takes some 10 ms for 100 MB."""
PARTIAL = ".partial."
"""Names of files that are being written begin with it."""


def write_array_in_steps(path: Path, array: np.ndarray) -> Steps[None]:
    """Write ``array`` (any strides and number type) as ``path``, yielding after each piece; the file gets its name when
    it is complete. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    with _appearing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in _pieces(array):
            file.write(piece)
            yield


def write_text(path: Path, text: str) -> None:
    """A small text file that is there as a whole or not at all. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    with _appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_array_in_steps(path: Path) -> Steps[np.ndarray]:
    """The array of a .npy file in memory of its own, yielding after each piece. Raises
    :class:`~DeepRegLib.errors.BadInput` when the file is missing or damaged."""
    with _readable(path), path.open("rb") as file:
        shape, kind = _shape_and_type(file)
        array = np.empty(shape, kind)
        content = array.reshape(-1).view(np.uint8).data
        for piece in slabs(len(content), PIECE_BYTES):
            if file.readinto(content[piece]) != len(content[piece]):
                raise damaged(path)
            yield
    return array


def map_array(path: Path) -> np.ndarray:
    """The array of a .npy file without reading it: pages come from the file when they are looked at, and what is
    written to them stays in memory. Raises :class:`~DeepRegLib.errors.BadInput` when it is missing or damaged."""
    with _readable(path), path.open("rb") as file:
        shape, kind = _shape_and_type(file)
        return np.asarray(np.memmap(file, kind, mode="c", offset=file.tell(), shape=shape))


def remove_file_in_steps(path: Path) -> Steps[None]:
    """Remove a file from its end, yielding after each piece. What cannot be removed stays, without a word."""
    with contextlib.suppress(OSError):
        for size in range(path.stat().st_size, 0, -FREED_BYTES):
            os.truncate(path, size)
            yield
        path.unlink()


def require_room(folder: Path, arrays: Iterable[np.ndarray]) -> None:
    """Raises :class:`~DeepRegLib.errors.OutputProblem` when the disk of ``folder`` has no room for ``arrays``."""
    needed = sum(array.nbytes for array in arrays)
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # the attempt to write will say what is wrong with the folder
    if free < needed:
        raise cannot_write(folder, f"it needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")


def damaged(path: Path) -> BadInput:
    """The error that says that a file of a job cannot be used."""
    return BadInput(f"The file '{path.name}' of the registration job is missing or damaged.", "Start it again.")


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f"{PARTIAL}{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path) from error


def _shape_and_type(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and number type of the array that follows in ``file``; ValueError unless it is there to its last byte."""
    np.lib.format.read_magic(file)
    shape, fortran_order, kind = np.lib.format.read_array_header_1_0(file)
    follow = os.fstat(file.fileno()).st_size - file.tell()
    if fortran_order or kind.hasobject or follow != math.prod(shape) * kind.itemsize:
        raise ValueError("not an array of ours")
    return shape, kind


def _pieces(array: np.ndarray) -> Iterator[memoryview]:
    """The bytes of an array in C order, ``PIECE_BYTES`` at most at once; only a piece is ever copied."""
    plane_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
    for planes in slabs(len(array), max(1, PIECE_BYTES // max(plane_bytes, 1))):
        content = np.ascontiguousarray(array[planes]).reshape(-1).view(np.uint8)
        for piece in slabs(content.size, PIECE_BYTES):
            yield content[piece].data
