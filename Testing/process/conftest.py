"""Runs of the real command in a process of its own, and a small pair to run it on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "DeepRegLib.cli")
SIZE = ("72", "64", "56")
LONGEST_RUN_S = 120

Run = Callable[..., subprocess.CompletedProcess]


def surroundings() -> dict[str, str]:
    """One thread: results do not depend on the machine, and tests beside each other do not wait."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def command() -> Run:
    """``command("register", fixed, ...)`` runs slicer-deepreg with these words and returns the finished process."""

    def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
            env=surroundings(),
            cwd=cwd,
        )

    return run


@pytest.fixture(scope="session")
def start_command() -> Callable[..., subprocess.Popen]:
    """Starts slicer-deepreg and returns the running process; for tests that stop it."""

    def start(*words: str | Path) -> subprocess.Popen:
        return subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=surroundings(),
        )

    return start


@pytest.fixture(scope="session")
def pair_folder(command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with coarse voxels, as the command ``phantom`` writes it; read only."""
    folder = tmp_path_factory.mktemp("phantom") / "pair"
    answer = command("phantom", "--output", folder, "--size", *SIZE)
    assert answer.returncode == 0, answer.stderr
    return folder
