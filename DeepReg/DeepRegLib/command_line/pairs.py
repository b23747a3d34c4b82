"""``--pair``: a folder in place of the names of its files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .values import positive

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from ..datasets.scan_pair import ScanPair

INPUTS = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
"""What a pair and the options of the commands have in common, by the same names."""


def add_pair_options(parser: ArgumentParser) -> None:
    """``--pair`` and what can be chosen in such a folder."""
    group = parser.add_argument_group("a pair in a folder, in place of its files")
    group.add_argument("--pair", metavar="FOLDER", type=Path, help="a case of DIR-Lab, or two images with landmarks")
    group.add_argument("--case", metavar="N", type=positive, help="number of the case, where the names do not tell it")
    group.add_argument(
        "--phases",
        nargs=2,
        metavar=("FIXED", "MOVING"),
        help="default: T00 T50 (DIR-Lab 4DCT), inhale exhale (COPDgene)",
    )
    group.add_argument("--points", metavar="N", type=positive, help="landmarks in the list: 300, or 75 in 4DCT")
    group.add_argument("--swap", action="store_true", help="exchange fixed and moving")


def check_pair_options(arguments: Namespace, **images: Path | None) -> None:
    """Refuse too little and too much: either a pair or all ``images``, by the words of the help.

    Raises :class:`~DeepRegLib.errors.BadInput`.
    """
    given = [word for word, path in images.items() if path is not None]
    if arguments.pair is not None:
        if given:
            raise BadInput(f"--pair names both images; leave out {' and '.join(given)}.")
        return
    missing = [word for word in images if word not in given]
    if missing:
        raise BadInput(f"Name the images: {' and '.join(missing)} missing.", "Or name a folder: --pair FOLDER.")
    chosen = [name for name in ("case", "phases", "points", "swap") if getattr(arguments, name)]
    if chosen:
        raise BadInput(f"--{chosen[0]} chooses within a folder: --pair is missing.")


def load_chosen_pair(arguments: Namespace) -> ScanPair | None:
    """The pair of ``--pair``, or None without this option."""
    if arguments.pair is None:
        return None
    from ..datasets.load_pair import load_pair

    phases = tuple(arguments.phases) if arguments.phases else None
    return load_pair(arguments.pair, case=arguments.case, phases=phases, points=arguments.points, swap=arguments.swap)


def inputs_of(arguments: Namespace, pair: ScanPair | None) -> dict[str, Any]:
    """Images, masks and landmarks by name: those that are named themselves, and for the rest those of the pair."""
    named = {name: getattr(arguments, name, None) for name in INPUTS}
    if pair is None:
        return named
    return {name: getattr(pair, name) if given is None else given for name, given in named.items()}


def pair_record(pair: ScanPair) -> dict[str, Any]:
    """What the evidence says about where the images come from."""
    return {"name": pair.name, "notes": list(pair.notes)}
