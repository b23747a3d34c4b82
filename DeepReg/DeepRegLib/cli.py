"""The command ``slicer-deepreg``: reads the words, does what they say, prints the answer.

Standard output holds the answer and nothing else; progress, warnings of libraries and errors go to standard error.
The exit status is 0 when all is done, 2 for wrong words or input that cannot be used, 1 for a failure, 130 when the
user stopped it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from .command_line.answer import as_json
from .command_line.parser import build_parser
from .command_line.stopping import termination_interrupts
from .errors import Cancelled, DeepRegError, OutOfMemory

EXIT_FAILURE = 1
EXIT_USAGE = 2
PROGRAM = "slicer-deepreg"
THREADS_SLEEP = ("OMP_WAIT_POLICY", "PASSIVE")
"""Read when torch is loaded. Threads that have nothing to do otherwise spin, and on a computer that also does something
else they take the time of those that work: 24 s instead of 2.5 s for a small pair on two busy cores."""


def main(argv: Sequence[str] | None = None, parser: ArgumentParser | None = None) -> int:
    """Run the command with these words (those of the process by default); returns the exit status. ``parser`` is that
    of another program with commands of the same kind."""
    _print_whatever_the_encoding()
    os.environ.setdefault(*THREADS_SLEEP)
    parser = parser or build_parser(PROGRAM)
    words = sys.argv[1:] if argv is None else argv
    if not words:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        arguments = parser.parse_args(words)
    except SystemExit as finished:  # argparse has printed the help or what is wrong with the words
        return int(finished.code or 0)
    try:
        with termination_interrupts():
            return _run(arguments)
    except BrokenPipeError:  # the reader of our output has gone, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return _complain(Cancelled("Stopped."), debug=False)
    except DeepRegError as problem:
        return _complain(problem, arguments.debug)
    except MemoryError:
        hint = "Close other programs, or use --quality fast."
        return _complain(OutOfMemory("There is not enough free memory for these images.", hint), arguments.debug)
    except Exception as defect:
        return _apologise(defect, arguments.debug)


def _run(arguments: Namespace) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # whatever libraries print is not part of the answer
        answer = arguments.run(arguments)
    print(as_json(answer) if getattr(arguments, "json", False) else answer.text, flush=True)
    return 0


def _complain(problem: DeepRegError, debug: bool) -> int:
    if debug:
        traceback.print_exception(problem)
    print(f"{PROGRAM}: {problem}", file=sys.stderr)
    if problem.hint:
        print(problem.hint, file=sys.stderr)
    return problem.exit_code


def _apologise(defect: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(defect)
    print(f"{PROGRAM}: Sorry, this is a defect of the program: {type(defect).__name__}: {defect}", file=sys.stderr)
    if not debug:
        print("Run the same command with --debug and report what it prints.", file=sys.stderr)
    return EXIT_FAILURE


def _print_whatever_the_encoding() -> None:
    """A file name that the terminal cannot show must not end a run that went well."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
