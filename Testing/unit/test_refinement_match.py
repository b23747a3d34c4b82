"""Starts are compared where both see the moving image: a cut scan must not favour the field that draws more into it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeepRegLib.refinement.match import LOST_CORRELATION, MatchMap
from DeepRegLib.refinement.solver import WORTHWHILE_GAIN, best_start

SHAPE = (6, 5, 4)


def match_map(correlation: np.ndarray, seen: np.ndarray) -> MatchMap:
    return MatchMap(torch.tensor(correlation), torch.tensor(seen), float(np.prod(SHAPE)))


def test_seeing_more_of_the_moving_image_is_no_gain() -> None:
    correlation = np.full(SHAPE, 0.9)
    little, much = np.ones(SHAPE), np.ones(SHAPE)
    little[:3], much[:1] = 0, 0
    some, more = match_map(correlation, little), match_map(correlation, much)
    assert more.over_whole_region > some.over_whole_region + 0.1
    assert more.gain_over(some) == some.gain_over(more) == 0
    assert more.match.mean == pytest.approx(some.match.mean) == pytest.approx(0.9)


def test_the_gain_is_the_mean_difference_where_both_see() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-0.5, 1, SHAPE), rng.uniform(-1, 0.5, SHAPE)
    sees_a, sees_b = rng.uniform(0, 1, (2, *SHAPE))
    both = np.minimum(sees_a, sees_b)
    expected = np.average(a - b, weights=both)
    gain = match_map(a, sees_a).gain_over(match_map(b, sees_b))
    assert gain == pytest.approx(expected) and expected > 0.1


def test_match_and_what_is_lost_are_shares_of_what_is_seen() -> None:
    rng = np.random.default_rng(1)
    correlation, seen = rng.uniform(-1, 1, SHAPE), rng.uniform(0, 1, SHAPE)
    match = match_map(correlation, seen).match
    assert match.mean == pytest.approx(np.average(correlation, weights=seen))
    assert match.lost == pytest.approx(np.average(correlation < LOST_CORRELATION, weights=seen))


def test_a_start_that_draws_what_does_not_match_into_view_is_not_the_better_one() -> None:
    plain, draws_more = np.ones(SHAPE), np.ones(SHAPE)
    plain[:1] = 0
    correlation = np.full(SHAPE, 0.92)
    correlation[0] = 0.3
    first = match_map(np.full(SHAPE, 0.9), plain)
    assert match_map(correlation, draws_more).gain_over(first) > WORTHWHILE_GAIN
    assert best_start([first, match_map(correlation, draws_more)]) == 0
    assert best_start([first, match_map(correlation, plain)]) == 1
