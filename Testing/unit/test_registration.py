"""The one way through: how exact it is, that every door gives the same field, and what the evidence says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.refinement.frame_grid import FrameGrid
from DeepRegLib.refinement.settings import QUALITIES, settings_for
from DeepRegLib.refinement.solver import MOST_SAMPLES, fitted
from DeepRegLib.registration import FINEST_FIELD_MM, MOST_FIELD_VOXELS, field_geometry, register
from registration_cases import (
    QUICKLY,
    analytic_pair,
    analytic_registration,
    phantom,
    phantom_landmarks,
    phantom_registration,
    problem_of,
    stored_otherwise,
)

EXACT_MM = 0.01
"""One pair gives the same field to this, whichever door it came in by."""


def mean_after(evidence: dict) -> float:
    return evidence["landmarks"]["after"]["mean_mm"]


@pytest.mark.parametrize("quality", QUALITIES)
def test_landmarks_of_an_oblique_phantom_meet_within_a_third_of_a_voxel(quality: str) -> None:
    pair = phantom()
    if quality == "fast":
        registration = phantom_registration()
    else:
        options = QUICKLY | {"quality": quality} | phantom_landmarks(pair)
        registration = register(pair.fixed, pair.moving, **options)
    errors = np.linalg.norm(registration.transform.map_points(pair.fixed_landmarks) - pair.moving_landmarks, axis=1)
    voxel = float(np.mean(pair.fixed.geometry.spacing))
    assert np.linalg.norm(pair.fixed_landmarks - pair.moving_landmarks, axis=1).mean() > 10
    assert errors.mean() < voxel / 3
    assert mean_after(registration.evidence) == pytest.approx(errors.mean())
    assert registration.evidence["folding_percent"] == 0
    assert registration.evidence["quality"] == quality


def test_the_field_is_the_true_one_in_the_lungs_not_only_at_landmarks() -> None:
    pair, registration = phantom(), phantom_registration()
    inside = pair.fixed_mask.array > 0
    points = pair.fixed.geometry.points()[inside]
    errors = np.linalg.norm(registration.transform.map_points(points) - pair.motion.map_points(points), axis=1)
    assert np.median(errors) < 0.35 * np.mean(pair.fixed.geometry.spacing)


def test_an_analytic_deformation_is_found_from_end_to_end() -> None:
    pair = analytic_pair()
    registration = analytic_registration(quality="accurate")
    points = pair.points_inside()
    errors = np.linalg.norm(registration.transform.map_points(points) - pair.truth(points), axis=1)
    assert errors.mean() < 0.35 * min(pair.fixed.geometry.spacing)
    assert registration.evidence["region"]["kind"] == "given"


def test_own_region_and_a_given_mask_are_about_as_good() -> None:
    pair = phantom()
    given = register(
        pair.fixed,
        pair.moving,
        fixed_mask=pair.fixed_mask,
        moving_mask=pair.moving_mask,
        **QUICKLY,
        **phantom_landmarks(pair),
    )
    own = phantom_registration()
    assert own.evidence["region"]["kind"] == "lungs"
    assert given.evidence["region"]["kind"] == "given"
    assert mean_after(given.evidence) < mean_after(own.evidence) + 0.3


def test_the_same_seed_and_threads_give_the_same_bits() -> None:
    first, second = (analytic_registration(seed=3) for _ in range(2))
    assert np.array_equal(first.transform.array, second.transform.array)
    assert first.evidence["seed"] == 3
    assert first.evidence["threads"] == 1


def test_another_number_of_threads_gives_the_same_field() -> None:
    one, two = (analytic_registration(threads=threads) for threads in (1, 2))
    assert np.abs(one.transform.array - two.transform.array).max() < EXACT_MM
    assert two.evidence["threads"] == 2


def test_files_and_sitk_images_give_what_volumes_give(tmp_path: Path) -> None:
    pair = analytic_pair()
    fixed_landmarks, moving_landmarks = pair.landmarks()
    named = {"fixed": pair.fixed, "moving": pair.moving, "fixed_mask": pair.mask}
    files = {name: write_volume(volume, tmp_path / f"{name}.nii.gz") for name, volume in named.items()}
    points = {"fixed_landmarks": fixed_landmarks, "moving_landmarks": moving_landmarks}
    point_files = {name: write_landmarks(tmp_path / f"{name}.csv", part) for name, part in points.items()}
    from_volumes = analytic_registration(**points)
    from_paths = analytic_registration(**files, **point_files)
    as_text = {name: str(path) for name, path in files.items()}
    from_text = analytic_registration(**as_text)
    from_sitk = analytic_registration(**{name: volume.to_sitk() for name, volume in named.items()})
    for other in (from_paths, from_text, from_sitk):
        # NIfTI keeps directions in single precision.
        assert np.abs(other.transform.array - from_volumes.transform.array).max() < EXACT_MM
    assert mean_after(from_paths.evidence) == pytest.approx(mean_after(from_volumes.evidence), abs=EXACT_MM)
    assert from_paths.evidence["fixed"]["name"] == "fixed.nii.gz"


def test_headers_with_other_axes_give_the_same_map() -> None:
    pair = analytic_pair()
    plain = analytic_registration()
    otherwise = analytic_registration(
        fixed=stored_otherwise(pair.fixed, (1, 2, 0), (2,)),
        fixed_mask=stored_otherwise(pair.mask, (1, 2, 0), (2,)),
        moving=stored_otherwise(pair.moving, (2, 0, 1), (0,)),
    )
    points = pair.points_inside()
    distance = np.linalg.norm(otherwise.transform.map_points(points) - plain.transform.map_points(points), axis=1)
    # The translation search starts from other samples, and fast ends before it has converged to less.
    assert distance.mean() < 0.15


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_around_the_view_of_the_scanner_changes_nothing(padding: int) -> None:
    pair = phantom()
    padded = []
    for volume in (pair.fixed, pair.moving):
        last = np.array(volume.array.shape).reshape(3, 1, 1, 1) - 1
        _, y, x = 2 * np.indices(volume.array.shape) / last - 1
        array = np.where(np.hypot(x, y) > 1, padding, volume.array).astype(np.int16)
        assert 0.15 < (array == padding).mean() < 0.3
        padded.append(Volume(array, volume.geometry, volume.name))
    registration = register(*padded, **QUICKLY, **phantom_landmarks(pair))
    plain = phantom_registration()
    assert mean_after(registration.evidence) == pytest.approx(mean_after(plain.evidence), abs=0.05)


def test_images_of_soft_tissue_are_registered_too() -> None:
    # The same texture as of an MR: other units, no lungs.
    pair = analytic_pair()
    fixed, moving = (
        Volume(((volume.array + 1200.0) * scale).astype(np.float32), volume.geometry)
        for volume, scale in ((pair.fixed, 0.8), (pair.moving, 1.1))
    )
    registration = analytic_registration(fixed=fixed, moving=moving)
    points = pair.points_inside()
    errors = np.linalg.norm(registration.transform.map_points(points) - pair.truth(points), axis=1)
    assert errors.mean() < 0.4 * min(pair.fixed.geometry.spacing)


def test_prealignment_and_field_together_are_the_transform() -> None:
    pair, registration = phantom(), phantom_registration()
    points = registration.fixed.geometry.points()[::3, ::3, ::3].reshape(-1, 3)
    together = registration.prealignment.map_points(registration.field.map_points(points))
    assert np.abs(together - registration.transform.map_points(points)).max() < 1e-3
    assert registration.field.geometry == registration.transform.geometry == pair.fixed.geometry


@pytest.mark.parametrize("which", ["field", "transform"])
def test_the_maps_are_those_of_an_itk_displacement_field(which: str) -> None:
    registration = phantom_registration()
    field = getattr(registration, which)
    image = sitk.GetImageFromArray(field.array.astype(np.float64), isVector=True)
    image.CopyInformation(registration.fixed.to_sitk())
    truth = sitk.DisplacementFieldTransform(image)
    size = np.array(registration.fixed.geometry.size)
    points = registration.fixed.geometry.to_physical(np.random.default_rng(0).uniform(0, 1, (300, 3)) * (size - 1))
    mapped = np.array([truth.TransformPoint(point) for point in points.tolist()])
    assert np.abs(mapped - field.map_points(points)).max() < 1e-3


def test_the_evidence_is_json_with_its_fixed_keys() -> None:
    evidence = phantom_registration().evidence
    again = json.loads(json.dumps(evidence, allow_nan=False))
    statistics = {"mean_mm", "sd_mm", "median_mm", "p95_mm", "max_mm"}
    for when in ("before", "after"):
        assert statistics <= set(again["landmarks"][when])
    assert {"read", "region", "prealign", "propose", "refine", "evaluate", "total"} <= set(again["seconds"])
    assert again["folding_percent"] == 0
    assert again["peak_memory_mb"] > 50
    assert again["device"] == "cpu"
    assert again["seed"] == 0
    assert {"torch", "SimpleITK", "numpy", "python"} <= set(again["software"])
    assert again["warnings"] == []
    assert again["method"] == "lucas-kanade"
    assert again["similarity"]["after"] > again["similarity"]["before"]
    assert again["start"]["candidates"][0]["name"] == "zero"


def test_evidence_about_landmarks_is_computed_from_the_points_themselves() -> None:
    pair, registration = phantom(), phantom_registration()
    record = registration.evidence["landmarks"]
    before = np.linalg.norm(pair.fixed_landmarks - pair.moving_landmarks, axis=1)
    assert record["count"] == len(before)
    assert record["before"]["mean_mm"] == pytest.approx(before.mean())
    assert record["before"]["sd_mm"] == pytest.approx(before.std(ddof=1))
    assert record["before"]["p95_mm"] == pytest.approx(np.percentile(before, 95))
    matrix, shift = (np.array(registration.evidence["prealignment"][key]) for key in ("matrix", "translation"))
    after_linear = np.linalg.norm(pair.fixed_landmarks @ matrix.T + shift - pair.moving_landmarks, axis=1)
    assert record["after_prealignment"]["max_mm"] == pytest.approx(after_linear.max())


def test_landmarks_are_measured_and_never_fitted() -> None:
    pair = analytic_pair()
    fixed, moving = pair.landmarks()
    wrong = Landmarks(moving.points[::-1])
    plain, with_landmarks = (
        analytic_registration(),
        analytic_registration(fixed_landmarks=fixed, moving_landmarks=wrong),
    )
    assert np.array_equal(plain.transform.array, with_landmarks.transform.array)
    assert "landmarks" not in plain.evidence
    assert plain.landmark_errors() is None


def test_the_field_of_a_small_image_lies_on_its_own_voxels() -> None:
    geometry = phantom().fixed.geometry
    assert field_geometry(geometry) is geometry


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.8), (0.35, 0.35, 0.6), (0.9, 0.9, 5.0)])
def test_the_field_of_a_large_image_fits_into_memory_and_covers_it(spacing: tuple) -> None:
    tilted = phantom().fixed.geometry.direction
    large = Geometry((512, 512, 400), spacing, (-180.0, 20.0, 1000.0), tilted)
    field = field_geometry(large)
    assert field.voxel_count <= MOST_FIELD_VOXELS
    assert field.direction == large.direction
    assert max(field.spacing[:2]) >= FINEST_FIELD_MM * 0.99
    # Same edges: half a voxel beyond the outermost centres.
    for end in (-0.5, 1.0):
        edges = [
            grid.to_physical(np.full(3, -0.5) if end < 0 else np.array(grid.size) - 0.5) for grid in (large, field)
        ]
        assert edges[0] == pytest.approx(edges[1])


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_levels_of_a_large_region_are_coarsened_until_they_fit(quality: str) -> None:
    large = Geometry((512, 512, 500), (0.9, 0.9, 1.0))
    voxels = np.broadcast_to(np.int16(-700), large.shape)  # takes no memory
    coarse = large.with_spacing((8.0, 8.0, 8.0))
    mask = Volume(np.ones(coarse.shape, bool), coarse)
    problem = problem_of(Volume(voxels, large), Volume(voxels, large), mask)
    for lungs in (True, False):
        settings = settings_for(quality, lungs)
        adapted = fitted(settings, problem)
        for level in (*adapted.levels, *adapted.rescue):
            assert np.prod(problem.box.covering(level.spacing).size) < 1.1 * MOST_SAMPLES
        assert adapted.levels[0] == settings.levels[0]
        assert len(adapted.levels) == len(settings.levels)


def test_the_levels_of_a_small_region_are_left_as_they_are() -> None:
    pair = analytic_pair()
    problem = problem_of(pair.fixed, pair.moving, pair.mask)
    assert np.prod(FrameGrid.of(pair.fixed.geometry).size) < MOST_SAMPLES
    assert fitted(settings_for("accurate", True), problem) == settings_for("accurate", True)
