"""What the training panel costs its user: the time to build it, from *Start* to the first point of the curves, the
longest moment that its window stands still, from *Stop* to saved, and how soon a run that was killed is shown as such.

    .venv/bin/python Testing/benchmark/training_panel.py [FOLDER]

FOLDER holds CT scans (default: three phantoms). A real run at 32 x 32 x 32 on the stand-in host; a quiet machine gives
the figures that count. The exit status is 1 when a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "DeepReg")]

LONGEST_S = 300
WATCHED_S = 10.0
"""How long a run is watched while nothing is pressed."""
FIRST_POINT_S, STANDSTILL_MS, STOP_S = 15.0, 100.0, 3.0
"""The bars."""
PHANTOMS, PHANTOM_SIZE = 3, (64, 52, 60)
NETWORK, PRESET, STEPS = "vgg_grid", "eppenhof2018", 100_000


@dataclass(frozen=True)
class Figure:
    """A row of the table; ``bar`` is the most that it may be."""

    what: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def is_missed(self) -> bool:
        return self.bar is not None and self.value > self.bar

    def __str__(self) -> str:
        value = f"{self.value:.0f}" if self.unit == "ms" else f"{self.value:.2f}"
        bar = "" if self.bar is None else f"{self.bar:g} {self.unit}"
        return f"{self.what:44s}{value:>8s} {self.unit:4s}{bar:>8s}  {'MISSED' if self.is_missed else ''}".rstrip()


class Panel:
    """The training panel on the stand-in host, as a user has it before anything is chosen."""

    def __init__(self) -> None:
        from slicer_host import install

        self.host = install()
        import slicer

        for module in ("DeepReg", "DeepRegTrain"):
            self.host.load_module(TESTING.parent / module / f"{module}.py")
        begun = time.perf_counter()
        self.representation = slicer.modules.deepregtrain.widgetRepresentation()
        self.representation.enter()
        self.built_s = time.perf_counter() - begun
        self._widget = self.representation.self()
        self.ui, self.parameters = self._widget.ui, self._widget._parameterNode
        self.runs = self._widget.panel.runs
        self.scene = slicer.mrmlScene

    def spin(self, until: Callable[[], object]) -> float:
        """Wait; gives the seconds."""
        begun = time.perf_counter()
        self.host.spin(until, LONGEST_S)
        return time.perf_counter() - begun

    def click(self, button) -> None:
        """Press a button as soon as it can be pressed."""
        self.spin(lambda: button.enabled)
        button.click()

    def shown_state(self) -> str:
        """Of the newest run, in the table."""
        table = self.ui.runTable
        return table.item(0, 1).text() if table.rowCount and table.item(0, 1) is not None else ""

    def wait_for(self, state: str) -> float:
        """Until the run is shown in this state; gives the seconds. A run that fails ends the benchmark."""
        seconds = self.spin(lambda: self.shown_state() in (state, "failed"))
        if self.shown_state() != state:
            raise RuntimeError(self.ui.levelsLabel.text)
        return seconds

    def points(self) -> int:
        """Of the training curve."""
        from DeepRegSlicer.review_nodes import find_review_node

        series = find_review_node(self.scene, "training errors: training")
        return series.GetTableNode().GetNumberOfRows() if series is not None else 0

    def close(self) -> None:
        self._widget.cleanup()


def main(folder: Path | None) -> int:
    panel = Panel()
    with tempfile.TemporaryDirectory() as work:
        scans = folder or made_scans(Path(work) / "scans")
        choose(panel, scans, Path(work) / "runs")
        try:
            figures = measured(panel)
        finally:
            end_all(Path(work) / "runs")
            panel.close()
    print(*figures, sep="\n")
    return int(any(figure.is_missed for figure in figures))


def choose(panel: Panel, scans: Path, runs: Path) -> None:
    from DeepRegSlicer.training.parameters import Size

    parameters = panel.parameters
    parameters.dataFolder, parameters.outputFolder = str(scans), str(runs)
    parameters.size, parameters.steps = Size.VOXELS_32, STEPS
    parameters.network, parameters.preset = NETWORK, PRESET
    parameters.showCurves = True
    panel.spin(lambda: panel.ui.startButton.enabled)


def measured(panel: Panel) -> list[Figure]:
    """A run from *Start* to its curves, to *Stop*, to *Resume*, to a kill, to *Resume* from there."""
    from DeepRegSlicer.training.run_start import kill_run

    from benchmark.window import Clock

    ui, clock = panel.ui, Clock()
    figures = [Figure("panel built and entered", panel.built_s, "s")]

    def add_standstill(what: str) -> None:
        figures.append(Figure(f"longest standstill while {what}", clock.since_last(), "ms", STANDSTILL_MS))

    panel.click(ui.startButton)
    figures.append(Figure("Start to first plotted point", panel.spin(lambda: panel.points() > 0), "s", FIRST_POINT_S))
    add_standstill("starting")
    until = time.perf_counter() + WATCHED_S
    panel.spin(lambda: time.perf_counter() > until)
    add_standstill("running")
    panel.click(ui.stopButton)
    figures.append(Figure("Stop to saved and ended", panel.wait_for("stopped"), "s", STOP_S))
    add_standstill("stopping")

    panel.click(ui.resumeButton)
    run = panel.runs.chosen_run()
    panel.spin(lambda: goes_on(run, times=1))
    add_standstill("resuming")
    kill_run(run)
    figures.append(Figure("kill -9 to shown as interrupted", panel.wait_for("interrupted"), "s"))
    panel.click(ui.resumeButton)
    figures.append(Figure("Resume to the first step from there", panel.spin(lambda: goes_on(run, times=2)), "s"))
    panel.click(ui.stopButton)
    panel.wait_for("stopped")
    return figures


def goes_on(run: Path, times: int) -> bool:
    """Whether the run was taken up so many times, and has done a step since."""
    from DeepRegSlicer.training.run_list import PREPARING, read_run

    log = run / "log.txt"
    found = read_run(run)
    is_back = log.read_text(encoding="utf-8").count("Goes on from step") == times
    return is_back and found is not None and found.stage not in ("", PREPARING)


def made_scans(folder: Path) -> Path:
    """CT scans of people who do not exist."""
    from DeepRegLib.images.read import write_volume
    from DeepRegLib.phantom import make_phantom

    folder.mkdir()
    for seed in range(PHANTOMS):
        write_volume(make_phantom(PHANTOM_SIZE, seed=seed).fixed, folder / f"phantom{seed}.nii.gz")
    return folder


def end_all(runs: Path) -> None:
    """Whatever went wrong: no process stays."""
    from DeepRegSlicer.training.run_start import kill_run, processes_of

    folders = list(runs.iterdir()) if runs.is_dir() else []
    for folder in folders:
        kill_run(folder)
    end = time.monotonic() + LONGEST_S
    while any(process.runs for folder in folders for process in processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
