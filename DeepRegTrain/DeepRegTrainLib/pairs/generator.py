"""Training pairs without end: the same seed, number, preset and sources give the same pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from DeepRegLib.errors import BadInput
from torch import Tensor

from .anatomy import Anatomy, Source
from .appearance import Shot, changed_density, density_factor, scanned, view_along_x, with_opacities
from .breathing_pair import breathing_deformation
from .deformation import Deformation
from .draws import Draws
from .placing import one_lung, place_grid
from .presets import Preset
from .settings import BreathingMotion, SplineMotion
from .spline_pair import spline_deformation
from .thin_plate_pair import thin_plate_deformation
from .training_pair import TrainingPair
from .working_grid import sample_at, voxel_indices

SMALLEST_SIDE = 16
"""Fewer voxels along an axis hold no lung worth learning from."""
SMALLEST_SHARE_SEEN = 0.02
"""Pairs of whose voxels both images show less are drawn again."""
MOST_ATTEMPTS = 10


class PairGenerator:
    """Pairs of ``size`` voxels (x, y, z, or one number for a cube), made on ``device``.

    With ``spacing_mm`` (one number, or x, y, z) the grid is a random block of the lungs; with None it covers them with
    a margin, whatever its voxels then measure.

    >>> from DeepRegTrainLib.pairs import PairGenerator, RandomShapes, preset
    >>> pairs = PairGenerator(RandomShapes(count=1, size=24), preset("eppenhof2020"), 16, None, seed=7)
    >>> pairs.draw(3).displacement.shape
    torch.Size([1, 3, 16, 16, 16])
    >>> bool((pairs.draw(3).fixed == pairs.draw(3).fixed).all())
    True
    """

    def __init__(
        self,
        sources: Source,
        preset: Preset,
        size: int | Sequence[int],
        spacing_mm: float | Sequence[float] | None,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        sides = (size,) * 3 if isinstance(size, int) else tuple(int(n) for n in size)
        if len(sides) != 3 or min(sides) < SMALLEST_SIDE:
            raise BadInput(f"Training pairs need three sides of at least {SMALLEST_SIDE} voxels, not {size}.")
        steps = None if spacing_mm is None else tuple(np.broadcast_to(np.asarray(spacing_mm, float), 3).tolist())
        if steps is not None and not min(steps) > 0:
            raise BadInput(f"The voxels of training pairs cannot measure {spacing_mm} mm.")
        self.sources = sources
        self.preset = preset
        self.size: tuple[int, int, int] = sides  # type: ignore[assignment]
        self.spacing_mm = steps
        self.seed = seed
        self.device = torch.device(device)

    @torch.no_grad()
    def draw(self, index: int) -> TrainingPair:
        """Pair number ``index`` (0 or more). On the processor always the same bits, given the number of threads; on a
        graphics card the same but for rounding, with noise of the same strength."""
        for attempt in range(MOST_ATTEMPTS):
            pair = self._attempt(index, attempt)
            if float(pair.weight.mean()) > SMALLEST_SHARE_SEEN:
                break
        return pair

    def _attempt(self, index: int, attempt: int) -> TrainingPair:
        # Streams of their own: other noise leaves the motion as it is.
        streams = np.random.SeedSequence([self.seed, index, attempt]).spawn(3)
        for_source, for_geometry, for_look = (np.random.default_rng(s) for s in streams)
        geometry, look = Draws(for_geometry), Draws(for_look)
        anatomy = self.sources.draw(for_source, self.device)
        deformation = self._deformation(anatomy, geometry)
        pair = self._images(anatomy.smoothed(min(deformation.grid.spacing)), deformation, look)
        pair.parameters.update(
            seed=self.seed,
            index=index,
            attempt=attempt,
            preset=self.preset.name,
            source=anatomy.name,
            size=list(self.size),
            spacing_mm=list(deformation.grid.spacing),
            geometry=geometry.record,
            appearance=look.record,
        )
        return pair

    def _deformation(self, anatomy: Anatomy, draws: Draws) -> Deformation:
        framing, motion = self.preset.framing, self.preset.motion
        if isinstance(motion, BreathingMotion):
            return breathing_deformation(anatomy, framing, motion, self.size, self.spacing_mm, draws, self.device)
        box, view = anatomy.box, None
        if draws.happens("one_lung", framing.one_lung) and anatomy.is_lungs:
            box, view = one_lung(anatomy.region, anatomy.grid, float(anatomy.trunk.centre[0]), draws)
        grid = place_grid(box, framing, self.size, self.spacing_mm, draws, self.device)
        make = spline_deformation if isinstance(motion, SplineMotion) else thin_plate_deformation
        return make(grid, motion, draws, view)  # type: ignore[arg-type]

    def _images(self, anatomy: Anatomy, deformation: Deformation, draws: Draws) -> TrainingPair:
        settings, grid = self.preset.appearance, deformation.grid
        fixed = self._shot(anatomy, anatomy.fixed_look, deformation.fixed_points)
        moving = self._shot(anatomy, anatomy.moving_look, deformation.moving_points)
        if deformation.volume_change is not None and anatomy.is_lungs:
            exponent = draws.uniform("mass_exponent", settings.mass_exponent)
            if exponent > 0:
                factor = density_factor(deformation.volume_change, exponent)
                fixed.hu = changed_density(fixed.hu, fixed.lungs, factor)
        if draws.happens("opacities", settings.opacities) and anatomy.is_lungs:
            shot = fixed if draws.happens("opacities_in_fixed", 0.5) else moving
            shot.hu = with_opacities(shot.hu, shot.lungs, grid, draws)
        if deformation.view_x_mm is not None:
            limits = view_along_x(deformation.view_x_mm, grid)
            for shot in (fixed, moving):
                shot.limit_along_x(*limits)
        fixed = scanned(fixed, "fixed", grid, settings, draws)
        moving = scanned(moving, "moving", grid, settings, draws)
        return TrainingPair(
            fixed=fixed.hu,
            moving=moving.hu,
            displacement=deformation.displacement,
            weight=_weight(fixed.seen, moving.seen, deformation),
            region=fixed.lungs * fixed.seen,
            fixed_seen=fixed.seen,
            moving_seen=moving.seen,
            spacing_mm=grid.spacing,
        )

    def _shot(self, anatomy: Anatomy, look: Tensor, points: Tensor) -> Shot:
        grid = anatomy.grid
        lungs = grid.sample(anatomy.region, points).clamp(0, 1)
        return Shot(grid.sample(look, points), lungs, anatomy.field_of_view(points))


def _weight(fixed_seen: Tensor, moving_seen: Tensor, deformation: Deformation) -> Tensor:
    if deformation.weight_by_moving_view:
        return moving_seen
    index = voxel_indices(deformation.grid.shape, deformation.grid.device)
    # Beyond the grid of the moving image nothing was seen either.
    seen = sample_at(moving_seen, index + deformation.displacement, padding="zeros")
    return fixed_seen * seen.clamp(0, 1)
