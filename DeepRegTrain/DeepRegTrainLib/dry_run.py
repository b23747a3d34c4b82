"""Two steps of each part of the schedule, thrown away: do they fit into the memory, and how long will all take?"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from DeepRegLib.errors import OutOfMemory
from DeepRegLib.images.memory import peak_memory_mb
from DeepRegLib.registration import TORCH_ALLOCATOR

from .distributed import Group
from .settings import Settings
from .trainable.build import build_trainable
from .training_step import Steps
from .validation import PairSource

STEPS = 2
"""The first step of a part also pays for what is made once."""


@dataclass(frozen=True)
class DryRun:
    """Foreseen ``seconds`` of the whole run without validation, ``seconds_per_step`` by part of the schedule, and the
    ``memory_mb`` that it takes: of the card, or of the whole process."""

    seconds: float
    seconds_per_step: dict[str, float]
    memory_mb: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> str:
        """For people."""
        return f"Takes about {self.memory_mb / 1000:.1f} GB of memory and {duration(self.seconds)}."


def dry_run(settings: Settings, pairs: PairSource, device: torch.device) -> DryRun:
    """Train a copy of the network that is thrown away. Raises :class:`~DeepRegLib.errors.OutOfMemory`."""
    torch.manual_seed(settings.seed)
    try:
        return _measured(settings, pairs, device)
    except (MemoryError, RuntimeError) as error:
        is_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or TORCH_ALLOCATOR in str(error)
        if not is_memory:
            raise
        where = "the graphics card" if device.type == "cuda" else "this computer"
        raise OutOfMemory(
            f"A training step with pairs of {settings.size} voxels does not fit into the memory of {where}.",
            "Choose a smaller --size or a network with fewer channels, or close other programs.",
        ) from error


def _measured(settings: Settings, pairs: PairSource, device: torch.device) -> DryRun:
    steps = Steps(build_trainable(settings), settings, device, Group())
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    stages = steps.trainable.stages(settings.steps)
    ends = [*(stage.start for stage in stages[1:]), settings.steps]
    seconds: dict[str, float] = {}
    total = 0.0
    for stage, end in zip(stages, ends, strict=True):
        for k in range(STEPS):
            start = time.perf_counter()
            # The end of a part costs most: while a level joins, both are computed.
            steps.do(max(stage.start, end - 1 - k), [pairs.draw(k)] * settings.pairs)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken = time.perf_counter() - start
        seconds[stage.name] = round(taken, 4)
        total += taken * (end - stage.start)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device) / 1e6
        torch.cuda.empty_cache()
    else:
        memory = peak_memory_mb() * 1.048576
    return DryRun(round(total, 1), seconds, round(memory, 1))


def duration(seconds: float) -> str:
    """
    >>> duration(50), duration(5400), duration(200_000)
    ('50 s', '1.5 h', '2.3 days')
    """
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}" if unit < 3600 else f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:.1f} days"
