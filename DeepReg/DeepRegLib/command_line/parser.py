"""The words that the command understands."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence

from .. import __version__
from . import evaluating, listing, models, registering, samples, transforming

DESCRIPTION = """\
Registers two scans of the same anatomy and shows how well they fit.

A transform T maps points of the FIXED image to points of the MOVING one. The moving image is brought onto the fixed one
by pulling its voxels through T; in 3D Slicer, put the transform on the moving image.
"""
EXIT_STATUS = "Exit status: 0 done, 2 wrong words or input that cannot be used, 1 failure, 130 stopped (Ctrl-C)."

GUESTS = ("DeepRegTrainLib",)
"""Packages that stand on this one and bring commands of their own where they are installed: by name, since nothing here
depends on them."""
AddCommands = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]


def build_parser(
    program: str, description: str = DESCRIPTION, groups: Sequence[AddCommands] | None = None
) -> argparse.ArgumentParser:
    """The parser of all subcommands, or of those of ``groups``; each sets ``run``, a function of the parsed words that
    returns an :class:`~DeepRegLib.command_line.answer.Answer`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for add_commands in all_groups() if groups is None else groups:
        add_commands(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show where an error comes from")
        command.allow_abbrev = False  # scripts written with half a word would break with the next option
    return parser


def all_groups() -> Iterator[AddCommands]:
    """What adds commands: the files of this folder, then the package ``commands`` of each guest that is installed."""
    for group in (registering, evaluating, transforming, listing, models, samples):
        yield group.add_commands
    for guest in GUESTS:
        if importlib.util.find_spec(guest) is not None:
            yield importlib.import_module(f"{guest}.commands").add_commands
