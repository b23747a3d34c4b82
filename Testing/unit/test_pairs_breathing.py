"""Breathing of the training pairs: sliding along the wall, density, folds, single lungs, strengths."""

import dataclasses

import numpy as np
import pytest
import torch
from DeepRegTrainLib.pairs.appearance import changed_density, density_factor
from DeepRegTrainLib.pairs.breathing import Breath, draw_velocities
from DeepRegTrainLib.pairs.breathing_pair import breathing_deformation
from DeepRegTrainLib.pairs.draws import Draws
from DeepRegTrainLib.pairs.generator import PairGenerator
from DeepRegTrainLib.pairs.pose import draw_pose
from DeepRegTrainLib.pairs.presets import preset
from DeepRegTrainLib.pairs.ranges import Range
from DeepRegTrainLib.pairs.settings import Appearance, BreathingMotion, Framing
from DeepRegTrainLib.pairs.statistics import pair_statistics
from DeepRegTrainLib.pairs.working_grid import WorkingGrid, jacobian_determinant, vector
from pair_cases import CAVITY_MM, CPU, OnePatient, patient

STRONG = dataclasses.replace(
    BreathingMotion(), still=0.0, large=1.0, extreme=0.0, sliding=1.0, reduced=0.0, chest_uneven_mm=Range(0.0, 0.0)
)
"""Breathing of 34 to 55 mm that slides."""
WALL_DRIFT_MM = 0.6
"""How far a point of the wall may leave it, on average, while it slides by centimetres: the lattice has 9 mm."""


def draws(seed: int) -> Draws:
    return Draws(np.random.default_rng(seed))


