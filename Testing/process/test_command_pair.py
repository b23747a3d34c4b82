"""--pair: a folder in place of its files, a case of DIR-Lab among them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import cli
from DeepRegLib.datasets.dirlab_4dct import FOUR_D_CT
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.read_write import write_transform

GRID = Geometry((24, 22, 20), (2.0, 2.0, 3.0))
SHIFT = (2, 0, -3)
"""Voxels by which the moving scan of the small case is shifted, in x, y, z."""
FIT_MM = 2.0
"""A coarse phantom at quality fast comes nearer than this; it starts several times as far apart."""


@pytest.fixture
def case_folder(tmp_path, monkeypatch):
    """Case 2 of the 4DCT, made small: smooth noise, shifted by whole voxels."""
    monkeypatch.setitem(FOUR_D_CT.cases, 2, GRID)
    noise = np.random.default_rng(0).normal(size=GRID.shape)
    scan = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(noise), 1.5))
    fixed = np.rint(400 + 4000 * scan).astype("<i2")
    moving = np.roll(fixed, SHIFT[::-1], (0, 1, 2))
    voxels = np.random.default_rng(1).integers(5, 14, (12, 3))
    for phase, array, places in (("T00", fixed, voxels), ("T50", moving, voxels + SHIFT)):
        array[::-1].tofile(tmp_path / f"case2_{phase}-ssm.img")
        rows = [f"{x + 1}\t{y + 1}\t{GRID.size[2] - z}\t" for x, y, z in places.tolist()]
        (tmp_path / f"Case2_300_{phase}_xyz.txt").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def in_process(capsys):
    """The finished command as (exit status, standard output, standard error), run here."""

    def run(*words):
        status = cli.main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def registered(command, pair_folder, tmp_path_factory):
    """One registration of a folder by the real command, with numbers for programs."""
    folder = tmp_path_factory.mktemp("a pair")
    for path in pair_folder.iterdir():
        shutil.copy(path, folder)
    output = folder / "out"
    words = ("--quality", "fast", "--threads", "1", "--json")
    answer = command("register", "--pair", folder, "--output", output, *words)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout), folder, output


def test_a_folder_is_registered_with_its_masks_and_landmarks(registered):
    evidence, folder, output = registered
    assert evidence["pair"] == {"name": folder.name, "notes": []}
    assert evidence["region"]["kind"] == "given"
    assert {"transform.h5", "evidence.json", "landmark_errors.csv"} <= {path.name for path in output.iterdir()}
    assert evidence["landmarks"]["after"]["mean_mm"] < FIT_MM < evidence["landmarks"]["before"]["mean_mm"] / 2


def test_both_errors_are_those_of_simpleitk_on_the_written_transform(registered):
    evidence, folder, output = registered
    transform = sitk.ReadTransform(str(output / "transform.h5"))
    fixed, moving = (np.loadtxt(folder / f"{s}_landmarks.csv", delimiter=",", skiprows=1) for s in ("fixed", "moving"))
    image = sitk.ReadImage(str(folder / "moving.nii.gz"))
    mapped = [transform.TransformPoint(point) for point in fixed.tolist()]
    nearest = [image.TransformIndexToPhysicalPoint(image.TransformPhysicalPointToIndex(point)) for point in mapped]
    for name, places in (("after", mapped), ("after_snapped", nearest)):
        errors = np.linalg.norm(np.array(places) - moving, axis=1)
        assert evidence["landmarks"][name]["mean_mm"] == pytest.approx(errors.mean(), abs=0.01)
        assert evidence["landmarks"][name]["sd_mm"] == pytest.approx(errors.std(ddof=1), abs=0.01)


def test_people_read_both_errors_and_what_was_decided_for_them(command, pair_folder, tmp_path):
    for side, name in (("fixed", "inhale"), ("moving", "scan exhaled")):
        shutil.copy(pair_folder / f"{side}.nii.gz", tmp_path / f"{name}.nii.gz")
        shutil.copy(pair_folder / f"{side}_landmarks.csv", tmp_path / f"{name}.csv")
    words = ("--quality", "fast", "--threads", "1")
    answer = command("register", "--pair", tmp_path, "--output", tmp_path / "out", *words)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Registered scan exhaled to inhale")
    assert "Landmark error" in answer.stdout and "Snapped to voxels" in answer.stdout
    assert "'inhale.nii.gz' was taken as the fixed" in answer.stdout
    assert answer.stdout.isascii()


def test_a_case_of_dirlab_is_measured_with_its_own_lists(in_process, case_folder):
    """A shift of whole voxels: before, after and snapped are known."""
    shift_mm = np.array(SHIFT) * GRID.spacing
    off_by = np.array((0.4, 0.0, 0.0))
    field = np.broadcast_to(shift_mm + off_by, (*GRID.shape, 3)).astype(np.float32)
    write_transform(case_folder / "shift.h5", DisplacementField(field, GRID))
    status, printed, complaint = in_process("evaluate", case_folder / "shift.h5", "--pair", case_folder, "--json")
    assert status == 0, complaint
    found = json.loads(printed)
    assert found["pair"]["name"] == "DIR-Lab 4DCT case 2"
    landmarks = found["landmarks"]
    assert landmarks["count"] == 12
    assert landmarks["before"]["mean_mm"] == pytest.approx(np.linalg.norm(shift_mm), abs=1e-6)
    assert landmarks["after"]["mean_mm"] == pytest.approx(0.4, abs=1e-5)
    assert landmarks["after_snapped"]["mean_mm"] == pytest.approx(0, abs=1e-9)


def test_fixed_and_moving_are_exchanged_on_request(in_process, case_folder):
    back = np.broadcast_to(-np.array(SHIFT) * GRID.spacing, (*GRID.shape, 3)).astype(np.float32)
    write_transform(case_folder / "back.h5", DisplacementField(back, GRID))
    for words in (("--swap",), ("--phases", "T50", "T00"), ("--swap", "--case", "2", "--points", "300")):
        status, printed, complaint = in_process(
            "evaluate", case_folder / "back.h5", "--pair", case_folder, "--json", *words
        )
        assert status == 0, complaint
        assert json.loads(printed)["landmarks"]["after"]["max_mm"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("a.nii.gz", "b.nii.gz", "--pair", "folder"), "leave out FIXED and MOVING"),
        (("a.nii.gz", "--pair", "folder"), "leave out FIXED"),
        (("a.nii.gz",), "MOVING missing"),
        ((), "FIXED and MOVING missing"),
        (("a.nii.gz", "b.nii.gz", "--case", "3"), "--pair is missing"),
        (("--pair", "nowhere"), "There is no folder 'nowhere'"),
        (("--pair", ".", "--case", "3"), "holds no raw scans of DIR-Lab"),
    ],
)
def test_words_that_do_not_go_together_are_refused(in_process, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    status, printed, complaint = in_process("register", *words, "--output", tmp_path / "out")
    assert (status, printed) == (2, "")
    assert sentence in complaint and "Traceback" not in complaint
    assert not (tmp_path / "out").exists()


def test_a_scan_of_the_wrong_size_is_told_before_any_work(in_process, case_folder, tmp_path):
    (case_folder / "case2_T50-ssm.img").write_bytes(b"too short")
    status, _, complaint = in_process("register", "--pair", case_folder, "--output", tmp_path / "out")
    assert status == 2
    assert "'case2_T50-ssm.img' has 9 bytes" in complaint
