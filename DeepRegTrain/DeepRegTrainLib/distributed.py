"""Several processes, one graphics card each, started by ``torchrun``; or a single one."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from DeepRegLib.device import choose_device
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

WORLD_VARIABLE = "WORLD_SIZE"
LOCAL_RANK_VARIABLE = "LOCAL_RANK"
"""Set by torchrun."""


@dataclass(frozen=True)
class Group:
    """This process among ``size`` processes that train one network together; ``rank`` 0 keeps the run folder."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device called ``name``; each process takes the card of its number."""
        device = choose_device(name)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get(LOCAL_RANK_VARIABLE, "0")))
            torch.cuda.set_device(device)
        return device

    def parallel(self, module: nn.Module, device: torch.device) -> nn.Module:
        """``module`` with gradients that are the mean over the processes. The schedule leaves parts of a network out at
        times, hence the search for unused ones."""
        if self.size == 1:
            return module
        cards = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=cards, find_unused_parameters=True)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes."""
        if self.size > 1:
            distributed.all_reduce(values)
            values = values / self.size
        return values

    def any(self, asked: bool, device: torch.device) -> bool:
        """Whether any process says yes; all get the same answer."""
        if self.size == 1:
            return asked
        votes = torch.tensor([float(asked)], device=device)
        distributed.all_reduce(votes)
        return bool(votes.item() > 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextlib.contextmanager
def joined_group() -> Iterator[Group]:
    """The group that torchrun started this process in; a group of one without it.

    Its threads end with it, if nobody holds what :meth:`Group.parallel` gave: threads that outlive Python now and then
    abort the process at its end.
    """
    if int(os.environ.get(WORLD_VARIABLE, "1")) < 2:
        yield Group()
        return
    # Its functions take the group there is at their import as default values, so that one imported later (as
    # DistributedDataParallel does) would keep the group and its threads until Python itself has gone.
    importlib.import_module("torch.distributed.nn.functional")
    # gloo carries what lives on the processor, nccl what lives on cards; with both, each tensor takes its own.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    distributed.init_process_group(backend)
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
