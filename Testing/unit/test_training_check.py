"""The look at scans before a training: what is refused, what is warned of, and who is held out."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import make_phantom
from DeepRegTrainLib.check import DataCheck, check_folder
from DeepRegTrainLib.patients import SOURCES, held_out, patient_of

SIZE = (64, 56, 56)


def chest(seed: int) -> Volume:
    return make_phantom(SIZE, seed=seed).fixed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people (one scanned twice) and everything that can be wrong; nobody changes it."""
    folder = tmp_path_factory.mktemp("scans")
    first = write_volume(chest(0), folder / "ann_T00.nii.gz")
    write_volume(chest(1), folder / "ann_T50.nii.gz")
    write_volume(chest(2), folder / "bob.nii.gz")
    (folder / "eve").mkdir()
    write_volume(chest(3), folder / "eve" / "2020.mha")
    (folder / "copy.nii.gz").write_bytes(first.read_bytes())
    (folder / "notes.nii.gz").write_text("not an image")
    water = np.zeros((40, 40, 40), np.int16)
    write_volume(Volume(water, Geometry((40, 40, 40), (3.0,) * 3)), folder / "constant.nii.gz")
    noise = np.random.default_rng(0).uniform(0, 1, (40, 40, 40)).astype(np.float32)
    write_volume(Volume(noise, Geometry((40, 40, 40), (3.0,) * 3)), folder / "magnetic.nii.gz")
    write_volume(Volume(chest(0).array, Geometry(SIZE, (1.0, 1.0, 8.0))), folder / "thick.nii.gz")
    write_volume(Volume(chest(0).array, Geometry(SIZE, (0.5,) * 3)), folder / "tiny.nii.gz")
    return folder


@pytest.fixture(scope="module")
def check(folder: Path) -> DataCheck:
    return check_folder(folder)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("notes.nii.gz", "cannot be read"),
        ("constant.nii.gz", "one value"),
        ("magnetic.nii.gz", "no HU"),
        ("thick.nii.gz", "larger than 6 mm"),
        ("tiny.nii.gz", "less than 80 mm"),
        ("copy.nii.gz", "copy of"),
    ],
)
def test_each_scan_that_cannot_be_used_says_why(check: DataCheck, file: str, words: str) -> None:
    # Of a file and its copy the first by name is used.
    name = "ann_T00.nii.gz" if file == "copy.nii.gz" and not _scan(check, file).problems else file
    assert any(words in problem for problem in _scan(check, name).problems)
    assert _scan(check, name).use == ""


def test_good_scans_are_used_and_described(check: DataCheck) -> None:
    scan = _scan(check, "bob.nii.gz")
    assert scan.use in ("train", "validate")
    assert scan.region == "lungs" and 500 < scan.region_ml < 9000
    assert scan.size == SIZE and len(scan.sha256) == 64


def test_scans_of_one_person_stay_on_one_side(check: DataCheck) -> None:
    uses: dict[str, set[str]] = {}
    for scan in check.scans:
        if scan.use:
            uses.setdefault(scan.patient, set()).add(scan.use)
    assert all(len(use) == 1 for use in uses.values())
    assert {"bob", "eve"} <= set(uses)
    assert {use for found in uses.values() for use in found} == {"train", "validate"}


def test_the_list_survives_json_and_notices_changed_scans(check: DataCheck, tmp_path: Path) -> None:
    import json

    assert DataCheck.from_dict(json.loads(json.dumps(check.to_dict()))) == check
    write_volume(chest(4), tmp_path / "a.nii.gz")
    own = check_folder(tmp_path)
    own.require_unchanged()
    assert any("Nobody is held out" in words for words in own.warnings)
    write_volume(chest(5), tmp_path / "a.nii.gz")
    with pytest.raises(BadInput, match="is not what it was"):
        own.require_unchanged()


def test_a_folder_without_a_usable_scan_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.nii.gz").write_text("not an image")
    with pytest.raises(BadInput, match="None of the 1 scans"):
        check_folder(tmp_path).require_usable()
    with pytest.raises(BadInput, match="holds no scans"):
        check_folder(tmp_path / "nothing" if (tmp_path / "nothing").mkdir() is None else tmp_path)


def test_a_table_of_sources_says_whose_a_scan_is_and_its_licence(tmp_path: Path) -> None:
    write_volume(chest(0), tmp_path / "a.nii.gz")
    (tmp_path / SOURCES).write_text("file,patient,name,licence\na.nii.gz,Ann,LIDC-IDRI,CC BY 3.0\ngone.nii,,,\n")
    check = check_folder(tmp_path)
    scan = _scan(check, "a.nii.gz")
    assert (scan.patient, scan.name, scan.licence) == ("Ann", "LIDC-IDRI", "CC BY 3.0")
    assert any("gone.nii" in words for words in check.warnings)
    (tmp_path / SOURCES).write_text("scan\na.nii.gz\n")
    with pytest.raises(BadInput, match="column 'file'"):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("case1_T00.nii.gz", "case1"),
        ("copd1_iBHCT.nii.gz", "copd1"),
        ("copd1_eBHCT.nii.gz", "copd1"),
        ("ann-inhale.mha", "ann"),
        ("ann_baseline.nrrd", "ann"),
        ("ann/anything.nii", "ann"),
        ("lidc-idri-0306.nii.gz", "lidc-idri-0306"),
        ("lidc-idri-0314.nii.gz", "lidc-idri-0314"),
        ("nsclc_radiogenomics_r01-001.nii.gz", "nsclc_radiogenomics_r01-001"),
    ],
)
def test_people_are_told_apart_by_names(name: str, patient: str) -> None:
    assert patient_of(Path("ct") / name, Path("ct")) == patient


def test_who_is_held_out_follows_from_names_and_seed_alone() -> None:
    people = [f"p{k}" for k in range(20)]
    chosen = held_out(people, 0.2, 0)
    assert len(chosen) == 4
    assert held_out(reversed(people), 0.2, 0) == chosen
    assert held_out(people, 0.2, 1) != chosen
    assert held_out(people[:2], 0.5, 0) == set()
    assert len(held_out(people[:3], 0.01, 0)) == 1
    assert held_out(people, 0.0, 0) == set()


def _scan(check: DataCheck, file: str):
    return next(scan for scan in check.scans if scan.file == file)


@pytest.mark.parametrize("name", ["dry_run", "optimisation", "patients", "settings", "trainable.interface"])
def test_the_examples_of_the_training_give_what_they_promise(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"DeepRegTrainLib.{name}"))
    assert result.attempted > 0 and result.failed == 0
