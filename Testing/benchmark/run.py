"""What one run of one tool gives, and which runs there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from DeepRegLib.transforms.displacement_field import DisplacementField

TOOLS = {
    "ours": ("ours", ("ours_fast", "ours_balanced", "ours_accurate")),
    "networks": ("networks", ("lung-ct_alone", "lung-ct_start", "lung-ct-progressive_alone", "lung-ct-tps_alone")),
    "greedy": ("peers_greedy", ("greedy_s2",)),
    "elastix": ("peers_elastix", ("elx_ncc10",)),
    "convexadam": ("peers_convexadam", ("cvx",)),
    "demons": ("peers_demons", ("dem_fast",)),
}
"""File and usual settings of each tool; for a peer the best that was found. All of them stand in SETTINGS there."""
BASELINE = "greedy_s2"
BRAIN_BASELINE = "greedy"
"""What the ratios refer to: the best peer, with lungs and with brains."""


@dataclass(frozen=True)
class Outcome:
    """The total map (fixed to moving points), the seconds from images in memory to a dense field, and the seconds of
    single stages where a tool tells them."""

    field: DisplacementField
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)


def tool_module(tool: str):
    return importlib.import_module(f".{TOOLS[tool][0]}", __package__)


def choose_runs(words: Iterable[str], brain: bool = False) -> list[tuple[str, str]]:
    """(tool, setting) of each word: a tool stands for its usual settings, a setting for itself. For a brain, greedy
    stands for its stiffer setting, and tools that know lungs only are left out.

    Raises ValueError for a word that is neither.
    """
    chosen: list[tuple[str, str]] = []
    for word in words:
        if word in TOOLS:
            usual = (BRAIN_BASELINE,) if brain and word == "greedy" else TOOLS[word][1]
            found = [(word, setting) for setting in usual]
        else:
            found = [(tool, word) for tool in TOOLS if word in tool_module(tool).SETTINGS]
        if not found:
            settings = ", ".join(name for tool in TOOLS for name in tool_module(tool).SETTINGS)
            raise ValueError(f"There is no tool '{word}'. Tools: {', '.join(TOOLS)}. Settings: {settings}.")
        chosen += [run for run in found if run not in chosen and (not brain or run[0] in ("ours", "greedy"))]
    return chosen
