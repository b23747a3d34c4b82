"""The sample pairs: their files are those of the elastix project, and what is loaded is a pair."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.datasets import sample_pairs
from DeepRegLib.datasets.sample_pairs import (
    LUNG_PAIR,
    PHANTOM_PAIR,
    SAMPLE_PAIRS,
    RemoteFile,
    SamplePair,
    load_sample_in_steps,
    missing_or_damaged,
)
from DeepRegLib.errors import BadInput
from DeepRegLib.phantom import make_phantom
from DeepRegLib.steps import finish

HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = {offset}
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing = 1.366 1.366 2.5
DimSize = {size}
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
"""Of the published scans. With the voxels of the shared copies it gives the very files: git knows them by these."""
GIT_IDS = {
    "fixed": "689abc699fb782c18df92af921c83a4470032f27",
    "moving": "69a58c5e0bb900d344be12f2a05eb49f00acd832",
}
PLACES = {"inside": (5.0, 6.0, 7.0), "above": (5.0, 6.0, 700.0), "also inside": (1.0, 2.0, 3.0)}


@pytest.fixture
def tiny_sample(tmp_path):
    """A sample of the same make, small and on disk: two noise images, masks, landmarks of which one is not seen."""
    noise = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    for role in ("fixed", "moving"):
        sitk.WriteImage(sitk.GetImageFromArray(noise), str(tmp_path / f"DeepReg-tiny-{role}.mha"))
        sitk.WriteImage(
            sitk.GetImageFromArray((noise > 0).astype(np.uint8)), str(tmp_path / f"DeepReg-tiny-{role}_mask.mha")
        )
        rows = "\n".join(" ".join(map(str, place)) for place in PLACES.values())
        (tmp_path / f"DeepReg-tiny-{role}_landmarks.txt").write_text(f"point\n{len(PLACES)}\n{rows}\n")
    files = tuple(
        RemoteFile(path.name, "https://example.org", hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in sorted(tmp_path.iterdir())
    )
    return SamplePair("tiny", "Tiny", "", "", "", files), tmp_path


@pytest.mark.parametrize("role", GIT_IDS)
def test_the_checksums_are_those_of_the_published_scans(data_folder, role):
    image = sitk.ReadImage(str(data_folder / "lung_followup" / f"{role}.mha"))
    offset, size = (" ".join(map(str, values)) for values in (image.GetOrigin(), image.GetSize()))
    header = HEADER.format(offset=offset, size=size)
    published = header.encode() + sitk.GetArrayFromImage(image).astype("<i2").tobytes()
    file = LUNG_PAIR.file(role)
    assert hashlib.sha1(b"blob %d\0" % len(published) + published).hexdigest() == GIT_IDS[role]
    assert (hashlib.sha256(published).hexdigest(), len(published)) == (file.sha256, file.size)


def test_addresses_are_pinned_and_names_do_not_meet_those_of_other_modules():
    names = [file.name for sample in SAMPLE_PAIRS for file in sample.files]
    assert len(set(names)) == len(names) == 6
    for file in LUNG_PAIR.files:
        assert re.fullmatch(
            r"https://raw\.githubusercontent\.com/SuperElastix/elastix/[0-9a-f]{40}/Testing/.+", file.url
        )
        assert file.name.startswith("DeepReg-") and re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_a_sample_is_loaded_with_the_landmarks_that_its_images_show(tiny_sample):
    sample, folder = tiny_sample
    pair = finish(load_sample_in_steps(sample, folder))
    assert (pair.name, pair.fixed.name, pair.moving.name) == ("Tiny", "tiny fixed", "tiny moving")
    assert pair.fixed_landmarks.points.tolist() == [list(PLACES["inside"]), list(PLACES["also inside"])]
    assert pair.moving_landmarks.labels == ("1", "3")
    assert pair.fixed_mask.array.dtype == bool


def test_files_that_are_missing_or_damaged_are_found_before_they_are_read(tiny_sample):
    sample, folder = tiny_sample
    assert missing_or_damaged(sample, folder) == []
    damaged, missing = (folder / sample.file(part).name for part in ("moving", "fixed_mask"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    missing.unlink()
    assert {file.name for file in missing_or_damaged(sample, folder)} == {damaged.name, missing.name}
    with pytest.raises(BadInput, match=r"'DeepReg-tiny-(fixed_mask|moving)\.mha' is missing or damaged"):
        finish(load_sample_in_steps(sample, folder))
    with pytest.raises(BadInput, match="must be downloaded first"):
        finish(load_sample_in_steps(sample))


def test_the_phantom_is_made_while_the_caller_goes_on(monkeypatch):
    phantom = make_phantom((40, 36, 32))
    waited = []

    def slow():
        waited.append(sample_pairs.time.sleep(0.2))
        return phantom

    monkeypatch.setattr("DeepRegLib.phantom.make_phantom", slow)
    steps, count = load_sample_in_steps(PHANTOM_PAIR), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            pair = end.value
            break
        count += 1
    assert count >= 3 and len(waited) == 1
    assert pair.fixed_landmarks.points == pytest.approx(phantom.fixed_landmarks)
    assert (pair.fixed.name, pair.moving_mask) == ("phantom fixed", phantom.moving_mask)


def test_an_error_while_the_phantom_is_made_reaches_the_caller(monkeypatch):
    def broken():
        raise BadInput("no phantom today")

    monkeypatch.setattr("DeepRegLib.phantom.make_phantom", broken)
    with pytest.raises(BadInput, match="no phantom today"):
        finish(load_sample_in_steps(PHANTOM_PAIR))
