"""``export``: from a run to a model."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegLib.command_line.answer import Answer
from DeepRegLib.command_line.output import check_output_folder

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

DESCRIPTION = """Writes the network of the run in RUN as a model: weights (safetensors), model card, and a record of the
training. With DEEPREG_MODELS=FOLDER, "register --method NAME" uses it."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("export", help="make a model of a training run", description=DESCRIPTION)
    parser.add_argument("folder", metavar="RUN", type=Path, help="folder of the run")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="folder for the model")
    parser.add_argument("--name", metavar="NAME", default="", help="name of the model (default: that of RUN)")
    parser.add_argument("--description", metavar="TEXT", default="", help="one line for people")
    parser.add_argument("--licence", metavar="NAME", default="", help="of the weights (default: Apache-2.0)")
    parser.add_argument("--half", action="store_true", help="half precision: half the size")
    parser.add_argument("--last", action="store_true", help="the last state instead of the best")
    parser.add_argument("--json", action="store_true", help="print the card as one JSON object")
    parser.set_defaults(run=run_export)


def run_export(arguments: Namespace) -> Answer:
    output = check_output_folder(arguments.output)
    from ..export import ExportOptions, export
    from ..run_folder.layout import RunFolder

    given = {name: getattr(arguments, name) for name in ("name", "description", "licence") if getattr(arguments, name)}
    model = export(
        RunFolder(arguments.folder), output, ExportOptions(**given, half=arguments.half, last=arguments.last)
    )
    card = model.card
    size = model.weights.stat().st_size / 1e6
    lines = [f"The model '{card.name}' ({size:.1f} MB, {card.steps} steps) is in {model.folder}."]
    lines += [f"  {row.data}: {row.measure} {row.before:.2f} -> {row.after:.2f}" for row in card.validation]
    lines.append(f"  Use it with: DEEPREG_MODELS={model.folder} slicer-deepreg register ... --method {card.name}")
    return Answer("\n".join(lines), {"folder": str(model.folder), "card": asdict(card)})
