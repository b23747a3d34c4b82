"""Everything that can be wrong with the input is refused with its own error, in a sentence, before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import registration as module
from DeepRegLib.errors import BadInput, BadLandmarks, BadMask, DeepRegError, NoOverlap
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from registration_cases import analytic_pair, analytic_registration, phantom

PAIR = analytic_pair()


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which anything is computed."""

    def worked(*_: object, **__: object) -> None:
        pytest.fail("work was begun")

    for name in ("find_region", "values_inside", "prealigned", "solve"):
        monkeypatch.setattr(module, name, worked)


def refused(kind: type[DeepRegError], words: str, **options: Any) -> DeepRegError:
    """The error of exactly this kind, a sentence that holds ``words`` and nothing a clinician cannot read."""
    with pytest.raises(kind, match=words) as caught:
        analytic_registration(**options)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert message[0].isupper() or message[0] in "'0123456789"
    assert message.rstrip().endswith((".", "?"))
    assert "Traceback" not in message and "itk::" not in message
    return caught.value


def with_voxel(value: float) -> Volume:
    array = PAIR.moving.array.astype(np.float32)
    array[5, 6, 7] = value
    return dataclasses.replace(PAIR.moving, array=array)


@pytest.mark.parametrize("role", ["fixed", "moving", "fixed_mask", "moving_mask"])
def test_a_file_that_is_not_there(no_work: None, tmp_path: Path, role: str) -> None:
    refused(BadInput, "no file .*scan.nii.gz", **{role: tmp_path / "scan.nii.gz"})


