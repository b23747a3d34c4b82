#!/usr/bin/env python3
"""One door for everything one does with this repository: sets up what a command needs, then does it.

    python3 run.py demo            register a made-up pair of chests and open the report
    python3 run.py register ...    register two images of your own
    python3 run.py test            run the tests

Needs Python 3.11 or newer and nothing else. Packages go into the folder .venv beside this file, in the exact versions
of requirements/*.txt; a stamp in .venv says for which versions it was made, so that the next call starts at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
TORCH_BUILDS = ("cpu", "cuda")
SHOWN_LINES = 15
"""Lines of pip's output that are shown when it fails; the cause stands in the last few."""
EXIT_USAGE = 2


class Command(NamedTuple):
    """``lock`` names the file in requirements/, ``programs`` what the Python of .venv runs, each followed by the user's
    words, in ``folder`` (that of the user, if None)."""

    description: str
    lock: str
    programs: tuple[tuple[str, ...], ...]
    folder: Path | None = ROOT


COMMANDS = {
    "setup": Command("install what demo and register need, and stop", "run", ()),
    "demo": Command(
        "register a made-up pair, write pictures and the report to demo/",
        "run",
        (("-m", "DeepRegLib.cli", "demo", "--output", "demo"),),
    ),
    "register": Command(
        "register two images (register --help)", "run", (("-m", "DeepRegLib.cli", "register"),), folder=None
    ),
    "test": Command("run the tests; words that follow go to pytest", "test", (("-m", "pytest"),)),
    "lint": Command(
        "check style and formatting", "test", (("-m", "ruff", "check"), ("-m", "ruff", "format", "--check"))
    ),
    "bench": Command(
        "compare with greedy, elastix, convexAdam and demons (bench --help)", "bench", (("-m", "benchmark"),)
    ),
}


class SetupError(Exception):
    """The environment cannot be made; the text is for the person at the terminal."""


# ---------------------------------------------------------------------------------------------------- environment


def environment() -> Path:
    return ROOT / ".venv"


def environment_python() -> Path:
    windows = os.name == "nt"
    return environment() / ("Scripts/python.exe" if windows else "bin/python")


def _stamp_file() -> Path:
    return environment() / "setup.json"


def _unfinished_mark() -> Path:
    return environment() / "setup.unfinished"


def read_stamp() -> dict:
    """What .venv was made for: {"torch": build, "locks": {name: hash}}; empty when it was not, or not by this file."""
    try:
        stamp = json.loads(_stamp_file().read_text(encoding="utf-8"))
        return stamp if isinstance(stamp["locks"], dict) and stamp["torch"] in TORCH_BUILDS else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_stamp(stamp: dict) -> None:
    draft = _stamp_file().with_suffix(".draft")
    draft.write_text(json.dumps(stamp), encoding="utf-8")
    draft.replace(_stamp_file())


def lock_hash(lock: str) -> str:
    """Hash of everything that decides what gets installed for ``lock``, line ends aside."""
    digest = hashlib.sha256()
    for file in (ROOT / "pyproject.toml", ROOT / "requirements" / "run.txt", ROOT / "requirements" / f"{lock}.txt"):
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def is_ready(lock: str, torch_build: str) -> bool:
    stamp = read_stamp()
    return (
        environment_python().exists()
        and not _unfinished_mark().exists()
        and stamp.get("torch") == torch_build
        and stamp["locks"].get(lock) == lock_hash(lock)
    )


