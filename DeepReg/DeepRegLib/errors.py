"""One family of errors: each is a sentence that the person at the screen can act on.

Everything that a user can cause or mend is raised as a :class:`DeepRegError`; anything else is a defect of ours.
``exit_code`` is what the command line returns for it.
"""

from __future__ import annotations


class DeepRegError(Exception):
    """Base of all errors that are meant to be read by a user.

    ``hint`` says what to do next, when the sentence itself does not.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadInput(DeepRegError):
    """An input cannot be used: missing, not an image, wrong dimension, broken geometry or voxels."""

    exit_code = 2


class BadMask(BadInput):
    """A region mask is empty or does not meet the image."""


class BadLandmarks(BadInput):
    """Landmark files are unreadable, unequal or lie outside the image."""


class NoOverlap(DeepRegError):
    """After pre-alignment the two images share too little to be registered."""

    exit_code = 2


class ModelProblem(DeepRegError):
    """A model is missing, damaged or does not fit the method."""

    exit_code = 2


class OutOfMemory(DeepRegError):
    """The work does not fit into the memory that is free."""


class OutputProblem(DeepRegError):
    """A result cannot be written: folder not writable, disk full."""


class InstallationProblem(DeepRegError):
    """A package that registration needs is missing and could not be installed, or was declined."""


class Cancelled(DeepRegError):
    """The user stopped the work; nothing was written."""

    exit_code = 130
