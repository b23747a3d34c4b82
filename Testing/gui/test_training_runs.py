"""The sections *Start* and *Runs* of the training panel, with processes that keep a run's files but train nothing."""

from __future__ import annotations

import os
import shlex
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from training_bench import TrainingBench
from training_runs_case import launched, run_folder, start_fake, state

pytestmark = pytest.mark.usefixtures("no_process_left")
LONGEST_GAP_S = 0.1
SAVES_WITHIN_S = 3.0


@pytest.fixture
def bench(runs_bench):
    return runs_bench


@pytest.fixture
def output(bench, tmp_path) -> Path:
    bench.parameters.outputFolder = str(tmp_path)
    return tmp_path


def button_states(bench) -> dict[str, bool]:
    names = ("stop", "resume", "openRun", "command", "sample", "log")
    return {name: getattr(bench.ui, f"{name}Button").enabled for name in names}


def test_nothing_can_be_pressed_while_something_is_missing_and_it_says_what(bench, tmp_path):
    ui, parameters = bench.ui, bench.parameters
    buttons = (ui.startButton, ui.queueButton, ui.estimateButton)
    assert not any(button.enabled for button in buttons) and "folder with scans" in ui.statusLabel.text
    parameters.dataFolder = str(tmp_path)
    assert not any(button.enabled for button in buttons) and "output folder" in ui.statusLabel.text
    assert not ui.commandButton.enabled
    parameters.outputFolder = str(tmp_path / "out")
    bench.update()
    bench.spin(lambda: ui.commandButton.enabled)
    assert all(button.enabled for button in buttons) and not ui.statusLabel.visible
    assert button_states(bench) == dict.fromkeys(("stop", "resume", "openRun", "sample", "log"), False) | {
        "command": True
    }


def test_a_run_is_followed_stopped_and_resumable(bench, output):
    folder = output / "run"
    start_fake(folder)
    bench.wait_for("run", "running")
    name, _state, step, left, best = bench.rows()[0]
    assert name == "run" and int(step) > 0 and left != "-" and float(best) > 0
    bench.spin(lambda: " of 100000, smallest error" in bench.ui.levelsLabel.text)
    bench.spin(lambda: bench.ui.stopButton.enabled)
    assert bench.runs.chosen_run() == folder and not bench.ui.resumeButton.enabled
    asked = time.monotonic()
    bench.ui.stopButton.click()
    bench.wait_for("run", "stopped", SAVES_WITHIN_S)
    assert time.monotonic() - asked < SAVES_WITHIN_S
    assert "saved" in bench.ui.levelsLabel.text
    assert bench.ui.resumeButton.enabled and not bench.ui.stopButton.enabled


def test_a_panel_that_is_closed_and_opened_again_finds_the_run_and_can_stop_it(bench, output, host, scene, spin):
    folder = output / "run"
    start_fake(folder)
    bench.wait_for("run", "running")
    bench.close()
    again = TrainingBench(host, scene, spin)
    try:
        spin(lambda: again.parameters.outputFolder == str(output))  # the last one, which no scene knows
        again.wait_for("run", "running")
        before = state(folder).step
        spin(lambda: state(folder).step > before)
        again.ui.stopButton.click()
        again.wait_for("run", "stopped")
    finally:
        again.close()
        bench.__init__(host, scene, spin)


def test_a_run_that_does_not_hear_is_told_of_and_ended_after_a_question(bench, output, monkeypatch):
    import slicer

    monkeypatch.setattr("DeepRegSlicer.training.runs_section.GRACE_S", 0.3)
    answers, asked = [False, True], []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, **_words: asked.append(text) or answers.pop(0))
    start_fake(output / "run", "deaf")
    bench.wait_for("run", "running")
    bench.ui.stopButton.click()
    bench.wait_for("run", "stopping")
    bench.spin(lambda: bench.ui.stopButton.enabled and "End now" in bench.ui.stopButton.text)
    assert "ends its step" in bench.ui.levelsLabel.text
    bench.ui.stopButton.click()
    assert len(asked) == 1 and "checkpoint" in asked[0] and state(output / "run").state == "stopping"
    bench.ui.stopButton.click()
    bench.wait_for("run", "interrupted")
    assert bench.ui.resumeButton.enabled


def test_a_killed_run_is_shown_as_interrupted(bench, output):
    process = start_fake(output / "run")
    bench.wait_for("run", "running")
    os.kill(process.pid, signal.SIGKILL)
    bench.wait_for("run", "interrupted")
    bench.spin(lambda: bench.ui.resumeButton.enabled)
    assert "resume" in bench.ui.levelsLabel.text


def test_a_run_that_is_stopped_while_it_is_prepared_says_what_it_waits_for(bench, output, monkeypatch):
    monkeypatch.setattr("DeepRegSlicer.training.runs_section.GRACE_S", 0.3)
    process = start_fake(output / "run", "deaf")
    launched(output / "run", process, asked=time.time() + 3600)  # its status is older: as long as it is prepared
    bench.wait_for("run", "running")
    bench.spin(lambda: bench.ui.stopButton.enabled)
    bench.ui.stopButton.click()
    bench.spin(lambda: "still being prepared" in bench.ui.levelsLabel.text)


