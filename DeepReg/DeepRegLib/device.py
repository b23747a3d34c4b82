"""Where tensors live and how many threads work on them."""

from __future__ import annotations

import os
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


def usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
