"""The pre-alignment finds table shifts, turns, halves of scans and odd headers, or says that there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.errors import NoOverlap
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.methods.prealign import LARGEST_STRETCH, LEVELS_MM, _Frame, _Level, prealign
from DeepRegLib.refinement.problem import Problem
from registration_cases import analytic_pair, phantom, problem_of, stored_otherwise, turned
from scipy.spatial.transform import Rotation

ABOVE_BEST_MM = 1.5
"""What fits the grey values best is not what fits the landmarks best; a third of a voxel of the phantom."""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def best_affine_error(fixed: np.ndarray, moving: np.ndarray) -> float:
    """Mean distance (mm) after the affine map that is best by least squares."""
    ones = np.ones((len(fixed), 1))
    solution = np.linalg.lstsq(np.hstack([fixed, ones]), moving, rcond=None)[0]
    return float(np.linalg.norm(np.hstack([fixed, ones]) @ solution - moving, axis=1).mean())


def error_after(problem: Problem, fixed: np.ndarray, moving: np.ndarray) -> float:
    return float(np.linalg.norm(prealign(problem).map_points(fixed) - moving, axis=1).mean())


def moved_elsewhere(degrees: float, shift_mm: tuple) -> tuple[Volume, np.ndarray]:
    """The moving phantom on another table, and its landmarks there."""
    pair = phantom()
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * axis).as_matrix()
    centre, shift = pair.moving.geometry.centre, np.array(shift_mm)
    moving = Volume(pair.moving.array, turned(pair.moving.geometry, rotation, centre, shift))
    return moving, (pair.moving_landmarks - centre) @ rotation.T + centre + shift


@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [(0.0, (0.0, 0.0, 0.0)), (0.0, (50.0, -20.0, 30.0)), (10.0, (0.0, 0.0, 0.0)), (15.0, (-30.0, 40.0, 500.0))],
    ids=["as it lies", "50 mm table shift", "turned by 10 degrees", "turned, and far away"],
)
def test_another_table_position_is_found_wherever_it_is(degrees: float, shift_mm: tuple) -> None:
    pair = phantom()
    moving, landmarks = moved_elsewhere(degrees, shift_mm)
    error = error_after(problem_of(pair.fixed, moving), pair.fixed_landmarks, landmarks)
    assert error < best_affine_error(pair.fixed_landmarks, landmarks) + ABOVE_BEST_MM


@pytest.mark.parametrize("upper", [True, False])
def test_half_of_the_chest_finds_its_place(upper: bool) -> None:
    pair = phantom()
    geometry, half = pair.moving.geometry, pair.moving.geometry.size[2] // 2
    kept = slice(half, None) if upper else slice(None, half)
    array = pair.moving.array[kept]
    origin = tuple(geometry.to_physical(np.array([0, 0, half if upper else 0])))
    moving = Volume(array, Geometry(array.shape[::-1], geometry.spacing, origin, geometry.direction))
    seen = moving.geometry.contains(pair.moving_landmarks)
    assert seen.sum() > 20
    fixed_points, moving_points = pair.fixed_landmarks[seen], pair.moving_landmarks[seen]
    error = error_after(problem_of(pair.fixed, moving), fixed_points, moving_points)
    assert error < best_affine_error(fixed_points, moving_points) + ABOVE_BEST_MM


@pytest.mark.parametrize(
    ("order", "backwards"), [((1, 2, 0), ()), ((0, 1, 2), (2,)), ((2, 1, 0), (0, 1))], ids=["turned", "flipped", "both"]
)
def test_voxels_stored_in_another_order_give_the_same_map(order: tuple, backwards: tuple) -> None:
    pair = phantom()
    plain = prealign(problem_of(pair.fixed, pair.moving))
    otherwise = prealign(problem_of(pair.fixed, stored_otherwise(pair.moving, order, backwards)))
    points = pair.fixed_landmarks
    assert np.linalg.norm(otherwise.map_points(points) - plain.map_points(points), axis=1).max() < 0.1


def test_a_fixed_image_stored_in_another_order_gives_the_same_map() -> None:
    pair = phantom()
    plain = prealign(problem_of(pair.fixed, pair.moving))
    otherwise = prealign(problem_of(stored_otherwise(pair.fixed, (2, 0, 1), (1,)), pair.moving))
    points = pair.fixed_landmarks
    assert np.linalg.norm(otherwise.map_points(points) - plain.map_points(points), axis=1).max() < 1.0


def test_rigid_updates_stay_rigid_when_the_axes_of_the_images_differ() -> None:
    pair = phantom()
    problem = problem_of(pair.fixed, stored_otherwise(moved_elsewhere(12.0, (0.0, 0.0, 0.0))[0], (1, 2, 0), (0,)))
    level = _Level(problem, LEVELS_MM[0])
    axes = torch.tensor(problem.moving.geometry.axes.T @ problem.fixed.geometry.axes).float()
    middle = torch.tensor(problem.fixed_grid.last).float() / 2
    target = torch.tensor(problem.moving_grid.last).float() / 2
    start = _Frame(axes, target - middle, middle)
    frame = level.rigid(level.translation(start))
    assert torch.allclose(frame.matrix @ frame.matrix.T, torch.eye(3), atol=1e-4)
    assert not torch.allclose(frame.matrix, axes, atol=0.02)
    assert level.cost(frame) < level.cost(start)


def test_a_start_that_misses_the_moving_image_costs_more_than_any_other() -> None:
    pair = phantom()
    level = _Level(problem_of(pair.fixed, pair.moving), LEVELS_MM[0])
    nowhere = _Frame(torch.eye(3), torch.full((3,), 1e4), torch.zeros(3))
    assert level.cost(nowhere) == np.inf


@pytest.mark.parametrize("amplitude_mm", [12.0, 16.0])
def test_images_that_bend_beyond_any_linear_map_are_not_torn_apart(amplitude_mm: float) -> None:
    pair = analytic_pair(amplitude_mm)
    linear = prealign(problem_of(pair.fixed, pair.moving, pair.mask))
    stretch = np.linalg.svd(linear.matrix)[1]
    assert stretch.min() >= 1 / LARGEST_STRETCH and stretch.max() <= LARGEST_STRETCH
    assert pair.moving.geometry.contains(linear.map_points(pair.points_inside())).mean() > 0.5


def test_images_that_share_nothing_are_refused() -> None:
    pair = phantom()
    crumb = pair.moving.array[20:36, 20:36, 20:36]
    moving = Volume(crumb, Geometry((16, 16, 16), (1.0, 1.0, 1.0)))
    with pytest.raises(NoOverlap, match="too little") as caught:
        prealign(problem_of(pair.fixed, moving))
    assert caught.value.hint
