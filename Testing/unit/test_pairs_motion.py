"""Splines, thin-plate splines and flows of the training pairs against gryds, scipy and formulas."""

import dataclasses

import gryds
import numpy as np
import pytest
import torch
from DeepRegTrainLib.pairs.draws import Draws
from DeepRegTrainLib.pairs.flow import flow
from DeepRegTrainLib.pairs.settings import SplineMotion, ThinPlateMotion
from DeepRegTrainLib.pairs.spline_pair import SplineDisplacement, spline_deformation
from DeepRegTrainLib.pairs.splines import random_field, upsampled
from DeepRegTrainLib.pairs.statistics import field_statistics, summarised
from DeepRegTrainLib.pairs.thin_plate_pair import thin_plate_deformation
from DeepRegTrainLib.pairs.working_grid import WorkingGrid, jacobian_determinant, sample_at, voxel_indices
from pair_cases import CPU
from scipy.interpolate import RBFInterpolator

COMPOSITION_VOXELS = 0.02
"""What linear interpolation between voxels of 128 may cost where one spline is read at the points of another."""


def cube(size: int) -> WorkingGrid:
    return WorkingGrid((size,) * 3, (1.0, 1.0, 1.0), CPU)


def draws(seed: int) -> Draws:
    return Draws(np.random.default_rng(seed))


def gryds_grid(spline: SplineDisplacement, size: int) -> gryds.BSplineTransformation:
    """The same control values as relative displacements in array order (z, y, x)."""
    return gryds.BSplineTransformation(spline.control[0].flip(0).double().numpy() / size)


def gryds_displacement(transform, points: np.ndarray, size: int) -> np.ndarray:
    """Displacements (3, n) in voxels, x first, at voxel indices (3, n), x first."""
    relative = points[::-1] / size
    return ((transform.transform(relative) - relative) * size)[::-1]


def test_a_spline_agrees_with_gryds_at_every_voxel():
    size = 24
    spline = SplineDisplacement(cube(size), 4, (3.2, 6.4, 12.8), True, np.random.default_rng(0))
    points = voxel_indices((size,) * 3, CPU)[0].reshape(3, -1).double().numpy()
    truth = gryds_displacement(gryds_grid(spline, size), points, size)
    assert np.abs(spline.on_voxels()[0].reshape(3, -1).numpy() - truth).max() < 1e-4


def test_beyond_the_grid_it_is_mirrored_as_in_gryds():
    size = 40
    spline = SplineDisplacement(cube(size), 4, (3.2, 6.4, 12.8), True, np.random.default_rng(1))
    points = np.random.default_rng(2).uniform(-6, size + 5, (3, 800))
    ours = spline.at(torch.as_tensor(points, dtype=torch.float32).reshape(1, 3, 1, 1, -1))[0].reshape(3, -1)
    truth = gryds_displacement(gryds_grid(spline, size), points, size)
    assert np.abs(ours.numpy() - truth).max() < COMPOSITION_VOXELS * 128 / size


def test_the_learned_map_of_2020_is_composed_as_in_gryds():
    size = 64
    spline = lambda n, reach, seed: SplineDisplacement(cube(size), n, reach, True, np.random.default_rng(seed))  # noqa: E731
    coarse, fine = spline(4, (3.2, 6.4, 12.8), 3), spline(8, (3.2, 3.2, 3.2), 4)
    first = fine.on_voxels()
    ours = first + coarse.at(voxel_indices((size,) * 3, CPU) + first)
    # gryds applies the first of its arguments first: T2 = T21 o T22.
    both = gryds.ComposedTransformation(gryds_grid(fine, size), gryds_grid(coarse, size))
    points = voxel_indices((size,) * 3, CPU)[0].reshape(3, -1).double().numpy()
    truth = gryds_displacement(both, points, size)
    assert np.abs(ours[0].reshape(3, -1).numpy() - truth).max() < COMPOSITION_VOXELS * 128 / size


def test_coefficients_move_less_than_interpolated_values():
    lengths = []
    for interpolating in (True, False):
        motion = dataclasses.replace(SplineMotion(), interpolating=interpolating)
        made = [spline_deformation(cube(32), motion, draws(seed), None).displacement for seed in range(6)]
        lengths.append(np.mean([u.norm(dim=1).mean() for u in made]) * 128 / 32)
    # training.md: 6.23 +- 0.35 and 2.90 +- 0.41 voxels of 128 per draw.
    assert lengths[0] == pytest.approx(6.23, abs=0.5)
    assert lengths[1] == pytest.approx(2.90, abs=0.5)


def test_the_thin_plate_field_agrees_with_scipy():
    size, motion = 96, ThinPlateMotion()
    made = thin_plate_deformation(cube(size), motion, draws(5), None)
    again = draws(5)
    again.normals("offset_matrix", motion.offset_sd, 9)
    again.normals("offset_shift", motion.offset_sd)
    drawn = np.stack([again.rng.uniform(r.low, r.high, 6**3) for r in (motion.x, motion.y, motion.z)], 1)
    line = np.linspace(0, size - 1, 6)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    nodes = np.stack([x.ravel(), y.ravel(), z.ravel()], 1)
    where = np.concatenate([nodes.astype(int), np.random.default_rng(0).integers(0, size, (1500, 3))])
    truth = RBFInterpolator(nodes, drawn, kernel="linear", degree=1)(where.astype(float))
    ours = made.displacement[0, :, where[:, 2], where[:, 1], where[:, 0]].T.numpy()
    errors = np.abs(ours - truth)
    assert errors[: len(nodes)].max() < 0.01  # voxels, at the nodes
    assert errors.mean() < 0.002
    assert errors.max() < 0.2  # beside a node, where the kernel |x| is sharp


