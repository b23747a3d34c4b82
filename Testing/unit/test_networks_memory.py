"""The estimated memory against what PyTorch's allocator hands out."""

from __future__ import annotations

import pytest
import torch
from DeepRegLib.networks.fold_batch_norm import fold_batch_norm
from DeepRegLib.networks.memory import peak_inference_bytes
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid
from torch import nn
from torch.profiler import ProfilerActivity, profile

TOLERANCE = 0.3
"""Share by which an estimate may miss: enough to warn in time."""


def measured_bytes(network: nn.Module, images: torch.Tensor) -> int:
    """Highest sum of all allocations during inference, as the profiler records them, with weights and input."""
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        network(images)
    live = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    assert peak > 0
    return peak + images.nbytes + sum(tensor.nbytes for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    ("network", "side"),
    [(UNet(4), 32), (UNet(4), 64), (UNet(8), 64), (UNet(4, norm="instance"), 48), (VGGGrid((8, 16, 32, 64)), 96)],
    ids=["unet 4 at 32", "unet 4 at 64", "unet 8 at 64", "unet 4 with instance norm at 48", "grid at 96"],
)
def test_the_estimate_is_near_what_is_allocated(network, side):
    for variant in (network.eval(), fold_batch_norm(network)):
        images = torch.rand(1, 2, side, side, side)
        estimate = peak_inference_bytes(variant, images.shape)
        assert estimate == pytest.approx(measured_bytes(variant, images), rel=TOLERANCE)


def test_the_estimate_of_a_large_grid_takes_no_memory_and_leaves_the_network_alone():
    network = UNet(16).train()
    estimate = peak_inference_bytes(network, (1, 2, 1024, 1024, 1024))
    assert estimate > 500e9  # no machine that runs this has it
    assert network.training and not next(network.parameters()).is_meta


def test_half_precision_takes_half():
    network = UNet(4, 3)
    shape = (1, 2, 32, 32, 32)
    assert peak_inference_bytes(network, shape, bytes_per_value=2) * 2 == peak_inference_bytes(network, shape)


def test_skip_connections_are_counted():
    """While the bottom of two levels is computed, the map of the top must be held: 2 * base channels at full size."""
    network = fold_batch_norm(UNet(4, 2))
    side = 64
    assert peak_inference_bytes(network, (1, 2, side, side, side)) > (8 + 16 + 8) * side**3 * 4
