"""``python -m DeepRegTrainLib train ...``: the training words of ``slicer-deepreg`` on their own, as torchrun needs
them."""

from __future__ import annotations

import sys

from DeepRegLib.cli import main
from DeepRegLib.command_line.parser import build_parser

from .commands import add_commands

DESCRIPTION = "Trains the networks of SlicerDeepReg on scans with synthetic motion."

if __name__ == "__main__":
    sys.exit(main(parser=build_parser("python -m DeepRegTrainLib", DESCRIPTION, [add_commands])))
