"""A network that gives the displacements at the nodes of a coarse thin-plate spline grid: K. A. J. Eppenhof et al.,
"Deformable image registration using convolutional neural networks", Proc. SPIE 105740S, 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..transforms.displacement_field import DisplacementField, SplineField
from ..transforms.thin_plate_spline import ThinPlateSplineNodes, node_grid
from .interface import register_network_kind
from .network_method import SinglePass

if TYPE_CHECKING:
    from ..images.geometry import Geometry

LATTICE_SPACING_MM = 4.0
"""Lattice on which the spline is evaluated, a tenth of the distance of nodes in a chest: 0.6 s on one processor."""


def spline_field(nodes_mm: np.ndarray, geometry: Geometry) -> DisplacementField:
    """The spline through displacements ``nodes_mm`` (n, n, n, 3) at nodes that cover the working grid evenly from its
    first to its last voxel centre (section 2.1; 6 x 6 x 6 nodes for 96 voxels), on that grid."""
    nodes = ThinPlateSplineNodes.covering(geometry, len(nodes_mm))
    field = nodes.spline(nodes_mm.reshape(-1, 3)).to_field(geometry, LATTICE_SPACING_MM)
    control_points = DisplacementField(nodes_mm.astype(np.float32), node_grid(geometry, len(nodes_mm)))
    return SplineField(field.array, field.geometry, control_points)


TPS_GRID = SinglePass(
    name="tps-grid",
    description="Convolutional network that moves a coarse grid of thin-plate splines (Eppenhof 2018).",
    architectures=("vgg_grid",),
    preprocessing="intensity window",
    to_field=spline_field,
)
register_network_kind(TPS_GRID.kind())
