"""The correspondence network: cost volumes against plain sums, fields against formulas, crops against the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.networks import matching_level
from DeepRegLib.networks.coarse_to_fine import cell_indices, corrected, finer, sample_at, smoothed, trust, warped
from DeepRegLib.networks.correspondence import CorrespondenceNetwork
from DeepRegLib.networks.correspondence_input import image_channels
from DeepRegLib.networks.cost_volume import candidate_offsets, cost_volume, cost_volume_by_unfolding, surroundings
from DeepRegLib.networks.matching_level import ChannelNorm, Matcher, expected_offset, folded, unfolded, unit
from scipy import ndimage

SMALL = {"channels": (4, 8, 8), "decoders": (8, 8, 8), "depths": (1, 1, 1), "compared": 8}
SHIFT = (2, -1, 1)
"""Cells in x, y, z order."""


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


def shifted(features: torch.Tensor, shift: tuple[int, int, int], radius: int) -> torch.Tensor:
    """What lies at x in ``features`` lies at x + shift in the result, which has ``radius`` more cells on every side."""
    x, y, z = shift
    return surroundings(torch.roll(features, (z, y, x), (2, 3, 4)), 0, radius)


def test_the_cost_volume_is_the_mean_product_with_each_neighbour():
    fixed, moving = torch.randn(1, 3, 4, 5, 6), torch.randn(1, 3, 6, 7, 8)
    costs = cost_volume(fixed, moving, 1)
    assert costs.shape == (1, 27, 4, 5, 6)
    for k, (x, y, z) in enumerate(candidate_offsets(1).int().tolist()):
        neighbour = moving[:, :, 1 + z : 5 + z, 1 + y : 6 + y, 1 + x : 7 + x]
        torch.testing.assert_close(costs[:, k], (fixed * neighbour).mean(1))


def test_both_ways_to_the_cost_volume_give_the_same_values_and_gradients():
    fixed = torch.randn(1, 3, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    moving = torch.randn(1, 3, 7, 8, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1, 125, 3, 4, 5, dtype=torch.float64)
    results = []
    for costs in (cost_volume(fixed, moving, 2), cost_volume_by_unfolding(fixed / 3, moving, 2)):
        results.append((costs, *torch.autograd.grad((costs * weight).sum(), (fixed, moving))))
    for looped, unfolded_one in zip(*results, strict=True):
        torch.testing.assert_close(looped, unfolded_one)
    assert results[0][1].abs().max() > 0.1


def test_the_best_candidate_is_where_the_features_went():
    features = unit(torch.randn(1, 64, 8, 9, 10))
    costs = cost_volume(features, shifted(features, SHIFT, 2), 2)
    best = candidate_offsets(2)[costs[0, :, 3:-3, 3:-3, 3:-3].argmax(0)]
    assert (best == torch.tensor(SHIFT)).all()


def test_the_expected_offset_is_the_mean_of_the_candidates():
    likely = torch.rand(1, 125, 2, 3, 4).softmax(1)
    expected = torch.einsum("nkzyx,kc->nczyx", likely, candidate_offsets(2))
    torch.testing.assert_close(expected_offset(likely, 2), expected, atol=1e-6, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert expected_offset(likely, 2).dtype == torch.float32


def test_smoothing_keeps_a_constant_and_goes_on_from_inside_the_region():
    region = torch.zeros(1, 1, 16, 16, 24)
    region[..., :12] = 1.0
    field = torch.where(region > 0, 2.0, -7.0).expand(1, 3, -1, -1, -1)
    weight = trust(region)
    smooth = smoothed(field, weight, 3)
    # Deep inside nothing changes, and the other side of the border is not mixed in.
    torch.testing.assert_close(smooth[..., :8], field[..., :8], atol=1e-3, rtol=0)
    assert smooth[..., 8:14].min() > 1.9
    torch.testing.assert_close(smooth[..., 17:], field[..., 17:], atol=1e-3, rtol=0)
    assert weight[..., :8].min() > 0.99 and weight[..., 11].max() < 0.2 and weight[..., 12:].max() < 1e-3


def test_a_pass_of_smoothing_has_a_variance_of_two_thirds():
    point = torch.zeros(1, 3, 21, 21, 21)
    point[..., 10, 10, 10] = 1.0
    smooth = smoothed(point, torch.ones(1, 1, 21, 21, 21), 3)[0, 0]
    along = smooth.sum((0, 1))
    offsets = torch.arange(21.0) - 10
    torch.testing.assert_close((along * offsets**2).sum() / along.sum(), torch.tensor(2.0))


def test_surroundings_are_cropped_or_continued_with_zeros():
    whole = torch.randn(1, 2, 8, 8, 8)
    assert torch.equal(surroundings(whole, 2, 1), whole[:, :, 1:-1, 1:-1, 1:-1])
    wider = surroundings(whole, 0, 3)
    assert torch.equal(wider[:, :, 3:-3, 3:-3, 3:-3], whole) and wider[:, :, :3].abs().max() == 0


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_warping_by_whole_cells_takes_the_cells_from_the_margin_too(cell):
    moving = torch.randn(1, 3, 10, 11, 12)
    margin = 2
    field = torch.zeros(1, 3, 6, 7, 8) + cell * torch.tensor(SHIFT, dtype=torch.float32).view(1, 3, 1, 1, 1)
    pulled = warped(moving, field, cell, margin * cell, around=1)
    x, y, z = SHIFT
    expected = torch.zeros(1, 3, 8, 9, 10)
    # One cell around the fixed grid, two cells of margin: the first cell is 2 - 1 + shift.
    source = moving[:, :, 1 + z : 9 + z, 1 + y : 10 + y, 1 + x :]
    expected[..., : source.shape[4]] = source
    torch.testing.assert_close(pulled, expected)


def test_a_correction_is_composed_with_the_field():
    """u(x) = A x + t and a constant v: the composed displacements are v + A (x + v) + t."""
    matrix = torch.tensor([[0.02, 0.01, 0.0], [0.0, -0.03, 0.02], [0.01, 0.0, 0.04]])
    cell = 2
    voxels = cell * cell_indices((8, 8, 8), torch.device("cpu")) + (cell - 1) / 2
    field = torch.einsum("ij,njzyx->nizyx", matrix, voxels) + 1.5
    correction = torch.tensor([0.8, -1.2, 0.5]).view(1, 3, 1, 1, 1).expand_as(field)
    expected = correction + torch.einsum("ij,njzyx->nizyx", matrix, voxels + correction) + 1.5
    result = corrected(field, correction, cell)
    torch.testing.assert_close(result[..., 1:-1, 1:-1, 1:-1], expected[..., 1:-1, 1:-1, 1:-1])


def test_finer_cells_see_a_linear_field_at_their_own_centres():
    coarse = 4 * cell_indices((4, 4, 4), torch.device("cpu")) + 1.5
    fine = 2 * cell_indices((8, 8, 8), torch.device("cpu")) + 0.5
    torch.testing.assert_close(finer(coarse)[..., 1:-1, 1:-1, 1:-1], fine[..., 1:-1, 1:-1, 1:-1])


def test_values_between_voxels_are_those_of_scipy():
    image = torch.randn(1, 2, 5, 6, 7)
    index = torch.rand(1, 3, 3, 3, 3) * torch.tensor([6.0, 5.0, 4.0]).view(1, 3, 1, 1, 1)
    expected = [ndimage.map_coordinates(part.numpy(), index[0].flip(0).numpy(), order=1) for part in image[0]]
    torch.testing.assert_close(sample_at(image, index, "border")[0], torch.tensor(np.array(expected)))


def test_folding_keeps_every_value_and_is_undone():
    image = torch.randn(1, 3, 4, 6, 8)
    blocks = folded(image)
    assert blocks.shape == (1, 24, 2, 3, 4)
    # Channel 8 c + 4 z + 2 y + x holds the part (z, y, x) of each block.
    assert torch.equal(blocks[0, 8 + 4 + 1], image[0, 1, 1::2, 0::2, 1::2])
    assert torch.equal(unfolded(blocks), image)


def test_the_channels_of_a_voxel_are_normalised_on_their_own():
    features = torch.randn(1, 6, 3, 4, 5) * 7 + 3
    normal = ChannelNorm(6)(features)
    torch.testing.assert_close(normal.mean(1), torch.zeros(1, 3, 4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var(1, unbiased=False), torch.ones(1, 3, 4, 5), atol=1e-3, rtol=0)


def test_the_local_contrast_is_that_of_the_formula_and_no_values_beyond_the_scan_matter():
    image = torch.randn(1, 1, 24, 24, 24) * 150 - 700
    valid = torch.ones_like(image)
    valid[..., :8] = 0
    channels = image_channels(image, valid)
    elsewhere = torch.where(valid > 0, image, torch.full_like(image, 3000.0))
    assert torch.equal(channels, image_channels(elsewhere, valid))
    assert torch.equal(channels[:, 2:], valid) and channels[..., :8].abs().max() == 0
    brightness = (image.clamp(-1000, -200) + 400) / 600
    torch.testing.assert_close(channels[:, :1], brightness * valid)
    # Far from the border the window is two box averages of five cells of two voxels.
    values = brightness[0, 0].numpy().reshape(12, 2, 12, 2, 12, 2)

    def window(cells: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(ndimage.uniform_filter(cells, 5, mode="constant"), 5, mode="constant")

    whole = image_channels(image, torch.ones_like(image))
    share = window(np.ones((12, 12, 12)))
    mean = window(values.mean((1, 3, 5))) / share
    deviation = np.sqrt(window((values**2).mean((1, 3, 5))) / share - mean**2)
    cells = whole[0, 1].numpy().reshape(12, 2, 12, 2, 12, 2).mean((1, 3, 5)) / 0.7
    expected = (values.mean((1, 3, 5)) - mean) / (deviation + 0.08)
    assert np.abs(cells - expected)[4:8, 4:8, 4:8].max() < 0.05


def test_bone_looks_like_muscle():
    """The lung slides along the ribs: what they do must not lead it."""
    image = torch.randn(1, 1, 12, 12, 12) * 300 - 300
    valid = torch.ones_like(image)
    with_bone = torch.where(image > 0, image + 800, image)
    assert torch.equal(image_channels(image, valid), image_channels(with_bone, valid))


def test_an_untrained_matcher_finds_a_shift_by_its_costs_alone():
    features = torch.randn(1, 32, 10, 10, 10)
    matcher = Matcher(radius=2, features=32, context=0, channels=8, depth=1)
    nothing = torch.zeros(1, 3, 10, 10, 10)
    with torch.no_grad():
        correction, _, _ = matcher(features, shifted(features, SHIFT, 2), nothing[:, :1], nothing)
        matcher.sharpness.fill_(3.0)
        sharper, _, _ = matcher(features, shifted(features, SHIFT, 2), nothing[:, :1], nothing)
    target = torch.tensor(SHIFT, dtype=torch.float32).view(1, 3, 1, 1, 1)

    def error(field: torch.Tensor) -> float:
        return float((field - target)[..., 3:-3, 3:-3, 3:-3].norm(dim=1).mean())

    assert error(correction) < 0.8 * error(torch.zeros_like(target.expand_as(correction)))
    assert error(sharper) < 0.05


def test_an_untrained_network_reduces_a_shift_of_four_voxels_and_does_nothing_without_costs(monkeypatch):
    image = torch.randn(1, 3, 40, 40, 40)
    moving = torch.roll(image, 4, 4)
    network = CorrespondenceNetwork(**{**SMALL, "channels": (8, 32, 64), "compared": 32}).eval()
    with torch.no_grad():
        for matcher in (network.match12, network.match6, network.match3):
            matcher.sharpness.fill_(4.0)
        region = torch.ones(1, 1, 24, 24, 24)
        fixed = image[..., 8:-8, 8:-8, 8:-8]
        field = network(fixed, moving, region)
        error = (field - torch.tensor([4.0, 0.0, 0.0]).view(1, 3, 1, 1, 1)).norm(dim=1)[..., 4:-4, 4:-4, 4:-4]
        assert error.mean() < 1.5
        monkeypatch.setattr(
            matching_level, "cost_volume", lambda a, b, radius: a.new_zeros(1, (2 * radius + 1) ** 3, *a.shape[2:])
        )
        assert network(fixed, moving, region).abs().max() < 1e-4


def test_comparing_in_slabs_changes_nothing(monkeypatch):
    network = trained(CorrespondenceNetwork(**SMALL))
    fixed, moving, region = torch.randn(1, 3, 16, 12, 8), torch.randn(1, 3, 24, 20, 16), torch.rand(1, 1, 16, 12, 8)
    with torch.no_grad():
        whole = network(fixed, moving, region)
        monkeypatch.setattr(matching_level, "SLAB_CELLS", 100)
        torch.testing.assert_close(network(fixed, moving, region), whole)


def test_a_crop_shows_what_the_whole_shows_far_from_its_sides():
    """Nothing is normalised over the image: training on crops and running on a chest are the same."""
    network = trained(CorrespondenceNetwork(**{**SMALL, "radii": (1, 1, 1)}))
    fixed, moving, region = torch.randn(1, 3, 16, 16, 96), torch.randn(1, 3, 16, 16, 96), torch.rand(1, 1, 16, 16, 96)
    with torch.no_grad():
        whole = network(fixed, moving, region, applications=1)
        crop = network(fixed[..., 16:], moving[..., 16:], region[..., 16:], applications=1)
    torch.testing.assert_close(crop[..., 50:], whole[..., 66:], atol=1e-4, rtol=1e-4)


def test_every_level_tells_what_it_knows_and_its_context():
    network = trained(CorrespondenceNetwork(**SMALL))
    fixed, region = torch.randn(1, 3, 8, 12, 16), torch.ones(1, 1, 8, 12, 16)
    with torch.no_grad():
        levels = list(network.estimates(fixed, torch.randn(1, 3, 16, 20, 24), region, applications=2))
    assert [level.cell for level in levels] == [4, 2, 1, 1]
    assert [tuple(level.field.shape[2:]) for level in levels] == [(2, 3, 4), (4, 6, 8), (8, 12, 16), (8, 12, 16)]


def test_every_weight_gets_a_gradient():
    network = trained(CorrespondenceNetwork(**SMALL))
    fixed, region = torch.randn(1, 3, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    estimates = network.estimates(fixed, torch.randn(1, 3, 24, 24, 24), region)
    sum(estimate.field.square().mean() for estimate in estimates).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    # The first level knows nothing yet: what it is told of the field is zero.
    assert without == ["match12.known.weight"]


@pytest.mark.parametrize(
    ("fixed", "moving", "region"),
    [
        ((1, 3, 10, 12, 12), (1, 3, 10, 12, 12), (1, 1, 10, 12, 12)),
        ((1, 3, 12, 12, 12), (1, 3, 12, 12, 20), (1, 1, 12, 12, 12)),
        ((1, 3, 12, 12, 12), (1, 3, 14, 14, 14), (1, 1, 12, 12, 12)),
        ((1, 3, 12, 12, 12), (1, 3, 4, 4, 4), (1, 1, 12, 12, 12)),
        ((1, 2, 12, 12, 12), (1, 2, 12, 12, 12), (1, 1, 12, 12, 12)),
        ((1, 3, 12, 12, 12), (1, 3, 12, 12, 12), (1, 1, 8, 12, 12)),
    ],
    ids=["sides", "margins", "margin", "smaller", "channels", "region"],
)
def test_images_of_the_wrong_size_are_refused(fixed, moving, region):
    with pytest.raises(BadInput, match="multiples of 4"):
        CorrespondenceNetwork(**SMALL)(torch.zeros(fixed), torch.zeros(moving), torch.zeros(region))


def trained(network: CorrespondenceNetwork) -> CorrespondenceNetwork:
    """With weights everywhere, as after training."""
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(0, 0.05)
    return network.eval()
