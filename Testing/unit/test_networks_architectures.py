"""The networks of the 2018 and 2020 papers: sizes, parameter counts and what they refuse."""

from __future__ import annotations

import pytest
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid
from torch import nn

CICEK_PUBLISHED_PARAMETERS = 19_069_955
"""Çiçek et al. 2016, section 2: 'The whole architecture has 19069955 parameters in total'."""


def parameters(make, *args, **kwargs) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make(*args, **kwargs).parameters())


def output_shape(make, shape: tuple[int, ...], *args, **kwargs) -> tuple[int, ...]:
    with torch.device("meta"):
        return tuple(make(*args, **kwargs).eval()(torch.empty(shape)).shape)


@pytest.mark.parametrize(
    ("channels", "count"),
    [((32, 64, 128, 256), 1_165_155), ((16, 32, 64, 128), 292_275), ((64, 128, 256, 512), 4_652_739)],
)
def test_the_grid_network_has_the_parameters_of_its_layers(channels, count):
    assert parameters(VGGGrid, channels) == count


@pytest.mark.parametrize("norm", ["running_bn", "bn", "instance"])
def test_every_normalisation_has_the_same_learned_parameters(norm):
    assert parameters(VGGGrid, norm=norm) == 1_165_155
    assert parameters(UNet, norm=norm) == 19_258_931


@pytest.mark.parametrize(("side", "nodes"), [(96, 6), (64, 4), (16, 1)])
def test_the_grid_network_gives_one_vector_for_each_sixteen_voxels(side, nodes):
    assert output_shape(VGGGrid, (1, 2, side, side, side)) == (1, 3, nodes, nodes, nodes)


def test_the_grid_network_keeps_the_order_of_the_axes():
    assert output_shape(VGGGrid, (1, 2, 96, 64, 32)) == (1, 3, 6, 4, 2)


def test_the_grid_network_runs_on_the_grid_of_the_paper():
    images = torch.rand(1, 2, 96, 96, 96)
    with torch.inference_mode():
        displacements = VGGGrid(channels=(4, 8, 16, 32)).eval()(images)
    assert displacements.shape == (1, 3, 6, 6, 6)
    assert torch.isfinite(displacements).all()
    assert (displacements < 0).any()  # the last convolution is linear


@pytest.mark.parametrize(
    ("base", "levels", "count"),
    [(16, 5, 19_258_931), (8, 5, 4_817_051), (4, 5, 1_205_423), (16, 4, 4_771_123)],
)
def test_the_unet_has_the_parameters_of_its_layers(base, levels, count):
    assert parameters(UNet, base, levels) == count


def test_the_unet_is_the_one_it_derives_from():
    """Çiçek's network has four levels, twice the channels and three instead of two input channels; its published count
    leaves out batch normalisation and the biases of the up-convolutions."""
    base = 32
    with torch.device("meta"):
        network = UNet(base, levels=4)
    count = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            count += layer.weight.numel()
            count += layer.bias.numel() if isinstance(layer, nn.Conv3d) else 0
    third_input_channel = 27 * base
    assert count + third_input_channel == CICEK_PUBLISHED_PARAMETERS


@pytest.mark.parametrize("side", [96, 112, 128, 160])
def test_the_unet_gives_one_vector_for_each_voxel(side):
    assert output_shape(UNet, (1, 2, side, side, side)) == (1, 3, side, side, side)


def test_the_unet_takes_unequal_sides():
    images = torch.rand(1, 2, 16, 32, 48)
    with torch.inference_mode():
        assert UNet(base=2).eval()(images).shape == (1, 3, 16, 32, 48)


def test_a_voxel_of_the_unet_sees_its_surroundings_through_every_level():
    """The centre of a 32 voxel image must hear from voxels that only the lowest levels bring within reach."""
    torch.manual_seed(0)
    images = torch.rand(1, 2, 32, 32, 32, requires_grad=True)
    UNet(base=2, norm="instance").eval()(images)[0, 0, 16, 16, 16].backward()
    reach = images.grad.abs().sum((0, 1, 2, 3)).nonzero()
    assert reach.min() < 4 and reach.max() > 27


@pytest.mark.parametrize("make", [VGGGrid, UNet])
@pytest.mark.parametrize("side", [100, 8])
def test_sides_that_cannot_be_halved_often_enough_are_refused(make, side):
    with pytest.raises(BadInput, match=f"multiples of 16 voxels; these are 96 x 96 x {side}") as caught:
        output_shape(make, (1, 2, side, 96, 96))
    assert "96" in caught.value.hint


@pytest.mark.parametrize("make", [VGGGrid, UNet])
@pytest.mark.parametrize("shape", [(1, 1, 32, 32, 32), (2, 32, 32, 32), (1, 3, 32, 32, 32)])
def test_anything_but_a_pair_of_images_is_refused(make, shape):
    with pytest.raises(BadInput, match="fixed and moving image as channels"):
        output_shape(make, shape)


def test_arguments_that_make_no_network_are_refused():
    for make in (lambda: UNet(base=0), lambda: UNet(levels=0), lambda: UNet(levels=9), lambda: VGGGrid(channels=())):
        with pytest.raises(ValueError, match="at least one"):
            make()
    with pytest.raises(ValueError, match="running_bn, bn or instance"):
        UNet(norm="batch")


def test_the_first_weights_follow_glorot_and_the_seed():
    torch.manual_seed(3)
    network = UNet(base=8)
    weight = network.encoders[0][0].weight  # 128 -> 128 channels
    assert weight.std().item() == pytest.approx((2 / (27 * (128 + 128))) ** 0.5, rel=0.02)
    assert not network.head.bias.any()
    torch.manual_seed(3)
    assert torch.equal(UNet(base=8).encoders[0][0].weight, weight)
