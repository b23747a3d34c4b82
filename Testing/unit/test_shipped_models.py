"""The models that ship: whole, with their sources named, and as exact as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest
from DeepRegLib.datasets.load_pair import load_pair
from DeepRegLib.methods.automatic import remaining_error
from DeepRegLib.models.card import ModelCard, ValidationRow
from DeepRegLib.models.find import BUNDLED_FOLDER, available_models
from DeepRegLib.models.load import load_network
from DeepRegLib.registration import register

MOST_BYTES = 45e6
MACHINES_DIFFER_MM = 0.03
"""Of a mean error: processors round half precision differently."""
NETWORK = "target registration error, network alone"
EASY = ("breathing/lung4d_a", "breathing/rightlung_a", "breathing/thorax4d_a")
BARS_MM = {"lung-ct": 0.8, "lung-ct-progressive": 2.4, "lung-ct-tps": 4.0}
"""Mean over the unseen pairs of ``breathing``: what each was trained to reach."""
MOST_LEFT = {"lung-ct": 0.1, "lung-ct-progressive": 0.2, "lung-ct-tps": 0.2}
"""Share of the error before the registration that may remain, over all unseen pairs."""


@pytest.fixture(scope="module")
def cards() -> dict[str, ModelCard]:
    found = available_models([BUNDLED_FOLDER])
    assert not found.problems
    for model in found.models.values():
        load_network(model)
    assert sum(model.weights.stat().st_size for model in found.models.values()) < MOST_BYTES
    return {name: model.card for name, model in found.models.items()}


def row_of(card: ModelCard, pair: str) -> ValidationRow:
    (row,) = (row for row in card.validation if row.data.startswith(pair) and row.measure.startswith(NETWORK))
    return row


def test_they_load_and_say_which_scans_they_learnt_from_and_under_which_licence(cards: dict[str, ModelCard]) -> None:
    assert sorted(cards) == sorted(BARS_MM)
    for card in cards.values():
        assert sum(data.scans for data in card.training_data) == 5
        assert all(data.licence for data in card.training_data)
        assert card.steps > 1000 and card.hardware and card.hours > 0


@pytest.mark.parametrize("name", list(BARS_MM))
def test_their_cards_tell_errors_on_scans_that_they_have_not_seen(cards: dict[str, ModelCard], name: str) -> None:
    card = cards[name]
    errors = [row_of(card, pair).after for pair in EASY]
    assert sum(errors) / len(errors) < BARS_MM[name]
    assert remaining_error(card) < MOST_LEFT[name]
    trained = {data.name for data in card.training_data}
    assert not any(row.data in trained for row in card.validation)


@pytest.mark.data
@pytest.mark.parametrize("name", list(BARS_MM))
def test_a_card_tells_the_truth_about_the_network_alone(
    cards: dict[str, ModelCard], name: str, data_folder: Path
) -> None:
    pair = load_pair(data_folder / "breathing" / "thorax4d_a")
    found = register(
        pair.fixed,
        pair.moving,
        method=name,
        quality="fast",
        fixed_mask=pair.fixed_mask,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
    )
    error = found.evidence["landmarks"]["after"]["mean_mm"]
    assert error == pytest.approx(row_of(cards[name], "breathing/thorax4d_a").after, abs=MACHINES_DIFFER_MM)
