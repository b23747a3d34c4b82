"""``models``: which trained models there are, with their cards."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from DeepRegLib.command_line.answer import Answer

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from DeepRegLib.models.card import TrainingData
    from DeepRegLib.models.find import Model

DESCRIPTION = """Lists the trained models that are installed (beside the program and in the folders of DEEPREG_MODELS),
with what their cards say: training data and licences, steps, hardware, validation."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("models", help="list the trained models", description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print the cards as one JSON object")
    parser.set_defaults(run=run_models)


def run_models(arguments: Namespace) -> Answer:
    from DeepRegLib.models.find import available_models

    found = available_models()
    problems = [str(problem) for problem in found.problems]
    lines = [line for model in found.models.values() for line in _words(model)]
    lines += [f"Warning: {problem}" for problem in problems]
    cards = [{"folder": str(model.folder), "card": asdict(model.card)} for model in found.models.values()]
    return Answer("\n".join(lines) or "There are no models.", {"models": cards, "warnings": problems})


def _words(model: Model) -> list[str]:
    card = model.card
    data = "; ".join(map(_source, card.training_data)) or "none"
    return [
        f"{card.name}: {card.description}",
        f"  network {card.architecture.name}, method {card.method}, licence {card.licence}, in {model.folder}",
        f"  trained {card.steps} steps, {card.hours:.1f} h, on {card.hardware}; data: {data}",
        *(f"  {row.data}: {row.measure} {row.before:.2f} -> {row.after:.2f}" for row in card.validation),
    ]


def _source(part: TrainingData) -> str:
    scans = "1 scan" if part.scans == 1 else f"{part.scans} scans"
    return f"{part.name} ({scans}, {part.licence})"
