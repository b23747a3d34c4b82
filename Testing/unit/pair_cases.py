"""Small patients for the tests of training pairs: made in a moment, with a known shape."""

from __future__ import annotations

import numpy as np
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegTrainLib.pairs.anatomy import Anatomy, boxes_of
from DeepRegTrainLib.pairs.working_grid import WorkingGrid

CPU = torch.device("cpu")
SIZE = (72, 56, 72)
SPACING_MM = 4.0
CAVITY_MM = np.array([110.0, 80.0, 110.0])
"""Half axes of the cavity, an ellipsoid cut off below: a smooth wall with a normal everywhere."""


class OnePatient:
    """A source with one anatomy: two lungs in an ellipsoid, with smooth vessels as texture."""

    def __init__(self, texture_hu: float = 150.0) -> None:
        self.anatomy = patient(texture_hu)
        self.drawn = 0

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        self.drawn += 1
        return self.anatomy

    def record(self) -> list[dict[str, object]]:
        return [{"made for": "tests"}]


def patient(texture_hu: float = 150.0) -> Anatomy:
    grid = WorkingGrid(SIZE, (SPACING_MM,) * 3, CPU)
    points = grid.points()
    x, y, z = points[0]
    # Below its middle the cavity goes on as a cylinder.
    gauge = ((x / CAVITY_MM[0]) ** 2 + (y / CAVITY_MM[1]) ** 2 + (z.clamp(min=0) / CAVITY_MM[2]) ** 2).sqrt()
    wall = (gauge - 1) * float(CAVITY_MM.min())
    lungs = (wall < -4) & (x.abs() > 18) & (z > -80)
    hu = torch.where(lungs, -850.0, 40.0)
    hu = torch.where(gauge > 1.35, -1000.0, hu)
    waves = torch.sin(x / 9) * torch.sin(y / 8 + 1) * torch.sin(z / 10 + 2)
    hu = hu + texture_hu * waves * lungs
    look = _soft(hu[None, None])
    region = lungs.to(torch.float32)[None, None]
    box, trunk = boxes_of(lungs.numpy(), grid)
    return Anatomy("test patient", grid, look, look, region, box, trunk, True, wall[None, None], grid)


def _soft(volume: torch.Tensor) -> torch.Tensor:
    """Edges over some voxels, so that interpolating twice changes little."""
    return torch.nn.functional.avg_pool3d(volume, 3, 1, 1, count_include_pad=False)


def thorax_volume(spacing: tuple[float, float, float] = (3.0, 3.0, 4.0), flipped: bool = False) -> Volume:
    """A CT of the phantom patient above, as int16; ``flipped`` with axes that run to the right and to the front."""
    size = (88, 72, 66)
    axes = np.diag([-1.0, -1.0, 1.0]) if flipped else np.eye(3)
    middle = axes @ ((np.array(size) - 1) / 2 * np.array(spacing))
    geometry = Geometry(size, spacing, tuple(-middle), tuple(axes.ravel()))
    whole = patient()
    points = torch.as_tensor(np.moveaxis(geometry.points(), -1, 0).astype(np.float32))[None]
    hu = whole.grid.sample(whole.moving_look, points)[0, 0].numpy()
    noise = np.random.default_rng(0).normal(0, 15, hu.shape)
    return Volume(np.rint(hu + noise).astype(np.int16), geometry, "thorax")
