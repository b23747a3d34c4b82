"""Where a run is in its schedule, in words: its stage, and for the progressive network the share of each level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from DeepRegLib.networks.progressive_schedule import PAPER_LEVELS, alpha_schedule
from DeepRegTrainLib.run_folder.layout import RunFolder
from slicer.i18n import tr as _

PROGRESSIVE = "progressive_unet"
DEFAULT_DELTA, DEFAULT_PERIOD = 1 / 15, 1 / 5
"""Of all steps, where the settings leave them open (:class:`DeepRegTrainLib.settings.Settings`)."""
PERCENT = 100


def level_words(folder: Path, step: int, stage: str) -> str:
    """One line for the panel; "" when there is nothing to tell."""
    alphas = alphas_of(_settings(folder), step)
    if not alphas:
        return _("Stage: {stage}").format(stage=stage) if stage else ""
    shares = "  ".join(f"{PERCENT * alpha:.0f} %" for alpha in alphas)
    active = [number for number, alpha in enumerate(alphas, start=1) if alpha > 0]
    if len(active) > 1:
        told = _("Level {n} of {count} joins level {before}.")
        sentence = told.format(n=active[-1], count=len(alphas), before=active[0])
    else:
        sentence = _("Level {n} of {count} is trained.").format(n=active[0], count=len(alphas))
    return sentence + " " + _("Shares, coarse to fine: {shares}").format(shares=shares)


def alphas_of(settings: dict[str, Any], step: int) -> tuple[float, ...]:
    """The weights of the levels of a progressive network after ``step`` steps, the coarsest first; none for other
    networks, and none where the settings make no sense."""
    if settings.get("network") != PROGRESSIVE:
        return ()
    try:
        steps = int(settings["steps"])
        delta, period = (
            default * steps if settings[name] is None else float(settings[name])
            for name, default in (("delta", DEFAULT_DELTA), ("period", DEFAULT_PERIOD))
        )
        levels = int(settings["arguments"].get("levels", PAPER_LEVELS))
        return alpha_schedule(max(step - 1, 0), delta, period, levels)
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def _settings(folder: Path) -> dict[str, Any]:
    """The settings of a run; empty where nobody can tell."""
    try:
        return dict(json.loads(RunFolder(folder).config.read_text(encoding="utf-8"))["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
