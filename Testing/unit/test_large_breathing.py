"""Real lungs that breathe 75 mm, their tissue stretched threefold: the solver alone finds every lobe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from DeepRegLib import registration
from DeepRegLib.datasets.load_pair import load_pair
from DeepRegLib.refinement.settings import Quality, Settings, settings_for

BAR_MM = 0.6
MACHINES_DIFFER_MM = 0.03
"""Processors round differently, and what is left are few places at the wall; 0.595 mm were measured."""
WORST_MM = 6.0


def without_inside(quality: Quality, lungs: bool) -> Settings:
    settings = settings_for(quality, lungs)
    plain = [replace(level, inside_weight=0.0) for level in settings.levels]
    rescue = [replace(level, inside_weight=0.0) for level in settings.rescue]
    return replace(settings, levels=tuple(plain), rescue=tuple(rescue))


def errors(folder: Path) -> dict[str, float]:
    pair = load_pair(folder)
    found = registration.register(
        pair.fixed,
        pair.moving,
        quality="accurate",
        fixed_mask=pair.fixed_mask,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
    )
    return found.evidence["landmarks"]["after"]


@pytest.mark.data
def test_the_largest_breathing_is_found_and_its_walls_need_the_values_normalised_inside(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_folder / "breathing_extreme" / "thorax4d_extreme"
    found = errors(folder)
    assert found["mean_mm"] < BAR_MM + MACHINES_DIFFER_MM and found["max_mm"] < WORST_MM
    monkeypatch.setattr(registration, "settings_for", without_inside)
    assert errors(folder)["mean_mm"] > 1.1 * found["mean_mm"]
