"""One pass of the correspondence network over a pair: its grids, its images, its levels."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from ..errors import Cancelled
from ..images.geometry import Geometry
from ..models.card import ModelCard
from ..networks.correspondence import FINE_APPLICATIONS, CorrespondenceNetwork
from ..networks.correspondence_input import image_channels
from ..networks.inference import voxels_to_mm
from ..transforms.displacement_field import DisplacementField
from ..transforms.linear import LinearTransform
from .interface import Cancelled as AskedToStop
from .interface import Progress
from .network_pass import require_memory
from .pair import Pair

REGION_MARGIN_MM = 12.0
"""Tissue around the region that the network sees of the fixed image."""
MOVING_MARGIN_MM = 24.0
"""How much further it sees of the moving image: what breathing brings from beyond the box."""
COARSE_LEVELS = 2
SHARES = (0.3, 0.35, 0.45)
"""Share of the time that is over when the images are ready, and after each of the coarse levels."""
BYTES_PER_VOXEL = 650
"""Working memory for each voxel of the moving image, measured on a whole chest in single precision."""


def field_of(
    network: torch.nn.Module, card: ModelCard, pair: Pair, progress: Progress, cancelled: AskedToStop
) -> DisplacementField:
    """What the network proposes for a pair. Asks whether to stop between the levels; raises
    :class:`~DeepRegLib.errors.Cancelled` and :class:`~DeepRegLib.errors.OutOfMemory`."""
    assert isinstance(network, CorrespondenceNetwork) and card.input.spacing_mm is not None  # the card was checked

    def step(fraction: float, words: str) -> None:
        if cancelled():
            raise Cancelled("The registration was cancelled; nothing was written.")
        progress(fraction, words)

    spacing = card.input.spacing_mm[0]
    grid = fitting_grid(pair, spacing, network.stride)
    around = grown(grid, whole_margin(spacing, network.stride))
    require_memory(around.voxel_count * BYTES_PER_VOXEL, card.name, pair.device)
    with torch.inference_mode(), half_precision(pair.device):
        step(0.0, "Preparing the images")
        fixed = image_channels(pair.fixed_on(grid), inside(pair.fixed.geometry, grid, LinearTransform(), pair.device))
        step(SHARES[0] / 3, "Preparing the images")
        valid = inside(pair.moving.geometry, around, pair.prealignment, pair.device)
        moving = image_channels(pair.moving_on(around), valid)
        network.to(device=pair.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        region = pair.region_on(grid).clamp_(0, 1)
        step(SHARES[0], "Running the network")
        levels = network.estimates(_channels_last(fixed), _channels_last(moving), region)
        for k, estimate in enumerate(levels):
            field = estimate.field
            step(_share_after(k), "Running the network")
    millimetres = voxels_to_mm(field.float(), grid.spacing, grid.axes.tolist())
    return DisplacementField(millimetres[0].cpu().numpy(), grid)


def fitting_grid(pair: Pair, spacing_mm: float, multiple: int) -> Geometry:
    """A grid of cubic voxels over the region and its surroundings, in anatomical axes, whose sides are multiples of
    ``multiple`` voxels."""
    box = pair.working_grid((multiple,) * 3, REGION_MARGIN_MM)
    extent = np.array(box.size) * box.spacing
    size = np.ceil(extent / (spacing_mm * multiple) - 1e-6).astype(int) * multiple
    origin = box.centre - box.axes @ ((size - 1) / 2 * spacing_mm)
    return Geometry(tuple(size), (spacing_mm,) * 3, tuple(origin), box.direction)


def whole_margin(spacing_mm: float, multiple: int) -> int:
    """``MOVING_MARGIN_MM`` in voxels, rounded up to a multiple of ``multiple``."""
    return int(np.ceil(MOVING_MARGIN_MM / (spacing_mm * multiple))) * multiple


def grown(grid: Geometry, voxels: int) -> Geometry:
    """``grid`` with so many more voxels on every side."""
    x, y, z = (n + 2 * voxels for n in grid.size)
    return Geometry((x, y, z), grid.spacing, tuple(grid.to_physical(np.full(3, -voxels))), grid.direction)


def inside(image: Geometry, grid: Geometry, linear: LinearTransform, device: torch.device) -> torch.Tensor:
    """Where the voxel centres of ``grid``, moved by ``linear``, lie inside the voxels of ``image``: (1, 1, z, y, x), 0
    or 1. An affine map of indices, one axis of the image after the other: no list of points is made."""
    to_index = np.linalg.inv(image.axes * image.spacing)
    steps = to_index @ linear.matrix @ (grid.axes * grid.spacing)
    first = image.to_index(linear.map_points(np.array(grid.origin)))
    x, y, z = (torch.arange(n, dtype=torch.float32, device=device) for n in grid.size)
    within = torch.ones(grid.shape, dtype=torch.bool, device=device)
    for axis in range(3):
        of_x, of_y, of_z = (float(step) for step in steps[axis])
        index = (z * of_z + float(first[axis]))[:, None, None] + (y * of_y)[:, None] + x * of_x
        within &= (index >= -0.5) & (index <= image.size[axis] - 0.5)
    return within.float()[None, None]


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Convolutions in bfloat16 where the device computes with it: half the time, the same landmarks to 0.01 mm."""
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported()
    else:
        able = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return torch.autocast(device.type, torch.bfloat16) if able else nullcontext()


def _channels_last(image: torch.Tensor) -> torch.Tensor:
    return image.contiguous(memory_format=torch.channels_last_3d)


def _share_after(level: int) -> float:
    if level < COARSE_LEVELS:
        return SHARES[1 + level]
    return SHARES[-1] + (1 - SHARES[-1]) * (level + 1 - COARSE_LEVELS) / FINE_APPLICATIONS
