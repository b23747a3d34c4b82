"""What a registration gives: warped images, the inverse, and files that other programs understand."""

from __future__ import annotations

import csv
import errno
import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import files
from DeepRegLib.errors import OutputProblem
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.result import Registration
from registration_cases import analytic_pair, analytic_registration, fresh, phantom, phantom_registration

ROUNDING_HU = 0.51
ROUND_TRIP_MM = 0.05
NAMES = ["evidence.json", "inverse.h5", "landmark_errors.csv", "report.html", "transform.h5", "warped.nii.gz"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Registration, dict[str, Path]]:
    registration = fresh(phantom_registration())
    return registration, registration.save(tmp_path_factory.mktemp("result") / "of" / "phantom")


def resampled(moving: Volume, like: Volume, transform: sitk.Transform, interpolator=sitk.sitkLinear) -> np.ndarray:
    outside = max(float(moving.array.min()), -1024.0)
    image = sitk.Cast(moving.to_sitk(), sitk.sitkFloat64)
    return sitk.GetArrayFromImage(sitk.Resample(image, like.to_sitk(), transform, interpolator, outside))


def test_the_warped_image_is_that_of_sitk() -> None:
    registration = phantom_registration()
    truth = resampled(registration.moving, registration.fixed, registration.transform.to_sitk_transform())
    assert registration.warped.geometry == registration.fixed.geometry
    assert registration.warped.array.dtype == np.int16
    assert np.abs(registration.warped.array - truth).max() < 1.0


def test_other_images_of_the_moving_side_are_warped_from_any_source(tmp_path: Path) -> None:
    registration = phantom_registration()
    dose = Volume((registration.moving.array * 0.01 + 20).astype(np.float32), registration.moving.geometry)
    truth = resampled(dose, registration.fixed, registration.transform.to_sitk_transform())
    path = write_volume(dose, tmp_path / "dose.nrrd")
    for source in (dose, dose.to_sitk(), path, str(path)):
        warped = registration.warp(source)
        assert isinstance(warped, Volume)
        assert np.abs(warped.array - truth).max() < 1e-3


def test_label_maps_are_warped_to_the_nearest_label() -> None:
    pair, registration = phantom(), phantom_registration()
    labels = Volume((pair.moving_mask.array * 7).astype(np.uint8), pair.moving.geometry)
    warped = registration.warp(labels, "nearest")
    assert isinstance(warped, Volume)
    truth = resampled(labels, registration.fixed, registration.transform.to_sitk_transform(), sitk.sitkNearestNeighbor)
    assert set(np.unique(warped.array)) == {0, 7}
    assert (warped.array != np.maximum(truth, 0)).mean() < 1e-3  # ties
    dice = 2 * ((warped.array > 0) & (pair.fixed_mask.array > 0)).sum()
    dice /= (warped.array > 0).sum() + (pair.fixed_mask.array > 0).sum()
    assert dice > 0.9


def test_points_and_landmarks_of_the_fixed_side_go_forward() -> None:
    pair, registration = phantom(), phantom_registration()
    itk = registration.transform.to_sitk_transform()
    truth = np.array([itk.TransformPoint(point) for point in pair.fixed_landmarks.tolist()])
    points = registration.warp(pair.fixed_landmarks)
    assert isinstance(points, np.ndarray)
    assert np.abs(points - truth).max() < 1e-3
    assert registration.warp(pair.fixed_landmarks.reshape(2, -1, 3)).shape == (2, len(truth) // 2, 3)
    named = Landmarks(pair.fixed_landmarks[:3], ("carina", "hilum", "apex"), "reader 1")
    carried = registration.warp(named)
    assert isinstance(carried, Landmarks)
    assert carried.labels == named.labels
    assert np.abs(carried.points - truth[:3]).max() < 1e-3


def test_landmark_errors_are_distances_after_the_forward_map() -> None:
    pair, registration = phantom(), phantom_registration()
    errors = registration.landmark_errors()
    truth = np.linalg.norm(registration.transform.map_points(pair.fixed_landmarks) - pair.moving_landmarks, axis=1)
    assert errors == pytest.approx(truth)


def test_the_inverse_takes_every_point_of_the_moving_region_back_and_forth() -> None:
    pair, registration = phantom(), phantom_registration()
    inverse = registration.inverse()
    points = pair.moving.geometry.points()[pair.moving_mask.array > 0]
    back = registration.transform.map_points(inverse.map_points(points))
    assert np.linalg.norm(back - points, axis=1).max() < ROUND_TRIP_MM
    assert registration.inverse() is inverse


def test_the_inverse_is_good_between_its_voxels_too() -> None:
    registration, points = analytic_registration(), analytic_pair().points_inside()
    there = registration.transform.map_points(points)
    back = registration.inverse().map_points(there)
    assert np.linalg.norm(there - points, axis=1).mean() > 3
    assert np.linalg.norm(back - points, axis=1).max() < ROUND_TRIP_MM


def test_the_inverse_of_a_fine_scan_is_kept_on_coarser_voxels_over_the_same_extent() -> None:
    registration = analytic_registration()
    moving, inverse = registration.moving.geometry, registration.inverse().geometry
    assert min(inverse.spacing) >= 0.9 * 2.0
    assert inverse.direction == moving.direction
    for edges in ((-0.5,) * 3,):
        assert inverse.to_physical(np.array(edges)) == pytest.approx(moving.to_physical(np.array(edges)))


def test_saving_writes_all_files_and_nothing_else(saved: tuple[Registration, dict[str, Path]]) -> None:
    _, paths = saved
    folder = paths["evidence"].parent
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert {path.parent for path in paths.values()} == {folder}
    assert set(paths) == {"transform", "inverse", "warped", "landmark_errors", "report", "evidence"}


def test_without_landmarks_there_is_no_file_of_their_errors(tmp_path: Path) -> None:
    paths = analytic_registration().save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in NAMES if "landmark" not in name]
    assert "landmark_errors" not in paths


