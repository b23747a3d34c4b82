"""Parameter nodes of other versions: what this version cannot read is forgotten, so that the panel opens."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import slicer


def forget_unknown_words(
    node: slicer.vtkMRMLScriptedModuleNode,
    words: Mapping[str, type[enum.Enum]],
    ranges: Mapping[str, tuple[float, float]],
) -> None:
    """Remove from a parameter node enumerations (``words``) whose names do not exist here and numbers outside their
    ``ranges``: both would keep the panel from opening. Their defaults take their place."""
    for name, kind in words.items():
        if node.HasParameter(name) and node.GetParameter(name) not in kind.__members__:
            node.UnsetParameter(name)
    for name, (lowest, highest) in ranges.items():
        if node.HasParameter(name) and not lowest <= _number(node.GetParameter(name)) <= highest:
            node.UnsetParameter(name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
