"""Which scans show the same person, and who is held out: a network must not be judged on people it was trained on."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from DeepRegLib.errors import BadInput

SOURCES = "sources.csv"
"""A table in the folder of the scans, with columns file, patient, name and licence; all but the first may be empty."""
PART_OF_A_SERIES = re.compile(
    r"(?:[-_ ]+(?:t\d{1,2}|phase[-_ ]?\d+|[ie]bh\w*|inhale|exhale|insp\w*|exp\w*|fixed|moving|baseline"
    r"|follow[-_ ]?up|pre|post)|_000\d)$",
    re.IGNORECASE,
)
"""At the end of a name: which of several scans of a person it is."""
HOLDS_SOMEBODY_OUT = 3
"""Of fewer people nobody can be spared."""


@dataclass(frozen=True)
class ScanSource:
    """What the table says of a scan: whose it is, the data set it comes from, and its licence."""

    patient: str
    name: str
    licence: str


def read_sources(folder: Path) -> dict[str, ScanSource]:
    """The table of a folder by file (as written, with "/" between folders); empty where there is no table.

    Raises :class:`~DeepRegLib.errors.BadInput` for a table without the column "file".
    """
    path = folder / SOURCES
    if not path.is_file():
        return {}
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    if any("file" not in row for row in rows):
        raise BadInput(f"The table '{path}' lacks the column 'file'.")
    found = {}
    for row in rows:
        patient, name, licence = ((row.get(key) or "").strip() for key in ("patient", "name", "licence"))
        found[row["file"].strip()] = ScanSource(patient, name, licence)
    return found


def patient_of(file: Path, folder: Path) -> str:
    """Whose scan ``file`` in ``folder`` is, told by its place: a folder for each person, or names that differ only in
    what follows the person.

    >>> patient_of(Path("ct/case1_T00.nii.gz"), Path("ct")), patient_of(Path("ct/ann/2020.nii"), Path("ct"))
    ('case1', 'ann')
    """
    parts = file.relative_to(folder).parts
    if len(parts) > 1:
        return parts[0]
    stem = re.sub(r"(\.nii)?\.[^.]+$", "", parts[0])
    return PART_OF_A_SERIES.sub("", stem) or stem


def held_out(patients: Iterable[str], share: float, seed: int) -> set[str]:
    """The people whose scans are kept for validation: about ``share`` of them, one at least; nobody of fewer than
    three. The same names and seed give the same people, whatever else lies in the folder.

    >>> sorted(held_out(["ann", "bob", "eve", "joe", "zoe"], 0.2, seed=0))
    ['eve']
    """
    people = sorted(set(patients))
    if share <= 0 or len(people) < HOLDS_SOMEBODY_OUT:
        return set()
    count = min(max(1, round(share * len(people))), len(people) - 2)
    return set(sorted(people, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:count])
