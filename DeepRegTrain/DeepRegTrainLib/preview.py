"""Training pairs to look at before a training, and scans to look at before that::

    python -m DeepRegTrainLib.preview --data SCAN --preset breathing --size 64 --seed 0 --index 3 --output FOLDER
    python -m DeepRegTrainLib.preview --check FOLDER --output THUMBNAILS
    python -m DeepRegTrainLib.preview --list
    python -m DeepRegTrainLib.preview --serve

Standard output holds one JSON object a line (:mod:`DeepRegLib.worker_protocol`): ``progress`` with ``stage`` on the
way, an ``error`` with its ``hint``, and the answer: ``pair`` (the folder of :mod:`~.preview_files`), ``check`` (what
:func:`~.check.check_folder` found) with a ``thumbnail`` for each ``file`` that can be read, or ``presets``.

``--serve`` reads requests, one JSON object a line, from standard input until that ends: ``{"presets": true}`` and
``{"draw": {"data": ..., "preset": ..., "index": ..., "output": ...}}`` with the words above. The scans that were used
last stay in memory, so that the next pair of one of them is there in a moment. It says ``ready`` once; each request is
answered, in turn.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegLib.command_line.values import positive, seed
from DeepRegLib.errors import BadInput, DeepRegError, InstallationProblem
from DeepRegLib.worker import Messages
from DeepRegLib.worker_protocol import failure_message, memory_ran_out, message_of

Say = Callable[[dict[str, Any]], None]
KEPT_SCANS = 3
"""Some 100 MB each."""
EXIT_FAILURE = 1
THUMBNAIL_SHARE = 0.3
"""Of the progress of a check."""


@dataclass(frozen=True)
class Wish:
    """Which pair to draw: number ``index`` of ``seed``, from the scan (or the folder of scans) ``data``, as training of
    ``network`` sees it (None: the one that goes with the preset). ``ranges`` is a changed preset as plain types."""

    data: Path
    output: Path
    preset: str = "breathing"
    network: str | None = None
    size: int = 64
    seed: int = 0
    index: int = 0
    ranges: dict[str, Any] | None = None

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Wish:
        """Raises :class:`~DeepRegLib.errors.BadInput` when words are missing or make no sense."""
        try:
            wish = cls(**{**words, "data": Path(words["data"]).expanduser(), "output": Path(words["output"])})
        except (KeyError, TypeError) as problem:
            raise BadInput(f"The request for a training pair is damaged: {problem}.") from problem
        whole = all(isinstance(number, int) and number >= 0 for number in (wish.size, wish.seed, wish.index))
        if not whole or not isinstance(wish.ranges, dict | None):
            raise BadInput("The request for a training pair is damaged: size, seed and index are whole numbers.")
        return wish


class Previewer:
    """Draws pairs; ``say`` gets the progress. The scans that were used last stay in memory."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._sources: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def draw(self, wish: Wish) -> Path:
        """Write the pair into ``wish.output``, which is returned. Raises :class:`~DeepRegLib.errors.DeepRegError`."""
        from .pairs import PairGenerator, preset
        from .preset_form import checked_preset
        from .preview_files import write_pair_folder
        from .settings import recipe

        pairs = preset(wish.preset) if wish.ranges is None else checked_preset(wish.ranges)
        settings = recipe(wish.network, preset=wish.preset, size=wish.size)
        source = self._source(wish.data)
        pair = PairGenerator(source, pairs, wish.size, settings.spacing_mm, wish.seed).draw(wish.index)
        write_pair_folder(wish.output, pair)
        return wish.output

    def _source(self, data: Path) -> Any:
        from .pairs import Scans

        if not data.exists():
            raise BadInput(f"There is no scan '{data}'.", "It may have been moved; choose another one.")
        state = data.stat()
        key = (str(data), state.st_size, state.st_mtime_ns)
        known = key in self._sources
        self._say({"progress": 0.5 if known else 0.1, "stage": "Drawing a pair" if known else "Preparing the scan"})
        if not known:
            self._sources[key] = Scans.in_folder(data) if data.is_dir() else Scans([data])
            while len(self._sources) > KEPT_SCANS:
                self._sources.popitem(last=False)
        self._sources.move_to_end(key)
        return self._sources[key]


