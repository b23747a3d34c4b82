"""What the registration process and the one that started it say to each other: one JSON object a line, ASCII only.

The worker says, on its standard output::

    {"progress": 0.4, "stage": "Refining the deformation", "seconds_left": 3.2}
    {"warning": "sentence"}
    {"result": "folder"}
    {"error": "sentence", "hint": "...", "kind": "BadInput", "details": "traceback"}

``seconds_left`` is null while nobody knows. The last line is a result or an error. What it is told, on its standard
input, is ``{"cancel": true}``; the end of that input means that nobody waits any more.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any

from . import errors
from .errors import DeepRegError, OutOfMemory

CANCEL: Mapping[str, Any] = {"cancel": True}
MEMORY_WORDS = (
    "MemoryError",
    "std::bad_alloc",
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "Unable to allocate",
    "Cannot allocate memory",
)
"""How Python, C++, torch, CUDA, numpy and the system say that the memory ran out."""
LAUNCHER_SAW_A_CRASH = "exit abnormally"
"""Slicer's Python is started by a launcher, which tells a crash in these words and then ends with status 1."""
PYTHON_SAW_A_CRASH = "Fatal Python error"
"""Python's fault handler begins with it when the process crashes; nothing is printed when the system kills it."""
KILL_SIGNAL = 9
"""What Linux sends to the process that takes most, when the memory runs out."""
STOP_SIGNALS = (1, 2, 15)
"""Hang-up, interrupt, terminate: somebody wants the process to go."""
WINDOWS_OUT_OF_MEMORY = {0xC0000017, 0xC000012D}
"""STATUS_NO_MEMORY and STATUS_COMMITMENT_LIMIT."""


def as_line(message: Mapping[str, Any]) -> str:
    """``message`` on one line, without its end.

    >>> as_line({"result": "case/Ä"})
    '{"result": "case/\\\\u00c4"}'
    """
    return json.dumps(message)


def message_of(line: str) -> dict[str, Any] | None:
    """The message on a line, or None for anything else that was printed.

    >>> message_of('{"cancel": true}')
    {'cancel': True}
    >>> message_of("[1, 2]") is None
    True
    """
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def failure_message(error: BaseException) -> dict[str, str]:
    """The message that says what ended the work, with the traceback as details."""
    told = as_deepreg_error(error)
    return {
        "error": str(told),
        "hint": told.hint,
        "kind": type(told).__name__,
        "details": "".join(traceback.format_exception(error)),
    }


def as_deepreg_error(error: BaseException) -> DeepRegError:
    """The same error in words for the user."""
    if isinstance(error, DeepRegError):
        return error
    if isinstance(error, MemoryError) or memory_ran_out(str(error)):
        return out_of_memory()
    return DeepRegError(
        f"The registration failed because of a defect of the program: {type(error).__name__}: {error}",
        "Please report it with the details.",
    )


def error_of(message: Mapping[str, Any]) -> DeepRegError:
    """The typed error of a message that :func:`failure_message` made."""
    kind = getattr(errors, str(message.get("kind", "")), DeepRegError)
    if not (isinstance(kind, type) and issubclass(kind, DeepRegError)):
        kind = DeepRegError
    return kind(str(message["error"]), str(message.get("hint", "")))


def memory_ran_out(text: str) -> bool:
    """Whether one of the many ways to say it occurs in ``text``."""
    return any(words in text for words in MEMORY_WORDS)


def out_of_memory() -> OutOfMemory:
    return OutOfMemory(
        "The memory ran out during the registration.",
        "Close other programs, choose a lower quality or the processor as device, or resample the images to larger "
        "voxels.",
    )


def error_of_end(exit_code: int | None, crashed: bool, log: str) -> DeepRegError:
    """What it means that the worker ended without a word: ``exit_code`` is None when it never started, a signal when it
    ``crashed``, negative or above 128 where a signal is told so; ``log`` is the end of its standard error."""
    if exit_code is None:
        return DeepRegError(
            "The registration could not be started: Slicer's Python does not run.",
            "Check that the installation is complete and that no virus scanner stops it.",
        )
    signal = _signal(exit_code, crashed)
    unseen_crash = LAUNCHER_SAW_A_CRASH in log and PYTHON_SAW_A_CRASH not in log
    if memory_ran_out(log) or signal == KILL_SIGNAL or unseen_crash or exit_code % (1 << 32) in WINDOWS_OUT_OF_MEMORY:
        return out_of_memory()
    if signal in STOP_SIGNALS:
        return DeepRegError("The registration was stopped from outside.", "Start it again.")
    if crashed or signal or LAUNCHER_SAW_A_CRASH in log:
        return DeepRegError(
            "The registration crashed.", "Try it with the processor as device; if it happens again, report the details."
        )
    return DeepRegError("The registration ended without a result.", "Please report it with the details.")


def _signal(exit_code: int, crashed: bool) -> int:
    """The signal that ended a process, 0 for none: subprocess negates it, Qt tells it with a crash, shells add 128."""
    if exit_code < 0:
        return -exit_code
    if crashed:
        return exit_code
    return max(exit_code - 128, 0)
