"""Losses against their formulas in NumPy and SciPy, and what each must and must not see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from DeepRegTrainLib.losses.overlap import dice_loss
from DeepRegTrainLib.losses.regularisers import SMALLEST_STRETCH, diffusion, fold_barrier
from DeepRegTrainLib.losses.similarity import local_ncc_loss, mind, mind_loss, ncc_loss
from DeepRegTrainLib.losses.supervised import charbonnier, endpoint_error, masked_l1, masked_l2
from DeepRegTrainLib.losses.transformer import pulled, pushed
from DeepRegTrainLib.objective import Objective, error_mm, zero_error_mm
from DeepRegTrainLib.pair_level import PairLevel, focused
from scipy import ndimage
from training_cases import Shapes

SHAPE = (9, 8, 7)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth_image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    return torch.tensor(values / values.std(), dtype=torch.float32)[None, None]


def fields(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weight = torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(seed))
    return noise(1, 3, *SHAPE, seed=seed), noise(1, 3, *SHAPE, seed=seed + 1), weight


def test_supervised_losses_are_the_printed_means_over_the_mask() -> None:
    estimate, truth, weight = fields()
    difference = (estimate - truth).numpy().astype(float)[0]
    mask = weight.numpy().astype(float)[0, 0]
    square = (difference**2).sum(0)
    expected = {
        masked_l2: (mask * square).sum() / mask.sum(),
        masked_l1: (mask * np.abs(difference).sum(0)).sum() / mask.sum(),
        charbonnier: (mask * np.sqrt(square + 0.04)).sum() / mask.sum(),
        endpoint_error: (mask * np.sqrt(square)).sum() / mask.sum(),
    }
    for loss, value in expected.items():
        assert float(loss(estimate, truth, weight)) == pytest.approx(value, rel=1e-5)


def test_the_squared_error_is_three_times_that_of_pytorch() -> None:
    estimate, truth, _ = fields()
    ones = torch.ones(1, 1, *SHAPE)
    assert float(masked_l2(estimate, truth, ones)) == pytest.approx(
        3 * float(torch.nn.functional.mse_loss(estimate, truth)), rel=1e-5
    )


@pytest.mark.parametrize("loss", [masked_l2, masked_l1, charbonnier])
def test_what_lies_outside_the_mask_has_no_gradient_and_an_empty_mask_no_loss(loss) -> None:
    estimate, truth, weight = fields()
    weight[..., :4] = 0
    estimate.requires_grad_()
    loss(estimate, truth, weight).backward()
    assert estimate.grad is not None
    assert not estimate.grad[..., :4].any() and estimate.grad[..., 4:].any()
    assert float(loss(estimate, truth, torch.zeros_like(weight))) == 0


def test_global_correlation_is_that_of_numpy_and_ignores_contrast() -> None:
    a, b = smooth_image(0), smooth_image(1)
    ones = torch.ones_like(a)
    expected = 1 - np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1]
    assert float(ncc_loss(a, b, ones)) == pytest.approx(expected, abs=1e-4)
    assert float(ncc_loss(a, 3 * a - 7, ones)) == pytest.approx(0, abs=1e-5)
    assert float(ncc_loss(a, -a, ones)) == pytest.approx(2, abs=1e-5)


def test_local_correlation_is_that_of_uniform_filters_of_scipy() -> None:
    a, b = smooth_image(0, (13, 12, 14)), smooth_image(1, (13, 12, 14))
    inner = torch.zeros_like(a)
    inner[:, :, 2:-2, 2:-2, 2:-2] = 1  # windows that the border does not cut

    def mean(image: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(image, 5, mode="constant")

    x, y = (image.numpy()[0, 0].astype(float) for image in (a, b))
    covariance = mean(x * y) - mean(x) * mean(y)
    correlation = covariance**2 / ((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2))
    expected = 1 - correlation[2:-2, 2:-2, 2:-2].mean()
    assert float(local_ncc_loss(a, b, inner, window=5)) == pytest.approx(expected, abs=1e-3)


def test_self_similarity_is_the_formula_at_a_place() -> None:
    image = smooth_image(2)
    values = image.numpy()[0, 0].astype(float)
    z, y, x = 4, 4, 3
    distances = []
    for step in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)):
        patch = [
            (values[z + i, y + j, x + k] - values[z + i + step[0], y + j + step[1], x + k + step[2]]) ** 2
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            for k in (-1, 0, 1)
        ]
        distances.append(np.mean(patch))
    d = np.array(distances)
    expected = np.exp(-(d - d.min()) / d.mean())
    np.testing.assert_allclose(mind(image)[0, :, z, y, x].numpy(), expected, rtol=1e-3)


def test_self_similarity_does_not_see_inverted_contrast_where_correlation_does() -> None:
    a, b = smooth_image(0), smooth_image(1)
    ones = torch.ones_like(a)
    assert float(mind_loss(a, 100 - 5 * a, ones)) < 1e-4
    assert float(mind_loss(a, b, ones)) > 0.1


@pytest.mark.parametrize("loss", [ncc_loss, local_ncc_loss, mind_loss])
def test_similarities_lead_a_shifted_image_back(loss) -> None:
    moving = smooth_image(3, (16, 16, 16))
    shift = torch.tensor([0.6, -0.4, 0.5]).reshape(1, 3, 1, 1, 1)
    fixed = pulled(moving, shift.expand(1, 3, 16, 16, 16))
    inner = torch.zeros_like(fixed)
    inner[:, :, 3:-3, 3:-3, 3:-3] = 1
    found = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([found], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        loss(fixed, pulled(moving, found.expand(1, 3, 16, 16, 16)), inner).backward()
        optimiser.step()
    assert float((found.detach() - shift).abs().max()) < 0.12


def test_smoothness_is_the_mean_squared_slope() -> None:
    field = noise(1, 3, *SHAPE)
    values = field.numpy()[0].astype(float)
    expected = sum((np.diff(values, axis=axis) ** 2).mean() for axis in (1, 2, 3))
    assert float(diffusion(field)) == pytest.approx(expected, rel=1e-5)
    assert float(diffusion(torch.ones(1, 3, *SHAPE))) == 0


def test_the_fold_barrier_rises_with_compression_and_only_then() -> None:
    """T(x) = x + (s - 1) x along x stretches by s everywhere."""
    x = torch.arange(7.0).expand(SHAPE)
    region = torch.ones(1, 1, *SHAPE)
    for stretch, expected in ((2.0, 0.0), (1.0, 0.0), (0.3, 0.0), (0.1, SMALLEST_STRETCH - 0.1), (-0.5, 0.75)):
        field = torch.stack([(stretch - 1) * x, 0 * x, 0 * x])[None]
        assert float(fold_barrier(field, region)) == pytest.approx(expected, abs=1e-5)


def test_dice_of_labels_is_the_formula_for_each_label() -> None:
    generator = np.random.default_rng(0)
    a, b = (torch.tensor(generator.random((1, 2, *SHAPE)) > 0.5, dtype=torch.float32) for _ in range(2))
    x, y = a.numpy()[0], b.numpy()[0]
    dice = [2 * (x[k] * y[k]).sum() / (x[k].sum() + y[k].sum()) for k in (0, 1)]
    assert float(dice_loss(a, b, torch.ones(1, 1, *SHAPE))) == pytest.approx(1 - np.mean(dice), abs=1e-5)
    assert float(dice_loss(a, a, torch.ones(1, 1, *SHAPE))) == pytest.approx(0, abs=1e-5)


def test_pulling_is_that_of_scipy() -> None:
    image, field = smooth_image(4), 0.7 * noise(1, 3, *SHAPE)
    grid = np.indices(SHAPE, dtype=float) + field.numpy()[0, ::-1]
    expected = ndimage.map_coordinates(image.numpy()[0, 0], grid, order=1, mode="nearest")
    np.testing.assert_allclose(pulled(image, field)[0, 0].numpy(), expected, atol=1e-4)


def test_labels_that_were_pushed_come_back_when_they_are_pulled() -> None:
    pair = Shapes().draw(0)
    moving = pushed(pair.region, pair.displacement)
    back = pulled(moving, pair.displacement)
    here = pair.weight > 0.9
    assert float(dice_loss(pair.region, back, here.float())) < 0.05
    assert float(dice_loss(pair.region, moving, here.float())) > 1.5 * float(dice_loss(pair.region, back, here.float()))


def test_a_coarse_level_averages_the_truth_where_it_counts() -> None:
    pair = Shapes().draw(1)
    weight = (torch.rand(pair.weight.shape, generator=torch.Generator().manual_seed(0)) > 0.3).float()
    pair = dataclasses.replace(pair, weight=weight)
    level = PairLevel.of(pair, 4)
    block = (0, slice(None), slice(4, 8), slice(8, 12), slice(0, 4))
    counted = weight[block]
    expected = (pair.displacement[block] * counted).sum((1, 2, 3)) / counted.sum()
    assert torch.allclose(level.displacement[0, :, 1, 2, 0], expected, atol=1e-4)
    assert float(level.weight[0, 0, 1, 2, 0]) == pytest.approx(float(counted.mean()), abs=1e-6)


def test_the_true_field_has_no_error_under_any_supervision() -> None:
    pair = Shapes().draw(2)
    level = PairLevel.of(pair, 1)
    nothing = torch.zeros_like(pair.displacement)
    assert float(error_mm(pair.displacement, level)) == pytest.approx(0, abs=1e-3)
    expected = (pair.displacement_mm.square().sum(1, keepdim=True).sqrt() * pair.weight).sum() / pair.weight.sum()
    assert float(zero_error_mm(level)) == pytest.approx(float(expected), rel=1e-4)
    for supervision in ("supervised", "unsupervised", "weakly"):
        objective = Objective(supervision, similarity="ncc")
        true, zero = (sum(objective.terms(f, level).values()) for f in (pair.displacement, nothing))
        assert float(true) < 0.6 * float(zero), supervision


def test_a_level_of_an_unsupervised_loss_warps_in_its_own_cells() -> None:
    """A shift of four voxels is one cell of four."""
    pair = Shapes().draw(0)
    moving = torch.roll(pair.fixed, 4, dims=4)
    shift = torch.zeros_like(pair.displacement)
    shift[:, 0] = 4
    weight = torch.ones_like(pair.weight)
    weight[..., -4:] = 0
    pair = dataclasses.replace(pair, moving=moving, displacement=shift, weight=weight)
    level = PairLevel.of(pair, 4)
    (loss,) = Objective("unsupervised", similarity="ncc").terms(level.displacement, level).values()
    assert float(loss) == pytest.approx(0, abs=1e-4)


def test_voxels_away_from_the_region_weigh_less() -> None:
    pair = Shapes().draw(0)
    region = torch.zeros_like(pair.region)
    region[:, :, 6:9, 6:9, 6:9] = 1
    pair = dataclasses.replace(pair, region=region, weight=torch.ones_like(region))
    weight = focused(pair, 0.1).weight[0, 0]
    assert float(weight[7, 7, 7]) == float(weight[4, 7, 7]) == 1
    assert float(weight[3, 7, 7]) == pytest.approx(0.1)
    assert focused(pair, 1.0) is pair
