"""Runs of the trainer side by side: what each reached, and its curves over steps and over time.

    cd Testing; python -m benchmark.training_runs RUN [RUN ...] --output FOLDER

Prints a table in the form of Eppenhof 2020, Table V (error by network, beside the error without any motion and that of
the solver that needs no training) and writes ``table.md`` and ``curves.png``. The run folder is all it reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from DeepRegTrainLib.run_folder.layout import RunFolder, read_json
from DeepRegTrainLib.run_folder.tables import STEP, Table

SMOOTHED_ROWS = 11
"""Rows of ``metrics.csv`` in a running median: pairs differ by more than the network changes in a hundred steps."""
COLUMNS = (
    "run",
    "network",
    "steps",
    "minutes",
    "steps/s",
    "data",
    "network, mm",
    "no motion, mm",
    "solver, mm",
    "folding, %",
)
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class FinishedRun:
    """A run folder as far as it got: its settings, the rows of its tables."""

    name: str
    network: str
    metrics: Rows
    validation: Rows

    @classmethod
    def read(cls, folder: Path) -> FinishedRun:
        run = RunFolder(folder)
        metrics, validation = (Table(path, (STEP,)).rows() for path in (run.metrics, run.validation))
        return cls(folder.name, read_json(run.config)["settings"]["network"], metrics, validation)

    @property
    def minutes(self) -> float:
        return float(self.metrics[-1]["seconds"]) / 60

    def column(self, name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in self.metrics])

    def last_validation(self) -> Rows:
        """The rows of the last validation."""
        last = self.validation[-1]["step"] if self.validation else None
        return [row for row in self.validation if row["step"] == last]


def table(runs: Sequence[FinishedRun]) -> str:
    """One line for each run and each set of validation data."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for run in runs:
        steps = int(run.metrics[-1]["step"])
        start = [run.name, run.network, str(steps), f"{run.minutes:.1f}", f"{steps / run.minutes / 60:.2f}"]
        for data, rows in _grouped(run.last_validation()):
            errors = [_mean(rows, key) for key in ("error_mm", "zero_mm", "solver_mm")]
            cells = [*start, data, *errors, _mean(rows, "folding_percent", 3)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(runs: Sequence[FinishedRun], path: Path) -> None:
    """The error relative to that of no motion while training, over steps and over minutes, and in validation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 3.8), layout="constrained")
    by_step, by_minute, validated = figure.subplots(1, 3)
    for run in runs:
        relative = _running_median(run.column("error_mm") / run.column("zero_mm"))
        by_step.plot(run.column("step"), relative, label=f"{run.name} ({run.network})")
        by_minute.plot(run.column("seconds") / 60, relative)
        steps = list(dict.fromkeys(int(row["step"]) for row in run.validation))
        means = [_ratio([row for row in run.validation if int(row["step"]) == step]) for step in steps]
        validated.plot(steps, means, marker="o")
    for axes, across, title in (
        (by_step, "steps", "training pairs"),
        (by_minute, "minutes", "training pairs"),
        (validated, "steps", "held-out pairs"),
    ):
        axes.set(xlabel=across, ylabel="error / error without motion", title=title)
        axes.axhline(1.0, color="grey", linewidth=0.8)
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(runs), frameon=False)
    figure.savefig(path, dpi=120)


def _grouped(rows: Rows) -> list[tuple[str, Rows]]:
    """Held-out pairs together, each pair with landmarks by itself."""
    held_out = _held_out(rows)
    groups = [("held-out pairs", held_out)] if held_out else []
    return groups + [(row["data"], [row]) for row in rows if row not in held_out]


def _mean(rows: Rows, key: str, digits: int = 2) -> str:
    values = [float(row[key]) for row in rows if row[key]]
    return f"{np.mean(values):.{digits}f}" if values else "-"


def _ratio(rows: Rows) -> float:
    held_out = _held_out(rows)
    error, zero = (np.mean([float(row[key]) for row in held_out]) for key in ("error_mm", "zero_mm"))
    return float(error / zero)


def _held_out(rows: Rows) -> Rows:
    return [row for row in rows if not row["data"].startswith("landmarks")]


def _running_median(values: np.ndarray) -> np.ndarray:
    half = SMOOTHED_ROWS // 2
    return np.array([np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folder of a run")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="for table.md and curves.png")
    arguments = parser.parse_args(words)
    runs = [FinishedRun.read(folder) for folder in arguments.runs]
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = table(runs)
    (arguments.output / "table.md").write_text(text, encoding="utf-8")
    draw(runs, arguments.output / "curves.png")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
