"""How much memory a network will take, before it starts."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SMALL_CONVOLUTION = 20480
"""PyTorch convolves on the CPU by unfolding the input (one column per kernel element) where batch x channels x depth x
height is not above this, and through oneDNN, which copies input and output into its own order, where it is."""


def peak_inference_bytes(network: nn.Module, shape: Sequence[int], bytes_per_value: int = 4) -> int:
    """The most memory, in bytes, that ``network`` holds at once while it infers an input of ``shape`` (n, c, z, y, x):
    its weights, the input, the maps alive at the same time (skip connections included) and the working copies of the
    convolutions on the CPU. Nothing is computed: the network runs on tensors without values, in evaluation mode.

    ``bytes_per_value`` is 4 for float32 and 2 for half precision. What the process needs beside (PyTorch itself, the
    images) comes on top; the libraries of a GPU choose working memory of their own.

    >>> peak_inference_bytes(nn.Conv3d(1, 1, 1, bias=False), (1, 1, 10, 10, 10))  # weight, in, out
    8004
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    images = torch.empty(tuple(shape), device="meta")
    weights = sum(tensor.numel() for tensor in shadow.state_dict().values())
    tracker = _LiveValues()
    with torch.no_grad(), tracker:  # inference mode would hide the convolutions inside composite operations
        shadow(images)
    return (weights + images.numel() + tracker.peak) * bytes_per_value


class _LiveValues(TorchDispatchMode):
    """Counts the values of all tensors that are made and not yet freed while it is active; ``peak`` is the maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        operation: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        working = _convolution_copies(args, result) if "convolution" in str(operation) else 0
        self.peak = max(self.peak, self.live + working)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:  # views and in-place results share the storage of their source
            values = storage.nbytes() // tensor.element_size()
            self._known.add(storage)
            self.live += values
            weakref.finalize(storage, self._forget, values)

    def _forget(self, values: int) -> None:
        self.live -= values


def _convolution_copies(args: tuple[Any, ...], result: torch.Tensor) -> int:
    """Values that the CPU's convolution holds beside its input, weight and output (measured with the profiler)."""
    images, weight, transposed = args[0], args[1], args[6]
    if transposed:
        return 2 * result.numel()
    kernel = math.prod(weight.shape[2:])
    if math.prod(images.shape[:-1]) <= SMALL_CONVOLUTION:
        columns = images.shape[0] * images.shape[1] * kernel * math.prod(result.shape[2:])
        return columns if kernel > 1 else 0
    return max(images.numel(), result.numel())