def test_curves_grow_and_the_layout_comes_back(bench, output):
    import slicer
    from DeepRegSlicer.review_nodes import find_review_node
    from DeepRegSlicer.training.curves import ERROR_ROLE, LAYOUT, LOSS_ROLE

    before = bench.layout.GetViewArrangement()
    start_fake(output / "run")
    bench.wait_for("run", "running")
    bench.ui.curvesButton.checked = True
    assert bench.layout.GetViewArrangement() == LAYOUT

    def points(role: str) -> int:
        series = find_review_node(bench.scene, f"{role}: training")
        return series.GetTableNode().GetNumberOfRows() if series else 0

    bench.spin(lambda: points(ERROR_ROLE) > 3)
    first = points(LOSS_ROLE)
    bench.spin(lambda: points(LOSS_ROLE) > first)
    table = find_review_node(bench.scene, f"{ERROR_ROLE}: training").GetTableNode()
    steps, errors = (slicer.util.arrayFromTableColumn(table, name) for name in ("x", "y"))
    assert np.allclose(errors, 5 / steps, rtol=1e-4)
    views = [bench.scene.GetSingletonNode(name, "vtkMRMLPlotViewNode") for name in ("PlotView1", "PlotView2")]
    charts = [find_review_node(bench.scene, role) for role in (ERROR_ROLE, LOSS_ROLE)]
    assert [view.GetPlotChartNodeID() for view in views] == [chart.GetID() for chart in charts]
    assert charts[0].GetTitle() == "Error: run" and not any(chart.GetSaveWithScene() for chart in charts)
    count = bench.scene.GetNumberOfNodes()
    bench.spin(lambda: points(ERROR_ROLE) > first + 20)
    assert bench.scene.GetNumberOfNodes() == count
    bench.ui.curvesButton.checked = False
    assert bench.layout.GetViewArrangement() == before


def test_curves_of_a_long_run_are_drawn_in_short_steps_and_with_few_points(bench, output):
    from DeepRegSlicer.review_nodes import find_review_node

    folder = run_folder(output / "long", {"state": "finished"})
    rows = "".join(f"{k},all,{1 / k:.5f},{2 / k:.5f},3.0\n" for k in range(1, 100_001))
    (folder / "metrics.csv").write_text("step,stage,loss,error_mm,zero_mm\n" + rows)
    bench.wait_for("long", "finished", 8)
    bench.watch_gaps()
    bench.ui.curvesButton.checked = True

    def last_step() -> float:
        series = find_review_node(bench.scene, "training errors: training")
        table = series.GetTableNode().GetTable()
        return table.GetValue(table.GetNumberOfRows() - 1, 0).ToDouble() if table.GetNumberOfRows() else 0.0

    bench.spin(lambda: last_step() > 99_000, 20)
    series = find_review_node(bench.scene, "training errors: training")
    assert 100 < series.GetTableNode().GetNumberOfRows() <= 250
    assert np.quantile(bench.longest_gaps_s(), 0.99) < LONGEST_GAP_S


def test_five_hundred_old_runs_do_not_hold_up_the_window(bench, tmp_path):
    for number in range(500):
        run_folder(tmp_path / "many" / f"run{number:03d}", {"state": "stopped"})
    start_fake(tmp_path / "many" / "new")
    bench.watch_gaps()
    bench.parameters.outputFolder = str(tmp_path / "many")
    bench.spin(lambda: len(bench.rows()) == 501 and bench.rows()[-1][1] == "stopped", 20)
    step = bench.rows()[0][2]
    bench.spin(lambda: bench.rows()[0][2] != step)
    assert np.quantile(bench.longest_gaps_s(), 0.99) < LONGEST_GAP_S


def test_the_command_of_a_run_and_of_the_settings_is_copied_also_for_several_cards(bench, output, tmp_path):
    import slicer

    bench.parameters.dataFolder = str(tmp_path / "CT scans")
    bench.parameters.network, bench.parameters.preset = "progressive_unet", "eppenhof2020"
    bench.spin(lambda: bench.ui.commandButton.enabled)
    bench.ui.commandButton.click()
    plain, _empty, comment, together = slicer.app.clipboard().text().splitlines()
    words = shlex.split(plain)
    assert words[:4] == ["python", "-m", "DeepRegTrainLib", "train"]
    assert words[words.index("--data") + 1] == str(tmp_path / "CT scans")
    assert words[words.index("--network") + 1] == "progressive_unet" and comment.startswith("#")
    assert together.startswith("torchrun --standalone --nproc_per_node 4 -m DeepRegTrainLib train")
    assert together.endswith("--set pairs=4")
    run_folder(output / "old", {"state": "finished"})
    bench.wait_for("old", "finished", 8)
    bench.ui.commandButton.click()
    assert shlex.split(slicer.app.clipboard().text())[3:] == ["resume", str(output / "old")]


