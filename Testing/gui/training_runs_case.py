"""What the tests of training runs share: run folders made of files, processes without torch, and that none is left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from DeepRegSlicer.training.command import command_environment
from DeepRegSlicer.training.detached_process import ProcessIdentity, start_detached
from DeepRegSlicer.training.run_list import Run, read_run
from DeepRegSlicer.training.run_start import Launch, processes_of

FAKE_TRAINER = Path(__file__).with_name("fake_trainer.py")
LONG_AGO = 1_000_000.0
__all__ = ["FAKE_TRAINER", "LONG_AGO", "launched", "no_process_left", "run_folder", "start_fake", "state", "wait_until"]


def wait_until(reached: Callable[[], Any], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < end, f"not reached within {limit_s} s"
        time.sleep(0.02)


def run_folder(folder: Path, status: dict[str, Any] | None = None, config: bool = True) -> Path:
    """A run made of files; ``status`` changes what its status says."""
    folder.mkdir(parents=True, exist_ok=True)
    if config:
        (folder / "config.json").write_text(json.dumps({"settings": {"network": "unet", "steps": 100}}))
    if status is not None:
        content = {"state": "training", "step": 10, "steps": 100, "pid": 1, "started": LONG_AGO, **status}
        (folder / "status.json").write_text(json.dumps(content))
    return folder


def launched(folder: Path, process: ProcessIdentity | None, **changes: Any) -> Launch:
    launch = Launch(**{"words": ("train",), "asked": time.time(), "process": process, **changes})
    launch.write(folder)
    return launch


def start_fake(folder: Path, *words: str) -> ProcessIdentity:
    """The fake trainer, started as the panel starts the real one."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, str(FAKE_TRAINER), str(folder), *words]
    process = start_detached(arguments, command_environment(), folder / "output.txt")
    launched(folder, process, words=("train", "--output", str(folder)))
    wait_until(lambda: state(folder).step > 0)
    return process


def state(folder: Path) -> Run:
    run = read_run(folder)
    assert run is not None
    return run


@pytest.fixture
def no_process_left(tmp_path: Path) -> Iterator[None]:
    """Ends what a test has started; what it should have ended itself is an error."""
    yield
    for folder in {path.parent for path in tmp_path.rglob("l*") if path.name in ("launch.json", "lock")}:
        for process in processes_of(folder):
            process.kill_tree()
            wait_until(lambda process=process: not process.runs)
    listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True).stdout
    assert not [line for line in listed.splitlines() if str(tmp_path) in line]
