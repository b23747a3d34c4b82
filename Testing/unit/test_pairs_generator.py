"""Training pairs as a whole: exact, replayable, weighted where both images see, recorded; made in the background."""

import dataclasses
import json
import threading

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib.errors import BadInput
from DeepRegTrainLib.pairs import PRESETS, PairGenerator, Prefetched, Preset, Range, field_statistics, preset
from DeepRegTrainLib.pairs.settings import Appearance, BreathingMotion, Framing
from pair_cases import OnePatient, patient

CLEAN = {name: dataclasses.replace(made, appearance=Appearance()) for name, made in PRESETS.items()}
"""The presets without anything that changes grey values."""
SOURCE = OnePatient()


def warped_by_itk(pair) -> np.ndarray:
    """The moving image resampled through the field by SimpleITK, voxels as unit of length."""
    field = np.moveaxis(pair.displacement[0].double().numpy(), 0, -1)
    transform = sitk.DisplacementFieldTransform(sitk.GetImageFromArray(np.ascontiguousarray(field), isVector=True))
    moving = sitk.GetImageFromArray(pair.moving[0, 0].numpy())
    return sitk.GetArrayFromImage(sitk.Resample(moving, moving, transform, sitk.sitkLinear, -3000.0))


@pytest.mark.parametrize("name", PRESETS)
def test_the_moving_image_through_the_field_is_the_fixed_image(name):
    spacing = 4.0 if name == "breathing" else None
    for seed in range(3):
        pair = PairGenerator(SOURCE, CLEAN[name], 64, spacing, seed).draw(0)
        warped = warped_by_itk(pair)
        inside = (pair.weight[0, 0].numpy() > 0.99) & (warped > -2999)
        before = (pair.moving - pair.fixed).abs()[0, 0].numpy()[inside].mean()
        after = np.abs(warped - pair.fixed[0, 0].numpy())[inside].mean()
        assert inside.mean() > 0.3
        # What is left is that the moving image was interpolated twice.
        assert after < 0.1 * before + 2.5
        assert before > 8.0


def test_the_same_number_gives_the_same_bits():
    first = PairGenerator(SOURCE, preset("breathing"), 32, 6.0, seed=4)
    second = PairGenerator(SOURCE, preset("breathing"), 32, 6.0, seed=4)
    wanted = first.draw(7)
    for index in (0, 3):
        second.draw(index)
    again = second.draw(7)
    assert again.parameters == wanted.parameters
    for name, tensor in wanted.tensors().items():
        assert torch.equal(tensor, getattr(again, name)), name


def test_seed_and_number_make_a_difference():
    pairs = [
        PairGenerator(SOURCE, preset("breathing"), 32, 6.0, seed).draw(index)
        for seed, index in ((4, 7), (4, 8), (5, 7))
    ]
    for other in pairs[1:]:
        assert not torch.equal(pairs[0].displacement, other.displacement)
        assert not torch.equal(pairs[0].fixed, other.fixed)


def test_other_noise_leaves_the_motion_as_it_is():
    noisy = dataclasses.replace(CLEAN["breathing"], appearance=Appearance(noise_hu=Range(30.0, 30.0)))
    quiet = PairGenerator(SOURCE, CLEAN["breathing"], 32, 6.0, seed=1).draw(2)
    loud = PairGenerator(SOURCE, noisy, 32, 6.0, seed=1).draw(2)
    assert torch.equal(quiet.displacement, loud.displacement)
    lungs = (quiet.region > 0.99) & (quiet.fixed < -600)
    noise = (loud.fixed - quiet.fixed)[lungs]
    # Twice as strong, or little more than half, behind soft tissue; in the lungs near its nominal strength.
    assert 24.0 < float(noise.std()) < 42.0


@pytest.mark.parametrize("name", PRESETS)
def test_shapes_types_and_the_record(name):
    pair = PairGenerator(SOURCE, preset(name), (32, 24, 40), 6.0, seed=0).draw(1)
    assert pair.displacement.shape == (1, 3, 40, 24, 32)
    for part in ("fixed", "moving", "weight", "region", "fixed_seen", "moving_seen"):
        tensor = getattr(pair, part)
        assert tensor.shape == (1, 1, 40, 24, 32)
        assert tensor.dtype == torch.float32
        assert torch.isfinite(tensor).all()
    for part in ("weight", "region", "fixed_seen", "moving_seen"):
        assert 0.0 <= float(getattr(pair, part).min()) <= float(getattr(pair, part).max()) <= 1.0
    assert pair.spacing_mm == (6.0, 6.0, 6.0)
    assert float(pair.fixed.min()) >= -1024.0
    record = json.loads(json.dumps(pair.parameters))
    assert record["index"] == 1
    assert record["source"] == "test patient"
    assert record["preset"] == name


def test_without_a_spacing_the_grid_covers_the_lungs_and_a_margin():
    anatomy = SOURCE.anatomy
    for index in range(5):
        pair = PairGenerator(SOURCE, preset("eppenhof2020"), 32, None, seed=3).draw(index)
        extent = np.array(pair.spacing_mm) * 32
        margin = extent / anatomy.box.extent - 1
        assert (margin > 2 * 0.05 - 1e-6).all()
        assert (margin < 2 * 0.15 + 1e-6).all()


def test_the_weight_of_2020_is_the_bore_at_the_moving_image():
    source = OnePatient()
    source.anatomy = dataclasses.replace(patient(), bore_radius_mm=90.0)
    pair = PairGenerator(source, preset("eppenhof2020"), 48, None, seed=1).draw(0)
    assert torch.equal(pair.weight, pair.moving_seen)
    assert 0.2 < float(pair.weight.mean()) < 0.9
    assert float(pair.weight[0, 0, :, 0, 0].max()) == 0.0
    assert float(pair.weight[0, 0, 24, 24, 24]) == 1.0


