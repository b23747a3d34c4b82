"""The networks as the trainer sees them: which parts learn at a step, what they are compared with, what they deploy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.errors import BadInput, ModelProblem
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.networks.coarse_to_fine import corrected, sample_at
from DeepRegLib.networks.inference import gradient_magnitude
from DeepRegLib.networks.progressive_schedule import alpha_schedule
from DeepRegLib.networks.unet import UNet
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSplineNodes
from DeepRegTrainLib.losses.candidates import needed_correction, surprise
from DeepRegTrainLib.losses.supervised import masked_l2
from DeepRegTrainLib.optimisation import AveragedWeights, learning_rate
from DeepRegTrainLib.settings import ADAMW, Settings, parsed, recipe
from DeepRegTrainLib.trainable.build import build_trainable
from DeepRegTrainLib.trainable.correspondence import MARGIN, cut, random_block, without_margin
from DeepRegTrainLib.trainable.grid import dense_field
from DeepRegTrainLib.trainable.interface import ERROR, stage_at
from DeepRegTrainLib.trainable.progressive import TrainableProgressiveUNet
from torch.nn import functional
from training_cases import SMALL, Shapes, shapes_for, small, steps_of

DELTA, PERIOD = 4, 12


def progressive(**changes) -> tuple[TrainableProgressiveUNet, Settings]:
    settings = small("progressive_unet", delta=DELTA, period=PERIOD, steps=60, clip=0.0, **changes)
    torch.manual_seed(0)
    trainable = build_trainable(settings)
    assert isinstance(trainable, TrainableProgressiveUNet)
    return trainable, settings


def levels_with_gradient(trainable: TrainableProgressiveUNet) -> set[int]:
    encoders = trainable.network.unet.encoders
    return {
        level
        for level, encoder in enumerate(encoders)
        if any(parameter.grad is not None for parameter in encoder.parameters())
    }


@pytest.mark.parametrize(("step", "learning"), [(0, {0}), (3, {0, 1}), (6, {0, 1}), (11, {0, 1, 2}), (40, {0, 1, 2})])
def test_only_the_levels_of_the_schedule_are_computed_and_learn(step: int, learning: set[int]) -> None:
    trainable, settings = progressive()
    assert {k for k, alpha in enumerate(alpha_schedule(step, DELTA, PERIOD, 3)) if alpha > 0} <= learning
    terms = trainable.loss_terms(shapes_for(settings).draw(0), step)
    terms["displacement"].backward()
    assert levels_with_gradient(trainable) == learning


def test_the_progressive_loss_is_that_of_its_active_level() -> None:
    """Written out: the weighted sum of the levels' fields on the highest grid with a weight, and the pooled truth."""
    trainable, settings = progressive()
    pair = shapes_for(settings).draw(1)
    step = 3
    alphas = alpha_schedule(step, DELTA, PERIOD, 3)
    images = torch.cat([gradient_magnitude(pair.fixed), gradient_magnitude(pair.moving)], 1)
    trainable.network.eval()
    fields = trainable.network.level_fields(images, alphas)
    top = max(fields)
    size = fields[top].shape[2:]
    summed = sum(
        alphas[k] * (f if f.shape[2:] == size else functional.interpolate(f, size=size, mode="trilinear"))
        for k, f in fields.items()
    )
    factor = 16 // size[0]
    weight = functional.avg_pool3d(pair.weight, factor)
    truth = functional.avg_pool3d(pair.displacement * pair.weight, factor) / weight.clamp_min(1e-4)
    expected = masked_l2(summed, truth, weight)
    found = trainable.loss_terms(pair, step)["displacement"]
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_stages_of_the_progressive_network_begin_where_its_levels_do() -> None:
    trainable, _ = progressive()
    assert [(s.start, s.name) for s in trainable.stages(60)] == [(0, "level 0"), (2, "level 1"), (10, "level 2")]
    assert stage_at(trainable.stages(60), 9).name == "level 1"


