"""The driver: every chosen tool on every chosen pair, one after the other, each in its own process."""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .pairs import DATA, choose, discover
from .run import TOOLS, choose_runs
from .tables_and_plots import COLUMNS, read_results, write_table_and_plots
from .variants import VARIANTS

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
LONGEST_RUN_SECONDS = 1800
"""A tool that takes longer has failed."""
EXIT_USAGE = 2


@dataclass(frozen=True)
class Job:
    """Runs (tool, setting) on one pair in one variant."""

    pair: str
    variant: str
    runs: list[tuple[str, str]]
    threads: int
    data: Path

    def row(self, tool: str, setting: str) -> dict:
        return {"pair": self.pair, "variant": self.variant, "tool": tool, "run": setting, "threads": self.threads}


class _FailedError(Exception):
    """A process of the benchmark did not do its work; the text says why."""


def main(words: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(words)
    try:
        jobs = _jobs(options)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return EXIT_USAGE
    if not jobs:
        print("Nothing to compare: no chosen tool takes the chosen pairs.", file=sys.stderr)
        return EXIT_USAGE
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    total = sum(len(job.runs) for job in jobs)
    for job in jobs:
        for row in _rows(job):
            rows.append(row)
            print(f"[{len(rows)}/{total}] {_in_words(row)}", flush=True)
            _write_results(rows, options.output)  # after each: what was measured survives a Ctrl-C
    print(write_table_and_plots(read_results(options.output), options.output))
    return 1 if any(row.get("failure") for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument(
        "--pairs", nargs="+", default=["all"], help="all, real, easy, hard, extreme, brain, phantom or names (all)"
    )
    parser.add_argument("--tools", default=",".join(TOOLS), help="tools or single settings, by comma (%(default)s)")
    parser.add_argument("--variants", default="none", help=f"by comma, of {','.join(VARIANTS)} (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="for every tool (%(default)s)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the pairs (../shared/data)")
    parser.add_argument("--output", type=Path, default=Path("benchmark"), help="folder of the results (%(default)s)")
    return parser


def _jobs(options: argparse.Namespace) -> list[Job]:
    """Pairs outermost, so that what slows the machine for a while slows all tools."""
    variants, tools = options.variants.split(","), options.tools.split(",")
    unknown = [variant for variant in variants if variant not in VARIANTS]
    if unknown:
        raise ValueError(f"There is no variant '{unknown[0]}'. Available: {', '.join(VARIANTS)}.")
    names, pairs = choose(options.pairs, options.data), discover(options.data)
    jobs = []
    for name in names:
        brain = name in pairs and pairs[name].is_brain  # brains come without landmarks, so there are no variants
        for variant in ["none"] if brain else variants:
            jobs.append(Job(name, variant, choose_runs(tools, brain), options.threads, options.data.resolve()))
    return [job for job in jobs if job.runs]


def _rows(job: Job) -> Iterator[dict]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            made = _python(["benchmark.prepare", job.pair, job.variant, str(job.data), scratch], job.threads)
            (folder / "pair.json").write_text(made, encoding="utf-8")
        except _FailedError as problem:
            yield from (job.row(tool, setting) | {"failure": str(problem)} for tool, setting in job.runs)
            return
        for tool, setting in job.runs:
            yield job.row(tool, setting) | _numbers(tool, setting, job.threads, folder)


def _numbers(tool: str, setting: str, threads: int, folder: Path) -> dict:
    """What one run measured, or why it did not."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    start = time.perf_counter()
    try:
        _python(["benchmark.one_run", tool, setting, str(threads), str(folder)], threads)
    except _FailedError as problem:
        return {"failure": str(problem)}
    whole = time.perf_counter() - start
    numbers = json.loads(answer.read_text(encoding="utf-8"))
    return numbers | {"command_seconds": whole - numbers.pop("measuring_seconds")}


def _python(module: list[str], threads: int) -> str:
    """Run a module of the benchmark in a process of its own; what it printed. Raises :class:`_FailedError`."""
    environment = {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}
    try:
        process = subprocess.run(
            [sys.executable, "-m", *module],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=LONGEST_RUN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _FailedError(f"took longer than {LONGEST_RUN_SECONDS} s") from None
    if process.returncode:
        said = (process.stderr or process.stdout).strip().splitlines()
        raise _FailedError(said[-1] if said else f"ended with status {process.returncode}")
    return process.stdout


def _in_words(row: dict) -> str:
    title = f"{row['pair']} ({row['variant']}) {row['run']}"
    if row.get("failure"):
        return f"{title}: failed: {row['failure']}"
    quality = f"{row['mean_mm']:.2f} mm" if "mean_mm" in row else f"Dice {row.get('dice', float('nan')):.3f}"
    return f"{title}: {quality}, {row['seconds']:.1f} s, {row['peak_memory_gb']:.2f} GB"


def _write_results(rows: list[dict], output: Path) -> None:
    _replace(output / "results.json", json.dumps(rows, indent=1))
    with (output / "results.csv.tmp").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    (output / "results.csv.tmp").replace(output / "results.csv")


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_suffix(path.suffix + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
