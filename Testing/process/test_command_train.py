"""``train``, ``resume``, ``check``, ``export`` and ``models`` as people and scripts type them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from DeepRegLib.images.read import write_volume
from DeepRegLib.phantom import make_phantom

Run = Callable[..., subprocess.CompletedProcess]
WORDS = ("train", "resume", "check", "export", "models")
SMALL = ("--network", "unet", "--size", "16", "--set", 'arguments={"base":2,"levels":2}', "--threads", "1")
QUICK = ("--set", "validation_pairs=1")
HEAVY = ("torch", "numpy", "SimpleITK")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_volume(make_phantom((64, 56, 56), seed=0).fixed, folder / "person-a.nii.gz")
    return folder


@pytest.fixture(scope="module")
def finished_run(command: Run, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A run of six steps and what the command said; nobody changes it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    answer = command("train", "--data", scans, "--output", folder, "--steps", "6", *SMALL, *QUICK, "--json")
    assert answer.returncode == 0, answer.stderr
    return folder, json.loads(answer.stdout)


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in WORDS)])
def test_help_appears_without_loading_anything_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from DeepRegLib import cli\n"
        f"status = cli.main({words})\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else status)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert all(name in answer.stdout for name in (WORDS if words == ["--help"] else words[:1]))


def test_the_package_has_the_same_words(command: Run) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "DeepRegTrainLib", "models", "--json"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == json.loads(command("models", "--json").stdout)


def test_the_registrator_stands_without_the_training(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['DeepRegTrainLib'] = None\n"
        "from DeepRegLib.command_line.parser import build_parser\n"
        "print(build_parser('x').format_help())\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "register" in answer.stdout and "train " not in answer.stdout


def test_a_training_answers_in_json_and_leaves_a_whole_run(finished_run: tuple[Path, dict]) -> None:
    folder, answer = finished_run
    assert (answer["state"], answer["step"], answer["steps"]) == ("finished", 6, 6)
    assert answer["best_error_mm"] > 0
    for name in ("config.json", "data.json", "metrics.csv", "validation.csv", "status.json", "log.txt"):
        assert (folder / name).is_file(), name
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["network"] == "unet" and config["settings"]["steps"] == 6
    assert config["pairs"]["name"] == "eppenhof2020"
    data = json.loads((folder / "data.json").read_text())
    assert [scan["use"] for scan in data["scans"]] == ["train"]


def test_a_run_becomes_a_model_that_is_listed(
    command: Run, finished_run: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = command("export", finished_run[0], "--output", tmp_path / "models", "--name", "tiny", "--json")
    assert answer.returncode == 0, answer.stderr
    card = json.loads(answer.stdout)["card"]
    assert (card["name"], card["steps"], card["architecture"]["name"]) == ("tiny", 6, "unet")
    monkeypatch.setenv("DEEPREG_MODELS", os.fspath(tmp_path / "models"))
    listed = json.loads(command("models", "--json").stdout)
    assert [model["card"] for model in listed["models"] if model["card"]["name"] == "tiny"] == [card]
    assert "tiny: unet" in command("models").stdout


def test_a_finished_run_that_is_resumed_stays_as_it_is(command: Run, finished_run: tuple[Path, dict]) -> None:
    folder, _ = finished_run
    before = {file.name: file.read_bytes() for file in (folder / "checkpoints").iterdir()}
    answer = command("resume", folder, "--json")
    assert json.loads(answer.stdout)["state"] == "finished"
    assert {file.name: file.read_bytes() for file in (folder / "checkpoints").iterdir()} == before


def test_control_c_saves_and_resume_goes_on(start_command, command: Run, scans: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start_command(
        "train", "--data", scans, "--output", run, "--steps", "150", *SMALL, *QUICK, "--set", "log_every=1"
    )
    with process:
        titles_and_rows = 6
        while not (table := run / "metrics.csv").exists() or len(table.read_text().splitlines()) < titles_and_rows:
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the state is saved" in said and f"slicer-deepreg resume {run}" in said
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "stopped" and 5 <= status["step"] < 150
    answer = command("resume", run, "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["step"] == 150
    rows = (run / "metrics.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(1, 151))


def test_check_tells_what_can_be_used(command: Run, scans: Path, tmp_path: Path) -> None:
    answer = command("check", scans, "--json")
    assert answer.returncode == 0, answer.stderr
    (scan,) = json.loads(answer.stdout)["scans"]
    assert (scan["file"], scan["use"], scan["region"]) == ("person-a.nii.gz", "train", "lungs")
    assert "1 of 1 scans can be used" in command("check", scans).stdout
    (tmp_path / "notes.nii.gz").write_text("not an image")
    refused = command("check", tmp_path)
    assert refused.returncode == 2 and "None of the 1 scans" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--data", "{scans}", "--output", "{new}", "--set", "loss=l9"), "no loss 'l9'"),
        (("train", "--data", "{scans}", "--output", "{new}", "--set", "colour=red"), "no setting 'colour'"),
        (("train", "--data", "{scans}", "--output", "{new}", "--network", "unet", "--size", "20"), "multiples of 16"),
        (("train", "--data", "{new}", "--output", "{new}"), "no folder"),
        (("train", "--data", "{scans}", "--output", "{run}"), "holds a run already"),
        (("resume", "{new}"), "holds no training run"),
        (("export", "{new}", "--output", "{new}"), "holds no training run"),
    ],
)
def test_wrong_words_are_sentences_and_make_no_folder(
    command: Run, scans: Path, finished_run: tuple[Path, dict], tmp_path: Path, words: tuple, sentence: str
) -> None:
    new = tmp_path / "new"
    answer = command(*(word.format(scans=scans, new=new, run=finished_run[0]) for word in words))
    assert answer.returncode == 2, answer.stderr
    assert sentence in answer.stderr and "Traceback" not in answer.stderr
    assert not new.exists()
