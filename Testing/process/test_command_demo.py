"""demo and the pair that it finds in a folder."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import cli, demo
from DeepRegLib.command_line import progress
from DeepRegLib.datasets.pair_folder import PairFiles, find_pair
from DeepRegLib.errors import BadInput
from DeepRegLib.phantom import make_phantom

scene_is_written = importlib.util.find_spec("slicer") is not None


@pytest.fixture(scope="module")
def shown(command, pair_folder, tmp_path_factory):
    """The finished process and the folder of a demonstration on the small pair."""
    folder = tmp_path_factory.mktemp("demo")
    data = folder / "data"
    shutil.copytree(pair_folder, data)
    (data / "info.json").unlink()
    answer = command("demo", "--data", data, "--output", folder / "out", "--quality", "fast", "--threads", "1")
    assert answer.returncode == 0, answer.stderr
    return answer, folder / "out"


def test_the_summary_names_every_file_and_every_named_file_is_there(shown):
    answer, output = shown
    files = {path.name for path in output.iterdir()}
    listed = {line.split()[0] for line in answer.stdout.split("Files in ")[1].splitlines()[1:]}
    assert listed == files
    assert {"report.html", "transform.h5", "landmark_errors.csv", "landmark_errors.json", "evidence.json"} <= files


def test_errors_are_the_same_for_people_and_programs(shown):
    _, output = shown
    rows = json.loads((output / "landmark_errors.json").read_text())
    table = (output / "landmark_errors.csv").read_text().splitlines()
    assert len(rows["landmarks"]) == len(table) - 1 == rows["statistics"]["count"]
    assert list(rows["landmarks"][0]) == table[0].split(",")
    assert rows["landmarks"][0]["label"] == table[1].split(",")[0]
    assert rows["landmarks"][0]["after_mm"] == float(table[1].split(",")[-1])


@pytest.mark.skipif(not scene_is_written, reason="needs the MRML library: pip install slicer-core")
def test_the_scene_is_a_bundle_with_both_images_and_the_transform(shown):
    _, output = shown
    with zipfile.ZipFile(output / "scene.mrb") as bundle:
        scene = next(name for name in bundle.namelist() if name.endswith(".mrml"))
        text = bundle.read(scene).decode()
    assert "fixed" in text and "moving" in text and "GridTransform" in text


def test_without_the_mrml_library_the_scene_is_left_out_with_a_word(monkeypatch, tmp_path):
    def missing(name):
        raise ModuleNotFoundError("No module named 'slicer'", name="slicer")

    monkeypatch.setattr(importlib, "import_module", missing)
    note = demo._write_scene(tmp_path / "scene.mrb", object())
    assert "left out" in note and "pip install" in note


def test_a_defect_of_the_scene_writer_is_not_taken_for_a_missing_library(monkeypatch, tmp_path):
    def broken(name):
        raise ModuleNotFoundError("No module named 'colour'", name="colour")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="colour"):
        demo._write_scene(tmp_path / "scene.mrb", object())


def make_files(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_pair_is_found_by_the_names_of_its_files(tmp_path):
    folder = make_files(
        tmp_path,
        *("Fixed_t0.mha", "moving_t5.nii.gz", "fixed_mask.mha", "landmarks_fixed.csv", "landmarks_moving.fcsv"),
        *("fixed_labels.nii.gz", "moving_warped.nii.gz", ".fixed.nii.gz", "info.json", "true_transform.h5"),
    )
    assert find_pair(folder) == PairFiles(
        fixed=folder / "Fixed_t0.mha",
        moving=folder / "moving_t5.nii.gz",
        fixed_mask=folder / "fixed_mask.mha",
        fixed_landmarks=folder / "landmarks_fixed.csv",
        moving_landmarks=folder / "landmarks_moving.fcsv",
    )


def test_a_folder_of_slices_is_a_scan(tmp_path):
    make_files(tmp_path, "fixed.nrrd")
    (tmp_path / "moving").mkdir()
    assert find_pair(tmp_path).moving == tmp_path / "moving"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("fixed.nii.gz",), "no moving scan"),
        (("fixed.nii.gz", "fixed.mha", "moving.mha"), "More than one scan is called fixed"),
        (("fixed.mha", "moving.mha", "fixed_landmarks.csv"), "'fixed_landmarks.csv' has no partner"),
    ],
)
def test_a_folder_that_holds_no_clear_pair_is_refused(tmp_path, names, sentence):
    make_files(tmp_path, *names)
    with pytest.raises(BadInput, match=sentence):
        find_pair(tmp_path)


def test_the_shared_follow_up_pair_is_found(data_folder):
    pair = find_pair(data_folder / "lung_followup")
    assert all(
        path is not None and path.is_file()
        for path in (pair.fixed_mask, pair.moving_mask, pair.fixed_landmarks, pair.moving_landmarks)
    )


def test_a_folder_that_is_not_there_is_a_sentence(command, tmp_path):
    answer = command("demo", "--data", tmp_path / "absent", "--output", tmp_path / "out")
    assert answer.returncode == 2
    assert "There is no folder" in answer.stderr and "Traceback" not in answer.stderr


def test_the_made_up_patient_can_be_another_one(tmp_path):
    for number in ("1", "2"):
        words = ["phantom", "--output", str(tmp_path / number), "--size", "24", "20", "20", "--seed", number]
        assert cli.main([*words, "--difficulty", "hard"]) == 0
    first, second = (sitk.ReadImage(str(tmp_path / number / "fixed.nii.gz")) for number in ("1", "2"))
    assert (sitk.GetArrayFromImage(first) != sitk.GetArrayFromImage(second)).any()
    info = json.loads((tmp_path / "2" / "info.json").read_text())
    assert (info["seed"], info["difficulty"]) == (2, "hard")
    assert len(np.loadtxt(tmp_path / "2" / "fixed_landmarks.csv", delimiter=",", skiprows=1)) > 0


def test_without_data_the_made_up_patient_lies_beside_the_results(tmp_path, monkeypatch):
    asked = {}

    def small(**arguments):
        asked.update(arguments)
        return make_phantom((24, 20, 20), **arguments)

    monkeypatch.setattr("DeepRegLib.phantom.make_phantom", small)
    pair = demo.make_pair(tmp_path / "out", "hard", 3)
    assert asked == {"difficulty": "hard", "seed": 3}
    assert pair.fixed.parent == tmp_path / "out" / "pair"
    assert None not in (pair.fixed_mask, pair.moving_mask, pair.fixed_landmarks, pair.moving_landmarks)


def test_a_log_gets_a_line_for_each_tenth(capsys):
    with progress.shown_progress() as report:
        for step in range(101):
            report(step / 100, "refine")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "100 % refine"


def test_a_terminal_gets_a_bar_with_stage_and_time_left(monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with progress.shown_progress() as report:
        report(0.5, "refine")
    printed = capsys.readouterr()
    assert "refine" in printed.err and "50%" in printed.err
    assert printed.out == ""
