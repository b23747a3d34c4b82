"""Runs told by their files and processes: what goes on, what has ended and how, whatever state the files are in."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

from DeepRegLib.errors import BadInput
from DeepRegSlicer.training import run_start
from DeepRegSlicer.training.command import command_environment
from DeepRegSlicer.training.detached_process import (
    ProcessIdentity,
    identity_of,
    is_alive,
    start_detached,
    started_at,
    told_by_ps,
)
from DeepRegSlicer.training.run_list import RunList, list_runs, read_run
from DeepRegSlicer.training.run_numbers import RunNumbers
from DeepRegSlicer.training.run_start import (
    new_run_folder,
    queue_run,
    read_launch,
    resume_run,
    start_run,
)
from training_runs_case import LONG_AGO, launched, run_folder, start_fake, state, wait_until

pytestmark = pytest.mark.usefixtures("no_process_left")
HERE = socket.gethostname()
LONGEST_STEP_S = 0.1


def test_the_start_of_a_process_is_known_and_a_dead_one_has_none():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = started_at(child.pid)
    assert began is not None and abs(began - time.time()) < 5
    assert told_by_ps(child.pid) == pytest.approx(began, abs=2)
    child.kill()
    wait_until(lambda: started_at(child.pid) is None)  # ended, though nobody has asked for its exit code
    assert told_by_ps(child.pid) is None
    child.wait()
    assert started_at(child.pid) is None and told_by_ps(child.pid) is None
    assert not is_alive(0, time.time()) and not is_alive(-1, time.time())


def test_a_number_that_another_process_got_later_is_not_the_run(tmp_path):
    """Our own number, used by somebody before us."""
    began = started_at(os.getpid())
    assert is_alive(os.getpid(), began) and not is_alive(os.getpid(), began - 60)
    folder = run_folder(tmp_path / "run", {"pid": os.getpid(), "started": began - 60})
    (folder / "lock").write_text(json.dumps({"pid": os.getpid(), "started": began - 60, "computer": HERE}))
    launched(folder, ProcessIdentity(os.getpid(), began - 60, HERE), asked=began - 61)
    run = state(folder)
    assert run.state == "interrupted" and "resume" in run.sentence
    (folder / "lock").write_text(json.dumps({"pid": os.getpid(), "started": began + 1, "computer": HERE}))
    assert state(folder).state == "running"
    (folder / "lock").unlink()


@pytest.mark.parametrize("told", ["stopped", "finished", "failed"])
def test_a_run_that_has_ended_says_how(tmp_path, told):
    folder = run_folder(tmp_path / "run", {"state": told, "message": "Words.", "best_error_mm": 1.25})
    run = state(folder)
    assert (run.state, run.sentence, run.step, run.steps, run.best_error_mm) == (told, "Words.", 10, 100, 1.25)


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"state": "training"}', '{"state": 7, "step": "x", "steps": null, "started": 0}', "\0\xff"],
)
def test_a_damaged_status_hides_no_run_and_breaks_nothing(tmp_path, damage):
    folder = run_folder(tmp_path / "run")
    (folder / "status.json").write_text(damage, encoding="latin-1")
    for name in ("launch.json", "lock"):
        (folder / name).write_text(damage, encoding="latin-1")
    run = state(folder)
    assert run.state == "interrupted" and "damaged" in run.sentence


def test_folders_that_are_no_runs_are_not_listed(tmp_path):
    (tmp_path / "scans of the scene").mkdir()
    (tmp_path / "file.txt").write_text("")
    run_folder(tmp_path / "run", {"state": "finished"})
    assert [run.name for run in list_runs(tmp_path)] == ["run"]
    assert list_runs(tmp_path / "not there") == []


def test_five_hundred_old_runs_are_read_in_short_steps_and_then_hardly_at_all(tmp_path):
    for number in range(500):
        folder = run_folder(tmp_path / f"run{number:03d}", {"state": "stopped" if number % 2 else "training"})
        (folder / "lock").write_text(json.dumps({"pid": 1, "started": LONG_AGO, "computer": HERE}))
    runs = RunList(tmp_path)
    for limit_s in (None, 1.0):
        begun, longest, steps = time.perf_counter(), 0.0, runs.refresh_in_steps()
        while True:
            start = time.process_time()
            try:
                next(steps)
            except StopIteration as end:
                found = end.value
                break
            finally:
                longest = max(longest, time.process_time() - start)
        assert longest < LONGEST_STEP_S
        assert len(found) == 500 and {run.state for run in found} == {"stopped", "interrupted"}
        assert limit_s is None or time.perf_counter() - begun < limit_s


def test_a_run_goes_on_without_the_one_who_started_it_and_is_found_again(tmp_path):
    """Killed like Slicer may be: with its whole process group."""
    folder = tmp_path / "run"
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import training_runs_case as case\n"
        "case.start_fake(Path(sys.argv[2])); print('started', flush=True); time.sleep(60)\n"
    )
    slicer_process = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, **command_environment()},
        start_new_session=True,
        text=True,
    )
    assert slicer_process.stdout.readline().strip() == "started"
    os.killpg(slicer_process.pid, signal.SIGKILL)
    slicer_process.wait()
    slicer_process.stdout.close()
    before = state(folder)
    assert before.state == "running"
    wait_until(lambda: state(folder).step > before.step + 5)
    process = read_launch(folder).process
    assert os.getsid(process.pid) == process.pid and Path(f"/proc/{process.pid}/fd/0").resolve() == Path("/dev/null")
    run_start.ask_to_stop(folder)
    assert state(folder).state in ("stopping", "stopped")
    wait_until(lambda: state(folder).state == "stopped", 3)
    assert "saved" in state(folder).sentence


def test_a_killed_run_is_interrupted_at_once_and_its_number_is_free_for_others(tmp_path):
    folder = tmp_path / "run"
    process = start_fake(folder)
    assert state(folder).state == "running"
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: state(folder).state == "interrupted", 2)
    assert state(folder).step > 0 and "resume" in state(folder).sentence


def test_a_full_disk_is_the_reason_that_is_told(tmp_path, monkeypatch):
    folder = run_folder(tmp_path / "run", {})
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("DeepRegSlicer.training.run_list.shutil.disk_usage", lambda _folder: usage)
    assert state(folder).sentence.startswith("The disk is full")


def test_what_a_process_complained_of_is_told_when_it_never_came_to_its_first_step(tmp_path):
    folder = run_folder(tmp_path / "run", {"state": "stopped"})
    os.utime(folder / "status.json", (LONG_AGO, LONG_AGO))
    launched(folder, ProcessIdentity(1, LONG_AGO, HERE))
    output = folder / "output.txt"
    complaint = "slicer-deepreg: The scan is gone.\nPut it back.\n"
    output.write_text(f"== first\nslicer-deepreg: Old.\n== second\n 0 % x\n{complaint}")
    assert (state(folder).state, state(folder).sentence) == ("failed", "The scan is gone. Put it back.")
    output.write_text("== first\nslicer-deepreg: Old.\n== second\n  0 % x\n")
    assert state(folder).state == "stopped"


def test_a_folder_at_work_is_not_started_twice(tmp_path):
    folder = tmp_path / "run"
    start_fake(folder)
    for start in (start_run, queue_run):
        with pytest.raises(BadInput, match="'run' is at work already"):
            start(folder, ["train"])
    with pytest.raises(BadInput, match="at work already"):
        resume_run(folder)
    assert state(folder).state == "running"


def test_two_panels_never_get_the_same_new_folder(tmp_path):
    names = [new_run_folder(tmp_path / "out", "run").name for _ in range(3)]
    assert names == ["run", "run-2", "run-3"]


def test_what_cannot_be_started_does_not_look_like_a_run(tmp_path, monkeypatch):
    from DeepRegLib.errors import DeepRegError

    monkeypatch.setattr(run_start, "slicer_python", lambda: str(tmp_path / "PythonSlicer"))
    folder = new_run_folder(tmp_path, "run")
    with pytest.raises(DeepRegError, match="could not be started"):
        start_run(folder, ["train"])
    assert read_run(folder) is None and not list(folder.iterdir())


def test_a_queue_goes_on_without_anybody_in_the_order_in_which_it_was_asked_for(tmp_path):
    """Three runs that only print; each waits for the ones before."""
    at_work = tmp_path / "at work"
    process = start_fake(at_work)
    folders = [tmp_path / name for name in ("z first", "second", "third")]
    for folder in folders:
        folder.mkdir()
        queue_run(folder, ["--help"])
    wait_until(lambda: all(state(folder).state == "queued" and read_launch(folder).process for folder in folders), 20)
    with pytest.raises(BadInput, match="at work already"):
        start_run(folders[0], ["--help"])
    run_start.ask_to_stop(folders[1])  # is taken out
    wait_until(lambda: state(folders[1]).state == "stopped", 5)
    assert "queue" in state(folders[1]).sentence
    assert not any("usage" in (folder / "output.txt").read_text() for folder in folders)
    process.kill_tree()
    wait_until(lambda: all("usage" in (folders[k] / "output.txt").read_text() for k in (0, 2)), 20)
    ended = [(folders[k] / "launch.json").stat().st_mtime for k in (0, 2)]
    assert ended[0] <= ended[1]
    assert "usage" not in (folders[1] / "output.txt").read_text()


def test_a_queue_whose_process_is_gone_says_so(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    launched(folder, ProcessIdentity(os.getpid(), LONG_AGO, HERE), queued=True)
    assert state(folder).state == "interrupted" and "resume" in state(folder).sentence
    launched(folder, None, queued=True)
    assert state(folder).state == "queued"  # it has not come to say who it is
    launched(folder, None, queued=True, asked=LONG_AGO)
    assert state(folder).state == "interrupted"
    launched(folder, ProcessIdentity(4, LONG_AGO, "elsewhere"), queued=True)
    assert state(folder).sentence == "It waits on elsewhere."


def test_a_run_on_another_computer_is_judged_by_its_status(tmp_path):
    folder = run_folder(tmp_path / "run", {})
    (folder / "lock").write_text(json.dumps({"pid": os.getpid(), "started": time.time(), "computer": "elsewhere"}))
    assert (state(folder).state, state(folder).sentence) == ("running", "It runs on elsewhere.")
    os.utime(folder / "status.json", (LONG_AGO, LONG_AGO))
    assert state(folder).state == "interrupted"


def test_a_detached_process_gets_words_letters_and_surroundings(tmp_path):
    output = tmp_path / "Ordner Ä" / "output.txt"
    output.parent.mkdir()
    code = "import os, sys; print(sys.argv[1], os.environ['GRUSS'], sys.stdin.read() == '')"
    process = start_detached([sys.executable, "-c", code, "a b"], {"GRUSS": "schön", "PYTHONUTF8": "1"}, output)
    wait_until(lambda: not process.runs)
    assert output.read_text(encoding="utf-8") == "a b schön True\n"
    assert identity_of(os.getpid()).runs and not ProcessIdentity(os.getpid(), time.time(), "elsewhere").runs


def test_numbers_are_read_as_they_grow_and_anew_when_they_are_cut(tmp_path):
    folder = run_folder(tmp_path / "run")
    numbers = RunNumbers(folder)
    assert not numbers.read()
    metrics = folder / "metrics.csv"
    metrics.write_text("step,stage,loss,error_mm,zero_mm\n1,all,4.0,2.0,6.0\n2,all,3.0,1.")
    assert numbers.read() and numbers.error.values == [2.0]
    assert not numbers.read()
    with metrics.open("a") as file:
        file.write('5,6.0\n3,"a, b",nan,1.0,\n')
    assert numbers.read()
    assert (numbers.error.steps, numbers.error.values, numbers.zero.values) == ([1, 2, 3], [2.0, 1.5, 1.0], [6.0, 6.0])
    assert numbers.loss.values == [4.0, 3.0]
    cut = folder / "cut.csv"
    cut.write_text("step,stage,loss,error_mm,zero_mm\n1,a,4,2,6\n2,a,3,9,6\n3,a,3,8,6\n4,a,3,7,6\n")
    cut.replace(metrics)
    assert numbers.read() and numbers.error.values == [2.0, 9.0, 8.0, 7.0]
    rows = ("10,held-out pair 1,2.0", "10,held-out pair 2,4.0", "10,landmarks of a,9.0", "20,landmarks of a,8.0")
    (folder / "validation.csv").write_text("\n".join(["step,data,error_mm", *rows, ""]))
    assert numbers.read()
    assert (numbers.validation.steps, numbers.validation.values) == ([10, 20], [3.0, 8.0])
    metrics.unlink()
    assert numbers.read() and numbers.error.values == []
