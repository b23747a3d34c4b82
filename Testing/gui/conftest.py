"""Fixtures of the tests that drive panels on the stand-in host."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")
pytest.importorskip("PySide6", reason="needs Qt: pip install PySide6-Essentials")

from panel_cases import pair, process, widget
from slicer_host import Host, install
from training_bench import runs_bench
from training_models_case import models_bench, own
from training_preview_case import folder, opened, preview_bench
from training_runs_case import no_process_left

# Fixtures that are defined beside what they are made of.
__all__ = [
    "folder",
    "models_bench",
    "no_process_left",
    "opened",
    "own",
    "pair",
    "preview_bench",
    "process",
    "runs_bench",
    "widget",
]


@pytest.fixture(scope="session")
def host() -> Host:
    """The stand-in for the Slicer application, installed once a process."""
    return install()


@pytest.fixture
def scene(host: Host) -> Iterator[Any]:
    """The application's scene, as empty as after the start; ``slicer.mrmlScene``."""
    import slicer

    host.reset()
    yield slicer.mrmlScene
    host.reset()


@pytest.fixture
def spin(host: Host) -> Callable[..., None]:
    """``spin(until, limit_s=5.0)``: run the event loop until ``until()`` is true; TimeoutError after the limit."""
    return host.spin


@pytest.fixture(autouse=True)
def no_hidden_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """An exception inside a slot or an observer is only printed by Qt and VTK; here it fails the test."""
    errors: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: errors.append(error))
    yield errors
    if errors:
        raise AssertionError("Exceptions inside slots or observers") from errors[0]
