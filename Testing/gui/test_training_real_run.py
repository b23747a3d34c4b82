"""Real trainings from the panel: started, watched, stopped, killed, resumed, with data that vanish; a window that never
stands still."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.phantom import make_phantom
from DeepRegSlicer.long_words import BREAK
from DeepRegSlicer.training.run_list import AT_WORK, PREPARING
from training_bench import TrainingBench
from training_runs_case import state, wait_until

pytestmark = pytest.mark.usefixtures("no_process_left")
LONGEST_GAP_S = 0.1
SAVES_WITHIN_S = 3.0
FIRST_POINT_S = 15.0
PATIENCE_S = 120.0
"""Very slow and busy machines included."""
MANY_STEPS = 2000


@pytest.fixture
def bench(runs_bench):
    return runs_bench


@pytest.fixture(scope="session")
def scans(tmp_path_factory) -> Path:
    """CT scans of three people who do not exist."""
    import SimpleITK as sitk

    folder = tmp_path_factory.mktemp("scans")
    for seed in range(3):
        sitk.WriteImage(make_phantom((64, 52, 60), seed=seed).fixed.to_sitk(), str(folder / f"phantom{seed}.nii.gz"))
    return folder


@pytest.fixture
def ready(bench, scans, tmp_path) -> TrainingBench:
    """A panel in which only Start is missing."""
    from DeepRegSlicer.training.parameters import Size

    parameters = bench.parameters
    shutil.copytree(scans, tmp_path / "scans")
    parameters.dataFolder, parameters.outputFolder = str(tmp_path / "scans"), str(tmp_path / "runs")
    parameters.size, parameters.steps = Size.VOXELS_32, MANY_STEPS
    parameters.network, parameters.preset = "vgg_grid", "eppenhof2018"  # quick steps
    bench.update()
    return bench


@pytest.fixture
def one_thread(monkeypatch) -> None:
    """Other tests and trainings share the processor."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def started(bench: TrainingBench) -> Path:
    bench.ui.startButton.click()
    bench.spin(lambda: bench.runs.chosen_run() is not None, PATIENCE_S)
    return bench.runs.chosen_run()


def trained(folder: Path, step: int) -> bool:
    """Whether the run has got beyond ``step``; a run that has failed never will."""
    run = state(folder)
    assert run.state in AT_WORK, run
    return run.step > step and run.stage not in ("", PREPARING)


def points(bench: TrainingBench) -> int:
    from DeepRegSlicer.review_nodes import find_review_node

    series = find_review_node(bench.scene, "training errors: training")
    return series.GetTableNode().GetNumberOfRows() if series is not None else 0


def stop(bench: TrainingBench, folder: Path) -> float:
    """Press Stop as soon as that is possible; gives the seconds until the run has ended."""
    bench.spin(lambda: bench.ui.stopButton.enabled and not bench.ui.resumeButton.enabled)
    bench.ui.stopButton.click()
    asked = time.monotonic()
    bench.spin(lambda: state(folder).state == "stopped", PATIENCE_S)
    return time.monotonic() - asked


def resume_and_stop(bench: TrainingBench, folder: Path) -> None:
    """Press Resume, wait for another step, and stop."""
    bench.spin(lambda: bench.ui.resumeButton.enabled)
    step = state(folder).step
    bench.ui.resumeButton.click()
    bench.spin(lambda: trained(folder, step), PATIENCE_S)
    stop(bench, folder)


def test_a_run_from_start_to_curves_to_stop_without_a_still_window(ready, one_thread):
    """Limits hold for a computer that has two cores to spare; on a busy one only what it does is tested."""
    bench = ready
    is_quiet = os.getloadavg()[0] < 1
    bench.parameters.network, bench.parameters.preset = "correspondence", "breathing"
    bench.parameters.showCurves = True
    bench.watch_gaps()
    begun = time.monotonic()
    folder = started(bench)
    assert "goes on when Slicer is closed" in bench.ui.statusLabel.text
    bench.spin(lambda: points(bench) > 0 or state(folder).state not in AT_WORK, PATIENCE_S)
    first_point_s = time.monotonic() - begun
    bench.spin(lambda: trained(folder, 0) and points(bench) > 3, PATIENCE_S)
    assert folder.name.endswith("correspondence-32") and bench.shown_state(folder.name) == "running"
    assert "Stage" in bench.ui.levelsLabel.text
    seconds = stop(bench, folder)
    assert np.quantile(bench.longest_gaps_s(), 0.99) < LONGEST_GAP_S
    bench.wait_for(folder.name, "stopped")
    print(f"first point after {first_point_s:.1f} s, stopped after {seconds:.1f} s, quiet: {is_quiet}")
    assert not is_quiet or (first_point_s < FIRST_POINT_S and seconds < SAVES_WITHIN_S)