def wall_points(centre: np.ndarray, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points on the wall of the test patient, in mm about ``centre``, and its outward normals there."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(count, 3))
    direction[:, 2] = np.abs(direction[:, 2])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = direction * CAVITY_MM
    points = points[np.arange(count) % 2 == 0]
    cylinder = np.stack([CAVITY_MM[0] * np.cos(t := rng.uniform(0, 2 * np.pi, count)), CAVITY_MM[1] * np.sin(t)], 1)
    low = np.concatenate([cylinder, rng.uniform(-60, 0, (count, 1))], 1)
    points = np.concatenate([points, low])
    normal = points * [1, 1, 1] / CAVITY_MM**2 * np.stack([np.ones(len(points))] * 2 + [points[:, 2] > 0], 1)
    return points - centre, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def breath_of(seed: int, motion: BreathingMotion = STRONG):
    anatomy = patient()
    pose = draw_pose(anatomy, Framing(), draws(seed), CPU)
    velocities, _ = draw_velocities(anatomy, pose, motion, draws(seed + 100))
    return anatomy, velocities, Breath.of(velocities, pose.domain)


def at(domain: WorkingGrid, field: torch.Tensor, points: np.ndarray) -> np.ndarray:
    where = torch.as_tensor(points.T.astype(np.float32)).reshape(1, 3, 1, 1, -1)
    return domain.sample(field, where)[0].reshape(3, -1).T.numpy()


@pytest.mark.parametrize("seed", range(3))
def test_content_that_slides_does_not_cross_the_wall(seed):
    anatomy, velocities, breath = breath_of(seed)
    points, normals = wall_points(anatomy.trunk.centre)
    velocity = at(breath.domain, velocities.content, points)
    across = np.abs((velocity * normals).sum(1)).mean()
    along = np.linalg.norm(velocity, axis=1).mean()
    assert along > 5.0
    assert across < 0.06 * along
    moved = points + at(breath.domain, breath.content, points) + anatomy.trunk.centre
    flat = (moved * [1, 1, 1]).copy()
    flat[:, 2] = np.maximum(flat[:, 2], 0)
    gauge = np.linalg.norm(flat / CAVITY_MM, axis=1)
    assert np.abs((gauge - 1) * CAVITY_MM.min()).mean() < WALL_DRIFT_MM


def test_beyond_the_wall_only_the_chest_moves():
    anatomy = patient()
    still_chest = dataclasses.replace(
        STRONG, chest_front=Range(0.0, 0.0), chest_front_mm=Range(0.0, 0.0), chest_side=Range(0.0, 0.0)
    )
    motion = dataclasses.replace(
        still_chest, table_mm=0.0, table_degrees=0.0, table_scale=Range(1.0, 1.0), prealigned=Range(0.0, 0.0)
    )
    made = breathing_deformation(anatomy, Framing(), motion, (48, 48, 48), (5.0, 5.0, 5.0), draws(1), CPU)
    length = made.displacement.norm(dim=1)[0] * 5.0
    points = made.grid.points()
    depth = anatomy.depth(points + vector(anatomy.trunk.centre, points))[0, 0]
    assert float(length[depth > 6.0].max()) < 1e-3
    assert float(length[depth < -6.0].mean()) > 5.0


def test_where_nothing_slides_the_motion_is_smooth_across_the_wall():
    motion = dataclasses.replace(STRONG, sliding=0.0)
    for seed in range(3):
        made = breathing_deformation(patient(), Framing(), motion, (48, 48, 48), (5.0, 5.0, 5.0), draws(seed), CPU)
        assert float(jacobian_determinant(made.displacement).amin()) > motion.smallest_jacobian / 2


def test_breathing_out_moves_the_diaphragm_up_and_the_breast_bone_back():
    motion = dataclasses.replace(STRONG, uneven_mm=(0.0, 0.0, 0.0), chest_front=Range(0.3, 0.3))
    for seed in range(6):
        anatomy = patient()
        pose = draw_pose(anatomy, Framing(), draws(seed), CPU)
        record = draws(seed)
        velocities, _ = draw_velocities(anatomy, pose, motion, record)
        sign = 1 if record.record["breathes_out"] else -1
        low, front = np.array([[50.0, 0.0, -90.0]]), np.array([[0.0, -75.0, -60.0]])
        assert sign * at(pose.domain, velocities.content, low)[0, 2] > 10.0
        assert sign * at(pose.domain, velocities.chest, front)[0, 1] > 3.0


def test_compressed_lung_is_brighter_and_keeps_its_mass():
    # T(x) = 1.1 x: what fills a box of the fixed image fills 1.331 such boxes in the moving one.
    grid = WorkingGrid((60, 60, 60), (2.0, 2.0, 2.0), CPU)
    displacement = 0.1 * grid.points() / 2.0
    factor = density_factor(jacobian_determinant(displacement), 1.0)
    density = lambda points: 180 * torch.exp(-(points.square().sum(1, keepdim=True)) / (2 * 18.0**2))  # noqa: E731
    moving = density(grid.points()) - 1000
    warped = density(1.1 * grid.points()) - 1000
    fixed = changed_density(warped, torch.ones_like(warped), factor)
    assert float(fixed[0, 0, 30, 30, 30]) > float(warped[0, 0, 30, 30, 30]) + 40
    masses = [float((hu + 1000).sum()) for hu in (moving, warped, fixed)]
    assert masses[2] == pytest.approx(masses[0], rel=0.01)
    assert masses[1] == pytest.approx(masses[0] / 1.331, rel=0.01)


def test_vessels_keep_their_density():
    hu = torch.tensor([-850.0, 40.0]).reshape(1, 1, 1, 1, 2)
    changed = changed_density(hu, torch.ones_like(hu), torch.full_like(hu, 1.5))
    assert changed.flatten().tolist() == pytest.approx([-775.0, 40.0])


def test_the_lungs_weigh_the_same_in_both_images_of_a_pair():
    anatomy = patient(20.0)
    motion = dataclasses.replace(STRONG, table_scale=Range(1.0, 1.0))
    for seed in range(4):
        # Large enough to hold both lungs whole.
        made = breathing_deformation(anatomy, Framing(), motion, (72, 60, 72), (5.0, 5.0, 5.0), draws(seed), CPU)
        masses = []
        for points, factor in ((made.fixed_points, made.volume_change), (made.moving_points, 1.0)):
            density = anatomy.grid.sample(anatomy.moving_look, points) + 1000
            masses.append(float((density * factor * anatomy.grid.sample(anatomy.region, points)).sum()))
        assert masses[0] == pytest.approx(masses[1], rel=0.02)
        assert float((made.volume_change - 1).abs().mean()) > 0.05


def test_a_motion_that_would_fold_shrinks_and_says_so():
    wild = dataclasses.replace(STRONG, uneven_mm=(30.0, 30.0, 30.0), smallest_jacobian=0.3)
    record = draws(3)
    made = breathing_deformation(patient(), Framing(), wild, (40, 40, 40), (6.0, 6.0, 6.0), record, CPU)
    assert record.record["shrunk_to"] < 1.0
    assert record.record["smallest_jacobian"] > 0.3
    assert torch.isfinite(made.displacement).all()


def test_one_lung_is_seen_alone():
    recipe = dataclasses.replace(
        preset("breathing"),
        framing=Framing(one_lung=1.0),
        appearance=Appearance(),
        motion=dataclasses.replace(STRONG, table_mm=0.0, prealigned=Range(0.0, 0.0)),
    )
    pair = PairGenerator(OnePatient(), recipe, (96, 56, 64), 4.0, seed=2).draw(0)
    columns = pair.fixed_seen[0, 0].amax((0, 1))
    assert float(columns.mean()) < 0.75
    assert float((pair.weight * (1 - pair.fixed_seen)).abs().max()) == 0.0
    unseen = torch.nonzero(columns == 0)[:, 0]
    border = pair.fixed[..., int(torch.nonzero(columns)[0 if int(unseen[0]) == 0 else -1])]
    beyond = pair.fixed[..., int(unseen[0] if int(unseen[0]) == 0 else unseen[-1])]
    assert torch.equal(border, beyond)


def test_breathing_covers_slight_and_extreme_motion():
    source = OnePatient()
    generator = PairGenerator(source, preset("breathing"), 32, 6.0, seed=1)
    pairs = [generator.draw(index) for index in range(60)]
    found = [pair_statistics(pair) for pair in pairs]
    reach = [pair.parameters["geometry"]["diaphragm_mm"] for pair in pairs]
    means = np.array([row.mean for row in found])
    assert 5.0 < means.mean() < 13.0
    assert np.percentile(means, 10) < 6.0
    assert max(row.largest for row in found) > 30.0
    assert max(reach) <= 75.0
    assert 0.1 < np.mean(np.array(reach) > 34.0) < 0.45
    assert min(pair.parameters["geometry"]["smallest_jacobian"] for pair in pairs) > 0.1
    # Only where the wall itself slides do differences of neighbours see a fold.
    assert np.mean([row.folding_percent for row in found]) < 0.1
