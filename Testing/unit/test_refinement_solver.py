"""The solver finds known maps on awkward grids, tells where it failed, and does not fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib.errors import Cancelled
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.refinement import solver
from DeepRegLib.refinement.fold_repair import relative_volume, repair_folds
from DeepRegLib.refinement.frame_grid import FrameGrid
from DeepRegLib.refinement.lattice import Lattice
from DeepRegLib.refinement.level_images import level_images
from DeepRegLib.refinement.problem import Problem, signed_distance
from DeepRegLib.refinement.settings import settings_for
from DeepRegLib.refinement.solver import Watch, solve
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from registration_cases import (
    CENTRE,
    analytic_pair,
    grid_around,
    phantom,
    problem_of,
    stored_otherwise,
    turned,
)
from scipy.spatial.transform import Rotation

SAME_MM = 0.05
"""Another presentation of the same pair moves the samples of the pyramid by rounding alone."""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def solved(problem: Problem) -> DisplacementField:
    """The deformable part on the fixed grid."""
    solution = solve(problem, settings_for("balanced", lungs=True))
    return solution.lattice.deformation(problem, problem.fixed.geometry)


def test_a_known_deformation_is_found_on_oblique_left_handed_grids_with_different_axes() -> None:
    pair = analytic_pair()
    points = pair.points_inside()
    field = solved(problem_of(pair.fixed, pair.moving, pair.mask))
    errors = np.linalg.norm(field.map_points(points) - pair.truth(points), axis=1)
    assert np.linalg.norm(pair.truth(points) - points, axis=1).mean() > 3
    assert errors.mean() < 0.3 * min(pair.fixed.geometry.spacing)
    assert np.percentile(errors, 95) < 0.6 * min(pair.fixed.geometry.spacing)


def test_a_deformation_on_top_of_a_linear_map_is_found() -> None:
    # The moving patient lies elsewhere; the linear map says where, and d is what is left in the fixed frame.
    pair = analytic_pair()
    rotation = Rotation.from_euler("xyz", [25, 40, -30], degrees=True).as_matrix()
    shift = np.array([60.0, -35.0, 80.0])
    moving = Volume(pair.moving.array, turned(pair.moving.geometry, rotation, CENTRE, shift))
    linear = LinearTransform(rotation, CENTRE + shift - rotation @ CENTRE)
    points = pair.points_inside()
    field = solved(problem_of(pair.fixed, moving, pair.mask, linear))
    errors = np.linalg.norm(field.map_points(points) - pair.truth(points), axis=1)
    assert errors.mean() < 0.3 * min(pair.fixed.geometry.spacing)


def test_a_pair_on_a_turned_table_gets_the_turned_field() -> None:
    pair = analytic_pair()
    rotation = Rotation.from_euler("xyz", [70, 20, -130], degrees=True).as_matrix()
    shift = np.array([5.0, 6.0, 7.0])
    fixed, moving, mask = (
        Volume(volume.array, turned(volume.geometry, rotation, CENTRE, shift))
        for volume in (pair.fixed, pair.moving, pair.mask)
    )
    plain, of_turned = solved(problem_of(pair.fixed, pair.moving, pair.mask)), solved(problem_of(fixed, moving, mask))
    assert np.abs(of_turned.array - plain.array @ rotation.T).max() < SAME_MM


def test_the_same_voxels_stored_in_another_order_give_the_same_field() -> None:
    pair = analytic_pair()
    fixed, mask = (stored_otherwise(volume, (2, 0, 1), backwards=(1,)) for volume in (pair.fixed, pair.mask))
    moving = stored_otherwise(pair.moving, (1, 2, 0), backwards=(0, 2))
    points = pair.points_inside()
    plain = solved(problem_of(pair.fixed, pair.moving, pair.mask))
    otherwise = solved(problem_of(fixed, moving, mask))
    assert np.linalg.norm(otherwise.at(points) - plain.at(points), axis=1).max() < SAME_MM


def test_brightness_and_contrast_do_not_matter_outside_lungs() -> None:
    pair = analytic_pair()
    problem = problem_of(pair.fixed, pair.moving, pair.mask)
    brighter = replace(problem, moving_intensity=lambda values: 1.3 * values + 150)
    settings = replace(settings_for("balanced", lungs=False), contrast_floor=0.01)
    points = pair.points_inside()
    plain, other = (
        solve(p, settings).lattice.deformation(p, pair.fixed.geometry).at(points)
        for p in (replace(problem, moving_intensity=lambda values: values), brighter)
    )
    assert np.linalg.norm(other - plain, axis=1).mean() < SAME_MM


@pytest.mark.parametrize("stored", ["as it lies", "in another order"])
def test_another_contrast_is_matched_by_structure_however_the_image_is_stored(stored: str) -> None:
    pair = analytic_pair()
    inverted = Volume(-1100 - pair.moving.array, pair.moving.geometry)
    moving = inverted if stored == "as it lies" else stored_otherwise(inverted, (1, 2, 0), (0,))
    problem = replace(
        problem_of(pair.fixed, moving, pair.mask),
        contrast="other",
        fixed_intensity=lambda values: values,
        moving_intensity=lambda values: values,
    )
    solution = solve(problem, settings_for("balanced", lungs=False))
    points = pair.points_inside()
    field = solution.lattice.deformation(problem, pair.fixed.geometry)
    errors = np.linalg.norm(field.map_points(points) - pair.truth(points), axis=1)
    assert errors.mean() < 0.4 * min(pair.fixed.geometry.spacing)


def test_lobes_that_were_lost_are_brought_back_by_the_rescue_start() -> None:
    pair = phantom(0.0, seed=2, difficulty="hard")
    problem = problem_of(pair.fixed, pair.moving, linear=pair.motion.table)
    settings = settings_for("fast", lungs=True)
    errors = {}
    for name, own in (("with", settings), ("without", replace(settings, rescue=()))):
        solution = solve(problem, own)
        field = solution.lattice.deformation(problem, pair.fixed.geometry)
        mapped = problem.linear.map_points(field.map_points(pair.fixed_landmarks))
        errors[name] = np.linalg.norm(mapped - pair.moving_landmarks, axis=1).mean(), solution
    (rescued, solution), (plain, alone) = errors["with"], errors["without"]
    assert [c.name for c in alone.candidates] == ["zero"]
    assert [c.name for c in solution.candidates] == ["zero", "organ border"]
    assert solution.candidates[1].match.lost < solution.candidates[0].match.lost
    assert solution.chosen == "organ border"
    assert rescued < plain


def test_a_good_proposal_does_not_keep_the_solver_from_its_own_rescue_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a network's start is never the reason for a result that the solver alone would beat."""
    pair = phantom(0.0, seed=2, difficulty="hard")
    problem = problem_of(pair.fixed, pair.moving, linear=pair.motion.table)
    geometry = pair.fixed.geometry.with_spacing((4.0,) * 3)
    points = geometry.points().reshape(-1, 3)
    exact = pair.motion.table.inverse().map_points(pair.motion.map_points(points)) - points
    field = DisplacementField(exact.reshape(*geometry.shape, 3).astype(np.float32), geometry)
    settings = settings_for("fast", lungs=True)
    zero, proposed, _ = (c.match.lost for c in solve(problem, settings, [("exact", field)]).candidates)
    assert proposed < zero
    monkeypatch.setattr(solver, "RESCUE_SHARE", (proposed + zero) / 2)  # the proposal itself lost too little
    solution = solve(problem, settings, [("exact", field)])
    assert [c.name for c in solution.candidates] == ["zero", "exact", "organ border"]


