"""Label overlap against SimpleITK and by hand."""

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.evidence.labels import label_overlap
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume


def maps(dtype=np.int16):
    geometry = Geometry((30, 25, 20))
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 6, (4, 5, 6)) * 7
    first = np.kron(coarse, np.ones((5, 5, 5), int)).astype(dtype)
    second = np.roll(first, (1, 2, -1), (0, 1, 2))
    second[rng.random(second.shape) < 0.05] = 99
    return Volume(first, geometry), Volume(second, geometry)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_every_label_agrees_with_simpleitk(dtype):
    fixed, warped = maps(dtype)
    found = label_overlap(fixed, warped)
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(*(sitk.Cast(v.to_sitk(), sitk.sitkUInt16) for v in (fixed, warped)))
    for label in (7, 14, 21, 28, 35):
        assert found.dice[label] == pytest.approx(measure.GetDiceCoefficient(label))
        assert found.voxels[label] == min((fixed.array == label).sum(), (warped.array == label).sum())
    assert found.dice[99] == 0
    assert 0 not in found.dice


def test_small_structures_do_not_enter_the_mean():
    geometry = Geometry((20, 20, 20))
    fixed, warped = np.zeros(geometry.shape, np.uint8), np.zeros(geometry.shape, np.uint8)
    fixed[:10, :10, :10] = 1
    warped[:10, :10, 5:15] = 1
    fixed[15:17] = 2  # 800 voxels, matched in full
    warped[15:17] = 2
    fixed[19, 0, :9] = 3  # 9 voxels, missed
    found = label_overlap(Volume(fixed, geometry), Volume(warped, geometry))
    assert found.counted() == (1, 2)
    assert found.mean() == pytest.approx((0.5 + 1) / 2)
    assert found.mean(minimum_voxels=0) == pytest.approx((0.5 + 1 + 0) / 3)
    assert np.isnan(found.mean(minimum_voxels=10_000))


def test_different_grids_and_values_that_are_no_labels_are_refused():
    fixed, warped = maps()
    shifted = Volume(warped.array, Geometry(warped.geometry.size, origin=(5, 0, 0)))
    with pytest.raises(BadInput, match="different grids"):
        label_overlap(fixed, shifted)
    for bad in (-1, 70_000):
        array = warped.array.astype(np.int32)
        array[0, 0, 0] = bad
        with pytest.raises(BadInput, match="not labels"):
            label_overlap(fixed, Volume(array, warped.geometry))
    blurred = Volume(warped.array + np.float32(0.5), warped.geometry)
    with pytest.raises(BadInput, match="whole numbers"):
        label_overlap(fixed, blurred)