def test_the_transform_file_warps_in_sitk_to_the_warped_file(saved: tuple[Registration, dict[str, Path]]) -> None:
    registration, paths = saved
    transform = sitk.ReadTransform(str(paths["transform"]))
    warped = sitk.ReadImage(str(paths["warped"]))
    truth = resampled(registration.moving, registration.fixed, transform)
    assert np.abs(sitk.GetArrayFromImage(warped) - truth).max() < 1.0
    assert warped.GetPixelID() == sitk.sitkInt16
    assert np.array(warped.GetDirection()) == pytest.approx(registration.fixed.geometry.direction, abs=1e-6)


def test_the_transform_files_take_landmarks_there_and_back(saved: tuple[Registration, dict[str, Path]]) -> None:
    registration, paths = saved
    transform, inverse = (sitk.ReadTransform(str(paths[name])) for name in ("transform", "inverse"))
    for point in phantom().fixed_landmarks.tolist():
        there = transform.TransformPoint(point)
        assert np.abs(there - registration.transform.map_points(np.array(point))).max() < 0.01
        # The inverse is interpolated between voxels of 5 mm.
        assert np.linalg.norm(np.array(inverse.TransformPoint(there)) - point) < 0.5


def test_the_table_of_landmark_errors_holds_points_and_distances(saved: tuple[Registration, dict[str, Path]]) -> None:
    _, paths = saved
    pair = phantom()
    with paths["landmark_errors"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(pair.fixed_landmarks)

    def column(side: str) -> np.ndarray:
        return np.array([[float(row[f"{side}_{axis}"]) for axis in "xyz"] for row in rows])

    assert column("fixed") == pytest.approx(pair.fixed_landmarks, abs=1e-3)
    assert column("moving") == pytest.approx(pair.moving_landmarks, abs=1e-3)
    before, after = (np.array([float(row[name]) for row in rows]) for name in ("before_mm", "after_mm"))
    assert before == pytest.approx(np.linalg.norm(column("fixed") - column("moving"), axis=1), abs=3e-3)
    assert after == pytest.approx(np.linalg.norm(column("mapped") - column("moving"), axis=1), abs=3e-3)


def test_the_written_evidence_has_all_times_and_numbers(saved: tuple[Registration, dict[str, Path]]) -> None:
    registration, paths = saved

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    evidence = json.loads(paths["evidence"].read_text(encoding="utf-8"), parse_constant=refuse)
    assert evidence == json.loads(json.dumps(registration.evidence))
    stages = ("read", "region", "prealign", "propose", "refine", "evaluate", "report", "write")
    assert set(evidence["seconds"]) == {*stages, "total"}
    assert all(evidence["seconds"][stage] >= 0 for stage in stages)
    assert evidence["seconds"]["total"] >= 0.99 * sum(evidence["seconds"][stage] for stage in stages) - 0.01
    assert evidence["peak_memory_mb"] > 50


def test_the_report_is_one_page_about_this_pair(saved: tuple[Registration, dict[str, Path]]) -> None:
    registration, paths = saved
    html = paths["report"].read_text(encoding="utf-8")
    assert html.lstrip().lower().startswith("<!doctype html")
    assert f"{registration.evidence['landmarks']['after']['mean_mm']:.2f}" in html


def test_saving_twice_replaces_the_files(tmp_path: Path) -> None:
    registration = fresh(analytic_registration())
    registration.save(tmp_path)
    (tmp_path / "evidence.json").write_text("old")
    total = registration.evidence["seconds"]["write"]
    registration.save(tmp_path)
    assert json.loads((tmp_path / "evidence.json").read_text())["schema"] == 1
    assert total >= 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_made_is_an_output_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputProblem, match="cannot be written") as caught:
        fresh(phantom_registration()).save(tmp_path / "file" / "result")
    assert caught.value.hint


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(OutputProblem, match="MB are free"):
        fresh(phantom_registration()).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full_at", range(1, 5))
def test_a_disk_that_fills_up_leaves_no_half_of_a_file(
    full_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, calls = files._flush, []

    def full(path: Path) -> None:
        calls.append(path)
        if len(calls) == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(OutputProblem, match="No space left"):
        fresh(phantom_registration()).save(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= set(NAMES)
    assert len(left) == full_at - 1
    assert "evidence.json" not in left  # it is the last: where it is, the result is whole