@pytest.mark.parametrize(("slice_mm", "channels"), [(3.0, 2), (5.0, 1)])
def test_thick_slices_leave_no_inside_that_is_free_of_the_wall(slice_mm: float, channels: int) -> None:
    pair = analytic_pair()
    geometry = pair.moving.geometry
    thick = Geometry(geometry.size, (1.7, 1.8, slice_mm), geometry.origin, geometry.direction)
    problem = problem_of(pair.fixed, Volume(pair.moving.array, thick), pair.mask)
    settings = settings_for("accurate", lungs=True)
    images = level_images(problem, settings, settings.levels[-1])
    assert len(images.fixed) == len(images.moving) == len(images.weights) == len(images.robust) == channels


def test_a_sound_pair_needs_no_rescue_and_no_organs() -> None:
    pair = analytic_pair()

    def asked() -> None:
        pytest.fail("the organs were looked for")

    problem = replace(problem_of(pair.fixed, pair.moving, pair.mask), find_organs=asked)
    solution = solve(problem, settings_for("fast", lungs=True))
    assert solution.chosen == "zero"
    assert solution.candidates[0].match.mean > 0.9


def test_cancel_is_asked_at_every_update() -> None:
    pair = analytic_pair()
    problem = problem_of(pair.fixed, pair.moving, pair.mask)
    seen: list[float] = []
    solve(problem, settings_for("fast", lungs=True), watch=Watch(seen.append))
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] <= 1
    answers = iter([False] * 5 + [True])
    with pytest.raises(Cancelled):
        solve(problem, settings_for("fast", lungs=True), watch=Watch(cancelled=lambda: next(answers)))
    assert next(answers, None) is None


