"""The worker as the panel and scripts start it: real processes, small phantom."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.errors import BadInput, Cancelled, DeepRegError, InstallationProblem, OutOfMemory, OutputProblem
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.job_folder import Job, JobOptions, read_result_in_steps, write_job_in_steps
from DeepRegLib.phantom import make_phantom
from DeepRegLib.registration import register
from DeepRegLib.steps import finish
from DeepRegLib.worker_protocol import CANCEL, as_line, message_of
from DeepRegSlicer.background_process import worker_environment
from DeepRegSlicer.registration_job import run_registration

posix_only = pytest.mark.skipif(os.name == "nt", reason="looks at processes in POSIX words")
LONGEST_WAIT_S = 60


@pytest.fixture(scope="module")
def job():
    pair = make_phantom((64, 48, 48), seed=1)
    options = JobOptions(quality="fast", threads=1, seed=3, wants_inverse=True)
    points = Landmarks(pair.fixed_landmarks), Landmarks(pair.moving_landmarks)
    return Job(pair.fixed, pair.moving, None, None, *points, options)


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "Ordner mit Leerzeichen ÄÖ"
    base.mkdir()
    return base


@pytest.fixture
def start_worker(base, job):
    """Starts the worker on a job as a bare process, and cleans up; ``python`` is what it runs instead."""
    started = []

    def start(python: str = "") -> subprocess.Popen:
        folder = base / "job"
        folder.mkdir()
        finish(write_job_in_steps(folder, job))
        words = ["-c", python] if python else ["-m", "DeepRegLib.worker"]
        process = subprocess.Popen(
            [sys.executable, *words, str(folder)],
            env={**os.environ, **worker_environment(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        process.folder = folder
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                stream.close()


def worker_with(code: str) -> tuple[str, ...]:
    """The words that start the worker after ``code`` has changed it."""
    return sys.executable, "-c", worker_code(code)


def worker_code(code: str) -> str:
    return textwrap.dedent(code) + "\nimport sys\nfrom DeepRegLib import worker\nworker.main(sys.argv[1:])\n"


SLOW = """
    import subprocess, sys, time
    from DeepRegLib import worker
    def work(job, progress, cancelled):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        while True:
            progress(0.3, f"child {child.pid}")
            THEN
            time.sleep(0.02)
    worker._load_libraries = lambda: None
    worker._register = work
"""
"""A worker with a child that never comes to an end; THEN stands for whether it asks."""
HEEDS = SLOW.replace("THEN", "if cancelled(): raise worker.Cancelled('Stopped.')")
DEAF = SLOW.replace("THEN", "pass")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true, seconds: float) -> float:
    """Waits until ``true()`` and gives the time that it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, "it takes too long"
        time.sleep(0.01)
    return time.monotonic() - start


def stage_of(process, begins: str) -> str:
    """Reads messages until one with a stage that begins so."""
    for line in process.stdout:
        stage = json.loads(line).get("stage", "")
        if stage.startswith(begins):
            return stage
    raise AssertionError(process.stderr.read())


def test_the_result_is_that_of_register_in_this_process(job, base):
    told = []
    result = run_registration(job, base, progress=lambda *news: told.append(news))
    here = register(
        job.fixed,
        job.moving,
        fixed_landmarks=job.fixed_landmarks,
        moving_landmarks=job.moving_landmarks,
        quality="fast",
        threads=1,
        seed=3,
    )
    assert np.abs(result.transform.array - here.transform.array).max() < 0.01
    assert np.abs(result.inverse.array - here.inverse().array).max() < 0.01
    np.testing.assert_allclose(result.landmark_errors_mm, here.landmark_errors(), atol=0.01)
    np.testing.assert_allclose(result.prealignment.matrix, here.prealignment.matrix, atol=1e-6)
    assert np.abs(result.warped.array.astype(float) - here.warped.array).mean() < 0.1
    assert result.warped.array.dtype == job.moving.array.dtype
    assert result.evidence["landmarks"]["after"]["mean_mm"] == pytest.approx(
        here.evidence["landmarks"]["after"]["mean_mm"], abs=0.01
    )
    assert list(base.iterdir()) == []

    fractions, stages, seconds = zip(*told, strict=True)
    assert sorted(fractions) == list(fractions) and fractions[-1] == 1
    assert {"Starting", "Refining the deformation", "Writing the results"} <= set(stages)
    assert seconds[0] is None and any(s is not None for s in seconds)


