"""What worker and panel say to each other, and what the end of a worker without a word means."""

from __future__ import annotations

import pytest
from DeepRegLib.errors import BadLandmarks, Cancelled, DeepRegError, InstallationProblem, OutOfMemory
from DeepRegLib.worker import ProgressReporter
from DeepRegLib.worker_protocol import as_line, error_of, error_of_end, failure_message, message_of


@pytest.mark.parametrize("kind", [BadLandmarks, Cancelled, InstallationProblem, OutOfMemory, DeepRegError])
def test_an_error_keeps_its_kind_its_words_and_its_hint(kind):
    try:
        raise kind("Größe passt nicht.", "Tu dies.")
    except DeepRegError as error:
        line = as_line(failure_message(error))
    assert line.isascii() and "\n" not in line
    message = message_of(line)
    back = error_of(message)
    assert (type(back), str(back), back.hint) == (kind, "Größe passt nicht.", "Tu dies.")
    assert "Traceback" in message["details"]


@pytest.mark.parametrize("kind", ["Surprise", "annotations", "", "Exception", None])
def test_an_error_of_a_kind_that_nobody_knows_is_still_an_error(kind):
    assert type(error_of({"error": "Something.", "kind": kind})) is DeepRegError


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_shortage_is_recognised_in_every_library(error):
    assert failure_message(error)["kind"] == "OutOfMemory"


def test_a_defect_is_told_as_one():
    message = failure_message(KeyError("spacing"))
    assert message["kind"] == "DeepRegError"
    assert "KeyError" in message["error"] and "report" in message["hint"]


LAUNCHER = "error: [/opt/Slicer/bin/./python-real] exit abnormally - Report the problem.\n"


@pytest.mark.parametrize(
    ("exit_code", "crashed", "log"),
    [
        (9, True, ""),  # QProcess
        (-9, True, ""),  # subprocess
        (137, False, ""),  # a shell in between
        (1, False, LAUNCHER),  # Slicer's launcher saw it, and Python did not
        (1, False, "Traceback ...\nMemoryError\n"),
        (6, True, "terminate called after throwing an instance of 'std::bad_alloc'\n"),
        (1, False, "RuntimeError: CUDA error: out of memory"),
        (-1073741801, True, ""),  # 0xC0000017 as Windows tells it
    ],
)
def test_an_end_for_want_of_memory_is_told_so(exit_code, crashed, log):
    assert type(error_of_end(exit_code, crashed, log)) is OutOfMemory


@pytest.mark.parametrize(
    ("exit_code", "crashed", "log", "words"),
    [
        (None, False, "", "could not be started"),
        (15, True, "", "stopped from outside"),
        (-15, True, "", "stopped from outside"),
        (143, False, "", "stopped from outside"),
        (11, True, "Fatal Python error: Segmentation fault", "crashed"),
        (-11, True, "", "crashed"),
        (1, False, f"Fatal Python error: Segmentation fault\n{LAUNCHER}", "crashed"),
        (-1073741819, True, "", "crashed"),  # access violation in Windows
        (0, False, "", "without a result"),
        (1, False, "ModuleNotFoundError: No module named 'DeepRegLib'", "without a result"),
    ],
)
def test_any_other_end_has_its_sentence(exit_code, crashed, log, words):
    error = error_of_end(exit_code, crashed, log)
    assert type(error) is DeepRegError
    assert words in str(error) and error.hint


@pytest.mark.parametrize("line", ["", "torch says hello", "3", "[1]", "null", '{"progress":', "\ufffd{}"])
def test_what_is_no_message_is_not_taken_for_one(line):
    assert message_of(line) is None


def test_progress_is_told_ten_times_a_second_and_at_each_new_stage():
    said, now = [], [0.0]
    reporter = ProgressReporter(said.append, lambda: now[0])
    for step in range(1000):
        now[0] = step / 1000
        reporter(step / 1000, "a" if step < 500 else "b")
    assert 9 <= len(said) <= 12
    assert said[0]["seconds_left"] is None
    assert any(message["stage"] == "b" and message["progress"] == 0.5 for message in said)
    assert said[-1]["seconds_left"] == pytest.approx(0.1, abs=0.1)
