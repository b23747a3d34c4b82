"""What a registration is given is read and checked as a whole before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from DeepRegLib import inputs as module
from DeepRegLib.errors import BadInput, BadLandmarks, OutOfMemory
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.inputs import BYTES_FOR_SOLVER, BYTES_PER_FIXED_VOXEL, check_memory, read_inputs
from registration_cases import analytic_pair, analytic_registration, stored_otherwise


def test_masks_come_on_the_grids_of_their_images_as_booleans() -> None:
    pair = analytic_pair()
    found = read_inputs(pair.fixed, pair.moving, pair.mask, pair.mask)
    assert found.fixed_mask is not None and found.moving_mask is not None
    assert found.fixed_mask.geometry == pair.fixed.geometry
    assert found.moving_mask.geometry == pair.moving.geometry
    assert found.fixed_mask.array.dtype == found.moving_mask.array.dtype == bool
    there, here = (v.geometry.points()[v.array].mean(0) for v in (found.moving_mask, found.fixed_mask))
    assert np.abs(there - here).max() < 0.5


def test_landmarks_are_read_from_files_or_taken_as_they_are(tmp_path: Path) -> None:
    pair = analytic_pair()
    fixed, moving = pair.landmarks()
    path = write_landmarks(tmp_path / "fixed.mrk.json", fixed)
    found = read_inputs(pair.fixed, pair.moving, fixed_landmarks=path, moving_landmarks=moving)
    assert found.fixed_landmarks is not None
    assert found.fixed_landmarks.points == pytest.approx(fixed.points)
    assert found.moving_landmarks is moving


def test_landmarks_of_another_kind_are_refused() -> None:
    pair = analytic_pair()
    points = pair.points_inside()
    with pytest.raises(BadInput, match="file or as Landmarks"):
        read_inputs(pair.fixed, pair.moving, fixed_landmarks=points, moving_landmarks=points)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["fixed", "moving"])
def test_landmarks_of_one_image_alone_are_refused_before_anything_is_read(given: str) -> None:
    points = Landmarks(np.zeros((1, 3)))
    other = "moving" if given == "fixed" else "fixed"
    with pytest.raises(BadLandmarks, match=f"those of the {other} image are missing"):
        read_inputs("nowhere.nii", "nowhere.nii", **{f"{given}_landmarks": points})


def large_scan() -> Volume:
    geometry = Geometry((512, 512, 400), (0.7, 0.7, 0.8))
    return Volume(np.broadcast_to(np.int16(0), geometry.shape), geometry)  # takes no memory


def test_a_scan_that_does_not_fit_into_the_free_memory_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "available_memory_bytes", lambda: 1_000_000_000)
    with pytest.raises(OutOfMemory, match=r"needs about 2\.0 GB.*1\.0 GB are free") as caught:
        check_memory(large_scan())
    assert caught.value.hint
    with pytest.raises(OutOfMemory):
        analytic_registration()


@pytest.mark.parametrize("free", [None, BYTES_FOR_SOLVER + BYTES_PER_FIXED_VOXEL * 512 * 512 * 400])
def test_a_scan_that_just_fits_and_one_on_a_silent_system_pass(
    free: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory_bytes", lambda: free)
    check_memory(large_scan())


def test_a_mask_drawn_on_another_grid_gives_nearly_the_same_field() -> None:
    pair = analytic_pair()
    geometry = pair.fixed.geometry.with_spacing((2.4, 2.4, 2.4))
    index = np.rint(pair.fixed.geometry.to_index(geometry.points())).astype(int)
    index = np.clip(index, 0, np.array(pair.fixed.geometry.size) - 1)
    coarse = Volume(pair.mask.array[index[..., 2], index[..., 1], index[..., 0]].astype(np.uint8), geometry)
    plain = analytic_registration()
    points = pair.points_inside()
    for mask, tolerance in ((coarse, 0.3), (stored_otherwise(pair.mask, (2, 0, 1), (0,)), 1e-6)):
        other = analytic_registration(fixed_mask=mask)
        distance = np.linalg.norm(other.transform.map_points(points) - plain.transform.map_points(points), axis=1)
        assert distance.mean() < tolerance
