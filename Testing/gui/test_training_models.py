"""The models section of the training panel: the list, the card, the buttons, and the comparison of two models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.errors import ModelProblem
from DeepRegLib.models.card import ValidationRow
from DeepRegSlicer.long_words import BREAK
from fake_process import FakeProcess
from training_models_case import CARD, made

NAME, METHOD, ERROR, LICENCE, SIZE, PLACE = range(6)


@pytest.fixture
def bench(models_bench):
    return models_bench


def shown(bench, row: int) -> list[str]:
    return [bench.ui.modelTable.item(row, column).text() for column in range(bench.ui.modelTable.columnCount)]


def answer(process: FakeProcess, numbers: dict) -> None:
    process.print_line(json.dumps(numbers))
    process.end(0)


def refuse(process: FakeProcess, sentence: str, hint: str) -> None:
    process.log(f"slicer-deepreg: {sentence}\n{hint}\n")
    process.end(2)


def words_of(process: FakeProcess) -> list[str]:
    return process.arguments[process.arguments.index("-m") + 1 :]


# The list and the card ------------------------------------------------------------------------------------------------


def test_without_models_it_says_what_to_do(bench) -> None:
    assert bench.ui.modelTable.rowCount == 0
    assert "train one, or import one" in bench.ui.cardLabel.text
    assert not bench.ui.exportButton.enabled and not bench.ui.deleteButton.enabled
    assert bench.ui.importButton.enabled and bench.ui.useButton.enabled


def test_a_row_says_method_error_licences_size_and_place(bench, own) -> None:
    weights = next(made(own).parent.glob("*.safetensors"))
    bench.section.enter()
    row = shown(bench, 0)
    assert row[:SIZE] == ["lung-small", "progressive-unet", "8.0 → 2.4", "CC BY 3.0, Apache-2.0"]
    assert float(row[SIZE]) == pytest.approx(weights.stat().st_size / 1e6, abs=0.05)
    assert row[PLACE] == "yours"
    assert "landmarks of lung_4dct" in bench.ui.modelTable.item(0, ERROR).toolTip()
    assert str(own) in bench.ui.modelTable.item(0, PLACE).toolTip()


def test_the_card_is_text_to_read(bench, own) -> None:
    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    text = bench.ui.cardLabel.text
    for words in (
        *("Breathing of lungs", "LIDC-IDRI: 5 scans, CC BY 3.0", "Phantoms: 1 scan, Apache-2.0"),
        *("15000 steps in 1.5 h on one GPU", "16 x 16 x 16 voxels, HU", "error, mm: 8.04\u00a0→\u00a02.44"),
    ):
        assert words in text, words
    assert bench.section._row.model.card.sha256 in text.replace("<br>", "")
    assert bench.ui.exportButton.enabled and bench.ui.deleteButton.enabled


def test_a_card_from_anybody_is_letters_and_nothing_else(bench, own) -> None:
    made(own, replace(CARD, description='<img src="file:///etc/x"><b>bold</b> & more'))
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    text = bench.ui.cardLabel.text
    assert "<img" not in text and "&lt;img" in text and "&amp; more" in text


def test_missing_weights_and_damaged_cards_are_seen(bench, own) -> None:
    next(made(own).parent.glob("*.safetensors")).unlink()
    (own / "broken.card.json").write_text("{")
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    assert shown(bench, 0)[SIZE] == "missing" and "weights are missing" in bench.ui.cardLabel.text
    assert "broken.card.json" in bench.ui.cardLabel.text
    assert not bench.ui.exportButton.enabled and bench.ui.deleteButton.enabled


def test_the_choice_outlives_a_new_reading(bench, own) -> None:
    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    made(own, replace(CARD, name="a-first"))
    bench.section.enter()
    assert [shown(bench, row)[NAME] for row in range(2)] == ["a-first", "lung-small"]
    assert bench.ui.modelTable.currentRow() == 1 and "lung-small" in bench.ui.cardLabel.text


def test_a_hundred_models_are_listed_quickly(bench, own) -> None:
    card = Path(made(own)).read_text()
    for number in range(100):
        (own / f"model-{number}.card.json").write_text(card.replace('"lung-small"', f'"model-{number}"', 1))
    start = time.perf_counter()
    bench.section.enter()
    assert bench.ui.modelTable.rowCount == 101
    assert time.perf_counter() - start < 0.5  # some 0.05 s on an idle machine


# The buttons ----------------------------------------------------------------------------------------------------------


def test_import_verifies_in_a_process_and_lists_the_model(bench, own, tmp_path, monkeypatch) -> None:
    import qt

    card = made(tmp_path / "sent")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *arguments: str(card))
    bench.ui.importButton.click()
    process = bench.processes[-1]
    assert words_of(process) == ["DeepRegLib.cli", "import-model", str(card), "--json"]
    assert "Verifying" in bench.ui.modelMessageLabel.text and not bench.ui.importButton.enabled
    made(own)  # what the process does
    answer(process, {"card": {"name": "lung-small"}, "folder": str(own), "warnings": ["Something to know."]})
    assert shown(bench, 0)[NAME] == "lung-small" and bench.ui.modelTable.currentRow() == 0
    assert "method list" in bench.ui.modelMessageLabel.text and "Something to know." in bench.ui.modelMessageLabel.text
    assert bench.ui.importButton.enabled
    from DeepRegLib.methods.interface import available_methods

    assert "lung-small" in available_methods()


def test_what_the_process_refuses_is_read_in_its_words(bench, tmp_path) -> None:
    bench.section.import_model(tmp_path)
    refuse(bench.processes[-1], "The weights 'x' are damaged <here>.", "Get the model again.")
    assert bench.ui.modelMessageLabel.text == "The weights 'x' are damaged <here>. Get the model again."
    assert bench.ui.importButton.enabled


@pytest.mark.parametrize(("end", "words"), [((None, False), "could not be started"), ((9, True), "without an answer")])
def test_a_process_that_never_starts_or_crashes_is_told(bench, tmp_path, end, words) -> None:
    bench.section.import_model(tmp_path)
    process = bench.processes[-1]
    process.end(None) if end[0] is None else process.crash(end[0])
    assert words in bench.ui.modelMessageLabel.text and bench.ui.importButton.enabled


def test_leaving_slicer_ends_the_process(bench, tmp_path) -> None:
    bench.section.import_model(tmp_path)
    bench.section.disconnect()
    assert bench.processes[-1].kills == 1


def test_nothing_happens_when_a_dialog_is_cancelled(bench, own, monkeypatch) -> None:
    import qt

    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *arguments: "")
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: "")
    bench.ui.importButton.click()
    bench.ui.exportButton.click()
    assert not bench.processes


def test_export_asks_for_a_folder(bench, own, tmp_path, monkeypatch) -> None:
    import qt

    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: str(tmp_path))
    bench.ui.exportButton.click()
    process = bench.processes[-1]
    expected = ["DeepRegLib.cli", "export-model", "lung-small", "--output", str(tmp_path), "--json"]
    assert words_of(process) == expected
    answer(process, {"card": {"name": "lung-small"}, "folder": str(tmp_path), "warnings": []})
    assert str(tmp_path) in bench.ui.modelMessageLabel.text.replace(BREAK, "")


@pytest.mark.parametrize("agreed", [True, False])
def test_delete_asks_once(bench, own, monkeypatch, agreed) -> None:
    import slicer

    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)
    questions = []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, **_words: questions.append(text) or agreed)
    bench.ui.deleteButton.click()
    assert len(questions) == 1 and "lung-small" in questions[0]
    assert bench.ui.modelTable.rowCount == (0 if agreed else 1)
    assert any(own.iterdir()) is not agreed


def test_models_that_are_not_the_users_cannot_be_deleted(bench, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("DeepRegLib.models.find.BUNDLED_FOLDER", tmp_path / "bundled")
    monkeypatch.setattr("DeepRegSlicer.training.model_list.BUNDLED_FOLDER", tmp_path / "bundled")
    monkeypatch.setenv("DEEPREG_MODELS", str(tmp_path / "shared"))
    made(tmp_path / "bundled")
    made(tmp_path / "shared", replace(CARD, name="of-the-group"))
    bench.section.enter()
    assert [shown(bench, row)[PLACE] for row in range(2)] == ["built in", "shared"]
    for row in range(2):
        bench.ui.modelTable.setCurrentCell(row, 0)
        assert bench.ui.exportButton.enabled and not bench.ui.deleteButton.enabled


def test_a_file_that_cannot_be_deleted_is_told(bench, own, monkeypatch) -> None:
    import slicer

    made(own)
    bench.section.enter()
    bench.ui.modelTable.setCurrentCell(0, 0)

    def locked(name: str) -> None:
        raise ModelProblem("It is in use.", "Close the other program.")

    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_text, **_words: True)
    monkeypatch.setattr("DeepRegSlicer.training.models_section.delete_model", locked)
    bench.ui.deleteButton.click()
    assert bench.ui.modelMessageLabel.text == "It is in use. Close the other program."
    assert bench.ui.modelTable.rowCount == 1


# Use the run ----------------------------------------------------------------------------------------------------------


def test_use_the_run_without_a_run_says_so(bench) -> None:
    bench.ui.useButton.click()
    assert "Choose a run" in bench.ui.modelMessageLabel.text and not bench.processes


def test_use_the_run_exports_it_into_the_users_folder(bench, own, tmp_path) -> None:
    bench.runs.append(tmp_path / "my run (2)")
    bench.ui.useButton.click()
    process = bench.processes[-1]
    expected = ["DeepRegTrainLib", "export", str(bench.runs[0]), "--output", str(own), "--name", "my-run-2", "--json"]
    assert words_of(process) == expected
    assert own.is_dir()
    made(own, replace(CARD, name="my-run-2"))
    answer(process, {"card": {"name": "my-run-2"}, "folder": str(own)})
    assert shown(bench, 0)[NAME] == "my-run-2" and "my-run-2" in bench.ui.modelMessageLabel.text


def test_the_process_finds_the_training_library(bench, tmp_path) -> None:
    import DeepRegTrainLib

    bench.runs.append(tmp_path / "run")
    bench.ui.useButton.click()
    folder = str(Path(DeepRegTrainLib.__file__).resolve().parents[1])
    assert folder in bench.processes[-1].environment["PYTHONPATH"].split(os.pathsep)


@pytest.mark.parametrize("agreed", [True, False])
def test_a_model_of_the_user_is_replaced_after_a_question(bench, own, tmp_path, monkeypatch, agreed) -> None:
    import slicer

    made(own)
    bench.section.enter()
    bench.runs.append(tmp_path / "lung-small")
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_text, **_words: agreed)
    bench.ui.useButton.click()
    assert len(bench.processes) == int(agreed)
    if agreed:
        assert "lung-small" in words_of(bench.processes[0])


def test_a_model_of_others_is_not_hidden(bench, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEEPREG_MODELS", str(tmp_path / "shared"))
    made(tmp_path / "shared")
    bench.section.enter()
    bench.runs.append(tmp_path / "Lung-Small")
    bench.ui.useButton.click()
    assert "Lung-Small-2" in words_of(bench.processes[-1])


def test_a_folder_without_the_right_to_write_is_told_before_anything_starts(bench, own, tmp_path) -> None:
    own.parent.write_text("a file in the way")
    bench.runs.append(tmp_path / "run")
    bench.ui.useButton.click()
    assert "cannot be written" in bench.ui.modelMessageLabel.text and not bench.processes


# The real process -----------------------------------------------------------------------------------------------------


def test_a_real_process_takes_a_model_in_and_refuses_a_damaged_one(bench, own, tmp_path, spin) -> None:
    from DeepRegSlicer.background_process import QtProcess

    bench.section.new_process = QtProcess
    card = made(tmp_path / "sent")
    ticks: list[float] = []
    beating = _beat(ticks)
    bench.section.import_model(card)
    spin(lambda: bench.ui.importButton.enabled, 120)
    beating.stop()
    assert shown(bench, 0)[NAME] == "lung-small", bench.ui.modelMessageLabel.text
    assert np.quantile(np.diff(ticks), 0.99) < 0.1
    broken = made(tmp_path / "broken", replace(CARD, name="other"))
    weights = next(broken.parent.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-10])
    bench.section.import_model(broken)
    spin(lambda: bench.ui.importButton.enabled, 120)
    assert "checksum" in bench.ui.modelMessageLabel.text
    assert bench.ui.modelTable.rowCount == 1


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    """A run of six steps; nobody changes it."""
    from DeepRegLib.images.read import write_volume
    from DeepRegLib.phantom import make_phantom

    scans, run = tmp_path_factory.mktemp("scans"), tmp_path_factory.mktemp("runs") / "my run"
    write_volume(make_phantom((64, 56, 56), seed=0).fixed, scans / "person-a.nii.gz")
    words = ["train", "--data", scans, "--output", run, "--steps", "6", "--network", "unet", "--size", "16"]
    words += ["--set", 'arguments={"base":2,"levels":2}', "--set", "validation_pairs=1", "--threads", "1"]
    command = [sys.executable, "-m", "DeepRegTrainLib", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return run


def test_a_real_run_becomes_a_method_of_deepreg_with_one_click(bench, own, finished_run, spin) -> None:
    from DeepRegLib.methods.interface import available_methods
    from DeepRegSlicer.background_process import QtProcess

    bench.section.new_process = QtProcess
    bench.runs.append(finished_run)
    bench.ui.useButton.click()
    spin(lambda: bench.ui.useButton.enabled, 120)
    assert shown(bench, 0)[NAME] == "my-run", bench.ui.modelMessageLabel.text
    assert "→" in shown(bench, 0)[ERROR] and "6 steps" in bench.ui.cardLabel.text
    assert "my-run" in available_methods()


def _beat(ticks: list[float]) -> object:
    import qt

    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.perf_counter()))
    timer.start(5)
    return timer


def test_the_error_of_a_model_is_its_own_and_not_that_of_the_solver_beside_it(host):
    from DeepRegSlicer.training.model_list import measured_error

    error = "target registration error"
    rows = (
        ValidationRow("4 held-out synthetic pairs", f"{error}, solver alone, mean in mm", 9.0, 0.5),
        ValidationRow("4 held-out synthetic pairs", f"{error}, network alone, mean in mm", 9.0, 1.1),
        ValidationRow("landmarks of a pair", f"{error}, solver alone, mean in mm", 8.0, 0.4),
        ValidationRow("landmarks of a pair", f"{error}, network alone, mean in mm", 8.0, 2.4),
    )
    assert measured_error(replace(CARD, validation=rows)) == rows[3]
    assert measured_error(replace(CARD, validation=rows[:2])) == rows[1]
    assert measured_error(replace(CARD, validation=rows[:1])) is None
