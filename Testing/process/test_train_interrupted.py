"""Trainings whose scans or cached files are damaged meanwhile, and that are asked to stop before they train."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import make_phantom

Run = Callable[..., subprocess.CompletedProcess]
Start = Callable[..., subprocess.Popen]
SMALL = ("--network", "unet", "--size", "16", "--set", 'arguments={"base":2,"levels":2}')
ONE_THREAD = ("--threads", "1")
"""The same number gives the same bits."""
QUICK = ("--set", "validation_pairs=1", "--set", "log_every=1", "--set", "checkpoint_every=2")
PEOPLE = 5
"""Each takes a run longer to read than it takes a test to see that the training has begun."""
STEPS = "12"
PATIENCE_S = 60
CLOCKS = {"seconds", "drawing_share"}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People who differ by a little noise."""
    folder = tmp_path_factory.mktemp("scans")
    person = make_phantom((56, 48, 52), seed=0).fixed
    for number in range(PEOPLE):
        noise = np.random.default_rng(number).integers(-20, 20, person.array.shape, dtype=np.int16)
        write_volume(Volume(person.array.astype(np.int16) + noise, person.geometry), folder / f"person{number}.nii.gz")
    return folder


def wait_until(reached: Callable[[], bool], process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
        time.sleep(0.01)


def rows(run: Path) -> list[dict[str, str]]:
    """What the run has noted for each step, without times."""
    table = run / "metrics.csv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in CLOCKS} for row in csv.DictReader(file)]


def test_a_run_whose_scans_and_cache_are_damaged_meanwhile_ends_as_if_nothing_had_happened(
    start_command: Start, command: Run, scans: Path, tmp_path: Path
) -> None:
    words = ("--data", scans, "--steps", STEPS, *SMALL, *QUICK, *ONE_THREAD)
    run, whole = tmp_path / "run", tmp_path / "whole"
    with start_command("train", "--output", run, *words) as process:
        wait_until(lambda: len(rows(run)) > 1, process)
        contents = {file: file.read_bytes() for file in scans.iterdir()}
        for file, content in contents.items():
            file.write_bytes(content[: len(content) // 2])
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2 and "Traceback" not in said
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed" and 1 < status["step"] < int(STEPS)
    for words_of_run in (said, status["message"], (run / "log.txt").read_text()):
        assert f"The scan '{scans}/person" in words_of_run and "Bring it back and resume the run" in words_of_run

    for file, content in contents.items():
        file.write_bytes(content)
    with start_command("resume", run, *ONE_THREAD) as process:
        wait_until(lambda: "Goes on from step" in (run / "log.txt").read_text(), process)
        for number, file in enumerate(sorted((run / "cache").iterdir())):
            file.write_bytes(b"" if number % 2 else file.read_bytes()[:-40])
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said

    answer = command("train", "--output", whole, *words)
    assert answer.returncode == 0, answer.stderr
    assert rows(run) == rows(whole) and len(rows(run)) == int(STEPS)


def test_a_wish_to_stop_that_is_made_while_the_run_is_prepared_ends_it_and_an_older_one_does_not(
    start_command: Start, command: Run, scans: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "stop").touch()  # old
    with start_command("train", "--data", scans, "--output", run, "--steps", "4", *SMALL, *QUICK) as process:
        assert "Looking at" in process.stderr.readline()
        (run / "stop").touch()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["step"]) == ("stopped", 0) and not (run / "stop").exists()
    (run / "stop").touch()  # old
    answer = command("resume", run, "--json")
    assert json.loads(answer.stdout)["state"] == "finished" and not (run / "stop").exists()
