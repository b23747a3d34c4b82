"""What a registration came to, in the words that the panel shows beside the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from DeepRegLib.evidence.verdict import PLACES, verdict_of

NO_NETWORK = {"zero": "the solver alone", "organ border": "the solver, led by the border of the organ"}
"""Starts that no network proposed, in words."""


def outcome_sentences(evidence: Mapping[str, Any], notes: Sequence[str] = ()) -> list[str]:
    """How well it fits, whether it folds, which start won, how long it took, and what there is to know besides."""
    verdict = verdict_of(evidence)
    seconds = evidence.get("seconds", {}).get("total")
    took = f", in {seconds:.1f} s" if seconds is not None else ""
    sentences = [f"{verdict.headline}{took}.", _folding(evidence), start_sentence(evidence)]
    return [sentence for sentence in (*sentences, *evidence.get("warnings", []), *notes) if sentence]


def start_sentence(evidence: Mapping[str, Any]) -> str:
    """Which start won, with the match of each where there was a choice (1 is perfect)."""
    start = evidence.get("start") or {}
    chosen = start.get("chosen")
    if chosen is None:
        return ""
    match = {candidate["name"]: candidate["similarity"] for candidate in start.get("candidates", [])}
    words = f"Best start: {NO_NETWORK.get(chosen, chosen)}"
    if len(match) < 2:
        return f"{words}."
    compared = ", ".join(f"{NO_NETWORK.get(name, name)} {value:.3f}" for name, value in match.items())
    return f"{words} (match of each: {compared})."


def _folding(evidence: Mapping[str, Any]) -> str:
    percent = evidence.get("folding_percent")
    if percent is None:
        return ""
    place = PLACES.get(str((evidence.get("region") or {}).get("kind")), "in the region")
    if percent <= 0:
        return f"No folding {place}."
    return f"The field folds in {percent:.2g} % of the volume {place}: mark it under Review."
