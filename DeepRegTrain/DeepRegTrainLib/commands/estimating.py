"""``estimate``: how much memory and time a training would take."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegLib.command_line.answer import Answer
from DeepRegLib.errors import BadInput

from .training import add_settings, pair_preset_of, settings_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..pairs import Scans

DESCRIPTION = """Does two steps of each part of the schedule of a training on one of the scans in FOLDER and throws them
away: how much memory does it take, and how long will all steps take? The words are those of "train"."""
MOST_TRIED = 5
"""Scans that cannot be read, before the search for one that can is given up."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("estimate", help="memory and time of a training", description=DESCRIPTION)
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object")
    parser.set_defaults(run=run_estimate)


def run_estimate(arguments: Namespace) -> Answer:
    settings = settings_of(arguments)
    pair_preset = pair_preset_of(arguments)
    from ..distributed import Group
    from ..dry_run import dry_run
    from ..pairs import PairGenerator, preset

    device = Group().device(settings.device)
    source = _first_usable(arguments.data)
    pair_preset = pair_preset or preset(settings.preset)
    pairs = PairGenerator(source, pair_preset, settings.size, settings.spacing_mm, settings.seed, device)
    foreseen = dry_run(settings, pairs, device)
    return Answer(foreseen.words(), {**foreseen.to_dict(), "device": device.type})


def _first_usable(folder: Path) -> Scans:
    """One scan is enough: how long a step takes does not depend on which."""
    import numpy as np
    import torch

    from ..pairs import Scans
    from ..pairs.sources import scans_in

    problems = []
    for file in scans_in(folder.expanduser())[:MOST_TRIED]:
        scans = Scans([file])
        try:
            scans.draw(np.random.default_rng(0), torch.device("cpu"))
        except BadInput as problem:
            problems.append(problem)
        else:
            return scans
    raise BadInput(
        f"The first scans in '{folder}' cannot be used: {problems[0]}", "Check the scans to see which can be."
    )
