"""Tables that grow by a row at a time, and can be cut back to an earlier step."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from DeepRegLib.errors import BadInput
from DeepRegLib.files import cannot_write, whole_file

STEP = "step"


class Table:
    """A CSV file with the ``columns``, the first of which is the step."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        assert columns[0] == STEP
        self._path = path
        self._columns = list(columns)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row. Raises :class:`~DeepRegLib.errors.OutputProblem`; a row that did not fit leaves nothing behind."""
        line = _lines([[_written(row.get(name)) for name in self._columns]])
        if not self._path.exists():
            line = _lines([self._columns]) + line
        before = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(line)
        except OSError as error:
            if self._path.exists():
                os.truncate(self._path, before)
            raise cannot_write(self._path, error.strerror or str(error)) from error

    def rows(self) -> list[dict[str, str]]:
        """All rows that are whole."""
        if not self._path.exists():
            return []
        rows = list(csv.DictReader(self._path.read_text(encoding="utf-8").splitlines()))
        return [row for row in rows if None not in row and None not in row.values()]

    def cut_after(self, step: int) -> None:
        """Remove the rows of later steps: those that the process wrote after its last checkpoint."""
        rows = self.rows()
        try:
            kept = [row for row in rows if int(row[STEP]) <= step]
        except (KeyError, ValueError) as error:
            raise BadInput(f"The table '{self._path}' is damaged.") from error
        if not self._path.exists():
            return
        text = _lines([self._columns, *([row.get(name, "") for name in self._columns] for row in kept)])
        with whole_file(self._path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
