"""What a displacement field and a linear transform have in common: they map fixed points to moving points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..images.geometry import Geometry
from ..parallel import in_parallel
from .displacement_field import DisplacementField
from .linear import LinearTransform
from .sampling import Sampler, as_tensor, coordinate_type, points_per_chunk

Transform = DisplacementField | LinearTransform
CPU = torch.device("cpu")
Chunk = TypeVar("Chunk")


def in_order(transform: Transform | Sequence[Transform]) -> list[Transform]:
    """One transform or several as a list; the first is applied first."""
    return [transform] if isinstance(transform, DisplacementField | LinearTransform) else list(transform)


class PointMap:
    """One transform, or several of which the first is applied first, as a function of LPS points (3, N) in mm."""

    def __init__(self, transform: Transform | Sequence[Transform], device: torch.device = CPU) -> None:
        self._kind = coordinate_type(device)
        self._steps = [self._step(t, device) for t in in_order(transform)]

    def __call__(self, points: Tensor) -> Tensor:
        for step in self._steps:
            points = step(points)
        return points

    def _step(self, transform: Transform, device: torch.device):
        if isinstance(transform, LinearTransform):
            matrix = torch.tensor(transform.matrix, dtype=self._kind, device=device)
            translation = torch.tensor(transform.translation, dtype=self._kind, device=device)[:, None]
            return lambda points: torch.addmm(translation, matrix, points)
        displacement = field_sampler(transform, device)
        return lambda points: points + displacement(points).T.to(self._kind)


def field_sampler(field: DisplacementField, device: torch.device = CPU) -> Sampler:
    """The displacements of a field, read at points (3, N) as (N, 3) mm; the border value outside."""
    return Sampler(as_tensor(field.array).to(device).movedim(-1, 0), field.geometry)


class LatticeMap:
    """T on the voxel centres of ``geometry``: called with a chunk of :func:`lattice_points` (a slice of the flattened
    grid and its points x (3, N) in LPS mm) it gives T(x) (3, N).

    A first field that lies on ``geometry`` itself is read, not interpolated.
    """

    def __init__(self, transform: Transform | Sequence[Transform], geometry: Geometry) -> None:
        steps = in_order(transform)
        first = (
            steps[0] if steps and isinstance(steps[0], DisplacementField) and steps[0].geometry == geometry else None
        )
        self._rest = PointMap(steps[1:] if first else steps)
        self._displacements = as_tensor(first.array).reshape(-1, 3) if first else None

    def __call__(self, voxels: slice, points: Tensor) -> Tensor:
        return self._rest(points if self._displacements is None else points + self._displacements[voxels].T)


def lattice_points(geometry: Geometry) -> Iterator[tuple[slice, Tensor]]:
    """The voxel centres (3, N) in LPS mm of ``geometry`` in the order of its array, whole lines along x at a time, with
    the slice of the flattened grid that they are."""
    nx, ny, nz = geometry.size
    step_x, step_y, step_z = (geometry.axes * np.array(geometry.spacing)).T
    along_x = torch.from_numpy(np.arange(nx) * step_x[:, None])[:, None, :]
    lines_at_once = max(points_per_chunk(CPU) // nx, 1)
    for first in range(0, ny * nz, lines_at_once):
        z, y = np.divmod(np.arange(first, min(first + lines_at_once, ny * nz)), ny)
        line_start = np.array(geometry.origin)[:, None] + step_y[:, None] * y + step_z[:, None] * z
        points = torch.from_numpy(line_start)[:, :, None] + along_x
        yield slice(first * nx, (first + len(y)) * nx), points.reshape(3, -1)


def for_each_chunk(work: Callable[[Chunk], None], chunks: Iterable[Chunk]) -> None:
    """``work(chunk)`` for every chunk, several at a time: as many as torch has threads, each with one of its own.

    Chunks are too small for torch to share out well by itself; side by side they use all cores. A chunk is made only
    when a thread is free for it, so that memory stays bounded.
    """
    threads, waiting, lock = torch.get_num_threads(), iter(chunks), Lock()

    def work_until_empty(_: int) -> None:
        torch.set_num_threads(1)
        while True:
            with lock:
                chunk = next(waiting, None)
            if chunk is None:
                return
            work(chunk)

    try:
        in_parallel(work_until_empty, range(threads), threads)
    finally:
        torch.set_num_threads(threads)