def test_in_the_order_of_the_paper_the_label_is_wrong():
    grid = cube(32)
    exact = thin_plate_deformation(grid, ThinPlateMotion(), draws(6), None)
    printed = thin_plate_deformation(grid, dataclasses.replace(ThinPlateMotion(), paper_order=True), draws(6), None)
    assert torch.equal(exact.displacement, printed.displacement)
    index = voxel_indices(grid.shape, CPU)
    errors = []
    for made in (exact, printed):
        # fixed_points(x) = moving_points(T(x)) is what makes T the map between the images.
        through = sample_at(made.moving_points, index + made.displacement)
        inside = ((index + made.displacement > 1) & (index + made.displacement < 30)).all(1)
        errors.append(float((through - made.fixed_points).norm(dim=1)[inside].mean()))
    assert errors[0] < 1e-4
    assert errors[1] > 0.05 * float(exact.displacement.norm(dim=1).mean())


def test_fields_of_2018_are_as_far_and_as_smooth_as_expected():
    motion, size = ThinPlateMotion(), 48
    made = [thin_plate_deformation(cube(size), motion, draws(seed), None) for seed in range(12)]
    found = summarised(field_statistics(m.displacement, spacing=(96 / size,) * 3) for m in made)
    # training.md, "TPS grid of TPS18": voxels of 96.
    assert found["mean"].mean == pytest.approx(2.05, abs=0.15)
    assert found["p95"].mean == pytest.approx(3.58, abs=0.2)
    assert found["largest"].mean == pytest.approx(5.07, abs=0.2)
    assert found["direction"][2].mean == pytest.approx(1.96, abs=0.15)
    assert found["jacobian_min"].mean == pytest.approx(0.63, abs=0.06)
    assert found["jacobian_max"].mean == pytest.approx(1.41, abs=0.08)
    assert found["folding_percent"].highest == 0


def test_fields_of_2020_are_as_far_and_as_smooth_as_expected():
    size = 64
    made = [spline_deformation(cube(size), SplineMotion(), draws(seed), None) for seed in range(24)]
    found = summarised(field_statistics(m.displacement, spacing=(128 / size,) * 3) for m in made)
    # training.md, "Statistics to expect", column T_2: voxels of 128.
    assert found["mean"].mean == pytest.approx(6.23, abs=0.3)
    assert found["p95"].mean == pytest.approx(11.7, abs=0.6)
    assert found["largest"].mean == pytest.approx(17.6, abs=1.0)
    assert [axis.mean for axis in found["mean_of_axis"]] == pytest.approx([1.63, 2.55, 4.75], abs=0.3)
    assert [axis.mean for axis in found["p95_of_axis"]] == pytest.approx([3.9, 6.0, 10.9], abs=0.7)
    assert found["jacobian_min"].mean == pytest.approx(0.20, abs=0.05)
    assert found["jacobian_p1"].mean == pytest.approx(0.37, abs=0.04)
    assert found["jacobian_p99"].mean == pytest.approx(2.01, abs=0.1)
    assert found["jacobian_max"].mean == pytest.approx(2.95, abs=0.3)
    assert found["folding_percent"].highest == 0
    assert max(abs(axis.mean) for axis in found["direction"]) < 1.5


def test_the_jacobian_of_a_linear_map_is_its_determinant():
    matrix = np.array([[0.1, 0.2, 0.0], [-0.1, 0.05, 0.3], [0.0, 0.1, -0.2]])
    points = voxel_indices((6, 7, 8), CPU)
    u = torch.as_tensor(matrix, dtype=torch.float32) @ points.reshape(3, -1)
    determinant = jacobian_determinant(u.reshape(points.shape))
    assert determinant.numpy() == pytest.approx(np.linalg.det(np.eye(3) + matrix), abs=1e-5)


def test_a_flow_of_a_linear_velocity_is_the_exponential_of_its_matrix():
    grid = cube(41)
    x, y, z = grid.points()[0]
    velocity = torch.stack([0.2 * y, -0.2 * x, 0.1 * z])[None]
    moved = grid.points() + flow(velocity)
    turned = torch.stack([np.cos(0.2) * x + np.sin(0.2) * y, np.cos(0.2) * y - np.sin(0.2) * x, np.exp(0.1) * z])[None]
    inside = (slice(None), slice(None), *(slice(8, 33),) * 3)
    assert float((moved - turned)[inside].abs().max()) < 0.01


def test_a_flow_of_a_strong_velocity_does_not_fold():
    grid = cube(40)
    velocity = random_field(grid, 12.0, 6.0, np.random.default_rng(0))
    folded = jacobian_determinant(velocity) <= 0
    flowed = jacobian_determinant(flow(velocity))
    inside = (slice(None), slice(None), *(slice(8, 32),) * 3)
    assert float(folded[inside].float().mean()) > 0.05
    assert float((flowed[inside] <= 0).float().mean()) < 0.003


def test_a_random_field_has_its_standard_deviation():
    field = random_field(cube(80), 10.0, 2.5, np.random.default_rng(0))
    assert float(field.std()) == pytest.approx(2.5, rel=0.1)


def test_a_field_on_a_lattice_passes_through_its_values():
    lattice = WorkingGrid((9, 8, 7), (4.0, 4.0, 4.0), CPU)
    grid = WorkingGrid((33, 29, 25), (1.0, 1.0, 1.0), CPU)
    values = torch.randn(1, 2, 7, 8, 9, generator=torch.Generator().manual_seed(0))
    dense = upsampled(values, lattice, grid)
    assert float((dense[:, :, ::4, ::4, ::4] - values).abs().max()) < 1e-5
