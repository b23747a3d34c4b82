"""Batch normalisation with moving averages, and its folding into convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.networks.fold_batch_norm import fold_batch_norm
from DeepRegLib.networks.layers import normalisation
from DeepRegLib.networks.running_batch_norm import BLEND_ITERATIONS, RunningBatchNorm3d
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid
from torch import nn


def samples(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale, shift = torch.tensor([1.0, 5.0, 0.1]), torch.tensor([0.0, 3.0, -2.0])
    made = torch.randn(count, 1, 4, 4, 4, 3, generator=generator) * scale + shift
    return list(made.permute(0, 1, 5, 2, 3, 4))


def test_the_averages_and_the_output_follow_the_recursion():
    """Written out in NumPy: weight of a sample 1, then 0.1, from iteration 50 on 5 / iteration down to 0.01; the
    statistics used pass from the sample's to the averages within 50 iterations."""
    layer = RunningBatchNorm3d(3).train()
    mean, variance = np.zeros(3), np.ones(3)
    for seen, sample in enumerate(samples(600)):
        values = sample.numpy().astype(np.float64)
        weight = 1.0 if seen == 0 else max(0.01, min(0.1, 5 / seen))
        of_sample = values.mean((0, 2, 3, 4)), values.var((0, 2, 3, 4))
        mean += weight * (of_sample[0] - mean)
        variance += weight * (of_sample[1] - variance)
        share = min(1.0, seen / 50)
        used = share * mean + (1 - share) * of_sample[0], share * variance + (1 - share) * of_sample[1]
        expected = (values - used[0].reshape(1, 3, 1, 1, 1)) / np.sqrt(used[1].reshape(1, 3, 1, 1, 1) + 1e-5)
        np.testing.assert_allclose(layer(sample).detach().numpy(), expected, atol=2e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=1e-4)


def test_training_and_inference_agree_once_the_averages_have_settled():
    layer = RunningBatchNorm3d(3).train()
    (sample,) = samples(1)
    for _ in range(BLEND_ITERATIONS + 1):
        trained = layer(sample)
    inferred = layer.eval()(sample)
    assert torch.allclose(trained, inferred, atol=1e-5)


def test_in_training_a_settled_layer_does_not_normalise_a_sample_by_itself():
    """What sets it apart from PyTorch's layer: a sample of twice the contrast keeps it."""
    layer, plain = RunningBatchNorm3d(3).train(), nn.BatchNorm3d(3).train()
    for sample in samples(200):
        layer(sample)
    (odd,) = samples(1, seed=9)
    mean = odd.mean((2, 3, 4), keepdim=True)
    odd = 2 * (odd - mean) + mean
    with torch.no_grad():
        assert layer(odd).std().item() > 1.5
        assert plain(odd).std().item() == pytest.approx(1, abs=0.01)


def test_the_gradient_is_that_of_a_sample_normalised_by_itself():
    """Neither brightness nor contrast of the sample can be a way to lower the loss; up to the constant stretch between
    sample and averages the gradient is that of PyTorch's layer."""
    layer, plain = RunningBatchNorm3d(3).train(), nn.BatchNorm3d(3).train()
    for sample in samples(100):
        layer(sample)
    (sample,) = samples(1, seed=9)
    loss_weights = torch.randn(sample.shape, generator=torch.Generator().manual_seed(3))
    gradients = []
    for normalise in (layer, plain):
        images = sample.clone().requires_grad_()
        (normalise(images) * loss_weights).sum().backward()
        gradients.append(images.grad)
    stretch = torch.sqrt(sample.var((0, 2, 3, 4), correction=0) / layer.running_var).view(1, 3, 1, 1, 1)
    assert torch.allclose(gradients[0], gradients[1] * stretch, rtol=1e-3, atol=1e-4)


def test_inference_is_that_of_pytorch():
    layer, plain = RunningBatchNorm3d(3).train(), nn.BatchNorm3d(3)
    for sample in samples(5):
        layer(sample)
    plain.load_state_dict(layer.state_dict())
    (sample,) = samples(1, seed=4)
    assert torch.equal(layer.eval()(sample), plain.eval()(sample))


def test_the_gradient_of_two_samples_can_be_accumulated():
    layer = RunningBatchNorm3d(3).train()
    warm, first, second = samples(3)
    for _ in range(BLEND_ITERATIONS):
        layer(warm)
    total = layer(first).square().sum() + layer(second).square().sum()
    total.backward()
    assert torch.isfinite(layer.weight.grad).all() and layer.weight.grad.abs().min() > 0


def test_one_voxel_is_enough_for_a_level():
    assert torch.isfinite(RunningBatchNorm3d(2).train()(torch.ones(1, 2, 1, 1, 1))).all()


def settled(network: nn.Module) -> nn.Module:
    """With moving averages, scales and shifts as after a training."""
    generator = torch.Generator().manual_seed(2)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator))
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) * 4 + 0.05)
            layer.weight.data.copy_(torch.randn(layer.num_features, generator=generator))
            layer.bias.data.copy_(torch.randn(layer.num_features, generator=generator))
    return network


@pytest.mark.parametrize("norm", ["running_bn", "bn", "instance"])
@pytest.mark.parametrize("make", [lambda norm: UNet(4, 4, norm), lambda norm: VGGGrid((4, 8, 16), norm)])
def test_folding_changes_no_displacement(make, norm):
    torch.manual_seed(0)
    network = settled(make(norm)).train()
    images = torch.rand(1, 2, 32, 32, 32)
    folded = fold_batch_norm(network)
    assert network.training  # the original is as it was
    with torch.no_grad():
        expected = network.eval()(images)
        difference = (folded(images) - expected).abs().max()
    assert difference <= 1e-5 * expected.abs().max()


def test_a_folded_network_holds_no_batch_normalisation_and_learns_nothing():
    network = UNet(4, 3)
    folded = fold_batch_norm(network)
    assert not any(isinstance(layer, nn.BatchNorm3d) for layer in folded.modules())
    assert not folded.training and not any(parameter.requires_grad for parameter in folded.parameters())
    assert sum(isinstance(layer, nn.BatchNorm3d) for layer in network.modules()) == 10


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="no normalisation 'group'"):
        normalisation("group", 4)
