"""A network that finds corresponding places coarse to fine: levels of 12, 6 and 3 mm, each with a local cost
volume, composed (Eppenhof 2020, section IV-F, with the correspondence cue of optical flow networks).

The encoder works on folded images, so that no convolution of the coarser levels runs on 3 mm voxels. The finest level
warps the moving image itself, describes it again and corrects the field; it can be applied more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from ..errors import BadInput
from .coarse_to_fine import corrected, finer, smoothed, trust, warped
from .correspondence_input import INPUT_CHANNELS
from .cost_volume import surroundings
from .layers import COMPONENTS
from .matching_level import DISPLACEMENT_SCALE, Matcher, description, folded

CELLS = (4, 2)
"""Voxels along a cell of the two coarse levels."""
CONTEXT = 24
"""Channels that a level passes on to the next."""
FINE_APPLICATIONS = 4
"""How often the finest level is applied, the field being smoothed in between."""
FIRST_SMOOTHING, SMOOTHING = 6, 3
"""Passes over the field of the 6 mm level and after each application of the finest: windows of 6 and 4 mm."""


@dataclass(frozen=True)
class Estimate:
    """What is known after a level: the displacements (1, 3, z, y, x) in voxels, x, y, z order, on cells of ``cell``
    voxels, and on the decoder's cells the ``context`` for the next level and how ``likely`` each candidate was."""

    field: torch.Tensor
    context: torch.Tensor
    likely: torch.Tensor
    cell: int


class CorrespondenceNetwork(nn.Module):
    """Takes the channels (1, 3, z, y, x) of :func:`~DeepRegLib.networks.correspondence_input.image_channels` of a fixed
    and a moving image on one grid, the moving one with ``margin`` more voxels on every side, and the region; gives
    displacements in voxels on the grid of the fixed image.

    Sides and margins are multiples of ``stride``. ``channels`` of the descriptions at 3, 6 and 12 mm, ``decoders``
    and ``depths``: channels and convolutions of the decoders, ``radii`` of the cost volumes, all in this order;
    ``compared``: channels that the 6 mm level compares.
    """

    stride = CELLS[0]

    def __init__(
        self,
        channels: tuple[int, int, int] = (16, 24, 32),
        decoders: tuple[int, int, int] = (48, 48, 64),
        depths: tuple[int, int, int] = (2, 3, 4),
        radii: tuple[int, int, int] = (1, 2, 3),
        compared: int = 16,
    ) -> None:
        super().__init__()
        c3, c6, c12 = channels
        self.describe6 = description(8 * INPUT_CHANNELS, c6)
        self.describe12 = description(c6, c12, stride=2)
        self.describe3 = nn.Sequential(
            nn.Conv3d(INPUT_CHANNELS, c3, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv3d(c3, c3, 3, padding=1)
        )
        self.compare6 = nn.Conv3d(c6, compared, 1)
        self.match12 = Matcher(radii[2], c12, 0, decoders[2], depths[2])
        self.match6 = Matcher(radii[1], compared, CONTEXT, decoders[1], depths[1])
        self.match3 = Matcher(radii[0], c3, decoders[1], decoders[0], depths[0], stride=2)
        self.pass12 = nn.Conv3d(decoders[2], CONTEXT, 1)

    def forward(
        self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor, applications: int = FINE_APPLICATIONS
    ) -> torch.Tensor:
        """The displacements (1, 3, z, y, x) of all levels together, in voxels of ``fixed``."""
        for estimate in self.estimates(fixed, moving, region, applications):
            field = estimate.field
        return field

    def estimates(
        self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor, applications: int = FINE_APPLICATIONS
    ) -> Iterator[Estimate]:
        """What is known after each level, from 12 to 3 mm."""
        margin = self.check(fixed, moving, region)
        for estimate in self.coarse(fixed, moving, region):
            yield estimate
        weight, described = trust(region), self.describe3(fixed)
        estimate = at_full_resolution(estimate)
        estimate = replace(estimate, field=smoothed(estimate.field, weight, FIRST_SMOOTHING))
        for _ in range(applications):
            estimate = self.fine(described, warped(moving, estimate.field, 1, margin), region, estimate)
            estimate = replace(estimate, field=smoothed(estimate.field, weight, SMOOTHING))
            yield estimate

    def coarse(self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor) -> Iterator[Estimate]:
        """What is known after the levels of 12 and 6 mm; each is computed when it is asked for."""
        margin = (moving.shape[4] - fixed.shape[4]) // 2
        f6, m6 = self.describe6(folded(fixed)), self.describe6(folded(moving))
        f12, m12 = self.describe12(f6), self.describe12(m6)
        r6, r12 = (functional.avg_pool3d(region, cell) for cell in reversed(CELLS))
        zero = f12.new_zeros(1, COMPONENTS, *f12.shape[2:], dtype=torch.float32)
        around = surroundings(m12, margin // 4, self.match12.radius)
        correction, likely, hidden = self.match12(f12, around, r12, zero)
        estimate = Estimate(4 * correction, hidden, likely, 4)
        yield estimate
        field = finer(estimate.field)
        before = field.detach()
        around = warped(self.compare6(m6).float(), before, 2, margin, self.match6.radius)
        known = torch.cat([finer(self.pass12(estimate.context)), DISPLACEMENT_SCALE * before], 1)
        correction, likely, hidden = self.match6(self.compare6(f6), around, r6, known)
        yield Estimate(corrected(field, 2 * correction, 2), hidden, likely, 2)

    def fine(self, described: torch.Tensor, pulled: torch.Tensor, region: torch.Tensor, estimate: Estimate) -> Estimate:
        """A correction by the finest level, not smoothed. ``described`` is what ``describe3`` says of the fixed image,
        ``pulled`` the moving image pulled through ``estimate.field``. All may be a block of the whole, at the same
        place."""
        m3 = functional.pad(self.describe3(pulled), [self.match3.radius] * 6)
        before = DISPLACEMENT_SCALE * functional.avg_pool3d(estimate.field.detach(), 2)
        known = torch.cat([estimate.context, before], 1)
        correction, likely, _ = self.match3(described, m3, region, known)
        return Estimate(corrected(estimate.field, correction, 1), estimate.context, likely, 1)

    def check(self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor) -> int:
        """The margin of the moving image in voxels; raises :class:`~DeepRegLib.errors.BadInput` for sizes that the
        network does not take."""
        shape = tuple(fixed.shape[2:])
        margins = {(a - b) / 2 for a, b in zip(moving.shape[2:], shape, strict=True)}
        margin = margins.pop()
        if (
            margins
            or margin < 0
            or any(n % self.stride for n in (*shape, margin))
            or fixed.shape[:2] != (1, INPUT_CHANNELS)
            or moving.shape[:2] != (1, INPUT_CHANNELS)
            or tuple(region.shape) != (1, 1, *shape)
        ):
            raise BadInput(
                f"The network takes images (1, {INPUT_CHANNELS}, z, y, x) with sides and a common margin that are "
                f"multiples of {self.stride} voxels, and a region; these are {tuple(fixed.shape)}, "
                f"{tuple(moving.shape)} and {tuple(region.shape)}."
            )
        return int(margin)


def at_full_resolution(estimate: Estimate) -> Estimate:
    """The estimate of the 6 mm level with its field on the voxels."""
    return Estimate(finer(estimate.field), estimate.context, estimate.likely, 1)
