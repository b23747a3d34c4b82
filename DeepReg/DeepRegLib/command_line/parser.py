"""The words that the command understands."""

from __future__ import annotations

import argparse

from .. import __version__
from . import evaluating, listing, registering, samples, transforming

DESCRIPTION = """\
Registers two scans of the same anatomy and shows how well they fit.

A transform T maps points of the FIXED image to points of the MOVING one. The moving image is brought onto the fixed one
by pulling its voxels through T; in 3D Slicer, put the transform on the moving image.
"""
EXIT_STATUS = "Exit status: 0 done, 2 wrong words or input that cannot be used, 1 failure, 130 stopped (Ctrl-C)."


def build_parser(program: str) -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets ``run``, a function of the parsed words that returns an
    :class:`~DeepRegLib.command_line.answer.Answer`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for group in (registering, evaluating, transforming, listing, samples):
        group.add_commands(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show where an error comes from")
        command.allow_abbrev = False  # scripts written with half a word would break with the next option
    return parser
