"""``phantom`` and ``demo``: something to try the program with."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.pair_folder import PairFiles, find_pair
from ..demo import demonstrate, make_pair
from . import wording
from .answer import Answer
from .output import check_output_folder
from .progress import shown_progress
from .stopping import first_signal_asks
from .values import DIFFICULTIES, QUALITIES, positive, seed

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

PHANTOM = """Writes two scans of a made-up breathing patient with lung masks, landmarks and the true transform."""
DEMO = """Registers a made-up breathing patient (or the pair in a folder of yours) and writes everything that there is
to see: the report, the transform, a scene for 3D Slicer, the error of each landmark."""
SIZE = (160, 128, 128)
PAIR_SHARE = 0.15
"""Of the time of a demonstration: making the patient."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    phantom = commands.add_parser("phantom", help="make a pair of scans to try things with", description=PHANTOM)
    phantom.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder for the files")
    phantom.add_argument(
        "--size", metavar=("X", "Y", "Z"), nargs=3, type=positive, default=SIZE, help="voxels of the fixed image"
    )
    _add_patient_options(phantom)
    phantom.set_defaults(run=run_phantom)

    demo = commands.add_parser("demo", help="register a pair and write everything to look at", description=DEMO)
    demo.add_argument("--output", metavar="DIR", type=Path, default=Path("demo"), help="folder (default: demo)")
    demo.add_argument(
        "--data",
        metavar="FOLDER",
        type=Path,
        help="a pair of yours: files with 'fixed' and 'moving' in their names (or two images), masks and landmarks",
    )
    demo.add_argument("--quality", choices=QUALITIES, default="balanced", help="default: balanced")
    _add_patient_options(demo)
    demo.add_argument("--threads", metavar="N", type=positive, help="processor threads (default: all)")
    demo.add_argument("--open", action="store_true", help="open the report in the browser")
    demo.set_defaults(run=run_demo)


def _add_patient_options(parser: ArgumentParser) -> None:
    parser.add_argument("--difficulty", choices=DIFFICULTIES, default="easy", help="how far the patient breathes")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="another one for each number (default: 0)")


def run_phantom(arguments: Namespace) -> Answer:
    from ..phantom import make_phantom, write_pair

    output = check_output_folder(arguments.output)
    pair = make_phantom(tuple(arguments.size), seed=arguments.seed, difficulty=arguments.difficulty)
    folder = write_pair(pair, output)
    names = "\n".join(f"  {path.name}" for path in sorted(folder.iterdir()))
    return Answer(f"Files in {folder}:\n{names}")


def run_demo(arguments: Namespace) -> Answer:
    output = check_output_folder(arguments.output)
    with shown_progress() as progress:
        progress(0.0, "Preparing the pair")
        pair = _pair(arguments, output)

        def later(fraction: float, stage: str) -> None:
            progress(PAIR_SHARE + (1 - PAIR_SHARE) * fraction, stage)

        with first_signal_asks() as cancelled:
            shown = demonstrate(pair, output, arguments.quality, arguments.seed, arguments.threads, later, cancelled)
    lines = [*wording.registration(shown.evidence), *pair.notes, *shown.notes, *wording.files(shown.files.values())]
    if not arguments.data:
        lines.append(f"The two scans themselves, and the true transform between them: {pair.fixed.parent}")
    if arguments.open:
        _open(shown.files["report.html"])
    return Answer("\n".join(lines))


def _pair(arguments: Namespace, output: Path) -> PairFiles:
    if arguments.data:
        return find_pair(arguments.data)
    return make_pair(output, arguments.difficulty, arguments.seed)


def _open(report: Path) -> None:
    import webbrowser

    webbrowser.open(report.absolute().as_uri())
