"""Coarse grids and morphology against numpy, SimpleITK and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.images.coarse import averaged, interpolated
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.morphology import closed, components, dilated, eroded, opened, without_holes
from DeepRegLib.images.volume import Volume
from scipy import ndimage


def ramp(geometry: Geometry) -> Volume:
    """A linear function of position: its mean over a block is its value at the centre of the block."""
    return Volume((geometry.points() @ np.array([1.0, -2.0, 3.0])).astype(np.float32), geometry)


@pytest.mark.parametrize("spacing", [2.0, 3.3, 5.0, 8.0])
def test_block_means_of_a_ramp_lie_at_the_block_centres(oblique_geometry: Geometry, spacing: float) -> None:
    coarse = averaged(ramp(oblique_geometry), spacing)
    whole = tuple(
        slice(0, n // round(s_coarse / s))
        for n, s, s_coarse in zip(oblique_geometry.size, oblique_geometry.spacing, coarse.geometry.spacing, strict=True)
    )[::-1]
    np.testing.assert_allclose(coarse.array[whole], ramp(coarse.geometry).array[whole], rtol=0, atol=2e-3)


def test_blocks_of_two_are_plain_means() -> None:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (6, 8, 10)).astype(np.int16)
    coarse = averaged(Volume(voxels, Geometry((10, 8, 6))), 2.0)
    np.testing.assert_allclose(coarse.array, voxels.reshape(3, 2, 4, 2, 5, 2).mean((1, 3, 5)), atol=1e-3)


def test_coarse_blocks_cover_the_last_voxels_too() -> None:
    coarse = averaged(Volume(np.ones((7, 7, 7), bool), Geometry((7, 7, 7))), 3.0)
    assert coarse.geometry.size == (3, 3, 3)
    assert (coarse.array == 1.0).all()


@pytest.mark.parametrize("turned", [False, True])
def test_interpolation_agrees_with_simpleitk(oblique_geometry: Geometry, turned: bool) -> None:
    voxels = np.random.default_rng(0).normal(size=oblique_geometry.shape).astype(np.float32)
    voxels[:, :5] = 0
    volume = Volume(voxels, oblique_geometry)
    direction = (1, 0, 0, 0, 1, 0, 0, 0, 1) if turned else oblique_geometry.direction
    start = oblique_geometry.to_physical([-3.3, -2.2, -1.7]) - (0, 0, 40 if turned else 0)
    target = Geometry((41, 37, 33), (0.7, 0.61, 1.3), tuple(start), direction)
    reference = target.apply_to(sitk.Image(target.size, sitk.sitkFloat32))
    expected = sitk.GetArrayFromImage(sitk.Resample(volume.to_sitk(), reference, sitk.Transform(), sitk.sitkLinear, 0))
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(interpolated(volume, target), expected, atol=1e-5)


@pytest.fixture
def blobs() -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 30, 36)), 2.0)
    return smooth > 0.02


def test_one_step_grows_by_a_cross_and_two_by_a_cross_and_a_cube(blobs: np.ndarray) -> None:
    cross, cube = ndimage.generate_binary_structure(3, 1), np.ones((3, 3, 3))
    np.testing.assert_array_equal(dilated(blobs, 1.0, (1.0, 1.0, 1.0)), ndimage.binary_dilation(blobs, cross))
    twice = ndimage.binary_dilation(ndimage.binary_dilation(blobs, cross), cube)
    np.testing.assert_array_equal(dilated(blobs, 2.0, (1.0, 1.0, 1.0)), twice)


def test_thick_slices_grow_by_fewer_voxels() -> None:
    point = np.zeros((9, 9, 9), bool)
    point[4, 4, 4] = True
    grown = dilated(point, 3.0, (1.0, 1.0, 3.0))
    assert [int(grown.any(axis).any(0 if axis else 1).sum()) for axis in (0, 1)] == [7, 7]
    assert grown.any((1, 2)).sum() == 3


def test_the_border_neither_grows_nor_eats(blobs: np.ndarray) -> None:
    cross = ndimage.generate_binary_structure(3, 1)
    expected = ndimage.binary_erosion(blobs, cross, border_value=1)
    np.testing.assert_array_equal(eroded(blobs, 1.0, (1.0, 1.0, 1.0)), expected)
    everything = np.ones((5, 5, 5), bool)
    assert eroded(everything, 2.0, (1.0, 1.0, 1.0)).all()


def test_opening_removes_a_sheet_and_closing_fills_a_slit() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[2:18, 2:18, 2:10] = True
    mask[2:18, 2:18, 14] = True
    assert not opened(mask, 2.0, (1.0, 1.0, 1.0))[:, :, 12:].any()
    slit = np.zeros((20, 20, 20), bool)
    slit[2:18, 2:18, 2:18] = True
    slit[:, 8:10] = False
    assert closed(slit, 2.0, (1.0, 1.0, 1.0))[6:14, 8:10, 6:14].all()


def test_components_are_those_of_scipy(blobs: np.ndarray) -> None:
    labels, counts = components(blobs)
    expected, number = ndimage.label(blobs)
    assert len(counts) == number + 1 and counts[0] == 0
    np.testing.assert_array_equal(np.sort(counts[1:]), np.sort(np.bincount(expected.ravel())[1:]))
    np.testing.assert_array_equal(labels > 0, blobs)


def test_holes_are_filled_as_scipy_fills_them(blobs: np.ndarray) -> None:
    ring = ndimage.binary_dilation(blobs) & ~ndimage.binary_erosion(blobs)
    np.testing.assert_array_equal(without_holes(ring), ndimage.binary_fill_holes(ring))