def set_up(lock: str, torch_build: str) -> None:
    """Make .venv hold what ``lock`` names. Raises :class:`SetupError`. Repairs a set-up that was cut short."""
    with _one_at_a_time():
        if is_ready(lock, torch_build):  # another call finished it while this one waited
            return
        cut_short = _unfinished_mark().exists()
        if cut_short:
            print("The last set-up was cut short; starting afresh.", file=sys.stderr)
        _unfinished_mark().touch()  # stays behind if this process is killed in the middle of an installation
        # pip takes one build of torch for the other, as both have the same version: never exchange it in place.
        if cut_short or read_stamp().get("torch", torch_build) != torch_build:
            _empty_environment()
        try:
            _create_environment()
            _install(lock, torch_build)
        except SetupError:
            _unfinished_mark().unlink()  # pip leaves whole packages behind when it fails by itself
            raise
        _write_stamp({"torch": torch_build, "locks": {**read_stamp().get("locks", {}), lock: lock_hash(lock)}})
        _unfinished_mark().unlink()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Holds a lock of the operating system, which ends with the process however it ends."""
    environment().mkdir(exist_ok=True)
    with (environment() / "setup.lock").open("a+b") as handle:
        if os.name == "nt":
            import msvcrt

            handle.seek(0)
            while True:
                with contextlib.suppress(OSError):
                    msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten seconds
                    break
        else:
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("Another set-up is running; waiting for it.", file=sys.stderr)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _empty_environment() -> None:
    for entry in environment().iterdir():
        if entry.name in ("setup.lock", _unfinished_mark().name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _create_environment() -> None:
    if environment_python().exists() and (environment() / "pyvenv.cfg").exists():
        return
    import venv  # a tenth of a second that most calls do not need

    print("Creating .venv ...", file=sys.stderr)
    try:
        venv.create(environment(), with_pip=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        raise SetupError(
            f"A virtual environment cannot be created in {environment()} ({problem}).\n"
            "On Debian and Ubuntu, `apt install python3-venv` usually mends it; otherwise check that the folder can be "
            "written to and the disk has space."
        ) from problem


def _install(lock: str, torch_build: str) -> None:
    requirements = ROOT / "requirements"
    constraints = ["--constraint", str(requirements / "cuda.txt")] if torch_build == "cuda" else []
    print("Installing packages (several minutes the first time) ...", file=sys.stderr)
    _pip(["install", *constraints, "--requirement", str(requirements / f"{lock}.txt")])
    # setuptools comes with the lock, so the project is built without asking the package index for it.
    _pip(["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def _pip(arguments: list[str]) -> None:
    command = [str(environment_python()), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    tail: deque[str] = deque(maxlen=SHOWN_LINES)
    terminal = sys.stderr.isatty()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    )
    with process, (environment() / "setup.log").open("a", encoding="utf-8") as log:
        for line in process.stdout or ():
            log.write(line)
            tail.append(line.rstrip())
            if terminal:
                print(f"\r\033[K{line.strip()[:78]}", end="", file=sys.stderr, flush=True)
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if process.returncode:
        raise SetupError(
            "The packages could not be installed. Check the connection and the free disk space, then run the same "
            "command again.\nThe last lines of pip (all of them are in .venv/setup.log):\n"
            + "\n".join(f"  {line}" for line in tail)
        )


# ------------------------------------------------------------------------------------------------------- commands


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.description}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: python3 run.py [--torch cpu|cuda] COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            "--torch   which build of PyTorch to install: cpu (default) or cuda (NVIDIA GPU, several gigabytes);",
            "          remembered for the next calls. The variable DEEPREG_TORCH does the same.",
        ]
    )


def parse(words: list[str]) -> tuple[str | None, str, list[str]]:
    """The build of torch that was asked for (None when not), the command and its arguments.

    ``--torch`` is ours before the command and directly after ``setup``. Raises :class:`SetupError` for a build that
    does not exist.
    """
    words = list(words)
    build = os.environ.get("DEEPREG_TORCH") or None
    command = ""
    while words:
        word = words[0]
        if word == "--torch" or word.startswith("--torch="):
            words.pop(0)
            build = word.partition("=")[2] or (words.pop(0) if words else "")
        elif not command:
            command = words.pop(0)
            if command != "setup":
                break
        else:
            break
    if build is not None and build not in TORCH_BUILDS:
        raise SetupError(f"There is no build of PyTorch called '{build}'. Choose cpu or cuda.")
    return build, command, words


def perform(command: Command, arguments: list[str]) -> int:
    """Run the command's programs one after the other; the exit status of the first that fails, else 0."""
    paths = [str(ROOT / "Testing"), *filter(None, [os.environ.get("PYTHONPATH")])]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    for program in command.programs:
        process = subprocess.Popen(
            [str(environment_python()), *program, *arguments], cwd=command.folder, env=surroundings
        )
        status = _wait(process)
        if status:
            return status
    return 0


def _wait(process: subprocess.Popen) -> int:
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:  # the child got the Ctrl-C too and decides how to end
            continue
        return status if status >= 0 else 128 - status  # ended by a signal: what a shell would report


def main(words: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        needed, found = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:2]))
        print(f"This needs Python {needed} or newer; this is Python {found}.", file=sys.stderr)
        return EXIT_USAGE
    try:
        build, name, arguments = parse(words)
        if name in ("help", "-h", "--help"):
            print(usage())
            return 0
        if name not in COMMANDS:
            complaint = f"There is no command '{name}'.\n\n" if name else ""
            print(complaint + usage(), file=sys.stderr)
            return EXIT_USAGE
        command = COMMANDS[name]
        if name == "setup" and arguments:
            print(f"setup takes no '{arguments[0]}'.\n\n{usage()}", file=sys.stderr)
            return EXIT_USAGE
        build = build or read_stamp().get("torch", "cpu")
        if not is_ready(command.lock, build):
            set_up(command.lock, build)
        elif name == "setup":
            print("Everything is in place.")
        return perform(command, arguments)
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"The set-up in {environment()} failed: {problem}. Mend that and run it again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next call takes up the set-up again.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
