"""The words ``train``, ``resume``, ``estimate``, ``check``, ``export`` and ``models``, for ``slicer-deepreg`` and for
``python -m DeepRegTrainLib``. Reading words needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import checking, estimating, exporting, listing, training

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    for group in (training, estimating, checking, exporting, listing):
        group.add_commands(commands)