def test_the_loss_counts_only_where_both_images_see():
    cutting = dataclasses.replace(CLEAN["breathing"], appearance=Appearance(cut=1.0, cut_face=1.0))
    pair = PairGenerator(SOURCE, cutting, 40, 5.0, seed=2).draw(0)
    assert 0.0 < float(pair.fixed_seen.mean()) < 0.9
    assert 0.0 < float(pair.moving_seen.mean()) < 0.9
    unseen = sitk.GetImageFromArray(pair.moving_seen[0, 0].numpy())
    field = np.moveaxis(pair.displacement[0].double().numpy(), 0, -1)
    transform = sitk.DisplacementFieldTransform(sitk.GetImageFromArray(np.ascontiguousarray(field), isVector=True))
    moving_seen = sitk.GetArrayFromImage(sitk.Resample(unseen, unseen, transform, sitk.sitkLinear, 0.0))
    expected = moving_seen * pair.fixed_seen[0, 0].numpy()
    assert np.abs(expected - pair.weight[0, 0].numpy()).mean() < 0.005


def test_thick_slices_blur_along_the_axis_of_the_body_only():
    thick = Appearance(thick_slices=1.0, slice_mm=Range(10.0, 10.0))
    recipe = dataclasses.replace(CLEAN["breathing"], framing=Framing())
    sharp = PairGenerator(SOURCE, recipe, 40, 4.0, seed=1).draw(0).moving
    blurred = PairGenerator(SOURCE, dataclasses.replace(recipe, appearance=thick), 40, 4.0, seed=1).draw(0).moving
    roughness = lambda image, axis: float(image.diff(n=2, dim=axis).abs().mean())  # noqa: E731
    assert roughness(blurred, 2) < 0.75 * roughness(sharp, 2)
    assert roughness(blurred, 4) > 0.8 * roughness(sharp, 4)
    assert float(blurred.mean()) == pytest.approx(float(sharp.mean()), abs=5.0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    assert Preset.from_dict(json.loads(json.dumps(PRESETS[name].to_dict()))) == PRESETS[name]


def test_every_setting_has_words_for_a_form():
    for made in PRESETS.values():
        for part in (made.framing, made.motion, made.appearance):
            for setting in dataclasses.fields(part):
                assert setting.metadata["label"], setting.name


@pytest.mark.parametrize("change", [{"motion": {"kind": "Wobble"}}, {"framing": {"zum": 1.0}}, {"size": None}])
def test_settings_of_another_version_are_refused(change):
    with pytest.raises(BadInput, match="settings of the training pairs"):
        Preset.from_dict({**preset("breathing").to_dict(), **change})


def test_what_cannot_be_made_is_refused_before_work():
    with pytest.raises(BadInput, match="no training pairs called"):
        preset("breathe")
    with pytest.raises(BadInput, match="three sides"):
        PairGenerator(SOURCE, preset("breathing"), 8, 3.0, seed=0)
    with pytest.raises(BadInput, match="cannot measure"):
        PairGenerator(SOURCE, preset("breathing"), 32, -3.0, seed=0)
    with pytest.raises(BadInput, match="lower to a higher"):
        Range(2.0, 1.0)


def test_statistics_of_a_known_field():
    displacement = torch.zeros(1, 3, 6, 6, 6)
    displacement[:, 2] = 3.0
    displacement[:, 0] = -0.5 * torch.arange(6.0)
    found = field_statistics(displacement, spacing=(2.0, 1.0, 2.0))
    assert found.direction == pytest.approx((-2.5, 0.0, 6.0))
    assert found.mean_of_axis == pytest.approx((2.5, 0.0, 6.0))
    assert found.largest == pytest.approx(np.hypot(5.0, 6.0))
    assert (found.jacobian_min, found.jacobian_max) == pytest.approx((0.5, 0.5))
    assert found.folding_percent == 0.0


class Numbers:
    """Stands for a generator: its pairs are their numbers."""

    device = torch.device("cpu")

    def __init__(self, broken_at: int = 10**9) -> None:
        self.broken_at = broken_at
        self.made = 0

    def draw(self, index: int):
        if index == self.broken_at:
            raise BadInput("The scan is gone.")
        self.made += 1
        return index


def test_pairs_made_ahead_come_in_order_and_no_more_than_asked_for():
    numbers = Numbers()
    with Prefetched(numbers, depth=3, first=5) as pairs:
        assert [pairs.next() for _ in range(10)] == list(range(5, 15))
    assert numbers.made <= 10 + 3 + 1
    assert not any(thread.name == "training pairs" for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="closed"):
        pairs.next()


def test_pairs_made_ahead_are_those_of_the_generator():
    generator = PairGenerator(SOURCE, preset("breathing"), 24, 8.0, seed=9)
    with Prefetched(generator, depth=2, first=3) as pairs:
        made = [pairs.next() for _ in range(2)]
    for index, pair in zip((3, 4), made, strict=True):
        assert torch.equal(pair.fixed, generator.draw(index).fixed)


def test_an_error_of_the_generator_reaches_the_trainer():
    with Prefetched(Numbers(broken_at=2)) as pairs:
        assert [pairs.next(), pairs.next()] == [0, 1]
        with pytest.raises(BadInput, match="gone"):
            pairs.next()


def test_breathing_works_without_a_wall():
    source = OnePatient()
    source.anatomy = dataclasses.replace(patient(), wall=None, wall_grid=None, is_lungs=False)
    pair = PairGenerator(source, preset("breathing"), 32, 6.0, seed=0).draw(0)
    assert torch.isfinite(pair.displacement).all()
    assert isinstance(preset("breathing").motion, BreathingMotion)
