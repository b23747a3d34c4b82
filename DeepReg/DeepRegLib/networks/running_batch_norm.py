"""Batch normalisation for batches of one: moving averages normalise in training too."""

from __future__ import annotations

import torch
from torch import nn

BLEND_ITERATIONS = 50
"""Iterations over which a layer passes from the statistics of the sample to the moving averages."""
MOMENTUM_START = 0.1
"""Weight of a new sample in the moving averages while the network changes fast."""
MOMENTUM_END = 0.01
"""Weight of a new sample in the long run: averages over some hundred samples."""


class RunningBatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation of (n, ``channels``, z, y, x) that trains as it infers: with moving averages of mean and
    variance "instead of computing them from one batch" (Eppenhof 2020, section II-A; Eppenhof 2018, section 2.3).
    PyTorch's own layer normalises each sample by itself in training, which at batch size 1 is another function than the
    one used afterwards.

    In training the averages are updated first and then used. The first sample sets them; then a new sample has the
    weight ``MOMENTUM_START``, which falls as 1 / iteration to ``MOMENTUM_END``. During the first ``BLEND_ITERATIONS``
    the statistics used pass linearly from those of the sample to the averages: averages of weights that still change
    fast lag behind.

    The *gradient* is that of batch renormalisation (Ioffe 2017, without its limits): the sample is normalised by itself
    and brought to the averages by a stretch and an offset that count as constants. The values are the same as with the
    averages taken as constants, but the gradient knows that a larger weight only seems to help; without that, networks
    hardly learn here.

    Iterations are counted per layer (``num_batches_tracked``), so that a level of a progressive network that joins late
    starts as gently. Names and shapes of the state are those of ``nn.BatchNorm3d``.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        sample = input.float()  # statistics in half precision would overflow
        variance, mean = torch.var_mean(sample, dim=(0, 2, 3, 4), correction=0)
        deviation = torch.sqrt(variance + self.eps)
        with torch.no_grad():
            used_mean, used_deviation = self._accumulate(mean, variance)
            stretch = deviation / used_deviation
            offset = (mean - used_mean) / used_deviation
        scale = self.weight * stretch / deviation
        shift = self.weight * offset - mean * scale + self.bias
        return (sample * scale.view(1, -1, 1, 1, 1) + shift.view(1, -1, 1, 1, 1)).to(input.dtype)

    def _accumulate(self, mean: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Takes a sample into the averages; returns mean and standard deviation to normalise it with."""
        seen = int(self.num_batches_tracked)
        self.running_mean.lerp_(mean, sample_weight(seen))
        self.running_var.lerp_(variance, sample_weight(seen))
        self.num_batches_tracked.add_(1)
        share = min(1.0, seen / BLEND_ITERATIONS)
        used_variance = variance.lerp(self.running_var, share)
        return mean.lerp(self.running_mean, share), torch.sqrt(used_variance + self.eps)


def sample_weight(seen: int) -> float:
    """Weight of a new sample in the moving averages after ``seen`` samples.

    >>> [sample_weight(seen) for seen in (0, 1, 50, 100, 5000)]
    [1.0, 0.1, 0.1, 0.05, 0.01]
    """
    if seen == 0:
        return 1.0
    return max(MOMENTUM_END, MOMENTUM_START * BLEND_ITERATIONS / max(seen, BLEND_ITERATIONS))
