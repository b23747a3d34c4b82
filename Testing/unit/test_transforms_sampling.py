"""Interpolation against SimpleITK on oblique, anisotropic, left-handed grids."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.sampling import sample, sample_tensor

GREY_VALUE_TOLERANCE = 0.05
"""HU: far below the noise of any scan; single precision of the blending gives 1e-3."""


def oblique_axes() -> tuple[float, ...]:
    axes, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    if np.linalg.det(axes) > 0:
        axes[:, 0] *= -1
    return tuple(axes.ravel())


OBLIQUE = Geometry((21, 17, 13), (0.8, 1.3, 2.5), (-40.0, 300.0, -900.0), oblique_axes())


def ct_like(geometry: Geometry) -> Volume:
    return Volume(np.random.default_rng(2).integers(-1024, 2000, geometry.shape).astype(np.int16), geometry)


def resampled_by_sitk(volume: Volume, points: np.ndarray, interpolator: int, outside: float) -> np.ndarray:
    """The value at each point, by sitk.Resample onto a grid of one voxel at that point."""
    image = sitk.Cast(volume.to_sitk(), sitk.sitkFloat64)
    values = []
    for point in points.tolist():
        one = sitk.Resample(image, (1, 1, 1), sitk.Transform(), interpolator, point, defaultPixelValue=outside)
        values.append(one[0, 0, 0])
    return np.array(values)


def random_points(geometry: Geometry, count: int = 300) -> np.ndarray:
    """Points inside, and some beyond each side of the grid."""
    share = np.random.default_rng(3).uniform(-0.2, 1.2, (count, 3))
    return geometry.to_physical(share * (np.array(geometry.size) - 1))


@pytest.mark.parametrize(("name", "interpolator"), [("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)])
def test_values_agree_with_sitk_inside_and_outside_of_an_oblique_left_handed_grid(name, interpolator):
    volume, points = ct_like(OBLIQUE), random_points(OBLIQUE)
    ours = sample(volume.array[None], OBLIQUE, points, name, outside=-3000.0)[0]
    truth = resampled_by_sitk(volume, points, interpolator, -3000.0)
    assert 50 < (truth == -3000).sum() < 250
    assert np.abs(ours - truth).max() < GREY_VALUE_TOLERANCE


def test_without_an_outside_value_the_border_value_goes_on():
    volume = ct_like(OBLIQUE)
    far = OBLIQUE.to_physical(np.array([[-50.0, 4.0, 5.0], [3.0, 2.0, 90.0]]))
    assert sample(volume.array[None], OBLIQUE, far)[0].tolist() == [volume.array[5, 4, 0], volume.array[12, 2, 3]]


def test_voxel_centres_give_the_voxels_bit_for_bit_even_next_to_huge_values():
    array = np.random.default_rng(4).choice([0.0, 1e-20, 3e38, -7.7], OBLIQUE.shape).astype(np.float32)
    assert np.array_equal(sample(array[None], OBLIQUE, OBLIQUE.points())[0], array)


def test_all_channels_are_read_at_the_same_place():
    array = np.random.default_rng(5).normal(size=(3, *OBLIQUE.shape)).astype(np.float32)
    points = random_points(OBLIQUE, 20).reshape(4, 5, 3)
    together = sample(array, OBLIQUE, points)
    assert together.shape == (3, 4, 5)
    for channel in range(3):
        assert np.array_equal(together[channel], sample(array[channel : channel + 1], OBLIQUE, points)[0])


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "uint32", "float64", ">i2", "bool"])
def test_every_usual_voxel_type_is_read(kind):
    array = (np.random.default_rng(6).random(OBLIQUE.shape) * 200).astype(kind)[:, ::-1]
    value = sample(array[None], OBLIQUE, OBLIQUE.to_physical([3.5, 4.0, 5.0]))[0]
    assert value == pytest.approx((float(array[5, 4, 3]) + float(array[5, 4, 4])) / 2)


def test_large_labels_survive_nearest_reading():
    labels = np.array([2**31 + 1, 7], np.uint32).reshape(1, 1, 1, 2)
    assert sample(labels, Geometry((2, 1, 1)), np.array([[0.4, 0.0, 0.0]]), "nearest")[0, 0] == 2**31 + 1


def test_a_single_slice_has_a_thickness_of_one_voxel():
    flat = Geometry((5, 5, 1), (1.0, 1.0, 3.0))
    array = np.arange(25.0).reshape(1, 1, 5, 5)
    values = sample(array, flat, np.array([[1.5, 2.0, 1.4], [1.5, 2.0, 1.6]]), outside=-1.0)[0]
    assert values.tolist() == [11.5, -1.0]


def test_the_gradient_of_a_ramp_is_its_slope():
    geometry = Geometry((9, 9, 9), (2.0, 2.0, 2.0))
    ramp = torch.from_numpy(geometry.points() @ np.array([0.5, -1.0, 2.0]))[None]
    points = torch.tensor([[3.3, 4.4, 5.5], [7.0, 8.1, 2.2]], dtype=torch.float64, requires_grad=True)
    sample_tensor(ramp, geometry, points).sum().backward()
    assert torch.allclose(points.grad, torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64).expand(2, 3))


def test_no_points_give_no_values():
    assert sample(np.zeros((2, 3, 3, 3)), Geometry((3, 3, 3)), np.zeros((0, 3))).shape == (2, 0)
