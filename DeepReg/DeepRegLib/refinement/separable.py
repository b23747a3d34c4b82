"""Linear operators on volumes as one small dense matrix per axis.

Smoothing, anti-aliased resampling, interpolation and B-spline evaluation are all separable; as three matrix products
their cost does not depend on the width of the kernel, and both threads (or a GPU) work at full speed. A triple of
matrices is always ordered (z, y, x), like the axes of the volumes that it is applied to.
"""

from __future__ import annotations

import torch

Operator = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Matrices for the z, y and x axis; each (positions out, positions in)."""

TRUNCATION_SIGMAS = 3.5
"""A Gaussian is cut where it has fallen to 0.2 % of its peak."""


def gaussian_matrix(source: torch.Tensor, target: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian averages of values at ``source`` positions around ``target`` positions (n,), (m,) -> (m, n).

    Rows add up to one; a target that no source reaches takes the nearest source.
    """
    distance = target[:, None] - source[None]
    weights = torch.exp(-0.5 * (distance / sigma) ** 2)
    weights = torch.where(distance.abs() <= TRUNCATION_SIGMAS * sigma + 1e-3, weights, torch.zeros_like(weights))
    total = weights.sum(1, keepdim=True)
    nearest = torch.zeros_like(weights).scatter_(1, distance.abs().argmin(1, keepdim=True), 1.0)
    return torch.where(total > 1e-6, weights / total.clamp_min(1e-6), nearest)


def linear_matrix(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Linear interpolation from equidistant ``source`` positions, constant beyond the ends: (n,), (m,) -> (m, n)."""
    count = len(source)
    if count == 1:
        return torch.ones(len(target), 1, dtype=source.dtype, device=source.device)
    position = ((target - source[0]) / (source[1] - source[0])).clamp(0, count - 1)
    low = position.floor().long().clamp(max=count - 2)
    weight = (position - low)[:, None]
    matrix = torch.zeros(len(target), count, dtype=source.dtype, device=source.device)
    matrix.scatter_(1, low[:, None], 1 - weight)
    return matrix.scatter_(1, low[:, None] + 1, weight)


def bspline_matrix(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Uniform cubic B-spline weights of the coefficients at ``source`` positions, evaluated at ``target``.

    Rows are normalised, which keeps constants constant at the ends of the control grid; targets beyond the ends take
    the value at the end.
    """
    if len(source) == 1:
        return linear_matrix(source, target)
    step = source[1] - source[0]
    distance = ((target.clamp(source[0], source[-1])[:, None] - source[None]) / step).abs()
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp_min(0) ** 3 / 6
    weights = torch.where(distance < 1, inner, outer)
    return weights / weights.sum(1, keepdim=True)


def apply(operator: Operator, volume: torch.Tensor) -> torch.Tensor:
    """Apply three matrices along the last three axes of ``volume`` (..., z, y, x)."""
    along_z, along_y, along_x = operator
    volume = torch.matmul(along_y, torch.matmul(volume, along_x.T))
    depth, height, width = volume.shape[-3:]
    flat = torch.matmul(along_z, volume.reshape(*volume.shape[:-3], depth, height * width))
    return flat.reshape(*volume.shape[:-3], len(along_z), height, width)
