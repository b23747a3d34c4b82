"""Thin-plate splines against scipy's radial basis functions and affine maps."""

import numpy as np
import pytest
from DeepRegLib.errors import BadLandmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSpline, ThinPlateSplineNodes
from scipy.interpolate import RBFInterpolator
from test_transforms_sampling import oblique_axes

TOLERANCE_MM = 1e-5
SCAN = Geometry((40, 30, 20), (2.0, 2.5, 5.0), (-100.0, 50.0, -800.0), oblique_axes())


def landmarks(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return SCAN.to_physical(rng.uniform(0, 1, (count, 3)) * (np.array(SCAN.size) - 1)), rng.normal(size=(count, 3)) * 4


@pytest.mark.parametrize("smoothing", [0.0, 3.0])
def test_it_agrees_with_scipy_with_and_without_smoothing(smoothing):
    points, displacements = landmarks()
    queries = SCAN.to_physical(np.random.default_rng(1).uniform(-10, 50, (300, 3)))
    truth = RBFInterpolator(points, displacements, kernel="linear", degree=1, smoothing=smoothing)(queries)
    assert np.abs(ThinPlateSpline.fit(points, displacements, smoothing).at(queries) - truth).max() < TOLERANCE_MM


def test_it_passes_through_its_points():
    points, displacements = landmarks()
    assert np.abs(ThinPlateSpline.fit(points, displacements).at(points) - displacements).max() < TOLERANCE_MM


def test_affine_displacements_of_the_nodes_give_that_affine_everywhere():
    nodes = ThinPlateSplineNodes.covering(SCAN)
    matrix, shift = np.random.default_rng(2).normal(size=(3, 3)) * 0.1, np.array([3.0, -2.0, 1.0])
    spline = nodes.spline(nodes.points @ matrix.T + shift)
    far = SCAN.to_physical(np.random.default_rng(3).uniform(-50, 90, (100, 3)))
    assert np.abs(spline.at(far) - (far @ matrix.T + shift)).max() < TOLERANCE_MM
    assert np.abs(spline.weights).max() < 1e-8


def test_fixed_nodes_cover_the_image_in_array_order_and_agree_with_scipy():
    nodes = ThinPlateSplineNodes.covering(SCAN)
    assert nodes.points.shape == (216, 3)
    grid = nodes.points.reshape(6, 6, 6, 3)
    assert grid[0, 0, 5] == pytest.approx(SCAN.to_physical([39, 0, 0]))
    assert grid[5, 0, 0] == pytest.approx(SCAN.to_physical([0, 0, 19]))
    displacements = np.random.default_rng(4).normal(size=(216, 3))
    queries = SCAN.to_physical(np.random.default_rng(5).uniform(0, 19, (100, 3)))
    truth = RBFInterpolator(nodes.points, displacements, kernel="linear", degree=1)(queries)
    assert np.abs(nodes.spline(displacements).at(queries) - truth).max() < TOLERANCE_MM


def test_the_side_conditions_hold():
    points, displacements = landmarks()
    weights = ThinPlateSpline.fit(points, displacements).weights
    assert np.abs(weights.sum(0)).max() < 1e-9
    assert np.abs(weights.T @ points).max() < 1e-6


def test_the_field_on_a_grid_agrees_with_scipy():
    points, displacements = landmarks()
    field = ThinPlateSpline.fit(points, displacements).to_field(SCAN)
    truth = RBFInterpolator(points, displacements, kernel="linear", degree=1)(SCAN.points().reshape(-1, 3))
    assert np.abs(field.array.reshape(-1, 3) - truth).max() < TOLERANCE_MM


def test_a_coarse_lattice_changes_a_smooth_field_by_less_than_a_tenth_of_a_millimetre():
    # The spline of a network: 6 x 6 x 6 nodes 14 to 19 mm apart, displacements of some 8 mm that vary slowly.
    nodes = ThinPlateSplineNodes.covering(SCAN)
    phase = (nodes.points - nodes.points.mean(0)) / 60
    spline = nodes.spline(8 * np.sin(phase + phase[:, ::-1]))
    exact, quick = spline.to_field(SCAN), spline.to_field(SCAN, lattice_spacing_mm=5.0)
    error = np.linalg.norm(exact.array - quick.array, axis=-1)
    assert 0 < error.max() < 0.1
    assert error.mean() < 0.01


def test_an_affine_survives_a_coarse_lattice_up_to_the_edges_of_the_grid():
    nodes = ThinPlateSplineNodes.covering(SCAN)
    spline = nodes.spline(nodes.points * 0.1)
    assert np.abs(spline.to_field(SCAN, 10.0).array - 0.1 * SCAN.points()).max() < 5e-3


@pytest.mark.parametrize(
    ("points", "word"),
    [
        (np.eye(3), "four"),
        (np.array([[0, 0, 1], [5, 0, 1], [0, 5, 1], [4, 5, 1], [2, 2, 1]]), "plane"),
        (np.array([[0, 0, 0], [5, 0, 1], [0, 5, 1], [4, 5, 3], [0, 0, 0]]), "coincide"),
    ],
)
def test_points_that_determine_no_spline_are_refused_with_the_reason(points, word):
    with pytest.raises(BadLandmarks, match=word):
        ThinPlateSpline.fit(points, np.zeros_like(points, float))


def test_unequal_numbers_of_points_and_displacements_are_refused():
    with pytest.raises(BadLandmarks, match="60 points but 59"):
        ThinPlateSpline.fit(landmarks()[0], landmarks()[1][:-1])
