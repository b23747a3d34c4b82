"""Processes on QProcess, in the event loop of an application, and functions that this loop calls later."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path

import pytest
from DeepRegSlicer.background_process import QtProcess
from DeepRegSlicer.event_loop import call_after

posix_only = pytest.mark.skipif(os.name == "nt", reason="looks at processes in POSIX words")


@pytest.fixture
def qprocess(host, spin):
    """Runs Python code in a QtProcess; gives it with what was heard: lines, log, ends."""
    made = []

    def run(code: str, *words: str, environment=None, program: str = sys.executable):
        process = QtProcess()
        process.lines, process.text, process.ends = [], [], []
        process.on_line, process.on_log = process.lines.append, process.text.append
        process.on_end = lambda *end: process.ends.append(end)
        process.start([program, "-c", code, *words], environment or {})
        made.append(process)
        return process

    yield run
    for process in made:
        process.kill_tree()
    host.process_events()


def test_lines_and_log_are_kept_apart_and_words_keep_their_letters(qprocess, spin):
    code = (
        "import os, sys\n"
        "print(sys.argv[1]); print(os.environ['GRUSS']); print('x' * 200_000)\n"
        "print('beside', file=sys.stderr); print('no end', end='')\n"
    )
    process = qprocess(code, "Ordner ÄÖ", environment={"GRUSS": "schön", "PYTHONUTF8": "1"})
    spin(lambda: process.ends)
    assert process.lines == ["Ordner ÄÖ", "schön", "x" * 200_000, "no end"]
    assert "".join(process.text) == "beside\n"
    assert process.ends == [(0, False)] and not process.running


def test_bytes_that_are_no_letters_do_no_harm(qprocess, spin):
    process = qprocess("import sys; sys.stdout.buffer.write(b'\\xff\\xfe a\\n'); sys.stderr.buffer.write(b'\\xff')")
    spin(lambda: process.ends)
    assert process.lines[0].endswith(" a") and process.text


def test_what_is_sent_arrives_on_standard_input(qprocess, spin):
    process = qprocess("print(input() + '!', flush=True); input()")
    process.send("too early, and lost without harm")
    spin(lambda: process._pid)
    process.send("grüß dich")
    spin(lambda: process.lines)
    assert process.lines == ["grüß dich!"]


def test_a_program_that_is_not_there_ends_without_having_started(qprocess, spin, tmp_path):
    process = qprocess("", program=str(tmp_path / "PythonSlicer"))
    assert process.ends == []
    spin(lambda: process.ends)
    assert process.ends == [(None, False)] and not process.running


@posix_only
@pytest.mark.parametrize("number", [9, 11, 15])
def test_a_crash_is_told_with_its_signal(qprocess, spin, number):
    process = qprocess(f"import os; os.kill(os.getpid(), {number})")
    spin(lambda: process.ends)
    assert process.ends == [(number, True)]


@posix_only
def test_the_whole_tree_is_killed_below_a_launcher_and_in_groups_of_its_own(qprocess, spin):
    """As Slicer's Python: a launcher, the worker that leads a group, a child, and a child whose parent has gone."""
    worker = (
        "import os, subprocess, sys, time; os.setsid()\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "orphan = 'import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=2).pid, flush=True)'\n"
        "print(os.getpid(), subprocess.Popen(sleep).pid, flush=True)\n"
        "subprocess.run([sys.executable, '-c', orphan, *sleep])\n"
        "time.sleep(60)\n"
    )
    process = qprocess(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])")
    spin(lambda: len(process.lines) == 2)
    pids = [int(word) for line in process.lines for word in line.split()]
    assert len(pids) == 3 and all(map(alive, pids))
    process.kill_tree()
    spin(lambda: process.ends and not any(map(alive, pids)), 2)
    process.kill_tree()
    assert process.ends == [(9, True)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_function_that_was_called_later_is_kept_by_nobody(host, spin):
    class Called:
        times = 0

        def __call__(self):
            Called.times += 1

    function = Called()
    watched = weakref.ref(function)
    call_after(0, function)
    del function
    spin(lambda: Called.times)
    host.process_events()
    gc.collect()
    assert Called.times == 1 and watched() is None
