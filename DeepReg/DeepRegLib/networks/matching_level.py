"""The layers of the correspondence network: how it describes an image and how one level matches two descriptions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .cost_volume import cost_volume
from .layers import COMPONENTS

SLOPE = 0.1
"""Of the leaky ReLUs for negative values."""
FIRST_SHARPNESS = 1.5
"""Logarithm of the factor on the costs before they become probabilities, before any training."""
SMALLEST_SQUARE = 1e-3
"""Descriptions weaker than this (mean square of the channels) are not blown up."""
SLAB_CELLS = 20_000
"""Cells that are compared at once on the processor: their candidates stay near its caches."""
SLAB_CELLS_GPU = 400_000
"""Cells that are compared at once on a graphics card: under 1 GB of gathered candidates on the finest level."""
DISPLACEMENT_SCALE = 0.1
"""Brings displacements in voxels to the size of the other channels."""


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each voxel on its own: what is said of a place never depends on how much else the
    crop shows, so that crops of training and whole chests are the same to the network."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, c, z, y, x) to the same shape."""
        return super().forward(features.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 x 3 convolution, normalised, with its activation."""
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride, padding=1),
        ChannelNorm(channels_out),
        nn.LeakyReLU(SLOPE),
    )


def description(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """Three convolutions; the last one is linear, since its output is compared and not only passed on."""
    return nn.Sequential(
        convolution(channels_in, channels, stride),
        convolution(channels, channels),
        nn.Conv3d(channels, channels, 3, padding=1),
    )


def folded(image: torch.Tensor) -> torch.Tensor:
    """Blocks of 2 x 2 x 2 voxels as channels: (n, c, z, y, x) to (n, 8 c, z / 2, y / 2, x / 2)."""
    n, c, z, y, x = image.shape
    blocks = image.reshape(n, c, z // 2, 2, y // 2, 2, x // 2, 2)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, 8 * c, z // 2, y // 2, x // 2)


def unfolded(features: torch.Tensor) -> torch.Tensor:
    """The opposite of :func:`folded`."""
    n, c, z, y, x = features.shape
    blocks = features.reshape(n, c // 8, 2, 2, 2, z, y, x)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, c // 8, 2 * z, 2 * y, 2 * x)


def unit(features: torch.Tensor) -> torch.Tensor:
    """Each voxel's channels scaled to a mean square of one, float32: the cost of a pair is their cosine."""
    features = features.float()
    return features * (features.square().mean(1, keepdim=True) + SMALLEST_SQUARE).rsqrt()


def expected_offset(likely: torch.Tensor, radius: int) -> torch.Tensor:
    """The mean offset (1, 3, z, y, x), x first, of the candidates with the probabilities (1, candidates, z, y, x).

    Sums and products rather than a matrix product, which autocast would compute in half precision.
    """
    width = 2 * radius + 1
    steps = torch.arange(-radius, radius + 1, dtype=likely.dtype, device=likely.device).view(1, width, 1, 1, 1)
    candidates = likely.unflatten(1, (width, width, width))
    along = [candidates.sum(axes) for axes in ((1, 2), (1, 3), (2, 3))]
    return torch.stack([(probability * steps).sum(1) for probability in along], 1)


class Matcher(nn.Module):
    """From two descriptions to a correction of the field, in cells of the descriptions.

    The costs of all candidates within ``radius`` become probabilities; the correction is the expected offset plus a
    small regression. Both learned parts start at zero: before any training the level is a soft matcher of the raw
    costs, and it learns from the first step. With ``stride`` 2 the decoder works on cells twice as large, and the
    regression gives all eight parts of each.
    """

    def __init__(self, radius: int, features: int, context: int, channels: int, depth: int, stride: int = 1) -> None:
        super().__init__()
        candidates = (2 * radius + 1) ** 3
        self.radius, self.stride = radius, stride
        self.sharpness = nn.Parameter(torch.tensor(FIRST_SHARPNESS))
        self.seen = nn.Conv3d(candidates + 2 * features + 1, channels, stride, stride)
        self.known = nn.Conv3d(context + COMPONENTS, channels, 1)
        self.blocks = nn.ModuleList(convolution(channels, channels) for _ in range(depth))
        self.scores = nn.Conv3d(channels, candidates, 1)
        self.regression = nn.Conv3d(channels, COMPONENTS * stride**3, 1)
        for layer in (self.scores, self.regression):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The correction (1, 3, z, y, x) in cells of ``fixed`` and on its grid; on the grid of the decoder the
        probabilities (1, candidates, z, y, x) and the context that the next level gets.

        ``fixed`` (1, c, z, y, x); ``moving`` has ``radius`` more cells on every side; ``region`` (1, 1, z, y, x) is the
        share of each cell that lies in the region; ``known`` (on the grid of the decoder): the former level's context
        and the field so far.
        """
        seen, costs = self._compare_in_slabs(fixed, moving, region)
        hidden = functional.leaky_relu(seen + self.known(known), SLOPE)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        likely = (self.scores(hidden).float() + self.sharpness.exp() * costs).softmax(1)
        correction = expected_offset(likely, self.radius)
        regression = self.regression(hidden).float()
        if self.stride > 1:
            correction = functional.interpolate(correction, scale_factor=2, mode="trilinear")
            regression = unfolded(regression)
        return correction + regression, likely, hidden

    def _compare_in_slabs(
        self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What :meth:`_compare` gives. Inference works through it slab by slab, so that the candidates of a whole chest
        never lie in memory at once; on the processor the finest level takes half the time for it."""
        cells = SLAB_CELLS_GPU if fixed.is_cuda else SLAB_CELLS
        depth = max(cells // (fixed.shape[3] * fixed.shape[4]) // self.stride, 1) * self.stride
        if torch.is_grad_enabled() or depth >= fixed.shape[2]:
            return self._compare(fixed, moving, region)
        parts = [
            self._compare(
                fixed[:, :, start : start + depth],
                moving[:, :, start : start + depth + 2 * self.radius],
                region[:, :, start : start + depth],
            )
            for start in range(0, fixed.shape[2], depth)
        ]
        seen, costs = zip(*parts, strict=True)
        return torch.cat(seen, 2), torch.cat(costs, 2)

    def _compare(
        self, fixed: torch.Tensor, moving: torch.Tensor, region: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder sees, and the costs, both on its grid."""
        fixed, moving = unit(fixed), unit(moving)
        costs = cost_volume(fixed, moving, self.radius)
        r = self.radius
        centred = moving[:, :, r:-r, r:-r, r:-r]
        seen = self.seen(torch.cat([costs, fixed, centred, region], 1))
        return seen, functional.avg_pool3d(costs, self.stride) if self.stride > 1 else costs
