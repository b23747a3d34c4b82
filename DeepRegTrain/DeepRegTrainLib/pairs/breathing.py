"""Breathing with sliding along the ribs, drawn on a lattice: T = table o content o chest, from fixed to moving points.

*chest* is the flow of a smooth velocity that moves everything: breast bone, ribs, a little unevenness. *content* is the
flow of the velocity of lungs, heart and abdomen. Where it slides, that velocity has no component normal to the wall of
the cavity and the flow counts inside only, so that neither gaps nor overlaps arise. Else it fades into the chest wall.
*table* is the rigid rest that the pre-alignment leaves. All in mm, in the frame of :class:`~.pose.Pose`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from DeepRegLib.phantom.motion import rotation
from DeepRegLib.transforms.linear import LinearTransform
from torch import Tensor

from .anatomy import Anatomy
from .draws import Draws
from .flow import flow
from .pose import Pose
from .ranges import Range
from .settings import BreathingMotion
from .splines import random_field
from .working_grid import WorkingGrid, linear_map, vector

WALL_LAYER_MM = 24.0
"""Depth over which the normal component of a sliding motion fades towards the wall."""
CHEST_UNEVEN_SPACING_MM = 60.0
BELOW_DIAPHRAGM = 1.2
"""The abdomen moves along with the diaphragm, down to this share of the height of the lungs."""
RESTING_SHARE = 0.3
"""Share of the motion of the chest wall at the top of the lungs; it grows to 1 at their base."""
SPREAD = Range(-0.25, 0.25)
"""Front and back of the lungs part by this share of the motion of the diaphragm."""
FADING = Range(0.7, 1.6)
"""Exponent with which the motion of the chest wall fades from front to back."""
FARTHER_TABLE = (1.0, 1.0, 1.6, 2.2)
"""The pre-alignment leaves more where breathing is larger: factors without, usual, large and extreme breathing."""


@dataclass(frozen=True)
class Velocities:
    """Velocities (1, 3, z, y, x) in mm on the lattice of the pose, and the signed distance to the wall there."""

    chest: Tensor
    content: Tensor
    wall_distance: Tensor | None
    """(1, 1, z, y, x); None where the content fades into the chest wall instead of sliding."""

    def scaled(self, factor: float) -> Velocities:
        return dataclasses.replace(self, chest=factor * self.chest, content=factor * self.content)


@dataclass(frozen=True)
class Breath:
    """The flows of :class:`Velocities`: displacements in mm on the lattice ``domain``."""

    domain: WorkingGrid
    chest: Tensor
    content: Tensor
    wall_distance: Tensor | None

    @classmethod
    def of(cls, velocities: Velocities, domain: WorkingGrid) -> Breath:
        step = domain.spacing[0]
        chest, content = (step * flow(velocity / step) for velocity in (velocities.chest, velocities.content))
        return cls(domain, chest, content, velocities.wall_distance)

    def inner(self, points: Tensor) -> Tensor:
        """Where the content of the cavity goes, (1, 3, ...) mm; smooth, and defined everywhere."""
        moved = points + self.domain.sample(self.chest, points)
        return moved + self.domain.sample(self.content, moved)


def draw_velocities(anatomy: Anatomy, pose: Pose, motion: BreathingMotion, draws: Draws) -> tuple[Velocities, float]:
    """Velocities of a breath, and by how much farther off the table may be."""
    kinds = (Range(0.0, 0.0), motion.usual_mm, motion.large_mm, motion.extreme_mm)
    usual = max(1 - motion.still - motion.large - motion.extreme, 0.0)
    number = draws.choice("breathing", range(4), (motion.still, usual, motion.large, motion.extreme))
    upwards = 1.0 if draws.happens("breathes_out", 0.5) else -1.0
    reach = upwards * draws.uniform("diaphragm_mm", kinds[number])
    less = draws.uniform("reduced_to", Range(0.0, 1.0)) if draws.happens("reduced", motion.reduced) else 1.0
    points = pose.domain.points()
    shares = points / vector(pose.trunk, points) + 0.5
    chest = _chest(shares, pose.domain, reach, motion, draws)
    content = _content(shares, pose.domain, reach, motion, draws)
    slides = draws.happens("slides", motion.sliding)
    depth = draws.uniform("attachment_mm", motion.attachment_mm)
    if anatomy.wall is None:
        return Velocities(less * chest, less * content, None), less * FARTHER_TABLE[number]
    distance = anatomy.depth(pose.to_anatomy(points)) / pose.scale_mm()
    if slides:
        content = _tangential(content, distance, pose.domain.spacing[0])
    else:
        content = content * (1 - distance / depth).clamp(0, 1).square()
    return Velocities(less * chest, less * content, distance if slides else None), less * FARTHER_TABLE[number]


def _content(shares: Tensor, domain: WorkingGrid, reach: float, motion: BreathingMotion, draws: Draws) -> Tensor:
    """Up with the diaphragm (``reach`` mm), fading to the apex; uneven. ``shares``: 0 to 1 through the lungs."""
    x, y, z = shares.split(1, 1)
    profile = (1 - z).clamp(0, BELOW_DIAPHRAGM) ** draws.uniform("profile", motion.profile)
    back, side = y.clamp(-0.1, 1.1) - 0.5, x.clamp(0, 1) - 0.5
    uneven = 1 + draws.uniform("front_back", motion.front_back) * back
    uneven = uneven * (1 + draws.uniform("left_right", motion.left_right) * side)
    velocity = torch.zeros_like(shares)
    velocity[:, 2:] = reach * profile * uneven
    velocity[:, 1:2] = draws.uniform("spread", SPREAD) * reach * profile * back
    for spacing, largest in zip(motion.uneven_spacing_mm, motion.uneven_mm, strict=True):
        sd = draws.uniform(f"uneven_{spacing:g}_mm", Range(0.0, largest))
        velocity += random_field(domain, spacing, sd, draws.rng)
    return velocity


def _chest(shares: Tensor, domain: WorkingGrid, reach: float, motion: BreathingMotion, draws: Draws) -> Tensor:
    """Breathing out (``reach`` above zero) the breast bone sinks to the back and the ribs come in from the sides."""
    x, y, z = shares.split(1, 1)
    low = RESTING_SHARE + (1 - RESTING_SHARE) * (1 - z).clamp(0, 1)
    limit = motion.chest_front_limit_mm
    front = float(np.clip(draws.uniform("chest_front", motion.chest_front) * reach, -limit, limit))
    front += draws.uniform("chest_front_mm", motion.chest_front_mm)
    velocity = random_field(
        domain, CHEST_UNEVEN_SPACING_MM, draws.uniform("chest_mm", motion.chest_uneven_mm), draws.rng
    )
    velocity[:, 1:2] += front * (1 - y).clamp(0, 1) ** draws.uniform("chest_fading", FADING) * low
    velocity[:, :1] -= draws.uniform("chest_side", motion.chest_side) * reach * (x.clamp(0, 1) - 0.5) * low
    return velocity


def _tangential(velocity: Tensor, distance: Tensor, step_mm: float) -> Tensor:
    """``velocity`` without what would cross the wall; the cut fades over a layer inside it."""
    x, y, z = (torch.gradient(distance[0, 0], dim=axis)[0] for axis in (2, 1, 0))
    normal = torch.stack((x, y, z))[None] / step_mm
    # Far from the wall the distance has ridges, where the normal has no direction: there it is short.
    normal = normal / normal.square().sum(1, keepdim=True).sqrt().clamp(min=0.5)
    layer = torch.exp(-((distance.clamp(max=0) / WALL_LAYER_MM) ** 2))
    return velocity - layer * (velocity * normal).sum(1, keepdim=True) * normal


def draw_table(
    points: Tensor, moved: Tensor, region: Tensor, motion: BreathingMotion, farther: float, draws: Draws
) -> LinearTransform:
    """The shift, turn and scale that the pre-alignment leaves: it has removed a share of the mean motion of the lungs,
    from ``points`` to ``moved`` (1, 3, z, y, x; mm), where ``region`` (1, 1, z, y, x) is that of the fixed image."""
    weight = region / region.sum().clamp(min=1e-6)
    middle = (points * weight).sum((2, 3, 4))[0].double().cpu().numpy()
    mean = ((moved - points) * weight).sum((2, 3, 4))[0].double().cpu().numpy()
    turn = rotation(farther * draws.normals("table_degrees", motion.table_degrees))
    scale = 1 + min(farther, 1.0) * (draws.uniforms("table_scale", motion.table_scale) - 1)
    shift = farther * draws.normals("table_mm", motion.table_mm)
    # Rounded, so that the order of a sum over the lattice cannot change the last bits of the pair.
    shift = np.round(shift - draws.uniform("prealigned", motion.prealigned) * mean, 3)
    matrix = turn @ np.diag(scale)
    middle = np.round(middle, 3)
    return LinearTransform(matrix, shift + middle - matrix @ middle)


def mapped(transform: LinearTransform, points: Tensor) -> Tensor:
    """A linear transform of ``points`` (1, 3, z, y, x) in mm."""
    return linear_map(transform.matrix, points) + vector(transform.translation, points)
