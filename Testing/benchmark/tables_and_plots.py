"""What a run of the benchmark says: a table with ratios to greedy of the same run, and two plots."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from .run import BASELINE, BRAIN_BASELINE

COLUMNS = (
    "pair",
    "group",
    "variant",
    "tool",
    "run",
    "threads",
    "count",
    "mean_mm",
    "sd_mm",
    "median_mm",
    "p95_mm",
    "max_mm",
    "folding_percent",
    "sd_log_jacobian",
    "dice",
    "seconds",
    "command_seconds",
    "peak_memory_gb",
    "failure",
)
"""Of results.csv; results.json holds the seconds of single stages too."""

HEADINGS = (
    *("pair", "variant", "run", "mean ± SD, mm", "median", "p95", "max", "Dice", "folding, %", "SD log det J"),
    *("s", "command, s", "peak, GB", "error / greedy", "time / greedy"),
)
Row = dict


def read_results(output: Path) -> list[Row]:
    return json.loads((output / "results.json").read_text(encoding="utf-8"))


def write_table_and_plots(rows: list[Row], output: Path) -> str:
    """Writes table.md, error.png and time.png into ``output``; returns the table."""
    table = f"{pair_table(rows)}\n\n{summary_table(rows)}\n"
    (output / "table.md").write_text(table, encoding="utf-8")
    _bars(rows, "mean_mm", "mean landmark error, mm", output / "error.png")
    _bars(rows, "seconds", "seconds", output / "time.png")
    return table


def baseline_of(row: Row, rows: list[Row]) -> Row | None:
    """The row of greedy for the same pair and variant in this run, None where there is none."""
    same = [r for r in rows if (r["pair"], r["variant"]) == (row["pair"], row["variant"]) and not r.get("failure")]
    return next((r for name in (BASELINE, BRAIN_BASELINE) for r in same if r["run"] == name), None)


def ratio(row: Row, rows: list[Row], key: str) -> float:
    """``row[key]`` by that of greedy; not a number where either is missing."""
    baseline = baseline_of(row, rows)
    if baseline is None or not row.get(key) or not baseline.get(key):
        return math.nan
    return row[key] / baseline[key]


def pair_table(rows: list[Row]) -> str:
    lines = [f"| {' | '.join(HEADINGS)} |", "| --- " * len(HEADINGS) + "|"]
    for row in rows:
        start = f"| {row['pair']} | {row['variant']} | {row['run']} |"
        if row.get("failure"):
            lines.append(f"{start} failed: {row['failure']} |" + " |" * (len(HEADINGS) - 4))
            continue
        spread = f"{_number(row, 'mean_mm')} ± {_number(row, 'sd_mm')}" if "mean_mm" in row else "-"
        cells = [
            spread,
            *(_number(row, key) for key in ("median_mm", "p95_mm")),
            _number(row, "max_mm", 1),
            *(_number(row, key, 3) for key in ("dice", "folding_percent")),
            _number(row, "sd_log_jacobian"),
            *(_number(row, key, 1) for key in ("seconds", "command_seconds")),
            _number(row, "peak_memory_gb"),
            *(_plain(ratio(row, rows, key)) for key in ("mean_mm", "seconds")),
        ]
        lines.append(f"{start} {' | '.join(cells)} |")
    return "\n".join(lines)


def summary_table(rows: list[Row]) -> str:
    """Per run, over the pairs that greedy did too: geometric means of the ratios (a ratio has no other mean)."""
    lines = ["| variant | run | pairs | error / greedy | time / greedy | failed |", "| --- " * 6 + "|"]
    for variant, run in dict.fromkeys((row["variant"], row["run"]) for row in rows):
        mine = [row for row in rows if (row["variant"], row["run"]) == (variant, run)]
        means = (_geometric_mean([ratio(row, rows, key) for row in mine]) for key in ("mean_mm", "seconds"))
        failed = sum(bool(row.get("failure")) for row in mine)
        lines.append(f"| {variant} | {run} | {len(mine)} | {' | '.join(map(_plain, means))} | {failed} |")
    return "\n".join(lines)


def _geometric_mean(values: list[float]) -> float:
    logs = [math.log(value) for value in values if value > 0]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def _number(row: Row, key: str, digits: int = 2) -> str:
    return _plain(row.get(key, math.nan), digits)


def _plain(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _bars(rows: list[Row], key: str, label: str, path: Path) -> None:
    """One group of bars per pair and variant, one colour per run, logarithmic: ratios can be read off."""
    from matplotlib.figure import Figure

    rows = [row for row in rows if row.get(key)]
    if not rows:
        return
    case: Callable[[Row], str] = lambda row: (  # noqa: E731
        row["pair"] if row["variant"] == "none" else f"{row['pair']}\n{row['variant']}"
    )
    cases, runs = list(dict.fromkeys(map(case, rows))), list(dict.fromkeys(row["run"] for row in rows))
    width = 0.8 / len(runs)
    figure = Figure(figsize=(max(6.0, 1.1 * len(cases) + 2.5), 4.2), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        mine = [row for row in rows if row["run"] == run]
        places = [cases.index(case(row)) + (number - (len(runs) - 1) / 2) * width for row in mine]
        axes.bar(places, [row[key] for row in mine], width, label=run)
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.set_xticks(range(len(cases)), cases, rotation=30, ha="right")
    axes.grid(axis="y", which="both", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)
