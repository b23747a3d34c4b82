"""``methods``: what there is to choose from."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from .answer import Answer

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("methods", help="list the methods", description="Lists the methods of --method.")
    parser.add_argument("--json", action="store_true", help="print the list as one JSON object")
    parser.set_defaults(run=run_methods)


def run_methods(arguments: Namespace) -> Answer:
    from ..methods.interface import available_methods
    from ..models.find import available_models

    found = available_models()
    methods = [
        {
            "name": method.name,
            "description": method.description,
            "dimensions": list(method.dimensions),
            "model": method.model,
            "installed": method.model is None or method.model in found.models,
        }
        for method in available_methods().values()
    ]
    problems = [str(problem) for problem in found.problems]
    text = [*map(_line, methods), *(f"Warning: {problem}" for problem in problems)]
    return Answer("\n".join(text) or "There are no methods.", {"methods": methods, "warnings": problems})


def _line(method: dict[str, Any]) -> str:
    dimensions = " and ".join(f"{d}-D" for d in method["dimensions"])
    model = f", model {method['model']}" if method["model"] else ""
    missing = "" if method["installed"] else " (not installed)"
    return f"{method['name']:<22} {method['description']} [{dimensions}{model}{missing}]"
