"""The breathing map of the phantom is what it says: exact, invertible, sliding along the wall."""

import numpy as np
import pytest
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.phantom import DIFFICULTIES, make_phantom
from DeepRegLib.phantom.cavity import ThoracicCavity
from DeepRegLib.phantom.lattice import Lattice, spline_matrix
from DeepRegLib.phantom.motion import DOME_POINTS, EXACT_STEPS, LATTICE_STEPS, BreathingMap, flow, rotation
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

LUNG_BOX = np.array([[-110.0, -85, -120], [110, 60, 105]])
DIFFERENCE_MM = 1e-3
"""Step of numerical derivatives: small against the anatomy, large against rounding."""


@pytest.fixture(scope="module", params=["easy", "hard"])
def motion(request: pytest.FixtureRequest) -> BreathingMap:
    return make_phantom((36, 30, 32), seed=4, difficulty=request.param).motion


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(*LUNG_BOX, (3000, 3))


def numerical_normal(cavity: ThoracicCavity, points: np.ndarray) -> np.ndarray:
    steps = DIFFERENCE_MM * np.eye(3)
    gradient = np.stack([cavity.depth(points + s) - cavity.depth(points - s) for s in steps], -1)
    return gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)


def points_on_wall(cavity: ThoracicCavity) -> np.ndarray:
    """Found by bisection along rays from the middle of the chest."""
    rng = np.random.default_rng(1)
    angle, z = rng.uniform(0, 2 * np.pi, 500), rng.uniform(-110, 90, 500)
    ray = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    middle = np.stack([0 * z, 0 * z - 10, z], -1)
    low, high = np.zeros(500), np.full(500, 200.0)
    for _ in range(50):
        half = (low + high) / 2
        inside = cavity.depth(middle + half[:, None] * ray) < 0
        low, high = np.where(inside, half, low), np.where(inside, high, half)
    return middle + half[:, None] * ray


def jacobian_determinants(motion: BreathingMap, points: np.ndarray) -> np.ndarray:
    steps = DIFFERENCE_MM * np.eye(3)
    columns = [(motion.map_points(points + s) - motion.map_points(points - s)) / (2 * DIFFERENCE_MM) for s in steps]
    return np.linalg.det(np.stack(columns, -1))


def test_the_inverse_undoes_the_map_everywhere(motion: BreathingMap, points: np.ndarray) -> None:
    anywhere = np.concatenate([points, 1.4 * points])
    there = motion.map_points(anywhere)
    assert np.linalg.norm(there - anywhere, axis=1).max() > 5
    assert np.abs(motion.map_back(there) - anywhere).max() < 1e-4


def test_the_flow_is_the_one_scipy_integrates(motion: BreathingMap, points: np.ndarray) -> None:
    few = points[motion.cavity.depth(points) < -1][:20]
    for point, ours in zip(few, flow(motion.content, few, 1.0, EXACT_STEPS), strict=True):
        solved = solve_ivp(lambda _, p: motion.content(p[None])[0], (0, 1), point, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours, solved.y[:, -1], atol=1e-3)


def test_the_few_steps_on_a_lattice_are_enough(motion: BreathingMap, points: np.ndarray) -> None:
    inside = points[motion.cavity.depth(points) < 0]
    error = motion.inside(inside.astype(np.float32), LATTICE_STEPS) - motion.inside(inside, EXACT_STEPS)
    assert np.abs(error).max() < 0.02


def test_nothing_folds_inside_the_cavity(motion: BreathingMap, points: np.ndarray) -> None:
    inside = points[motion.cavity.depth(points) < -0.5]
    determinants = jacobian_determinants(motion, inside)
    assert determinants.min() > 0.1
    assert determinants.mean() < 0.95  # breathing out


def test_the_velocity_has_no_component_across_the_wall(motion: BreathingMap) -> None:
    wall = points_on_wall(motion.cavity)
    velocity = motion.content(wall)
    across = (velocity * numerical_normal(motion.cavity, wall)).sum(-1)
    assert np.linalg.norm(velocity, axis=1).mean() > 3
    assert np.abs(across).max() < 1e-2


