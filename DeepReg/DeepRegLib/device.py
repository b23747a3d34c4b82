"""Where tensors live, how many threads work on them, and how their memory is kept."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .errors import BadInput

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """The device called ``name``: "auto" is a CUDA card where there is one, else the processor.

    Raises :class:`~DeepRegLib.errors.BadInput` for an unknown name and for "cuda" without a usable card.
    """
    if name not in DEVICES:
        raise BadInput(f"There is no device '{name}'. Available: {', '.join(DEVICES)}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("No CUDA graphics card can be used on this computer.", "Choose the device 'cpu' or 'auto'.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


@contextmanager
def working_threads(count: int | None) -> Iterator[int]:
    """Run torch and SimpleITK on ``count`` threads (default: all processors that may be used); yields the number.

    Raises :class:`~DeepRegLib.errors.BadInput` for a count below one.
    """
    import SimpleITK as sitk

    if count is not None and count < 1:
        raise BadInput(f"{count} threads cannot work; choose 1 or more.")
    number = count or usable_processors()
    torch_before, itk_before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    torch.set_num_threads(number)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(number)
    try:
        yield number
    finally:
        torch.set_num_threads(torch_before)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(itk_before)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""
KEPT_BYTES = 1 << 30
"""Blocks up to this size are taken from and given back to the heap, which is kept meanwhile."""
USUAL_BYTES = 32 << 20
"""The largest value that glibc's own adaptive threshold reaches."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let the memory of large tensors be used again instead of given back to the system after each operation.

    With glibc (Linux) every block above 32 MB is mapped afresh and cleared page by page: two fifths of the solver's
    time.
    Elsewhere, and where the C library cannot be reached, nothing changes. Afterwards the memory is given back.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_THRESHOLD, USUAL_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, 2 * USUAL_BYTES)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
    except OSError:
        return None


def usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