def test_a_killed_trainer_and_a_killed_slicer_lose_nothing_that_was_saved(ready, one_thread):
    bench = ready
    folder = started(bench)
    bench.spin(lambda: trained(folder, 2), PATIENCE_S)
    stop(bench, folder)
    saved = state(folder).step
    bench.wait_for(folder.name, "stopped")
    bench.spin(lambda: bench.ui.resumeButton.enabled)
    bench.ui.resumeButton.click()
    bench.spin(lambda: trained(folder, saved), PATIENCE_S)
    # The panel is closed, as by a kill: nobody cleans up; the run goes on.
    bench.runs._timer.stop()
    after = state(folder).step
    wait_until(lambda: trained(folder, after), PATIENCE_S)
    from DeepRegSlicer.training.run_start import processes_of

    for process in processes_of(folder):
        if process.runs:
            os.kill(process.pid, signal.SIGKILL)
    bench.runs.enter()
    bench.wait_for(folder.name, "interrupted")
    bench.spin(lambda: bench.ui.resumeButton.enabled)
    bench.ui.resumeButton.click()
    bench.spin(lambda: (folder / "log.txt").read_text().count(f"Goes on from step {saved}\n") == 2, PATIENCE_S)
    bench.spin(lambda: trained(folder, saved), PATIENCE_S)
    stop(bench, folder)


