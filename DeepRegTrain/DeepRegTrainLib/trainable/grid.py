"""The VGG-like network of Eppenhof 2018: displacements at the nodes of a thin-plate spline grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.methods.tps_grid import TPS_GRID
from DeepRegLib.models.card import Architecture, ModelInput
from DeepRegLib.networks.inference import window_intensity
from DeepRegLib.networks.vgg_grid import VGGGrid
from DeepRegLib.transforms.lattice import coarse_lattice
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSplineNodes
from torch import Tensor, nn
from torch.nn import functional

from ..objective import Objective, error_mm
from ..pair_level import PairLevel
from ..pairs.training_pair import TrainingPair
from .interface import ERROR, Deployment, LevelEstimate, Stage

LATTICE_PARTS = 20
"""Parts of the grid along each axis between which the spline is interpolated linearly."""


class TrainableVGGGrid:
    """With known displacements the loss compares at the nodes, as printed; otherwise on the dense field."""

    def __init__(self, network: VGGGrid, arguments: dict[str, Any], size: int, objective: Objective) -> None:
        self.network = network
        self._arguments = arguments
        self._size = size
        self._objective = objective

    def loss_terms(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        nodes = self.network(windowed_images(pair)).float()
        at_nodes = _at_nodes(pair, nodes.shape[2])
        if self._objective.supervision == "supervised":
            terms = self._objective.terms(nodes, at_nodes)
        else:
            terms = self._objective.terms(dense_field(nodes, pair.fixed.shape[2:]), PairLevel.of(pair, 1))
        return {**terms, ERROR: error_mm(nodes, at_nodes)}

    def estimate(self, pair: TrainingPair, step: int) -> Tensor:
        return dense_field(self.network(windowed_images(pair)).float(), pair.fixed.shape[2:])

    def level_estimates(self, pair: TrainingPair, step: int) -> list[LevelEstimate]:
        return []

    def stages(self, steps: int) -> list[Stage]:
        return [Stage(0, "all layers")]

    def deployed(self, network: nn.Module) -> tuple[nn.Module, Deployment]:
        return network, Deployment(
            Architecture("vgg_grid", self._arguments),
            TPS_GRID.name,
            ModelInput((self._size,) * 3, None, "HU", TPS_GRID.preprocessing),
        )


def windowed_images(pair: TrainingPair) -> Tensor:
    """What the network sees of a pair, (1, 2, z, y, x)."""
    images = torch.cat([window_intensity(pair.fixed), window_intensity(pair.moving)], 1)
    return images.contiguous(memory_format=torch.channels_last_3d)


def dense_field(nodes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The spline through displacements (1, 3, n, n, n) at nodes that cover the grid from its first to its last voxel
    centre, (1, 3, *``shape``), differentiable: linear between the points of a lattice."""
    basis, lattice = _spline_basis(nodes.shape[2], tuple(shape))
    coarse = nodes.reshape(3, -1) @ basis.to(nodes.device).T
    return functional.interpolate(coarse.reshape(1, 3, *lattice), size=shape, mode="trilinear", align_corners=True)


@cache
def _spline_basis(count: int, shape: tuple[int, ...]) -> tuple[Tensor, tuple[int, int, int]]:
    """The matrix (points, nodes) that takes displacements at the nodes to those at the points of a lattice over a grid
    of ``shape``, and the shape of the lattice."""
    geometry = Geometry((shape[2], shape[1], shape[0]))
    lattice = coarse_lattice(geometry, max(1.0, max(shape) / LATTICE_PARTS))
    nodes = ThinPlateSplineNodes.covering(geometry, count)
    points = lattice.points().reshape(-1, 3)
    columns = []
    unit = np.eye(count**3)
    for first in range(0, count**3, 3):  # a spline takes three sets of values at once
        values = np.zeros((count**3, 3))
        part = unit[:, first : first + 3]
        values[:, : part.shape[1]] = part
        columns.append(nodes.spline(values).at(points)[:, : part.shape[1]])
    return torch.as_tensor(np.hstack(columns), dtype=torch.float32), lattice.shape


def _at_nodes(pair: TrainingPair, count: int) -> PairLevel:
    """The truth at the nodes, which are the voxel centres of 96 voxels and lie between those of other grids."""

    def sampled(image: Tensor) -> Tensor:
        return functional.interpolate(image, size=(count,) * 3, mode="trilinear", align_corners=True)

    return PairLevel(pair, 1, sampled(pair.displacement), sampled(pair.weight), sampled(pair.region), pair.spacing_mm)