@pytest.mark.parametrize("name", ["notes.txt", "scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha"])
def test_a_text_file_by_any_name(no_work: None, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Patient breathes well.\n" * 30)
    refused(BadInput, f"'{name}' cannot be read", moving=path)


def test_an_empty_folder(no_work: None, tmp_path: Path) -> None:
    refused(BadInput, "holds no DICOM", fixed=tmp_path)


def test_a_scan_with_a_time_axis(no_work: None, tmp_path: Path) -> None:
    four = sitk.JoinSeries([PAIR.fixed.to_sitk()] * 3)
    path = tmp_path / "4dct.nii.gz"
    sitk.WriteImage(four, str(path))
    refused(BadInput, "4 dimensions", fixed=path)
    refused(BadInput, "4 dimensions", fixed=four)


def test_a_picture_in_colour(no_work: None, tmp_path: Path) -> None:
    grey = sitk.Cast(PAIR.fixed.to_sitk(), sitk.sitkUInt8)
    colour = sitk.Compose(grey, grey, grey)
    path = tmp_path / "colour.mha"
    sitk.WriteImage(colour, str(path))
    refused(BadInput, "3 values per voxel", moving=path)
    refused(BadInput, "3 values per voxel", moving=colour)


def test_a_single_slice(no_work: None, tmp_path: Path) -> None:
    flat = sitk.GetImageFromArray(PAIR.fixed.array[10])
    path = tmp_path / "slice.mha"
    sitk.WriteImage(flat, str(path))
    refused(BadInput, "single slice", fixed=path)
    refused(BadInput, "single slice", fixed=flat, moving=flat, fixed_mask=None)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_voxels_that_are_no_numbers(no_work: None, tmp_path: Path, value: float, words: str) -> None:
    refused(BadInput, words, moving=with_voxel(value))
    refused(BadInput, words, moving=write_volume(with_voxel(value), tmp_path / "scan.nrrd"))


def test_an_image_of_nothing(no_work: None) -> None:
    nothing = dataclasses.replace(PAIR.fixed, array=np.full_like(PAIR.fixed.array, -1024))
    refused(BadInput, "same value -1024", fixed=nothing)


def test_too_few_voxels(no_work: None) -> None:
    few = Volume(PAIR.moving.array[:15], dataclasses.replace(PAIR.moving.geometry, size=(56, 58, 15)))
    refused(BadInput, "at least 16", moving=few)


def header_with(tmp_path: Path, line: str, replacement: str) -> Path:
    """A MetaImage whose header was tampered with."""
    path = tmp_path / "scan.mha"
    sitk.WriteImage(PAIR.moving.to_sitk(), str(path), useCompression=False)
    header, mark, voxels = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert mark
    lines = [replacement if part.startswith(line) else part for part in header.decode().splitlines()]
    assert replacement in lines
    path.write_bytes("\n".join(lines).encode() + b"\n" + mark + voxels)
    return path


@pytest.mark.parametrize("spacing", ["0 1 1", "1e-7 1 1", "1 1 4000"])
def test_absurd_voxel_spacing(no_work: None, tmp_path: Path, spacing: str) -> None:
    refused(BadInput, "spacing", moving=header_with(tmp_path, "ElementSpacing", f"ElementSpacing = {spacing}"))


def test_a_singular_direction(no_work: None, tmp_path: Path) -> None:
    path = header_with(tmp_path, "TransformMatrix", "TransformMatrix = 1 0 0 1 0 0 0 0 1")
    refused(BadInput, "direction", moving=path)


def test_a_file_that_was_cut_off(no_work: None, tmp_path: Path) -> None:
    path = write_volume(PAIR.fixed, tmp_path / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[:-5000])
    refused(BadInput, "incomplete|damaged", fixed=path)


@pytest.mark.parametrize("role", ["fixed_mask", "moving_mask"])
def test_an_empty_mask(no_work: None, role: str) -> None:
    like = PAIR.fixed if role == "fixed_mask" else PAIR.moving
    empty = Volume(np.zeros(like.array.shape, np.uint8), like.geometry, "lungs.nii.gz")
    refused(BadMask, r"'lungs\.nii\.gz' is empty", **{role: empty})


def test_a_mask_of_somewhere_else(no_work: None) -> None:
    far = Volume(PAIR.mask.array, dataclasses.replace(PAIR.mask.geometry, origin=(900.0, 900.0, 900.0)))
    refused(BadMask, "does not meet the image", fixed_mask=far)


def landmark_files(folder: Path, change: Callable[[list[str]], list[str]] = lambda lines: lines) -> dict[str, Path]:
    """Both files, that of the moving image with its lines changed."""
    folder.mkdir(exist_ok=True)
    fixed, moving = PAIR.landmarks()
    paths = {
        "fixed_landmarks": write_landmarks(folder / "fixed.csv", fixed),
        "moving_landmarks": write_landmarks(folder / "moving.csv", moving),
    }
    lines = change(paths["moving_landmarks"].read_text().splitlines())
    paths["moving_landmarks"].write_text("\n".join(lines) + "\n")
    return paths


def test_landmark_files_of_unequal_length(no_work: None, tmp_path: Path) -> None:
    refused(BadLandmarks, "each needs its partner", **landmark_files(tmp_path, lambda lines: lines[:-1]))


def test_landmark_files_with_wrong_columns(no_work: None, tmp_path: Path) -> None:
    refused(BadLandmarks, "no columns x, y, z", **landmark_files(tmp_path, lambda lines: ["a,b,c,d", *lines[1:]]))


def test_landmarks_that_are_no_numbers(no_work: None, tmp_path: Path) -> None:
    refused(BadLandmarks, "Row 1 .*three numbers", **landmark_files(tmp_path, lambda lines: [lines[0], "1,a,b,c"]))


def test_landmarks_outside_their_image(no_work: None, tmp_path: Path) -> None:
    paths = landmark_files(tmp_path, lambda lines: [*lines[:-1], "last,4000,0,0"])
    refused(BadLandmarks, "outside the moving image", **paths)


def test_a_landmark_file_that_is_not_there_or_empty_or_of_another_kind(no_work: None, tmp_path: Path) -> None:
    paths = landmark_files(tmp_path)
    refused(BadLandmarks, "no landmark file", **paths | {"fixed_landmarks": tmp_path / "none.csv"})
    (tmp_path / "empty.csv").write_text("")
    refused(BadLandmarks, "no columns", **paths | {"fixed_landmarks": tmp_path / "empty.csv"})
    (tmp_path / "header.csv").write_text("label,x,y,z\n")
    refused(BadLandmarks, "no landmarks", **paths | {"fixed_landmarks": tmp_path / "header.csv"})
    (tmp_path / "points.xlsx").write_text("x")
    refused(BadLandmarks, "xlsx", **paths | {"fixed_landmarks": tmp_path / "points.xlsx"})


@pytest.mark.parametrize("missing", ["fixed", "moving"])
def test_landmarks_of_one_image_only(no_work: None, missing: str) -> None:
    fixed, moving = PAIR.landmarks()
    given = {"fixed_landmarks": fixed, "moving_landmarks": moving, f"{missing}_landmarks": None}
    refused(BadLandmarks, f"{missing} image are missing", **given)


def test_landmarks_in_voxels_or_ras_get_a_hint(no_work: None) -> None:
    fixed, moving = PAIR.landmarks()
    mirrored = Landmarks(fixed.points * (-1, -1, 1))
    error = refused(BadLandmarks, "outside the fixed image", fixed_landmarks=mirrored, moving_landmarks=moving)
    assert "RAS" in error.hint


@pytest.mark.parametrize(
    ("option", "words"),
    [("method", "There is no method 'best'"), ("quality", "no quality 'best'"), ("device", "no device 'best'")],
)
def test_unknown_choices_are_answered_with_those_there_are(no_work: None, option: str, words: str) -> None:
    error = refused(BadInput, words, **{option: "best"})
    assert "Available: " in str(error)


def test_images_that_share_nothing() -> None:
    crumb = Volume(phantom().moving.array[20:36, 20:36, 20:36], Geometry((16, 16, 16)))
    refused(NoOverlap, "too little of the same anatomy", fixed=phantom().fixed, fixed_mask=None, moving=crumb)
