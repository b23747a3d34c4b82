"""One transform after another as a single displacement field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..errors import BadInput
from ..images.geometry import Geometry
from .displacement_field import DisplacementField
from .mapping import LatticeMap, Transform, for_each_chunk, lattice_points


def compose(outer: Transform, inner: Transform, geometry: Geometry | None = None) -> DisplacementField:
    """The map x -> outer(inner(x)) on ``geometry``: u(x) = u_inner(x) + u_outer(x + u_inner(x)).

    Without ``geometry`` the result lies on the grid of the inner transform, which is where x lives, else on that of the
    outer one. The displacements are not summed: for displacements of 10 voxels with gradients of 0.2 a sum is off by
    0.1 to 0.3 mm. Needs some 20 MB beside the result.

    Raises :class:`~DeepRegLib.errors.BadInput` when neither transform has a grid and none is given.

    >>> from DeepRegLib.transforms.linear import LinearTransform
    >>> shift = LinearTransform(translation=[0, 0, 5]).to_field(Geometry((2, 2, 2)))
    >>> compose(shift, shift).array[0, 0, 0].tolist()
    [0.0, 0.0, 10.0]
    """
    if geometry is None:
        geometry = next((t.geometry for t in (inner, outer) if isinstance(t, DisplacementField)), None)
    if geometry is None:
        raise BadInput("Two linear transforms have no grid; name the image on which their field is wanted.")
    return _on_grid((inner, outer), geometry)


def resample_field(field: DisplacementField, geometry: Geometry) -> DisplacementField:
    """The same map on another grid, by linear interpolation. Millimetres stay millimetres on any grid."""
    return _on_grid((field,), geometry)


def _on_grid(transforms: Sequence[Transform], geometry: Geometry) -> DisplacementField:
    array = np.empty((*geometry.shape, 3), np.float32)
    flat = array.reshape(-1, 3)
    mapped = LatticeMap(transforms, geometry)

    def displace(part: tuple[slice, Tensor]) -> None:
        voxels, points = part
        flat[voxels] = (mapped(voxels, points) - points).T.numpy()

    for_each_chunk(displace, lattice_points(geometry))
    return DisplacementField(array, geometry)