def test_the_progressive_network_is_not_deployed_before_its_top_level_is_alone() -> None:
    trainable, _ = progressive()
    assert trainable.complete_from() == 14
    assert alpha_schedule(14, DELTA, PERIOD, 3) == (0, 0, 1)
    with pytest.raises(ModelProblem, match="not trained yet"):
        trainable.check_finished(13)
    trainable.check_finished(14)
    network, deployment = trainable.deployed(trainable.network)
    assert isinstance(network, UNet)
    assert deployment.architecture.name == "unet"
    assert deployment.architecture.arguments == SMALL["progressive_unet"]


def test_the_default_schedule_is_the_printed_one() -> None:
    assert recipe("progressive_unet").schedule == (2000, 6000)
    assert recipe("progressive_unet", steps=3000).schedule == (200, 600)


def test_the_loss_of_the_grid_network_is_the_printed_one_at_its_nodes() -> None:
    settings = small("vgg_grid")
    trainable = build_trainable(settings)
    trainable.network.eval()
    pair = shapes_for(settings).draw(0)
    images = torch.cat([(image.clamp(-1024, 600) + 1024) / 1624 for image in (pair.fixed, pair.moving)], 1)
    nodes = trainable.network(images)
    count = nodes.shape[2]
    corners = torch.linspace(0, 15, count)
    z, y, x = torch.meshgrid(corners, corners, corners, indexing="ij")
    truth = sample_at(pair.displacement, torch.stack([x, y, z])[None], "border")
    weight = sample_at(pair.weight, torch.stack([x, y, z])[None], "border")
    expected = ((nodes - truth).square().sum(1, keepdim=True) * weight).sum() / weight.sum()
    found = trainable.loss_terms(pair, 0)["displacement"]
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_the_dense_field_is_the_thin_plate_spline_of_the_library() -> None:
    generator = np.random.default_rng(0)
    geometry = Geometry((20, 20, 20))
    nodes = generator.uniform(-2, 2, (5, 5, 5, 3))
    expected = ThinPlateSplineNodes.covering(geometry, 5).spline(nodes.reshape(-1, 3)).to_field(geometry).array
    tensor = torch.tensor(np.moveaxis(nodes, -1, 0)[None], dtype=torch.float32)
    found = dense_field(tensor, (20, 20, 20))[0].permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_correspondence_network_is_supervised_at_each_level_that_takes_part() -> None:
    settings = small("correspondence", steps=100)
    trainable = build_trainable(settings)
    pair = shapes_for(settings).draw(0)
    counts = [len([n for n in trainable.loss_terms(pair, s) if n.startswith("displacement")]) for s in (0, 20, 40, 80)]
    assert counts == [1, 2, 3, 4]
    assert [stage.start for stage in trainable.stages(100)] == [0, 8, 33, 60]


def test_the_finest_level_gets_another_block_at_each_step_and_the_same_one_again() -> None:
    weight = torch.ones(1, 1, 64, 48, 56)
    blocks = [random_block(weight, step) for step in range(20)]
    assert len({tuple(part.start for part in block) for block in blocks}) > 10
    assert random_block(weight, 3) == blocks[3]
    for block in blocks:
        assert all(part.start % 2 == 0 and part.stop - part.start == 40 for part in block)


