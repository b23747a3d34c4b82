"""What the levels of a network make of a pair: they are what its estimate is made from, and the sample of a run keeps
them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.files import cannot_write
from DeepRegLib.networks.correspondence import CorrespondenceNetwork
from DeepRegLib.networks.inference import gradient_magnitude
from DeepRegLib.networks.progressive_schedule import alpha_schedule
from DeepRegLib.networks.progressive_unet import ProgressiveUNet
from DeepRegTrainLib.pairs import TrainingPair
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.samples import LEVELS, PREDICTED, last_sample, levels_of
from DeepRegTrainLib.sample import write_sample
from DeepRegTrainLib.settings import Settings
from DeepRegTrainLib.trainable.build import build_trainable
from DeepRegTrainLib.trainable.correspondence import channels
from DeepRegTrainLib.trainable.interface import LevelEstimate, TrainableNetwork
from scipy.ndimage import map_coordinates
from training_cases import run_in, shapes_for, small

DELTA, PERIOD = 4, 12
ONE_LEVEL, LOWER_TWO, UPPER_TWO, LAST_LEVEL = 0, 3, 11, 40
"""Steps of the schedule above with three levels."""
COARSE, FINEST, FINEST_TWICE = 20, 40, 80
"""Steps of a correspondence network that is trained for a hundred."""


def progressive() -> Settings:
    return small("progressive_unet", delta=DELTA, period=PERIOD, steps=60)


def case(settings: Settings) -> tuple[TrainableNetwork, TrainingPair]:
    """A network that finds something, in evaluation mode, and a pair."""
    torch.manual_seed(3)
    trainable = build_trainable(settings)
    for parameter in trainable.network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    trainable.network.eval()
    return trainable, shapes_for(settings).draw(0)


@pytest.mark.parametrize("step", [ONE_LEVEL, UPPER_TWO, LAST_LEVEL])
@torch.no_grad()
def test_levels_by_their_weights_sum_to_what_the_progressive_network_gives(step: int) -> None:
    trainable, pair = case(progressive())
    levels = trainable.level_estimates(pair, step)
    images = torch.cat([gradient_magnitude(pair.fixed), gradient_magnitude(pair.moving)], 1)
    assert isinstance(trainable.network, ProgressiveUNet)
    given = trainable.network.forward(images, alpha_schedule(step, DELTA, PERIOD, 3))
    assert float(given.abs().max()) > 0.01
    torch.testing.assert_close(sum(level.alpha * level.field for level in levels), given, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_levels_below_the_finest_sum_to_the_estimate_which_shows_what_their_grid_can() -> None:
    trainable, pair = case(progressive())
    levels = trainable.level_estimates(pair, LOWER_TWO)
    assert all(level.field.shape == pair.displacement.shape for level in levels)
    summed = sum(level.alpha * level.field for level in levels)
    torch.testing.assert_close(summed, trainable.estimate(pair, LOWER_TWO), rtol=1e-5, atol=1e-6)
    assert float((levels[0].field - levels[1].field).abs().max()) > 0.01


@torch.no_grad()
def test_only_levels_with_a_weight_are_named_coarse_to_fine() -> None:
    trainable, pair = case(progressive())
    found = [
        [(level.name, level.alpha) for level in trainable.level_estimates(pair, step)]
        for step in (ONE_LEVEL, LOWER_TWO, LAST_LEVEL)
    ]
    assert found == [
        [("level 1 of 3", 1.0)],
        [("level 1 of 3", 0.75), ("level 2 of 3", 0.25)],
        [("level 3 of 3", 1.0)],
    ]


@pytest.mark.parametrize(
    ("step", "names"), [(COARSE, ["12", "6"]), (FINEST, ["12", "6", "3"]), (FINEST_TWICE, ["12", "6", "3"])]
)
@torch.no_grad()
def test_the_last_level_of_the_correspondence_network_is_its_estimate(step: int, names: list[str]) -> None:
    trainable, pair = case(small("correspondence", steps=100, spacing_mm=3.0))
    levels = trainable.level_estimates(pair, step)
    assert [level.name for level in levels] == [f"level of {name} mm" for name in names]
    assert {level.alpha for level in levels} == {None}
    assert torch.equal(levels[-1].field, trainable.estimate(pair, step))
    assert all(float((level.field - levels[-1].field).abs().max()) > 1e-3 for level in levels[:-1])


@torch.no_grad()
def test_coarse_levels_of_the_correspondence_network_lie_on_the_voxels() -> None:
    """Cell k of s voxels is centred on voxel s k + (s - 1) / 2; halved twice, as the network does it."""
    trainable, pair = case(small("correspondence", steps=100))
    assert isinstance(trainable.network, CorrespondenceNetwork)
    expected = next(iter(trainable.network.coarse(*channels(pair), pair.region))).field[0].numpy()
    for _ in range(2):
        fine = (np.indices([2 * n for n in expected.shape[1:]]) - 0.5) / 2
        expected = np.stack([map_coordinates(part, fine, order=1, mode="nearest") for part in expected])
    found = trainable.level_estimates(pair, FINEST)[0].field[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("network", ["unet", "vgg_grid"])
def test_a_network_of_one_piece_has_no_levels(network: str, tmp_path: Path) -> None:
    settings = small(network)
    trainable, pair = case(settings)
    assert trainable.level_estimates(pair, 0) == []
    run_in(tmp_path, settings).go()
    sample = last_sample(RunFolder(tmp_path))
    assert sample is not None and levels_of(sample) == []
    assert not list(sample.glob("level-*"))


def test_the_sample_of_a_run_holds_the_levels_that_sum_to_its_prediction(tmp_path: Path) -> None:
    """At step 12 of the schedule the second level falls and the third one rises; weights are averaged."""
    settings = small("progressive_unet", delta=DELTA, period=PERIOD, steps=13, validate_every=13, average=0.9)
    run_in(tmp_path, settings).go()
    sample = last_sample(RunFolder(tmp_path))
    assert sample is not None and sample.name == "00000013"
    levels = levels_of(sample)
    assert [(level.name, level.alpha) for level in levels] == [("level 2 of 3", 0.5), ("level 3 of 3", 0.5)]
    predicted = np.load(sample / PREDICTED)
    fields = [np.load(level.field) for level in levels]
    assert all(field.dtype == np.float32 and field.shape == predicted.shape for field in fields)
    np.testing.assert_allclose((fields[0] + fields[1]) / 2, predicted, atol=1e-5 * np.abs(predicted).max())
    assert not list(sample.glob(".partial*"))


def test_levels_are_written_in_millimetres(tmp_path: Path) -> None:
    run, pair = RunFolder(tmp_path), shapes_for(small()).draw(0)
    field = torch.zeros_like(pair.displacement)
    field[0, 0], field[0, 2] = 2.0, -1.0
    write_sample(run, 1, pair, field, [LevelEstimate("a", 0.25, field), LevelEstimate("b", None, -field)])
    sample = last_sample(run)
    assert sample is not None
    first, second = levels_of(sample)
    assert (first.name, first.alpha, second.name, second.alpha) == ("a", 0.25, "b", None)
    expected = np.array([2 * pair.spacing_mm[0], 0, -pair.spacing_mm[2]], np.float32)
    np.testing.assert_allclose(np.load(first.field)[3, 4, 5], expected, rtol=1e-6)
    np.testing.assert_allclose(np.load(second.field)[3, 4, 5], -expected, rtol=1e-6)


def test_a_sample_whose_levels_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, pair = RunFolder(tmp_path), shapes_for(small()).draw(0)
    level = LevelEstimate("a", 1.0, pair.displacement)
    write_sample(run, 1, pair, pair.displacement, [level])
    before = last_sample(run)

    def full(path: Path, text: str) -> None:
        raise cannot_write(path, "No space left on device")

    monkeypatch.setattr("DeepRegTrainLib.sample.write_text", full)
    with pytest.raises(OutputProblem, match="No space left"):
        write_sample(run, 2, pair, pair.displacement, [level])
    assert before is not None and last_sample(run) == before
    assert [found.name for found in levels_of(before)] == ["a"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"levels": 3}', '{"levels": [{"name": "a", "alpha": "x"}]}'])
def test_a_damaged_list_of_levels_is_told_and_a_missing_one_is_an_older_sample(tmp_path: Path, content: str) -> None:
    assert levels_of(tmp_path) == []
    (tmp_path / LEVELS).write_text(content)
    with pytest.raises(BadInput, match=r"levels\.json"):
        levels_of(tmp_path)
    (tmp_path / LEVELS).write_text(json.dumps({"levels": []}))
    assert levels_of(tmp_path) == []
