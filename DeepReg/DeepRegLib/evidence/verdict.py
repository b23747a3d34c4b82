"""What the numbers mean, in the words that a clinician reads first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GOOD_MEAN_MM = 2.0
"""A mean landmark error up to this is called good: about the distance at which two experts click the same landmark."""
NOTABLE_FOLDING_PERCENT = 0.1
"""More folding than this asks for a look; less is single voxels at a border."""
FAR_OFF_MM = 5.0
"""A single landmark that is off by more than this is worth a look even when the others fit."""
CLEARLY_BETTER = 0.02
"""The similarity must rise by this much before it is called better."""
PLACES = {"lungs": "in the lungs", "lung": "in the lung", "body": "in the body", "head": "in the head"}
PLACES |= {"brain": "in the brain", "given": "in the given region", "whole": "anywhere in the image"}


@dataclass(frozen=True)
class Verdict:
    """``level``: good, look (something to check), bad, or plain (no landmarks measure it); a ``headline``; ``details``,
    whole sentences."""

    level: str
    headline: str
    details: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The level in a word or two."""
        return {"good": "Good match", "look": "Check", "bad": "Not usable", "plain": "Done"}[self.level]


def verdict_of(evidence: Mapping[str, Any]) -> Verdict:
    """The verdict on the evidence of a registration; every key may be missing."""
    level, headline, details = _accuracy(evidence)
    folding = evidence.get("folding_percent")
    if folding is not None:
        kind = (evidence.get("region") or {}).get("kind")
        place = PLACES.get(str(kind), "in the region" if kind else "in the image")
        details.append(_folding(folding, place))
        if folding > NOTABLE_FOLDING_PERCENT and level in ("good", "plain"):
            level = "look"
    return Verdict(level, headline, details)


def _accuracy(evidence: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    landmarks = evidence.get("landmarks") or {}
    before, after = landmarks.get("before") or {}, landmarks.get("after") or {}
    if "mean_mm" in before and "mean_mm" in after:
        return _by_landmarks(before, after, landmarks.get("count"))
    similarity = evidence.get("similarity") or {}
    if similarity.get("before") is not None and similarity.get("after") is not None:
        return _by_similarity(similarity["before"], similarity["after"])
    return "plain", "The moving scan was registered to the fixed scan", [_LOOK_AT_THE_OVERLAYS]


_LOOK_AT_THE_OVERLAYS = "There are no landmarks to measure the accuracy with: judge it by the overlays below."


def _by_landmarks(before: Mapping[str, float], after: Mapping[str, float], count: int | None) -> tuple[str, str, list]:
    headline = f"Mean landmark error: {before['mean_mm']:.1f} mm before, {after['mean_mm']:.1f} mm after"
    details = []
    if "p95_mm" in after and "max_mm" in after:
        many = f"{count} landmarks: " if count else ""
        look = ": look at it below" if after["max_mm"] > FAR_OFF_MM else ""
        details.append(
            f"{many}95 % lie within {after['p95_mm']:.1f} mm, the worst is {after['max_mm']:.1f} mm off{look}."
        )
    if after["mean_mm"] >= before["mean_mm"]:
        return "bad", headline, ["The landmarks lie further apart than before the registration.", *details]
    return ("good" if after["mean_mm"] <= GOOD_MEAN_MM else "look"), headline, details


def _by_similarity(before: float, after: float) -> tuple[str, str, list[str]]:
    headline = f"Local similarity: {100 * before:.0f} % before, {100 * after:.0f} % after"
    meaning = "It is the share of the fixed scan's local structure that the moving scan explains (100 %: all of it)."
    if after < before:
        worse = "The scans match less well than before the registration."
        return "bad", headline, [worse, meaning, _LOOK_AT_THE_OVERLAYS]
    if after < before + CLEARLY_BETTER:
        same = "The registration hardly changed the match."
        return "look", headline, [same, meaning, _LOOK_AT_THE_OVERLAYS]
    return "plain", headline, [meaning, _LOOK_AT_THE_OVERLAYS]


def _folding(percent: float, place: str) -> str:
    if percent <= 0:
        return f"No folding {place}: no tissue passes through itself."
    if percent <= NOTABLE_FOLDING_PERCENT:
        return f"Hardly any folding {place} ({percent:.2g} % of its volume)."
    return f"The map folds over itself in {percent:.2g} % of the volume {place}: look at the yellow spots below."
