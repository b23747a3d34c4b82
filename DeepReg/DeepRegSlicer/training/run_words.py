"""What the panel asks for, as the words of ``python -m DeepRegTrainLib``: for the process of the run, for the clipboard
and for the estimate."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from .command import TRAINING
from .parameters import DeepRegTrainParameters
from .range_form import changed_preset

ROWS = 4000
"""About so many rows has the table of numbers of a whole run: enough for a curve, and the first comes with the first
steps."""
VALIDATIONS = 20
"""Of a whole run, at least ..."""
VALIDATE_EVERY = 500
"""... and one in so many steps in any case, as on the command line."""
CARDS = 4
"""An example: the number of cards has to be known by who has them."""


def settings_words(parameters: DeepRegTrainParameters, data: Path) -> list[str]:
    """The words that decide a training on the scans in ``data``."""
    words = ["--data", str(data)]
    for option in ("preset", "network", "supervision", "steps"):
        words += [f"--{option}", str(getattr(parameters, option))]
    words += ["--size", str(parameters.size.value)]
    steps = int(parameters.steps)
    words += ["--set", f"log_every={max(1, steps // ROWS)}"]
    words += ["--set", f"validate_every={max(1, min(VALIDATE_EVERY, steps // VALIDATIONS))}"]
    changed = changed_preset(parameters.ranges, parameters.preset)  # ranges of another motion wait until it is chosen
    if changed:
        words += ["--ranges", json.dumps(changed)]
    return words


def train_words(parameters: DeepRegTrainParameters, data: Path, run: Path) -> list[str]:
    """The words that start the training in the folder ``run``."""
    return ["train", "--output", str(run), *settings_words(parameters, data)]


def run_name(parameters: DeepRegTrainParameters) -> str:
    """What a new run is called: the network and the size; further ones get a number."""
    return f"{parameters.network}-{parameters.size.value}"


def command_text(words: Sequence[str]) -> str:
    """The command for a terminal; for a new training also the one for several graphics cards."""
    plain = shlex.join(["python", "-m", TRAINING, *words])
    if words[0] != "train":
        return f"{plain}\n"
    launcher = ["torchrun", "--standalone", "--nproc_per_node", str(CARDS), "-m", TRAINING]
    together = shlex.join([*launcher, *words, "--set", f"pairs={CARDS}"])
    return f"{plain}\n\n# On a computer with {CARDS} graphics cards, each with one pair a step:\n{together}\n"
