"""The unknown of the solver: displacements as cubic B-spline coefficients on a lattice in the fixed image's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..images.geometry import Geometry
from ..transforms.displacement_field import DisplacementField
from .frame_grid import FrameGrid, triple
from .problem import Problem
from .separable import apply


@dataclass(frozen=True)
class Lattice:
    """``coefficients`` (3, z, y, x): displacements in mm on top of the linear map, along the axes of the MOVING image,
    on ``grid`` in the frame of the FIXED image: q = A s + b + u(s)."""

    coefficients: torch.Tensor
    grid: FrameGrid

    @classmethod
    def zero(cls, grid: FrameGrid, device: torch.device) -> Lattice:
        return cls(torch.zeros(3, *grid.shape, device=device), grid)

    def moved_to(self, grid: FrameGrid) -> Lattice:
        """The same displacements on another lattice, interpolated linearly."""
        if grid == self.grid:
            return self
        return Lattice(apply(self.grid.linear_to(grid, self.coefficients.device), self.coefficients), grid)

    def on(self, grid: FrameGrid) -> torch.Tensor:
        """Displacements (3, z, y, x) on a grid in the same frame."""
        return apply(self.grid.bspline_to(grid, self.coefficients.device), self.coefficients)

    @classmethod
    def from_field(cls, field: DisplacementField, problem: Problem, grid: FrameGrid) -> Lattice:
        """A proposal d (T(x) = A(x + d(x)), any grid) as displacements u = M d of the lattice."""
        frame = problem.fixed.geometry
        points = np.moveaxis(grid.points(torch.device("cpu")).numpy(), 0, -1)
        lps = points @ frame.axes.T + np.array(frame.origin)
        u = field.at(lps) @ (problem.moving.geometry.axes.T @ problem.linear.matrix).T
        return cls(torch.as_tensor(np.moveaxis(u, -1, 0).astype(np.float32), device=problem.device), grid)

    def deformation(self, problem: Problem, geometry: Geometry) -> DisplacementField:
        """The deformable part d(x) = M^-1 u(x), LPS mm, on ``geometry``, whose axes are those of the fixed image."""
        frame = problem.fixed.geometry
        start = frame.axes.T @ (np.array(geometry.origin) - np.array(frame.origin))
        u = self.on(FrameGrid(triple(start), geometry.spacing, geometry.size))
        to_lps = np.linalg.inv(problem.linear.matrix) @ problem.moving.geometry.axes
        matrix = torch.as_tensor(to_lps, dtype=torch.float32, device=u.device)
        array = torch.einsum("ij,jzyx->zyxi", matrix, u).contiguous().cpu().numpy()
        return DisplacementField(array, geometry)
