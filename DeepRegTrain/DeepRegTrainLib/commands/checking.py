"""``check``: can these scans be trained on?"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegLib.command_line.answer import Answer
from DeepRegLib.command_line.progress import shown_progress
from DeepRegLib.command_line.values import seed

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..check import DataCheck, ScanCheck

DESCRIPTION = """Looks at all scans in FOLDER: can they be read, are their grids and grey values those of a CT, are
there lungs, who is whose, and who would be held out for validation. A table sources.csv in the folder (columns file,
patient, name, licence) says whose scan each is and where it comes from. The exit status is 2 when no scan can be
used."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="look at scans before training on them", description=DESCRIPTION)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder with CT scans")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="that of the training (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.set_defaults(run=run_check)


def run_check(arguments: Namespace) -> Answer:
    from ..check import check_folder

    with shown_progress() as progress:
        check = check_folder(arguments.folder, seed=arguments.seed, progress=progress)
    check.require_usable()
    return Answer("\n".join(_words(check)), check.to_dict())


def _words(check: DataCheck) -> list[str]:
    usable = [scan for scan in check.scans if scan.use]
    people = len({scan.patient for scan in usable})
    lines = [f"{len(usable)} of {len(check.scans)} scans can be used ({people} people)."]
    for scan in check.scans:
        lines.append(f"  {scan.file:<48} {_line(scan)}")
        lines += [f"    {words}" for words in (*scan.problems, *(f"Warning: {w}" for w in scan.warnings))]
    return [*lines, *(f"Warning: {words}" for words in check.warnings)]


def _line(scan: ScanCheck) -> str:
    if not scan.use:
        return "cannot be used"
    size, spacing = "x".join(map(str, scan.size)), "x".join(f"{s:g}" for s in scan.spacing_mm)
    return f"{scan.use:<9} {size} voxels of {spacing} mm, {scan.region} {scan.region_ml:.0f} ml, patient {scan.patient}"
