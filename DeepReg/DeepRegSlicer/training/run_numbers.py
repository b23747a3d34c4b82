"""The numbers of a run as they grow: losses and errors by step, read from its tables in small pieces."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from DeepRegTrainLib.run_folder.layout import RunFolder

from .file_tail import GrowingFile

STEP = "step"
LANDMARKS = "landmarks"
"""Rows of the validation table begin with it whose errors are those of landmarks; the mean is that of the others."""


class GrowingTable:
    """A CSV file of a run: its rows by the names in its first line. A file that is written anew, as on resuming, is
    read anew."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._names: list[str] = []

    def read(self) -> tuple[list[dict[str, str]], bool]:
        """New rows that are whole, and whether what was read before is no longer there."""
        lines, again = self._file.read()
        if again:
            self._names = []
        rows = []
        for values in csv.reader(lines):
            if not self._names:
                self._names = values
            elif len(values) == len(self._names):
                rows.append(dict(zip(self._names, values, strict=True)))
        return rows, again


@dataclass
class Series:
    """Values by step."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def averaged(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values as ``most`` points at most, each the mean of as many steps that follow each other.

        >>> steps, values = Series([1, 2, 3, 4], [4.0, 2.0, 1.0, 0.0]).averaged(2)
        >>> steps.tolist(), values.tolist()
        ([1.5, 3.5], [3.0, 0.5])
        """
        count = len(self.steps)
        if not count:
            return np.zeros(0), np.zeros(0)
        starts = np.arange(0, count, -(-count // most))
        sizes = np.diff(np.append(starts, count))
        steps, values = (np.add.reduceat(np.array(v, float), starts) / sizes for v in (self.steps, self.values))
        return steps, values


class RunNumbers:
    """Loss, error in training and error of finding no motion, from ``metrics.csv``; the mean error in validation, from
    ``validation.csv``. Errors in mm."""

    def __init__(self, folder: Path) -> None:
        files = RunFolder(folder)
        self.folder = folder
        self._metrics, self._validation = GrowingTable(files.metrics), GrowingTable(files.validation)
        self.loss, self.error, self.zero, self.validation = Series(), Series(), Series(), Series()
        self._validated: dict[int, list[tuple[str, float]]] = {}

    def read(self) -> bool:
        """Read the next piece of each table; whether anything is new."""
        rows, again = self._metrics.read()
        if again:
            self.loss, self.error, self.zero = Series(), Series(), Series()
        for row in rows:
            for series, name in ((self.loss, "loss"), (self.error, "error_mm"), (self.zero, "zero_mm")):
                _add(series, row, name)
        validated, validated_again = self._validation.read()
        if validated_again:
            self._validated.clear()
        for row in validated:
            step, error = _number(row, STEP), _number(row, "error_mm")
            if step is not None and error is not None:
                self._validated.setdefault(int(step), []).append((row.get("data", ""), error))
        if validated or validated_again:
            self.validation = Series(
                list(self._validated), [mean_of_pairs(pairs) for pairs in self._validated.values()]
            )
        return bool(rows or validated or again or validated_again)


def mean_of_pairs(pairs: Sequence[tuple[str, float]]) -> float:
    """The mean error of pairs (name, error), as the trainer chooses its best by: over those with known displacements,
    or over all where there are none of these."""
    synthetic = [error for name, error in pairs if not name.startswith(LANDMARKS)]
    return float(np.mean(synthetic or [error for _name, error in pairs]))


def _add(series: Series, row: dict[str, str], name: str) -> None:
    step, value = _number(row, STEP), _number(row, name)
    if step is not None and value is not None:
        series.add(int(step), value)


def _number(row: dict[str, str], name: str) -> float | None:
    try:
        value = float(row[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None
