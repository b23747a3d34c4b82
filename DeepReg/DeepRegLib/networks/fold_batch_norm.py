"""Batch normalisation folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network) -> Network:
    """A copy of ``network`` for inference (evaluation mode, no gradients) without its batch normalisation layers.

    In evaluation a batch normalisation is a scale and a shift per channel, which the weights of the convolution right
    before it in the same ``nn.Sequential`` can take over: one map less to compute and to hold. Instance normalisation
    depends on the image and stays. ``network`` itself is left as it is.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for block in folded.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index in range(len(block) - 1):
            convolution, norm = block[index], block[index + 1]
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                block[index] = fuse_conv_bn_eval(convolution, norm)
                block[index + 1] = nn.Identity()
    return folded
