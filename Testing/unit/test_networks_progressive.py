"""The progressive U-Net and its schedule against the equations of Eppenhof 2020."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.networks.progressive_schedule import alpha_schedule, beta_weights, level_start
from DeepRegLib.networks.progressive_unet import ProgressiveUNet
from DeepRegLib.networks.unet import UNet
from torch.nn import functional

TABLE_IV = [(1000, 3000), (2000, 4000), (2000, 6000), (4000, 12000)]
"""Schedules (delta, period) of the paper that have transitions."""


def equation_2(t: float, level: int, delta: float, period: float, levels: int) -> float:
    """As printed, with the first case mended ('or') and the last level kept."""
    tau = -period / 2 + (period - delta) * level
    last = level == levels - 1
    if t < tau or (t > tau + period and not last):
        return 0.0
    if t <= tau + delta:
        return (t - tau) / delta
    if last or t <= tau + period - delta:
        return 1.0
    return (tau + period - t) / delta


def network(base: int = 4, levels: int = 4, **kwargs) -> ProgressiveUNet:
    """In evaluation mode, with moving averages and output weights that are not those of a fresh network."""
    torch.manual_seed(0)
    made = ProgressiveUNet(base, levels, **kwargs).train()
    with torch.no_grad():
        for alphas in torch.eye(levels).tolist():
            made(torch.rand(1, 2, 16, 16, 16), alphas)
    return made.eval()


def one(level: int, levels: int = 4) -> list[float]:
    return [float(level == other) for other in range(levels)]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 100, (1, 2, 32, 32, 32), generator=torch.Generator().manual_seed(1)).float() / 64


# The schedule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delta", "period"), TABLE_IV)
def test_the_schedule_is_that_of_the_paper(delta, period):
    for t in range(0, 40_000, 125):
        expected = [equation_2(t, level, delta, period, 5) for level in range(5)]
        assert alpha_schedule(t, delta, period, 5) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("delta", "period"), [*TABLE_IV, (0, 4000)])
def test_the_weights_sum_to_one_and_at_most_two_levels_share(delta, period):
    for t in range(0, 60_000, 125):
        alphas = alpha_schedule(t, delta, period)
        assert sum(alphas) == pytest.approx(1, abs=1e-12)
        assert min(alphas) >= 0
        assert sum(alpha > 0 for alpha in alphas) <= 2


def test_training_starts_with_the_bottom_level_and_ends_with_the_baseline():
    assert alpha_schedule(0) == (1, 0, 0, 0, 0)
    assert level_start(4) + 2000 == 15_000
    assert alpha_schedule(14_999)[4] < 1
    assert alpha_schedule(15_000) == alpha_schedule(10**7) == (0, 0, 0, 0, 1)


def test_beta_never_falls_towards_the_top_and_stays_between_zero_and_one():
    for t in range(0, 20_000, 50):
        betas = beta_weights(alpha_schedule(t))
        assert all(0 <= low <= high <= 1 + 1e-12 for low, high in pairwise(betas))


@pytest.mark.parametrize("arguments", [(-1,), (0, 2000, 3000), (0, -1, 3000), (0, 0, 0), (0, 10, 30, 0)])
def test_schedules_that_do_not_start_at_the_bottom_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must take at most half|at least one level"):
        alpha_schedule(*arguments)


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "count"), [({}, 19_263_263), ({"extra_kernel": 3}, 19_258_931 + 104_172), ({"base": 4}, 1_206_515)]
)
def test_the_extra_convolutions_add_the_parameters_of_the_table(arguments, count):
    with torch.device("meta"):
        made = ProgressiveUNet(**arguments)
    assert sum(parameter.numel() for parameter in made.parameters()) == count


@pytest.mark.parametrize("training", [False, True])
def test_with_the_top_level_alone_it_is_the_baseline_bit_for_bit(images, training):
    progressive = network().train(training)
    baseline = UNet(base=4, levels=4)
    baseline.load_state_dict(progressive.unet.state_dict())
    baseline.train(training)
    with torch.no_grad():
        expected = baseline(images)
        assert torch.equal(progressive(images, one(3)), expected)
        assert expected.std() > 0.01


def test_with_the_bottom_level_alone_only_the_averaged_images_count(images):
    """Within each block of 8 x 8 x 8 voxels the order does not matter; the numbers are multiples of 1/64, so that
    averages are exact."""
    shuffled = images.clone().view(1, 2, 4, 8, 4, 8, 4, 8).flip(3, 5, 7).reshape(images.shape)
    assert not torch.equal(shuffled, images)
    progressive = network()
    with torch.no_grad():
        assert torch.equal(progressive(shuffled, one(0)), progressive(images, one(0)))
        assert not torch.equal(progressive(shuffled, one(1)), progressive(images, one(1)))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_levels_above_the_active_one_neither_count_nor_learn(images, level):
    progressive = network().train()
    with torch.no_grad():
        before = ProgressiveUNet(4, 4)
        before.load_state_dict(progressive.state_dict())
        for name, parameter in progressive.named_parameters():
            if belongs_above(name, level):
                parameter.add_(1)
    field = progressive(images, one(level))
    assert torch.equal(field, before(images, one(level)))
    field.square().sum().backward()
    learned = {name for name, parameter in progressive.named_parameters() if parameter.grad is not None}
    assert not {name for name in learned if belongs_above(name, level)}
    assert f"unet.encoders.{level}.0.weight" in learned
    assert f"output_convolutions.{level}.weight" in learned


def belongs_above(name: str, level: int) -> bool:
    """Whether the parameter ``name`` is of a level above ``level`` in a network of four levels."""
    part, *rest = name.removeprefix("unet.").split(".")
    if part == "head":
        return level < 3
    first = 1 if part in ("decoders", "upsamplers") else 0
    return int(rest[0]) + first > level


def test_the_input_of_a_lower_level_is_heard_only_while_it_has_a_weight(images):
    """γ carries the index of the receiving level: with the second level alone the bottom hears the pooled maps only."""
    progressive = network()
    with torch.no_grad():
        fields = {level: progressive(images, one(level)) for level in (0, 1)}
        progressive.input_convolutions[0].weight.add_(1)
        assert not torch.equal(progressive(images, one(0)), fields[0])
        assert torch.equal(progressive(images, one(1)), fields[1])


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_transition_is_the_sum_of_equations_1_and_3(images, share):
    """Two levels, written out: e0 = β0 in0(I) + γ0 pool(e1), u = α0 up(u0) + α1 u1."""
    progressive = network(levels=2)
    unet = progressive.unet
    alpha = (1 - share, share)
    with torch.no_grad():
        top = unet.encoders[1](images)
        half = functional.interpolate(images, scale_factor=0.5, mode="area")
        bottom = unet.encoders[0](
            alpha[0] * progressive.input_convolutions[0](half) + alpha[1] * functional.max_pool3d(top, 2)
        )
        u0 = functional.interpolate(progressive.output_convolutions[0](bottom), scale_factor=2, mode="trilinear")
        u1 = unet.head(unet.decoders[0](torch.cat([unet.upsamplers[0](bottom), top], 1)))
        expected = alpha[0] * u0 + alpha[1] * u1
        assert torch.allclose(progressive(images, alpha), expected, atol=1e-5 * expected.abs().max().item())


def test_the_field_changes_smoothly_with_the_iteration(images):
    """At every knot of the schedule a step changes the field in proportion to its share of a transition."""
    progressive = network()
    delta, steepness = 2000, 50
    with torch.no_grad():
        for knot in (1000, 3000, 5000, 7000, 9000, 11_000):
            at_knot = progressive(images, alpha_schedule(knot, delta, levels=4))
            largest = at_knot.abs().max()
            for step in (-1, -0.01, 0.01, 1):
                change = (progressive(images, alpha_schedule(knot + step, delta, levels=4)) - at_knot).abs().max()
                assert change <= (steepness * abs(step) / delta + 1e-5) * largest


def test_the_field_at_the_active_level_is_the_same_before_it_is_enlarged(images):
    progressive = network()
    with torch.no_grad():
        small = progressive.at_active_level(images, one(1))
        assert small.shape == (1, 3, 8, 8, 8)
        enlarged = functional.interpolate(small, size=(32, 32, 32), mode="trilinear", align_corners=False)
        assert torch.equal(progressive(images, one(1)), enlarged)
        assert progressive.at_active_level(images, [0.5, 0.5, 0, 0]).shape == (1, 3, 8, 8, 8)
        assert torch.equal(progressive.at_active_level(images, one(3)), progressive(images, one(3)))


def test_with_the_same_seed_it_starts_with_the_weights_of_the_baseline():
    torch.manual_seed(5)
    progressive = ProgressiveUNet(base=4, levels=3)
    torch.manual_seed(5)
    baseline = UNet(base=4, levels=3)
    for name, tensor in baseline.state_dict().items():
        assert torch.equal(progressive.unet.state_dict()[name], tensor), name


def test_sides_that_no_level_can_halve_are_refused_even_at_the_bottom():
    with pytest.raises(BadInput, match="multiples of 8 voxels; these are 36 x 32 x 32"):
        network()(torch.zeros(1, 2, 32, 32, 36), one(0))


@pytest.mark.parametrize("alphas", [(1, 0, 0), (0.5, 0, 0, 0), (2, -1, 0, 0), (0, 0, 0, 0)])
def test_weights_that_are_no_weights_are_refused(images, alphas):
    with pytest.raises(ValueError, match="summing to one"):
        network()(images, alphas)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd kernel"):
        ProgressiveUNet(extra_kernel=2)