def lattice_with_a_pinch(strength: float) -> tuple[Lattice, Problem]:
    """u = -strength (s - c) exp(-|s - c|^2 / 2 sigma^2): folds at c for strengths above 1."""
    pair = analytic_pair()
    problem = problem_of(pair.fixed, pair.moving, pair.mask)
    grid = problem.box.covering(3.0)
    points = grid.points(torch.device("cpu"))
    middle = points[:, *(n // 2 for n in grid.shape)]
    away = points - middle.view(3, 1, 1, 1)
    away_in_moving = torch.einsum("ij,jzyx->izyx", torch.tensor(problem.affine[0]).float(), away)
    return Lattice(-strength * away_in_moving * torch.exp(-(away**2).sum(0) / (2 * 7.0**2)), grid), problem


def test_folds_are_removed_and_far_away_nothing_changes() -> None:
    lattice, problem = lattice_with_a_pinch(2.5)
    looked_at = problem.box.covering(2.0)
    near = problem.region_on(looked_at) > 0
    assert relative_volume(lattice, problem, looked_at)[near].min() < -0.1
    repaired, share = repair_folds(lattice, problem, 2.0)
    assert relative_volume(repaired, problem, looked_at)[near].min() > 0
    assert 0 < share < 0.2
    points = lattice.grid.points(torch.device("cpu"))
    middle = points[:, *(n // 2 for n in lattice.grid.shape)].view(3, 1, 1, 1)
    far = (points - middle).norm(dim=0) > 28
    assert far.float().mean() > 0.3
    assert torch.equal(repaired.coefficients[:, far], lattice.coefficients[:, far])
    assert not torch.equal(repaired.coefficients, lattice.coefficients)


def test_a_field_that_does_not_fold_is_left_as_it_is() -> None:
    lattice, problem = lattice_with_a_pinch(0.5)
    repaired, share = repair_folds(lattice, problem, 2.0)
    assert share == 0
    assert torch.equal(repaired.coefficients, lattice.coefficients)


@pytest.mark.parametrize("strength", [0.5, 2.5])
def test_the_relative_volume_is_the_jacobian_determinant_of_sitk(strength: float) -> None:
    lattice, problem = lattice_with_a_pinch(strength)
    problem = replace(problem, linear=LinearTransform(np.diag([1.1, 0.9, 1.2]) @ np.eye(3), [3.0, 2.0, 1.0]))
    fixed = problem.fixed.geometry
    ours = relative_volume(lattice, problem, FrameGrid.of(fixed)).numpy()
    field = lattice.deformation(problem, fixed)
    # SimpleITK's filter knows no direction: it gets the components along the grid axes.
    along_axes = sitk.GetImageFromArray((field.array @ fixed.axes).astype(np.float64), isVector=True)
    along_axes.SetSpacing(fixed.spacing)
    truth = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(along_axes))
    inner = (slice(1, -1),) * 3
    assert truth[inner].std() > 0.02
    assert np.abs(ours - truth)[inner].max() < 2e-3


def test_a_proposal_on_any_grid_becomes_the_same_displacements_of_the_lattice() -> None:
    pair = analytic_pair()
    rotation = Rotation.from_euler("xyz", [4, -7, 12], degrees=True).as_matrix()
    linear = LinearTransform(rotation, CENTRE - rotation @ CENTRE + [2.0, -3.0, 1.0])
    problem = problem_of(pair.fixed, pair.moving, pair.mask, linear)
    coarse = grid_around((26, 24, 22), (4.0, 5.0, 4.5), Rotation.from_euler("z", 33, degrees=True).as_matrix())
    points = coarse.points()
    proposal = DisplacementField((pair.truth(points) - points).astype(np.float32), coarse)
    lattice = Lattice.from_field(proposal, problem, problem.box.covering(3.0))
    inside = pair.points_inside()
    back = lattice.deformation(problem, pair.fixed.geometry)
    # A cubic B-spline with samples as coefficients smooths a little; waves of 90 mm on a lattice of 3 mm hardly.
    assert np.linalg.norm(back.at(inside) - proposal.at(inside), axis=1).max() < 0.1


def test_the_distance_to_the_border_is_in_mm_positive_inside_and_not_counted_from_the_end_of_the_image() -> None:
    geometry = Geometry((30, 30, 30), (4.0, 4.0, 4.0), (5.0, 6.0, 7.0))
    half = Volume(geometry.points()[..., 0] < geometry.centre[0], geometry)
    region = problem_of(half, half, half).region
    distance = signed_distance(region)
    border = geometry.origin[0] + 14.5 * 4.0
    expected = border - distance.geometry.points()[..., 0]
    assert np.abs(distance.array - expected).max() <= 2.0 + 1e-3  # a border between two voxels


def test_settings_grow_finer_with_quality() -> None:
    for lungs in (True, False):
        finest = [settings_for(quality, lungs).levels[-1].spacing for quality in ("fast", "balanced", "accurate")]
        assert finest == sorted(finest, reverse=True)
        assert len(set(finest)) == 3
