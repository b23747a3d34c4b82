"""Patients that were never scanned: the breathing thorax phantom, at rest and free of noise."""

from __future__ import annotations

import numpy as np
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.phantom.anatomy import Anatomy as PhantomAnatomy
from DeepRegLib.phantom.rendering import Rendering

from .anatomy import Anatomy, boxes_of
from .sources import SOURCE_SPACING_MM, Kept
from .working_grid import WorkingGrid

WALL_MM = 4.0
"""Spacing of the distances to the wall."""


class Phantoms:
    """``count`` different phantoms; number k is always the same one. The first use of each takes some seconds."""

    def __init__(self, count: int = 8, spacing_mm: float = SOURCE_SPACING_MM, first_seed: int = 0) -> None:
        self.count = count
        self.first_seed = first_seed
        self.spacing_mm = spacing_mm
        self._kept = Kept(self._make)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        return self._kept.get(int(rng.integers(self.count)), device)

    def record(self) -> list[dict[str, object]]:
        return [{"phantoms": self.count, "first_seed": self.first_seed}]

    def _make(self, number: int, device: torch.device) -> Anatomy:
        seed = self.first_seed + number
        anatomy = PhantomAnatomy.random(np.random.default_rng(seed))
        rendering = Rendering.of(anatomy, self.spacing_mm)
        grid = _on_device(rendering.geometry, device)
        coarse = _on_device(rendering.geometry.with_spacing((WALL_MM,) * 3), device)
        wall = anatomy.cavity.depth(np.moveaxis(coarse.points()[0].cpu().numpy(), 0, -1))
        look = torch.as_tensor(rendering.hu, device=device)[None, None]
        box, trunk = boxes_of(rendering.lung > 0.5, grid)
        return Anatomy(
            name=f"phantom {seed}",
            grid=grid,
            moving_look=look,
            fixed_look=look,
            region=torch.as_tensor(rendering.lung.copy(), device=device)[None, None],
            box=box,
            trunk=trunk,
            is_lungs=True,
            wall=torch.as_tensor(wall.astype(np.float32), device=device)[None, None],
            wall_grid=coarse,
        )


def _on_device(geometry: Geometry, device: torch.device) -> WorkingGrid:
    """A grid without rotation about its middle, which is that of the phantom."""
    return WorkingGrid(geometry.size, geometry.spacing, device)
