"""Slices for the report: the right way round on any grid, in true proportions, with the right values."""

import numpy as np
import pytest
from DeepRegLib.evidence.planes import direction_letters, three_planes, values_at
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from scipy.ndimage import map_coordinates

TURNED = np.array([[0.0, 0.6, 0.8], [-1, 0, 0], [0, -0.8, 0.6]])
DIRECTIONS = {
    "LPS": np.eye(3),
    "RAS": np.diag([-1.0, -1, 1]),
    "left-handed": np.diag([1.0, 1, -1]),
    "axes permuted": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
}


@pytest.mark.parametrize("axes", DIRECTIONS.values(), ids=DIRECTIONS)
def test_every_plane_is_shown_as_a_radiologist_expects_it(axes):
    geometry = Geometry((20, 30, 40), (2.0, 1.0, 1.5), (7, 8, 9), tuple(axes.ravel()))
    planes = {plane.name: plane for plane in three_planes(geometry)}
    assert list(planes) == ["Axial", "Coronal", "Sagittal"]
    letters = {
        name: tuple(plane.letters[s] for s in ("left", "right", "top", "bottom")) for name, plane in planes.items()
    }
    assert letters["Axial"] == ("R", "L", "A", "P")
    assert letters["Coronal"] == ("R", "L", "S", "I")
    assert letters["Sagittal"] == ("A", "P", "S", "I")
    # The letters are true of the points: LPS coordinates grow to the left, the back and the head.
    axial, coronal, sagittal = (planes[n].points for n in planes)
    assert (np.diff(axial[..., 0], axis=1) > 0).all() and (np.diff(axial[..., 1], axis=0) > 0).all()
    assert (np.diff(coronal[..., 0], axis=1) > 0).all() and (np.diff(coronal[..., 2], axis=0) < 0).all()
    assert (np.diff(sagittal[..., 1], axis=1) > 0).all() and (np.diff(sagittal[..., 2], axis=0) < 0).all()


@pytest.mark.parametrize("axes", [*DIRECTIONS.values(), TURNED], ids=[*DIRECTIONS, "oblique"])
def test_pixels_are_square_in_millimetres_and_stay_inside_the_scan(axes):
    geometry = Geometry((20, 30, 12), (0.7, 1.0, 5.0), (7, 8, 9), tuple(axes.ravel()))
    for plane in three_planes(geometry):
        right = np.diff(plane.points, axis=1)
        down = np.diff(plane.points, axis=0)
        assert np.allclose(right, plane.pixel_mm * plane.right) and np.allclose(down, plane.pixel_mm * plane.down)
        assert abs(plane.right @ plane.down) < 1e-9
        assert geometry.contains(plane.points).all()
        assert max(plane.size) <= 256


def test_a_large_scan_is_reduced_and_a_small_one_not_blown_up():
    assert max(max(p.size) for p in three_planes(Geometry((512, 512, 100), (0.7, 0.7, 2.5)))) == 256
    assert max(max(p.size) for p in three_planes(Geometry((10, 10, 10)))) < 30


def test_leaning_axes_get_two_letters():
    assert direction_letters(np.array([0, -1.0, 0])) == "A"
    assert direction_letters(np.array([0.1, -0.05, -0.99])) == "I"
    assert direction_letters(np.array([-0.6, 0.8, 0])) == "PR"


def test_the_cut_goes_where_most_of_the_region_is_and_shows_its_surroundings():
    geometry = Geometry((100, 100, 100), (2.0, 2.0, 2.0))
    region = np.zeros(geometry.shape, bool)
    region[30:60, 40:60, 20:80] = True
    region[70:74, 20:90, 10:90] = True  # the largest axial cut lies here
    axial = next(p for p in three_planes(geometry, Volume(region, geometry)) if p.name == "Axial")
    assert 140 <= axial.points[0, 0, 2] <= 146
    assert axial.points[..., 0].min() == pytest.approx(20 - 20, abs=3)  # the region from 20 to 178 mm and 20 mm more
    assert axial.points[..., 1].max() == pytest.approx(178 + 20, abs=3)


def test_a_single_slice_gives_one_plane_and_an_empty_region_the_middle():
    flat = Geometry((30, 40, 1))
    assert [p.name for p in three_planes(flat)] == ["Axial"]
    geometry = Geometry((21, 31, 41))
    nothing = Volume(np.zeros(geometry.shape, bool), geometry)
    assert three_planes(geometry, nothing)[0].points[0, 0, 2] == 20


def test_values_agree_with_scipy_on_an_oblique_grid():
    geometry = Geometry((9, 10, 11), (0.7, 1.1, 2.5), (5, -6, 7), tuple(TURNED.ravel()))
    volume = Volume(np.random.default_rng(0).integers(-1000, 1000, geometry.shape).astype(np.int16), geometry)
    index = np.random.default_rng(2).uniform(-2, 12, (200, 3))
    found = values_at(volume, geometry.to_physical(index).reshape(20, 10, 3)).ravel()
    expected = map_coordinates(volume.array.astype(float), index[:, ::-1].T, order=1, mode="nearest")
    inside = ((index >= -0.5) & (index <= np.array(geometry.size) - 0.5)).all(1)
    assert 20 < inside.sum() < 180
    assert np.isnan(found[~inside]).all()
    assert np.allclose(found[inside], expected[inside], atol=0.05)
