"""What a caller can ask the registration to do differently: no pre-alignment, another comparison, no refinement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from DeepRegLib.errors import BadInput, NoOverlap
from DeepRegLib.images.volume import Volume
from DeepRegLib.registration import field_geometry, register
from DeepRegLib.result import Registration
from registration_cases import QUICKLY, phantom, phantom_registration


def error_mm(registration: Registration) -> float:
    pair = phantom()
    mapped = registration.transform.map_points(pair.fixed_landmarks)
    return float(np.linalg.norm(mapped - pair.moving_landmarks, axis=1).mean())


def moved_away(volume: Volume, shift_mm: float) -> Volume:
    x, y, z = volume.geometry.origin
    return Volume(volume.array, replace(volume.geometry, origin=(x, y, z + shift_mm)))


def test_without_pre_alignment_the_positions_of_the_headers_are_kept() -> None:
    pair = phantom()
    registration = register(pair.fixed, pair.moving, **QUICKLY, prealignment="none")
    assert np.array_equal(registration.prealignment.matrix, np.eye(3))
    assert np.array_equal(registration.prealignment.translation, np.zeros(3))
    assert error_mm(registration) < 1.5


def test_without_pre_alignment_images_that_lie_apart_are_refused() -> None:
    pair = phantom()
    with pytest.raises(NoOverlap):
        register(pair.fixed, moved_away(pair.moving, 5000.0), **QUICKLY, prealignment="none")


def test_without_pre_alignment_images_that_lie_apart_are_refused_for_a_given_comparison_too() -> None:
    pair = phantom()
    far = moved_away(pair.moving, 5000.0)
    with pytest.raises(NoOverlap):
        register(pair.fixed, far, **QUICKLY, prealignment="none", similarity="intensity")


@pytest.mark.parametrize("similarity, contrast", [("intensity", "same"), ("structure", "other")])
def test_what_is_compared_can_be_said_and_both_ways_bring_the_landmarks_together(
    similarity: str, contrast: str
) -> None:
    pair = phantom()
    registration = register(pair.fixed, pair.moving, **QUICKLY, similarity=similarity)
    assert registration.evidence["contrast"] == contrast
    before = np.linalg.norm(pair.fixed_landmarks - pair.moving_landmarks, axis=1).mean()
    assert error_mm(registration) < before / 5


def test_without_refinement_and_without_a_network_only_the_pre_alignment_is_left() -> None:
    pair = phantom()
    registration = register(pair.fixed, pair.moving, **QUICKLY, refine=False)
    points = pair.fixed_landmarks
    assert np.allclose(
        registration.transform.map_points(points), registration.prealignment.map_points(points), atol=1e-3
    )
    assert registration.evidence["refined"] is False
    assert np.allclose(registration.prealignment.matrix, phantom_registration().prealignment.matrix, atol=1e-4)


def test_the_field_lies_on_voxels_of_the_size_that_was_asked_for() -> None:
    pair = phantom()
    registration = register(pair.fixed, pair.moving, **QUICKLY, field_spacing_mm=6.0)
    assert np.allclose(registration.field.geometry.spacing, 6.0, rtol=0.03)  # it ends where the image ends
    assert registration.transform.geometry == registration.field.geometry
    assert registration.warped.geometry == pair.fixed.geometry
    assert error_mm(registration) < 2.0


def test_a_finer_field_than_the_voxels_is_not_made() -> None:
    geometry = phantom().fixed.geometry
    assert field_geometry(geometry, 0.01) is geometry


@pytest.mark.parametrize(
    "options",
    [{"prealignment": "rigid"}, {"similarity": "mutual information"}, {"field_spacing_mm": 0.0}, {"quality": "best"}],
)
def test_words_and_numbers_that_mean_nothing_are_refused_before_the_work(options: dict) -> None:
    pair = phantom()
    with pytest.raises(BadInput):
        register(pair.fixed, pair.moving, **(QUICKLY | options))
