"""Separable operators and frame grids against scipy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.refinement.frame_grid import SMALLEST_LEVEL_SIZE, FrameGrid
from DeepRegLib.refinement.separable import apply, bspline_matrix, linear_matrix
from scipy import ndimage
from scipy.interpolate import BSpline

CPU = torch.device("cpu")
GRID = FrameGrid((5.0, -3.0, 0.5), (0.75, 1.5, 0.5), (20, 14, 17))
ROUNDING = 1e-5
"""Single precision on values of about one."""


def noise(grid: FrameGrid, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=grid.shape).astype(np.float32)


def test_smoothing_is_the_gaussian_filter_of_scipy_with_renormalised_edges() -> None:
    values, sigma_mm = noise(GRID), 3.0
    sigmas = [sigma_mm / h for h in GRID.spacing[::-1]]
    smooth, norm = (
        ndimage.gaussian_filter(part.astype(float), sigmas, mode="constant", truncate=3.5)
        for part in (values, np.ones(GRID.shape))
    )
    ours = apply(GRID.blur(sigma_mm, CPU), torch.from_numpy(values)).numpy()
    assert np.abs(ours - smooth / norm).max() < ROUNDING


def test_averages_onto_a_coarser_grid_are_the_smoothed_values_at_its_samples() -> None:
    coarse = FrameGrid(GRID.origin, tuple(2 * h for h in GRID.spacing), (10, 7, 9))
    values = torch.from_numpy(noise(GRID))
    smooth = apply(GRID.blur(3.0, CPU), values)
    assert torch.allclose(apply(GRID.averages_to(coarse, 3.0, CPU), values), smooth[::2, ::2, ::2], atol=ROUNDING)


def test_a_sample_that_no_gaussian_reaches_takes_the_nearest_value() -> None:
    line = FrameGrid((0.0, 0.0, 0.0), (10.0, 1.0, 1.0), (3, 1, 1))
    between = FrameGrid((4.0, 0.0, 0.0), (12.0, 1.0, 1.0), (2, 1, 1))
    values = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert apply(line.averages_to(between, 0.5, CPU), values).flatten().tolist() == [1.0, 3.0]


def test_linear_interpolation_is_that_of_numpy_and_constant_beyond_the_ends() -> None:
    source = np.arange(7) * 1.7 - 2.0
    target = np.concatenate([np.random.default_rng(1).uniform(-6, 14, 200), source])
    values = np.random.default_rng(2).normal(size=7)
    matrix = linear_matrix(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    assert np.abs(matrix @ values - np.interp(target, source, values)).max() < 1e-12


def test_a_volume_on_another_grid_is_the_affine_transform_of_scipy() -> None:
    target = FrameGrid((3.0, -2.0, 0.0), (0.6, 0.9, 0.7), (25, 20, 14))
    values = noise(GRID)
    scale = np.array(target.spacing) / GRID.spacing
    offset = (np.array(target.origin) - GRID.origin) / GRID.spacing
    truth = ndimage.affine_transform(
        values.astype(float), scale[::-1], offset[::-1], target.shape, order=1, mode="nearest"
    )
    ours = apply(GRID.linear_to(target, CPU), torch.from_numpy(values)).numpy()
    assert np.abs(ours - truth).max() < 5 * ROUNDING


def test_the_bspline_is_that_of_scipy_between_the_second_and_the_last_but_one_coefficient() -> None:
    count, step, start = 9, 2.5, -4.0
    source = start + step * np.arange(count)
    coefficients = np.random.default_rng(3).normal(size=count)
    target = np.linspace(source[1], source[-2], 173)
    spline = BSpline(start + step * (np.arange(count + 4) - 2), coefficients, 3)
    matrix = bspline_matrix(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    assert np.abs(matrix @ coefficients - spline(target)).max() < 1e-12


def test_the_bspline_keeps_constants_and_its_end_values_beyond_the_ends() -> None:
    source = torch.arange(6, dtype=torch.float64)
    matrix = bspline_matrix(source, torch.tensor([-9.0, 0.0, 0.3, 4.9, 5.0, 30.0], dtype=torch.float64))
    assert torch.allclose(matrix.sum(1), torch.ones(6, dtype=torch.float64))
    assert torch.equal(matrix[0], matrix[1])
    assert torch.equal(matrix[-1], matrix[-2])


def test_operators_work_on_every_channel_alike() -> None:
    first, second = (torch.from_numpy(noise(GRID, seed)) for seed in (4, 5))
    blur = GRID.blur(1.0, CPU)
    both = apply(blur, torch.stack([first, second]))
    assert torch.allclose(both[0], apply(blur, first), atol=ROUNDING)
    assert torch.allclose(both[1], apply(blur, second), atol=ROUNDING)


def test_a_coarser_axis_is_averaged_and_a_finer_one_interpolated() -> None:
    # Alternating values along x and z: an averaged axis loses them, an interpolated one keeps them on its samples.
    grid = FrameGrid((0.0, 0.0, 0.0), (1.0, 1.0, 4.0), (40, 1, 12))
    target = FrameGrid((0.0, 0.0, 0.0), (4.0, 1.0, 4.0), (10, 1, 12))
    z, _, x = np.indices(grid.shape)
    along_x, along_z = (torch.from_numpy((-1.0) ** part).float() for part in (x, z))
    operator = grid.resample_to(target, CPU)
    assert apply(operator, along_x)[:, :, 1:-1].abs().max() < 0.01
    assert torch.allclose(apply(operator, along_z), along_z[:, :, ::4], atol=ROUNDING)


def test_sample_positions_are_those_of_an_image_without_a_direction() -> None:
    geometry = Geometry((5, 4, 3), (0.7, 1.1, 2.5))
    grid = FrameGrid.of(geometry)
    points = np.moveaxis(grid.points(CPU).numpy(), 0, -1)
    assert np.abs(points - geometry.points()).max() < 1e-5
    assert grid.shape == geometry.shape
    assert grid.last == pytest.approx(geometry.extent_mm)


@pytest.mark.parametrize("spacing", [0.4, 2.0, 5.3])
def test_a_covering_grid_is_isotropic_centred_and_leaves_nothing_out(spacing: float) -> None:
    grid = GRID.covering(spacing)
    first, last = np.array(grid.origin), np.array(grid.last)
    assert set(grid.spacing) == {spacing}
    assert first + last == pytest.approx(np.array(GRID.origin) + GRID.last)
    assert (first <= np.array(GRID.origin) + 1e-9).all()
    assert (last >= np.array(GRID.last) - 1e-9).all()
    beyond = (last - first) - (np.array(GRID.last) - GRID.origin)
    assert ((beyond < spacing) | (np.array(grid.size) == SMALLEST_LEVEL_SIZE)).all()


def test_a_single_slice_stays_one() -> None:
    flat = FrameGrid.of(Geometry((30, 20, 1), (1.0, 1.0, 5.0)))
    assert flat.covering(3.0).size[2] == 1
    assert flat.box(np.array([2.0, 2.0, 0.0]), np.array([9.0, 9.0, 40.0])).size == (8, 8, 1)


def test_a_box_reaches_from_corner_to_corner() -> None:
    box = GRID.box(np.array([6.0, -1.0, 1.0]), np.array([9.1, 4.0, 5.0]))
    assert box.origin == (6.0, -1.0, 1.0)
    assert box.spacing == GRID.spacing
    assert (np.array(box.last) >= [9.1, 4.0, 5.0]).all()
    assert (np.array(box.last) - [9.1, 4.0, 5.0] < GRID.spacing).all()