def test_standard_output_holds_messages_only_whatever_libraries_print(start_worker):
    noise = """
        import ctypes, os
        del os.environ["OMP_WAIT_POLICY"]
        from DeepRegLib import worker
        worker._load_libraries()
        from DeepRegLib import registration
        quiet = registration.read_inputs
        def loud(*inputs):
            print("a print")
            print("policy", os.environ["OMP_WAIT_POLICY"])
            os.system("echo a child")
            os.write(1, b"a write")
            ctypes.CDLL(None).puts(b"a library in C")
            ctypes.CDLL(None).fflush(None)
            return quiet(*inputs)
        registration.read_inputs = loud
        choose = registration.choose_method
        registration.choose_method = lambda *words: (choose(*words)[0], ["A word of warning."])
    """
    process = start_worker(worker_code(noise))
    told = process.stdout.read()  # before standard error: a closed input would end the worker
    complaint = process.stderr.read()
    messages = [message_of(line) for line in told.splitlines()]
    assert None not in messages
    assert process.wait(LONGEST_WAIT_S) == 0 and "result" in messages[-1]
    assert {"warning": "A word of warning."} in messages
    for words in ("a print", "policy PASSIVE", "a child", "a write", "a library in C"):
        assert words in complaint
    result = finish(read_result_in_steps(messages[-1]["result"]))
    assert result.transform.array.shape[-1] == 3


@posix_only
@pytest.mark.parametrize("code", [HEEDS, DEAF])
def test_a_cancel_takes_less_than_a_second_and_leaves_no_process(job, base, code):
    children, asked = [], []

    def follow(fraction, stage, seconds):
        children.extend(int(word) for word in stage.split() if word.isdigit())

    def cancelled():
        if children and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled):
        run_registration(job, base, follow, cancelled, worker=worker_with(code))
    assert time.monotonic() - asked[0] < 1.0
    wait_until(lambda: not alive(children[0]), 0.5)
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("stage", ["Handing over", "Starting", "Refining", "Writing"])
def test_a_real_registration_is_cancelled_at_any_stage(job, base, stage):
    asked = []

    def follow(fraction, words, seconds):
        if words.startswith(stage) and not asked:
            asked.append(time.monotonic())

    with pytest.raises(Cancelled):
        run_registration(job, base, follow, lambda: bool(asked))
    assert time.monotonic() - asked[0] < 1.0
    assert list(base.iterdir()) == []


@posix_only
@pytest.mark.parametrize("code", [HEEDS, DEAF])
def test_when_the_parent_vanishes_the_worker_its_children_and_the_images_go(start_worker, code):
    process = start_worker(worker_code(code))
    child = int(stage_of(process, "child").split()[1])
    process.stdin.close()
    wait_until(lambda: process.poll() is not None, 5)
    wait_until(lambda: not alive(child), 1)
    assert not process.folder.exists()


@posix_only
def test_a_killed_parent_takes_the_worker_with_it(job, base):
    """The parent is a script with run_registration, killed with no time for anything."""
    folder = base / "given"
    folder.mkdir()
    finish(write_job_in_steps(folder, job))
    script = f"""
        import sys
        from DeepRegLib.job_folder import read_job
        from DeepRegSlicer.registration_job import run_registration
        def follow(fraction, stage, seconds):
            print(stage, flush=True)
        worker = (sys.executable, "-c", {worker_code(DEAF)!r})
        run_registration(read_job(sys.argv[1]), sys.argv[2], follow, worker=worker)
    """
    words = [sys.executable, "-c", textwrap.dedent(script), str(folder), str(base)]
    parent = subprocess.Popen(words, env={**os.environ, **worker_environment()}, stdout=subprocess.PIPE, text=True)
    with parent:
        child = next(int(line.split()[1]) for line in parent.stdout if line.startswith("child"))
        parent.kill()
        wait_until(lambda: not alive(child), 5)
    assert [path.name for path in base.iterdir()] == ["given"]


def test_a_message_to_cancel_ends_the_bare_worker_with_a_word(start_worker):
    process = start_worker(worker_code(HEEDS))
    stage_of(process, "child")
    process.stdin.write(as_line(CANCEL) + "\n")
    process.stdin.flush()
    last = json.loads(process.stdout.readlines()[-1])
    assert process.wait(5) == 130
    assert last["kind"] == "Cancelled"


