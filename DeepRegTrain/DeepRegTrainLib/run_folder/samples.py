"""Sample pairs in a run folder, for whoever watches; without torch."""

from __future__ import annotations

from pathlib import Path

from .layout import RunFolder

PREDICTED = "predicted.npy"
"""The field that the network gave, beside the arrays of the pair."""
COMPLETE = "pair.json"
"""Written last."""


def sample_folders(run: RunFolder) -> list[Path]:
    """All samples, whole or not, by their steps."""
    try:
        return sorted(folder for folder in run.samples.iterdir() if folder.name.isdigit())
    except OSError:
        return []


def last_sample(run: RunFolder) -> Path | None:
    """The folder of the last sample that is whole; its name is the step."""
    return next((folder for folder in reversed(sample_folders(run)) if (folder / COMPLETE).is_file()), None)
