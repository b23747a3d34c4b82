"""The geometry of a pair of the preset ``breathing``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .anatomy import Anatomy
from .breathing import Breath, draw_table, draw_velocities, mapped
from .deformation import Deformation
from .draws import Draws
from .placing import box_of, one_lung, place_grid
from .pose import Pose, draw_pose
from .settings import BreathingMotion, Framing
from .splines import upsampled
from .working_grid import WorkingGrid, jacobian_determinant, vector

SHRINK = 0.8
"""Factor of the motion for each time that it comes too near to folding."""
MOST_SHRINKS = 12
"""After so many a motion is 7 % of what was drawn; nothing folds then."""


def breathing_deformation(
    anatomy: Anatomy,
    framing: Framing,
    motion: BreathingMotion,
    size: tuple[int, int, int],
    spacing_mm: Sequence[float] | None,
    draws: Draws,
    device: torch.device,
) -> Deformation:
    """Draw pose, breath, table and grid, and evaluate them at the voxels."""
    pose = draw_pose(anatomy, framing, draws, device)
    velocities, farther = draw_velocities(anatomy, pose, motion, draws)
    # All that is random is drawn once; a motion that comes too near to folding is made again, smaller.
    state = draws.rng.bit_generator.state
    for shrinks in range(MOST_SHRINKS + 1):
        draws.rng.bit_generator.state = state
        breath = Breath.of(velocities.scaled(SHRINK**shrinks), pose.domain)
        deformation, smallest = _on_voxels(anatomy, framing, motion, size, spacing_mm, pose, breath, farther, draws)
        if smallest > motion.smallest_jacobian:
            break
    draws.note("shrunk_to", SHRINK**shrinks)
    draws.note("smallest_jacobian", smallest)
    return deformation


def _on_voxels(
    anatomy: Anatomy,
    framing: Framing,
    motion: BreathingMotion,
    size: tuple[int, int, int],
    spacing_mm: Sequence[float] | None,
    pose: Pose,
    breath: Breath,
    farther: float,
    draws: Draws,
) -> tuple[Deformation, float]:
    """The pair of a breath, and its smallest Jacobian determinant."""
    domain = pose.domain
    start = domain.points()
    end = breath.inner(start)
    region = anatomy.grid.sample(anatomy.region, pose.to_anatomy(end))
    table = draw_table(start, end, region, motion, farther, draws)
    view = None
    if draws.happens("one_lung", framing.one_lung) and anatomy.is_lungs:
        box, view = one_lung(region, domain, 0.0, draws)
    else:
        box = box_of(region, domain)
    grid = place_grid(box, framing, size, spacing_mm, draws, domain.device)
    points = grid.points()
    inner, outer, share = _branches(breath, grid, points)
    target = inner if share is None else outer + share * (inner - outer)
    moved = mapped(table, target)
    determinant = jacobian_determinant((inner - points) / vector(grid.spacing, points))
    deformation = Deformation(
        grid=grid,
        displacement=(moved - points) / vector(grid.spacing, points),
        moving_points=pose.to_anatomy(mapped(table.inverse(), points)),
        fixed_points=pose.to_anatomy(target),
        volume_change=determinant,
        view_x_mm=view,
    )
    return deformation, _smallest(determinant, outer - points, share, grid)


def _branches(breath: Breath, grid: WorkingGrid, points: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Where the content and where the chest wall goes, (1, 3, z, y, x) mm each and smooth; and which share of each
    voxel belongs to the content (None: all of it)."""
    chest = upsampled(breath.chest, breath.domain, grid)
    outer = points + chest
    margin = int((chest.abs() / vector(grid.spacing, chest)).amax()) + 2
    around = grid.larger(margin)
    inner = outer + around.sample(upsampled(breath.content, breath.domain, around), outer)
    if breath.wall_distance is None:
        return inner, outer, None
    distance = breath.domain.sample(breath.wall_distance, outer)
    return inner, outer, (0.5 - distance / min(grid.spacing)).clamp(0, 1)


def _smallest(determinant: Tensor, chest: Tensor, share: Tensor | None, grid: WorkingGrid) -> float:
    """The smallest determinant, each branch where it holds: at the wall itself the map is not smooth."""
    if share is None:
        return float(determinant.amin())
    outer = jacobian_determinant(chest / vector(grid.spacing, chest))
    return float(torch.where(share > 0.5, determinant, outer).amin())
