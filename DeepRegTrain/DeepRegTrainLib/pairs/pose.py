"""How the patient of a scan is placed before the motion: size, turn, mirror, and a smooth change of shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from DeepRegLib.phantom.motion import rotation
from torch import Tensor

from .anatomy import Anatomy
from .draws import Draws
from .settings import Framing
from .splines import random_field
from .working_grid import WorkingGrid, linear_map, vector

LATTICE_MM = 9.0
"""Distance of the points at which the motion is made; cubic splines lead to the voxels. Its finest part has control
points every 21 mm."""
DOMAIN_MARGIN_MM = 45.0
"""The lattice reaches this far beyond the lungs: what lies there may be moved into view."""
SHAPE_SPACING_MM = 72.0
"""Control points of the change of shape."""


@dataclass(frozen=True)
class Pose:
    """Points in mm about the middle of the lungs to points of the anatomy: A (p + s(p)) + c.

    ``trunk`` (x, y, z) is the size of the lungs in these mm; ``domain`` the lattice on which s is known.
    """

    matrix: np.ndarray
    centre: np.ndarray
    trunk: np.ndarray
    domain: WorkingGrid
    shape: Tensor | None

    def to_anatomy(self, points: Tensor) -> Tensor:
        """``points`` (1, 3, z, y, x) to mm of the anatomy."""
        if self.shape is not None:
            points = points + self.domain.sample(self.shape, points)
        return linear_map(self.matrix, points) + vector(self.centre, points)

    def scale_mm(self) -> float:
        """mm of the anatomy for one mm of the pose."""
        return float(abs(np.linalg.det(self.matrix)) ** (1 / 3))


def draw_pose(anatomy: Anatomy, framing: Framing, draws: Draws, device: torch.device) -> Pose:
    """A pose of ``anatomy``; its lattice covers the trunk and a margin."""
    # Size of the patient relative to the scan: a mm of the pose is 1 / zoom mm of the scan.
    scale = 1 / (draws.uniform("zoom", framing.zoom) * draws.uniforms("stretch", framing.stretch))
    turn = rotation(draws.normals("pose_degrees", framing.rotation_degrees))
    mirror = np.array([-1.0 if draws.happens("mirrored", framing.mirrored) else 1.0, 1.0, 1.0])
    trunk = anatomy.trunk.extent / scale
    half = trunk / 2 + DOMAIN_MARGIN_MM
    domain = WorkingGrid.covering(-half, half, LATTICE_MM, device)
    sd = draws.uniform("shape_mm", framing.shape_mm)
    shape = random_field(domain, SHAPE_SPACING_MM, sd, draws.rng) if sd > 0 else None
    return Pose(np.diag(mirror * scale) @ turn, anatomy.trunk.centre, trunk, domain, shape)