def test_the_words_of_the_panel_are_words_of_the_trainer(bench, output, tmp_path):
    import json

    from DeepRegLib.command_line.parser import build_parser
    from DeepRegTrainLib.commands import add_commands
    from DeepRegTrainLib.commands.training import pair_preset_of, settings_of
    from DeepRegTrainLib.pairs import preset

    content = preset("breathing").to_dict()
    content["framing"]["one_lung"] = 0.5
    bench.parameters.dataFolder, bench.parameters.steps = str(tmp_path), 3000
    bench.parameters.ranges = json.dumps(content)
    arguments = build_parser("train", "", [add_commands]).parse_args(bench.start.words())
    settings = settings_of(arguments)
    assert (settings.network, settings.size, settings.steps) == ("correspondence", 64, 3000)
    assert (settings.log_every, settings.validate_every, settings.supervision) == (1, 150, "supervised")
    assert pair_preset_of(arguments).framing.one_lung == 0.5


def test_the_estimate_is_told_and_forgotten_when_something_changes(bench, output, tmp_path):
    bench.parameters.dataFolder = str(tmp_path)
    bench.ui.estimateButton.click()
    bench.spin(lambda: bench.processes and bench.processes[-1].running)
    words = bench.processes[-1].arguments
    assert words[1:4] == ["-m", "DeepRegTrainLib", "estimate"] and words[-1] == "--json"
    assert bench.ui.estimateButton.text == "Stop" and not bench.ui.startButton.enabled
    bench.processes[-1].say({"seconds": 5400.0, "memory_mb": 2345.0, "device": "cpu"})
    bench.processes[-1].end(0)
    assert bench.ui.estimateValueLabel.text == "1.5 h on the processor, 2.3 GB of memory"
    bench.parameters.steps = 10
    assert bench.ui.estimateValueLabel.text == "-" and bench.ui.startButton.enabled


def test_an_estimate_that_fails_says_why_and_one_that_is_stopped_says_nothing(bench, output, tmp_path):
    bench.parameters.dataFolder = str(tmp_path)
    bench.ui.estimateButton.click()
    bench.spin(lambda: bench.processes and bench.processes[-1].running)
    bench.processes[-1].log("slicer-deepreg: It does not fit into the memory.\nChoose a smaller size.\n")
    bench.processes[-1].end(1)
    assert "does not fit into the memory. Choose a smaller size." in bench.ui.statusLabel.text
    assert bench.ui.detailsButton.visible and bench.ui.estimateValueLabel.text == "-"
    bench.ui.estimateButton.click()
    bench.spin(lambda: len(bench.processes) == 2 and bench.processes[-1].running)
    bench.ui.estimateButton.click()
    assert bench.processes[-1].kills == 1 and not bench.ui.statusLabel.text and bench.ui.estimateButton.enabled


def test_the_log_is_shown(bench, output, monkeypatch):
    import slicer

    shown = []
    monkeypatch.setattr(slicer.util, "infoDisplay", lambda text, **words: shown.append((text, words["detailedText"])))
    folder = run_folder(output / "old", {"state": "finished"})
    (folder / "log.txt").write_text("2026-11-21 18:00:00  Begins\n2026-11-21 19:00:00  finished\n")
    (folder / "output.txt").write_text("100 % done\n")
    bench.wait_for("old", "finished", 8)
    bench.ui.logButton.click()
    assert shown[0][0].endswith("finished") and "Begins" in shown[0][1] and "100 % done" in shown[0][1]


def test_a_closed_scene_takes_nothing_with_it(bench, output):
    import slicer

    start_fake(output / "run")
    bench.ui.curvesButton.checked = True
    bench.wait_for("run", "running")
    for section in bench.sections:
        section.close_scene()
        section.update(None)
    slicer.mrmlScene.Clear(False)
    bench.spin(lambda: state(output / "run").state == "running")
    bench.runs.refresh()
    bench.spin(lambda: bench.runs._looking is None)
    assert bench.shown_state("run") == "running"


def test_the_window_is_watched_only_while_somebody_looks(bench, output):
    start_fake(output / "run")
    bench.wait_for("run", "running")
    bench.spin(lambda: bench.runs._timer.interval == 1000)
    bench.runs.leave()
    assert not bench.runs._timer.active
    bench.runs.enter()
    bench.spin(lambda: bench.runs._timer.active)
    bench.ui.curvesButton.checked = True
    bench.runs.leave()
    assert bench.runs._timer.active and bench.runs._timer.interval == 5000


def test_levels_of_the_progressive_network_are_those_of_the_trainer():
    from DeepRegSlicer.training.levels import alphas_of
    from DeepRegTrainLib.settings import recipe
    from DeepRegTrainLib.trainable.build import build_trainable

    for changes in ({}, {"delta": 10.0, "period": 60.0}, {"arguments": {"base": 2}}):
        words = {"steps": 300, "size": 32, "arguments": {"base": 2, "levels": 3}, **changes}
        settings = recipe("progressive_unet", **words)
        trainable = build_trainable(settings)
        for step in (1, 30, 61, 100, 300):
            assert alphas_of(settings.to_dict(), step) == pytest.approx(trainable.alphas(step - 1))
    assert alphas_of(recipe("unet").to_dict(), 5) == () and alphas_of({"network": "progressive_unet"}, 5) == ()