def test_the_surprise_is_the_cross_entropy_with_the_candidates_around_the_truth() -> None:
    """An offset of (0.25, -1, 0) lies between two candidates, a quarter of the way; one that is out of reach counts
    nothing."""
    likely = torch.rand(1, 27, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    likely = likely / likely.sum(1, keepdim=True)
    offset = torch.tensor([[0.25, -1.0, 0.0], [0.0, 1.5, 0.0]]).T.reshape(1, 3, 1, 1, 2)
    near, next_one = (likely[0, 9 + 0 + x, 0, 0, 0].item() for x in (1, 2))  # z 0, y -1, x 0 and 1
    expected = -(0.75 * np.log(near) + 0.25 * np.log(next_one))
    assert float(surprise(likely, offset, torch.ones(1, 1, 1, 1, 2))) == pytest.approx(expected, rel=1e-4)


def test_the_correction_that_is_asked_for_composes_to_the_truth() -> None:
    x = torch.arange(16.0).expand(16, 16, 16)
    truth = torch.stack([0.1 * x, 2 + 0 * x, -0.05 * x])[None]
    before = torch.stack([0.08 * x, 1.5 + 0.02 * x, 0 * x])[None]
    correction = needed_correction(truth, before, 1)
    composed = corrected(before, correction, 1)
    assert float((composed - truth)[..., 3:-3, 3:-3, 3:-3].abs().max()) < 0.01


def test_the_inner_part_of_a_pair_still_leads_to_the_same_places_of_the_moving_image() -> None:
    pair = Shapes(size=48).draw(0)
    inner = without_margin(pair)
    assert inner.fixed.shape[2:] == (48 - 2 * MARGIN,) * 3
    part = (slice(MARGIN, -MARGIN),) * 3
    assert torch.equal(inner.displacement, pair.displacement[:, :, *part])
    small_pair = Shapes().draw(0)
    assert without_margin(small_pair) is small_pair
    assert cut(small_pair, (slice(0, 4), slice(2, 8), slice(4, 16))).region.shape == (1, 1, 4, 6, 12)


@pytest.mark.parametrize("network", list(SMALL))
@pytest.mark.parametrize("supervision", ["supervised", "unsupervised", "weakly"])
def test_every_network_learns_under_every_supervision(network: str, supervision: str) -> None:
    """The loss of one pair goes down, and weights and estimate are finite."""
    settings = small(network, supervision=supervision, steps=1000, **{**ADAMW, "learning_rate": 5e-3, "warm_up": 0})
    steps = steps_of(settings)
    pair = shapes_for(settings).draw(0)
    at = 900 if network == "progressive_unet" else 500
    losses = [steps.do(at, [pair]).loss for _ in range(25)]
    assert np.mean(losses[-5:]) < np.mean(losses[:3])
    steps.network.eval()
    with torch.no_grad():
        estimate = steps.trainable.estimate(pair, at)
    assert estimate.shape == pair.displacement.shape and bool(torch.isfinite(estimate).all())


def test_the_error_that_is_shown_is_no_part_of_the_loss() -> None:
    settings = small()
    trainable = build_trainable(settings)
    terms = trainable.loss_terms(shapes_for(settings).draw(0), 0)
    assert not terms[ERROR].requires_grad
    assert terms["displacement"].requires_grad


@pytest.mark.parametrize(("network", "size"), [("unet", 17), ("correspondence", 18), ("vgg_grid", 4)])
def test_sizes_that_a_network_does_not_take_are_refused_with_one_that_it_does(network: str, size: int) -> None:
    with pytest.raises(BadInput, match="multiples of") as refused:
        build_trainable(small(network, size=size))
    assert "--size" in refused.value.hint


def test_learning_rates_are_the_printed_ones() -> None:
    vgg = recipe("vgg_grid")
    assert learning_rate(vgg, 0) == 0.1
    assert learning_rate(vgg, 50_000) == pytest.approx(0.1 / (1 + 0.1 * 1e-4 * 50_000))
    assert learning_rate(recipe("progressive_unet"), 29_999) == 0.01
    cosine = recipe("unet", steps=1000, **ADAMW)
    assert learning_rate(cosine, 49) == pytest.approx(0.5 * 3e-4, rel=0.02)
    assert learning_rate(cosine, 1000) == pytest.approx(0.02 * 3e-4)


def test_averaged_weights_follow_the_recursion() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average = AveragedWeights(network, 0.9)
    expected = 0.0
    for step in range(300):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update(network, step)
        decay = min(0.9, (step + 1) / (step + 20))
        expected = decay * expected + (1 - decay) * step
    assert float(average.state["weight"]) == pytest.approx(expected, rel=1e-4)


def test_settings_survive_json_and_refuse_what_they_do_not_know() -> None:
    import json

    settings = recipe("correspondence", validation_folders=("a",), arguments={"compared": 8})
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert parsed(['arguments={"base":4}', "loss=l1"]) == {"arguments": {"base": 4}, "loss": "l1"}
    for words in ({"loss": "l3"}, {"supervision": "un"}, {"steps": 0}, {"sigma": 1}, {"delta": 10, "period": 15}):
        with pytest.raises(BadInput):
            recipe("unet", **words)
    with pytest.raises(BadInput, match="NAME=VALUE"):
        parsed(["loss"])