@posix_only
@pytest.mark.parametrize(
    ("number", "kind", "words"), [(signal.SIGKILL, OutOfMemory, "memory"), (signal.SIGTERM, DeepRegError, "outside")]
)
def test_a_worker_that_is_killed_from_outside_is_told_and_its_children_go(job, base, number, kind, words):
    children = []

    def follow(fraction, stage, seconds):
        if stage.startswith("child") and not children:
            children.append(int(stage.split()[1]))
            parent = Path(f"/proc/{children[0]}/stat").read_text().rpartition(")")[2].split()[1]
            os.kill(int(parent), number)

    with pytest.raises(kind, match=words):
        run_registration(job, base, follow, worker=worker_with(DEAF))
    wait_until(lambda: not alive(children[0]), 1)
    assert list(base.iterdir()) == []


@posix_only
@pytest.mark.parametrize(
    "shortage",
    [
        "raise MemoryError",
        "raise RuntimeError('[enforce fail] DefaultCPUAllocator: not enough memory')",
        "sys.stderr.write('terminate called ... what():  std::bad_alloc'); os.abort()",
        "numpy.ones(1 << 50)",
    ],
)
def test_a_shortage_of_memory_is_told_as_one(job, base, shortage):
    code = f"""
        import numpy, os, sys
        from DeepRegLib import worker
        def work(job, progress, cancelled):
            {shortage}
        worker._load_libraries = lambda: None
        worker._register = work
    """
    with pytest.raises(OutOfMemory) as caught:
        run_registration(job, base, worker=worker_with(code))
    assert caught.value.hint


def test_a_missing_torch_is_told_with_what_to_install(job, base):
    with pytest.raises(InstallationProblem, match="PyTorch is not installed") as caught:
        run_registration(job, base, worker=worker_with("import sys; sys.modules['torch'] = None"))
    assert "Extensions Manager" in caught.value.hint


def test_a_broken_torch_is_told_as_such(job, base, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('DLL load failed: c10.dll')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    with pytest.raises(InstallationProblem, match=r"cannot be loaded.*c10"):
        run_registration(job, base, worker=worker_with(code))


def test_a_bad_job_is_refused_with_the_same_error_as_by_register(job, base):
    bad = Job(job.fixed, job.moving, options=JobOptions(quality="perfect"))
    with pytest.raises(BadInput, match="There is no quality 'perfect'") as caught:
        run_registration(bad, base)
    assert "Traceback" in caught.value.__notes__[0]


def test_a_damaged_job_is_refused_before_torch_is_loaded(start_worker):
    code = worker_code("import sys; from DeepRegLib import worker; worker._load_libraries = lambda: sys.exit('torch')")
    process = start_worker(f"import pathlib, sys\n(pathlib.Path(sys.argv[1]) / 'fixed.npy').unlink()\n{code}")
    message = json.loads(process.stdout.read())
    assert (message["kind"], process.wait(5)) == ("BadInput", 1)
    assert "fixed.npy" in message["error"]


def test_a_defect_has_its_traceback_as_note(job, base):
    code = "from DeepRegLib import worker\nworker._load_libraries = lambda: 1 / 0"
    with pytest.raises(DeepRegError, match=r"defect.*ZeroDivisionError") as caught:
        run_registration(job, base, worker=worker_with(code))
    assert "Traceback" in caught.value.__notes__[0]


def test_a_python_that_is_not_there_is_told(job, base):
    with pytest.raises(DeepRegError, match="could not be started"):
        run_registration(job, base, worker=(str(base / "PythonSlicer"),))
    assert list(base.iterdir()) == []


def test_a_base_folder_that_cannot_be_used_is_told(job, tmp_path):
    with pytest.raises(OutputProblem, match="temporary folder"):
        run_registration(job, tmp_path / "gone")


def test_an_error_in_the_callers_own_function_leaves_nothing_behind(job, base):
    def broken(fraction, stage, seconds):
        if stage != "Handing over the images":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_registration(job, base, broken, worker=worker_with(DEAF))
    assert list(base.iterdir()) == []


def test_scripts_need_neither_slicer_nor_qt():
    code = "import sys, DeepRegSlicer.registration_job; assert not {'slicer', 'qt', 'vtk'} & set(sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_the_report_stays_when_it_is_asked_for(job, base):
    wanted = JobOptions(quality="fast", threads=1, report=True)
    result = run_registration(Job(job.fixed, job.moving, None, None, None, None, wanted), base)
    assert {"report.html", "transform.h5", "evidence.json"} <= {path.name for path in result.report_folder.iterdir()}
    assert list(base.rglob("*.npy")) == []
