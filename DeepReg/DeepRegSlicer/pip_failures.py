"""What pip says when it fails, as a sentence that a clinician or an administrator can act on."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegLib.errors import InstallationProblem
from slicer.i18n import tr as _

LONGEST_LAST_WORD = 200
"""A line of pip that is longer than this is cut in a message."""


@dataclass(frozen=True)
class Failure:
    """A kind of failure: words of pip and of the operating systems that betray it, and what to tell. In the hint stand
    {button} for what the user pressed, and {offline} for :func:`offline_hint`."""

    signs: tuple[str, ...]
    message: str
    hint: str


def installation_problem(log: str, button: str, error: Exception | None = None) -> InstallationProblem:
    """The failed installation as an error to raise; ``log`` is what pip printed, ``error`` what was raised for it,
    ``button`` the word on what the user pressed."""
    said = f"{log}\n{error or ''}"
    for failure in _failures():
        if any(sign.lower() in said.lower() for sign in failure.signs):
            return InstallationProblem(failure.message, failure.hint.format(button=button, offline=offline_hint()))
    return InstallationProblem(
        _("The packages could not be installed: {reason}").format(reason=_last_word(log, error)),
        _("Slicer's Python console shows everything that pip said. {offline}").format(offline=offline_hint()),
    )


def offline_hint() -> str:
    """How to install without the internet; two commands, one for each computer."""
    return _(
        "Without internet: on a computer of the same kind that has it, run "
        "PythonSlicer -m pip download torch safetensors --dest wheels; copy the folder 'wheels' here and run "
        "PythonSlicer -m pip install --no-index --find-links wheels torch safetensors "
        "(PythonSlicer is in the folder 'bin' of Slicer)."
    )


def no_room_problem(needed_gb: float, free_gb: float, button: str) -> InstallationProblem:
    """Told before anything is downloaded."""
    return InstallationProblem(
        _("Too little disk space for PyTorch: it needs about {needed:.0f} GB, {free:.1f} GB are free.").format(
            needed=needed_gb, free=free_gb
        ),
        _("Free some space on the disk where Slicer is installed, then press '{button}' again.").format(button=button),
    )


def read_only_problem(folder: str) -> InstallationProblem:
    """Told before anything is downloaded."""
    return InstallationProblem(
        _("Slicer's folder is read-only, so nothing can be installed into it: {folder}").format(folder=folder),
        _(
            "Install Slicer into a folder of your own, or ask the administrator to run "
            "PythonSlicer -m pip install torch safetensors."
        ),
    )


def _last_word(log: str, error: Exception | None) -> str:
    """The line of pip that says most: its last one that begins with ERROR, otherwise the exception."""
    errors = [line for line in log.splitlines() if line.startswith("ERROR")]
    if not errors and error is None:
        return _("pip gave no reason")
    return (errors[-1] if errors else f"{type(error).__name__}: {error}")[:LONGEST_LAST_WORD]


def _failures() -> tuple[Failure, ...]:
    """Most telling first: behind a proxy, pip also says that it cannot connect and that there is no such version."""
    return (
        Failure(
            ("no space left on device", "errno 28", "winerror 112", "not enough space on the disk", "disk quota"),
            _("The disk is full; PyTorch could not be installed."),
            _("Free some gigabytes on the disk where Slicer is installed, then press '{button}' again."),
        ),
        Failure(
            ("winerror 32", "winerror 5]", "being used by another process"),
            _("Files of PyTorch are in use, so it could not be installed."),
            _("Restart Slicer and press '{button}' before any other module is opened."),
        ),
        Failure(
            ("permission denied", "access is denied", "errno 13"),
            _("Slicer's folder may not be written, so nothing could be installed into it."),
            _("Install Slicer into a folder of your own, or ask the administrator to install PyTorch into it."),
        ),
        Failure(
            ("proxyerror", "tunnel connection failed", "407 proxy", "cannot connect to proxy", "proxyschemeunknown"),
            _("The proxy of your network did not let the download through."),
            _(
                "Ask for the address of the proxy, run PythonSlicer -m pip config set global.proxy ADDRESS and press "
                "'{button}' again. {offline}"
            ),
        ),
        Failure(
            ("certificate_verify_failed", "sslcertverificationerror", "certificate verify failed"),
            _("Your network replaces the certificates of web pages, so the download was refused."),
            _(
                "Ask for the certificate of your network, run PythonSlicer -m pip config set global.cert FILE and "
                "press '{button}' again. {offline}"
            ),
        ),
        Failure(
            (
                "newconnectionerror",
                "nameresolutionerror",
                "failed to establish a new connection",
                "getaddrinfo failed",
                "name or service not known",
                "temporary failure in name resolution",
                "connecttimeouterror",
                "readtimeouterror",
                "read timed out",
                "network is unreachable",
                "connection reset",
                "remotedisconnected",
                "incompleteread",
            ),
            _("The download failed: this computer does not reach the internet, or the line broke."),
            _("Check the connection and press '{button}' again. {offline}"),
        ),
        Failure(
            ("resolutionimpossible", "conflicting dependencies"),
            _("The installation would have replaced numpy or SimpleITK of Slicer, so it was stopped."),
            _("Nothing was changed. Update Slicer, or report this with the text in Slicer's Python console."),
        ),
        Failure(
            ("no matching distribution found",),
            _("There is no PyTorch for this computer that is new enough."),
            _("PyTorch 2.4 and newer do not exist for Macs with an Intel processor; use another computer."),
        ),
    )