def test_what_touches_the_wall_stays_on_the_wall(motion: BreathingMap) -> None:
    wall = points_on_wall(motion.cavity)
    assert np.abs(motion.cavity.depth(flow(motion.content, wall, 1.0, EXACT_STEPS))).max() < 1e-3


def test_the_motion_jumps_by_millimetres_at_the_wall(motion: BreathingMap) -> None:
    wall = points_on_wall(motion.cavity)
    normal = numerical_normal(motion.cavity, wall)
    jump = motion.map_points(wall - 0.01 * normal) - motion.map_points(wall + 0.01 * normal)
    low_part = wall[:, 2] < 0
    assert np.median(np.linalg.norm(jump[low_part], axis=1)) > 4


def test_the_ribs_hardly_move_against_the_table(motion: BreathingMap) -> None:
    wall = points_on_wall(motion.cavity)
    bone = wall + 6 * numerical_normal(motion.cavity, wall)
    bone = bone[motion.cavity.depth(bone) > 2]
    moved = motion.table.inverse().map_points(motion.map_points(bone))
    distance = np.linalg.norm(moved - bone, axis=1)
    assert distance.max() < 9
    assert distance.mean() < 3


@pytest.mark.parametrize("difficulty", ["easy", "hard"])
def test_the_domes_rise_as_far_as_promised(difficulty: str) -> None:
    motion = make_phantom((36, 30, 32), seed=9, difficulty=difficulty).motion
    low, high = DIFFICULTIES[difficulty].diaphragm_mm
    risen = (flow(motion.content, DOME_POINTS, 1.0, EXACT_STEPS) - DOME_POINTS)[:, 2].mean()
    assert low - 0.2 < risen < high + 0.2


def test_the_back_rises_more_than_the_front_and_the_apex_hardly() -> None:
    motion = make_phantom((36, 30, 32), seed=2, difficulty="hard").motion
    x = np.array([-70.0, -60, 60, 70])

    def risen(y: float, z: float) -> float:
        start = np.stack([x, 0 * x + y, 0 * x + z], -1)
        return float((flow(motion.content, start, 1.0, EXACT_STEPS) - start)[:, 2].mean())

    assert risen(30, -45) > risen(-60, -45) + 3
    assert abs(risen(0, 95)) < 0.3 * risen(0, -45)


def test_the_spline_is_scipys_not_a_knot_spline() -> None:
    positions = np.linspace(0, 8, 41)
    ours, slopes = spline_matrix(9, positions), spline_matrix(9, positions, slope=True)
    reference = CubicSpline(np.arange(9), np.eye(9), bc_type="not-a-knot")
    np.testing.assert_allclose(ours, reference(positions), atol=1e-12)
    np.testing.assert_allclose(slopes, reference(positions, 1), atol=1e-12)


def test_a_cubic_function_is_exact_on_an_oblique_lattice() -> None:
    geometry = Geometry((17, 13, 15), (2.0, 3.0, 2.5), (5, -7, 3), tuple(rotation(np.array([10.0, -5, 20])).ravel()))
    lattice = Lattice.over(geometry, 7.0)

    def cubic(p: np.ndarray) -> np.ndarray:
        return (p[..., 0] / 20) ** 3 - p[..., 1] * p[..., 2] / 100 + p[..., 0]

    values = lattice.spline(cubic(lattice.points())).at(slice(4, 9))
    np.testing.assert_allclose(values, cubic(geometry.points())[4:9], atol=2e-4)


def test_the_volume_change_of_a_known_map_is_found() -> None:
    geometry = Geometry((30, 30, 30), (2.0, 2.0, 2.0), (-29, -29, -29), tuple(rotation(np.array([0.0, 0, 30])).ravel()))
    lattice = Lattice.over(geometry)
    x, y, z = np.moveaxis(lattice.points(), -1, 0)
    stretched = np.stack([1.2 * x + 0.1 * y, y, z + 0.005 * z * z], -1)
    np.testing.assert_allclose(lattice.jacobian_determinant(stretched), 1.2 * (1 + 0.01 * z), rtol=1e-6)