def check(folder: Path, thumbnails: Path, say: Say) -> None:
    """Say what :func:`~.check.check_folder` finds, then write a picture of each scan that can be read into
    ``thumbnails``. Raises :class:`~DeepRegLib.errors.DeepRegError` when there are no scans at all."""
    from .check import check_folder
    from .scan_pictures import write_thumbnail

    found = check_folder(folder, progress=lambda f, words: say({"progress": (1 - THUMBNAIL_SHARE) * f, "stage": words}))
    say({"check": found.to_dict()})
    thumbnails.mkdir(parents=True, exist_ok=True)
    for number, scan in enumerate(found.scans):
        done = number / len(found.scans)
        say({"progress": 1 - THUMBNAIL_SHARE * (1 - done), "stage": f"Drawing {scan.file}"})
        if scan.size:
            picture = thumbnails / f"{number}.png"
            write_thumbnail(found.folder / scan.file, picture)
            say({"thumbnail": str(picture), "file": scan.file})


def serve(lines: Any, say: Say) -> None:
    """Answer requests, one a line, until there are no more."""
    from .preset_form import catalogue

    previewer = Previewer(say)
    say({"ready": True})
    for line in lines:
        request = message_of(line) or {}
        try:
            if "draw" in request:
                say({"pair": str(previewer.draw(Wish.of(request["draw"])))})
            elif "presets" in request:
                say({"presets": catalogue()})
            else:
                raise BadInput("A request is a JSON object with 'draw' or 'presets'.")
        except Exception as problem:
            say(failure_message(in_words(problem)))


def in_words(problem: Exception) -> Exception:
    """A defect as an error that says what failed; others say it themselves."""
    if isinstance(problem, DeepRegError | MemoryError) or memory_ran_out(str(problem)):
        return problem
    if isinstance(problem, ModuleNotFoundError) and problem.name == "torch":
        told: DeepRegError = InstallationProblem("PyTorch is not installed.", "Install it, then try again.")
    else:
        told = DeepRegError(
            f"The preview failed because of a defect of the program: {type(problem).__name__}: {problem}",
            "Please report it with the details.",
        )
    told.__cause__ = problem
    return told


def read_ranges(words: str | None) -> dict[str, Any] | None:
    """A changed preset from a JSON file, or from JSON text. Raises :class:`~DeepRegLib.errors.BadInput`."""
    if not words:
        return None
    try:
        content = json.loads(words if words.lstrip().startswith("{") else Path(words).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BadInput(f"The ranges cannot be read: {problem}.") from problem
    if not isinstance(content, dict):
        raise BadInput("The ranges are a JSON object, as a preset gives it.")
    return content


def build_parser() -> ArgumentParser:
    parser = ArgumentParser("python -m DeepRegTrainLib.preview", description="Draws a training pair to look at.")
    parser.add_argument("--data", metavar="SCAN", type=Path, help="a CT scan, or a folder with scans")
    parser.add_argument("--preset", metavar="NAME", default="breathing", help="default: breathing")
    parser.add_argument("--network", metavar="NAME", help="as its training sees it (default: goes with the preset)")
    parser.add_argument("--ranges", metavar="JSON", help="a changed preset, as a file or as text")
    parser.add_argument("--size", metavar="N", type=positive, default=64, help="voxels along each side (default: 64)")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="default: 0")
    parser.add_argument("--index", metavar="N", type=seed, default=0, help="number of the pair (default: 0)")
    parser.add_argument("--output", metavar="FOLDER", type=Path, help="folder for the pair or the pictures")
    parser.add_argument("--check", metavar="FOLDER", type=Path, help="look at all scans in a folder instead")
    parser.add_argument("--list", action="store_true", help="list the presets with all their ranges instead")
    parser.add_argument("--serve", action="store_true", help="answer requests on standard input instead")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words say; returns the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not (arguments.list or arguments.serve or (arguments.output and (arguments.data or arguments.check))):
        parser.error("give --data and --output, --check and --output, --list or --serve")
    say = Messages().say
    try:
        _do(arguments, say)
    except Exception as problem:
        told = in_words(problem)
        say(failure_message(told))
        return told.exit_code if isinstance(told, DeepRegError) else EXIT_FAILURE
    return 0


def _do(arguments: Namespace, say: Say) -> None:
    if arguments.serve:
        serve(sys.stdin, say)
    elif arguments.list:
        from .preset_form import catalogue

        say({"presets": catalogue()})
    elif arguments.check:
        check(arguments.check, arguments.output, say)
    else:
        names = ("data", "output", "preset", "network", "size", "seed", "index")
        words = {name: getattr(arguments, name) for name in names}
        wish = Wish.of({**words, "ranges": read_ranges(arguments.ranges)})
        say({"pair": str(Previewer(say).draw(wish))})


if __name__ == "__main__":
    sys.exit(main())
