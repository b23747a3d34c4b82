"""``import-model``, ``export-model`` and ``delete-model``: the models in the user's own folder."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .answer import Answer

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..models.find import Model

IMPORT = """Takes a model (card and weights) into your own folder of models, where every command and 3D Slicer find it.
It is verified first: card, checksum, shapes. The folder is %LOCALAPPDATA%/SlicerDeepReg/Models in Windows,
~/Library/Application Support/SlicerDeepReg/Models in macOS and ~/.local/share/SlicerDeepReg/Models elsewhere;
DEEPREG_USER_MODELS names another one."""
EXPORT = "Copies a model (card and weights) into a folder, to pass it on."
DELETE = "Deletes a model from your own folder of models. Models that come with the program stay."
JSON_HELP = "print the outcome as one JSON object"


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    into = commands.add_parser("import-model", help="take in a trained model", description=IMPORT)
    into.add_argument("source", metavar="MODEL", type=Path, help="card of the model (*.card.json), or its folder")
    into.set_defaults(run=run_import)
    out = commands.add_parser("export-model", help="copy a trained model, to pass it on", description=EXPORT)
    out.add_argument("name", metavar="NAME", help="name of the model")
    out.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="folder for the copy")
    out.set_defaults(run=run_export)
    delete = commands.add_parser("delete-model", help="delete one of your models", description=DELETE)
    delete.add_argument("name", metavar="NAME", help="name of the model")
    delete.set_defaults(run=run_delete)
    for parser in (into, out, delete):
        parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run_import(arguments: Namespace) -> Answer:
    from ..methods.automatic import AUTO
    from ..methods.interface import available_methods, reserved_names
    from ..models.library import import_model

    model = import_model(arguments.source, taken=[AUTO, *reserved_names()])
    warnings = []
    if model.card.name not in available_methods():
        warnings.append(f"This version has no method '{model.card.method}' that could run it.")
    return _answer(model, warnings)


def run_export(arguments: Namespace) -> Answer:
    from ..models.library import export_model
    from .output import check_output_folder

    return _answer(export_model(arguments.name, check_output_folder(arguments.output)), [])


def run_delete(arguments: Namespace) -> Answer:
    from ..models.library import delete_model

    delete_model(arguments.name)
    return Answer(f"The model '{arguments.name}' is deleted.", {"deleted": arguments.name})


def _answer(model: Model, warnings: list[str]) -> Answer:
    text = [f"The model '{model.card.name}' is in {model.folder}.", *(f"Warning: {words}" for words in warnings)]
    return Answer("\n".join(text), {"folder": str(model.folder), "card": asdict(model.card), "warnings": warnings})