def test_data_that_vanish_are_told_and_the_run_goes_on_when_they_are_back(ready, one_thread, tmp_path):
    bench = ready
    folder = started(bench)
    bench.spin(lambda: trained(folder, 0), PATIENCE_S)
    stop(bench, folder)
    data = tmp_path / "scans"
    data.rename(tmp_path / "elsewhere")
    bench.wait_for(folder.name, "stopped")
    bench.spin(lambda: bench.ui.resumeButton.enabled)
    bench.ui.resumeButton.click()
    bench.wait_for(folder.name, "failed", PATIENCE_S)
    bench.spin(lambda: "is not what it was" in bench.ui.levelsLabel.text)
    (tmp_path / "elsewhere").rename(data)
    scan = data / "phantom0.nii.gz"
    content = scan.read_bytes()
    scan.write_bytes(content[: len(content) // 2])
    bench.ui.resumeButton.click()
    bench.wait_for(folder.name, "running")
    bench.wait_for(folder.name, "failed", PATIENCE_S)
    scan.write_bytes(content)
    resume_and_stop(bench, folder)


def test_a_run_that_is_stopped_while_it_is_prepared_ends_before_its_first_step(ready, one_thread):
    bench = ready
    folder = started(bench)
    bench.spin(lambda: bench.ui.stopButton.enabled)
    bench.ui.stopButton.click()
    assert state(folder).stage == PREPARING
    bench.wait_for(folder.name, "stopped", PATIENCE_S)
    assert state(folder).step == 0 and not (folder / "stop").exists()


def test_a_scan_that_is_damaged_while_the_run_trains_is_named_and_the_run_goes_on_when_it_is_back(
    ready, one_thread, tmp_path
):
    """The run reads a scan when it first draws it: the first step is done before the last of many was read."""
    bench = ready
    scans = [tmp_path / "scans" / f"phantom{number}.nii.gz" for number in range(3)]
    folder = started(bench)
    bench.spin(lambda: (folder / "status.json").exists(), PATIENCE_S)
    contents = [scan.read_bytes() for scan in scans]
    for scan in scans:
        scan.write_bytes(b"no scan any more")
    bench.wait_for(folder.name, "failed", PATIENCE_S)
    bench.spin(lambda: "its content has changed" in bench.ui.levelsLabel.text)
    told = bench.ui.levelsLabel.text.replace(BREAK, "")
    assert any(str(scan) in told for scan in scans)
    for scan, content in zip(scans, contents, strict=True):
        scan.write_bytes(content)
    resume_and_stop(bench, folder)


def test_a_disk_that_takes_no_more_is_told_and_the_run_stays(ready, one_thread):
    """The system refuses files of more than a megabyte to what is started now; a checkpoint is larger."""
    bench = ready
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        folder = started(bench)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    bench.wait_for(folder.name, "failed", PATIENCE_S)
    bench.spin(lambda: "cannot be written" in bench.ui.levelsLabel.text)
    assert bench.ui.resumeButton.enabled


def test_a_folder_without_scans_is_told_by_the_run(ready, one_thread, tmp_path):
    bench = ready
    (tmp_path / "empty").mkdir()
    bench.parameters.dataFolder = str(tmp_path / "empty")
    folder = started(bench)
    bench.wait_for(folder.name, "failed", PATIENCE_S)
    bench.spin(lambda: "holds no scans" in bench.ui.levelsLabel.text)


def test_the_last_sample_pair_comes_into_the_views(ready, one_thread):
    import vtk
    from DeepRegSlicer.review_nodes import find_review_node
    from DeepRegSlicer.training.sample_pair import FIXED_ROLE, FOUND_ROLE, MOVING_ROLE, TRUE_ROLE

    bench = ready
    bench.parameters.steps = 20  # a validation at each step
    folder = started(bench)
    bench.spin(lambda: bench.ui.sampleButton.enabled, PATIENCE_S)
    bench.ui.stopButton.click()  # the next sample would take the place of the one that is compared below
    bench.spin(lambda: state(folder).state in ("stopped", "finished"), PATIENCE_S)
    bench.watch_gaps()
    bench.ui.sampleButton.click()
    bench.spin(lambda: "Sample pair after step" in bench.ui.levelsLabel.text)
    assert np.quantile(bench.longest_gaps_s(), 0.99) < LONGEST_GAP_S
    fixed, moving, true, found = (
        find_review_node(bench.scene, role) for role in (FIXED_ROLE, MOVING_ROLE, TRUE_ROLE, FOUND_ROLE)
    )
    assert fixed.GetImageData().GetDimensions() == (32, 32, 32) and moving.GetTransformNodeID() == found.GetID()
    sample = sorted((folder / "samples").iterdir())[-1]
    index = (20, 14, 11)  # z, y, x
    matrix = vtk.vtkMatrix4x4()
    fixed.GetIJKToRASMatrix(matrix)
    point = np.array(matrix.MultiplyPoint((*index[::-1], 1.0))[:3])
    for node, file in ((true, "displacement"), (found, "predicted")):
        expected = np.load(sample / f"{file}.npy")[index] * [-1, -1, 1]
        moved = np.array(node.GetTransformFromParent().TransformPoint(point)) - point
        assert np.allclose(moved, expected, atol=1e-3), file
    view = bench.scene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    assert (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()) == (fixed.GetID(), moving.GetID())
    count = bench.scene.GetNumberOfNodes()
    bench.ui.sampleButton.click()
    bench.spin(lambda: bench.ui.sampleButton.enabled)
    assert bench.scene.GetNumberOfNodes() == count


def test_the_estimate_measures_two_steps(ready, one_thread, monkeypatch):
    from DeepRegSlicer.background_process import QtProcess

    bench = ready
    bench.start.new_process = QtProcess
    bench.ui.estimateButton.click()
    assert bench.start.busy
    bench.spin(lambda: not bench.start.busy, PATIENCE_S)
    assert "GB of memory" in bench.ui.estimateValueLabel.text, bench.ui.statusLabel.text
    assert "on the processor" in bench.ui.estimateValueLabel.text


def test_a_killed_slicer_leaves_the_run_to_another_one(scans, tmp_path, one_thread):
    """The process that stands for Slicer is killed together with its group, then the trainer too."""
    folder = tmp_path / "run"
    words = ["train", "--output", str(folder), "--data", str(scans), "--size", "32", "--steps", "2000"]
    words += ["--preset", "eppenhof2018"]
    code = (
        "import sys, time; from pathlib import Path\n"
        "from DeepRegSlicer.training.run_start import start_run\n"
        "folder = Path(sys.argv[1]); folder.mkdir(); start_run(folder, sys.argv[2:])\n"
        "print('started', flush=True); time.sleep(600)\n"
    )
    from DeepRegSlicer.training.command import command_environment
    from DeepRegSlicer.training.run_start import ask_to_stop, kill_run, resume_run

    slicer_process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *words],
        stdout=subprocess.PIPE,
        env={**os.environ, **command_environment()},
        start_new_session=True,
    )
    assert slicer_process.stdout.readline() == b"started\n"
    os.killpg(slicer_process.pid, signal.SIGKILL)
    slicer_process.wait()
    slicer_process.stdout.close()
    wait_until(lambda: trained(folder, 0), PATIENCE_S)
    kill_run(folder)
    wait_until(lambda: state(folder).state == "interrupted", 5)
    resume_run(folder)
    wait_until(lambda: trained(folder, 0), PATIENCE_S)
    ask_to_stop(folder)
    wait_until(lambda: state(folder).state == "stopped", PATIENCE_S)
