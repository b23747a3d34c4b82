"""Which method runs: the one that was asked for, or the best there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ModelProblem, OutOfMemory
from ..models.card import ModelCard, ValidationRow
from ..models.find import available_models
from .interface import Method, available_methods, method_named

if TYPE_CHECKING:
    import torch

AUTO = "auto"
SOLVER_ALONE = "lucas-kanade"
"""Needs no model."""
NETWORK_ALONE = "fast"
"""In this quality a network that is asked for works alone, in one go; in the others the solver refines its answer."""
OF_SOLVER, WITH_SOLVER = "solver alone", "network and solver"
"""In the names of measures: what the solver reaches without the model, and with it."""
CLEARLY_LESS = 0.98
"""Less of the error by two percent: smaller differences are noise, and a network costs seconds."""
LANDMARK_MEASURE = "target registration error"
"""Measures that begin like this are compared between models; the less of it is left, the better."""


def choose_method(name: str, device: torch.device, quality: str = "balanced") -> tuple[Method, list[str]]:
    """The method to run on ``device`` and what there is to say about the choice, in sentences.

    ``name`` is that of a method; that of a kind of network means its best installed model. "auto" is the best model
    that works here, whose start the solver makes exact. It is the solver alone where no model works, where by its card
    the best one is no better than the solver, and in the quality "fast": in the benchmark the solver is quicker and
    more exact than any network alone.

    Raises :class:`~DeepRegLib.errors.BadInput` for an unknown name, :class:`~DeepRegLib.errors.ModelProblem` and
    :class:`~DeepRegLib.errors.OutOfMemory` when the method that was asked for cannot work.
    """
    if name == AUTO:
        return (method_named(SOLVER_ALONE), []) if quality == NETWORK_ALONE else _best_that_works(device)
    method = available_methods().get(name) or _best_of_kind(name) or method_named(name)
    method.check(device)
    return method, []


def remaining_error(card: ModelCard) -> float:
    """Mean share of the landmark error that the model leaves on its validation data, by its card; infinite where the
    card does not say. Where it was measured with the solver too, that counts."""
    own = [row for row in _landmark_rows(card) if OF_SOLVER not in row.measure]
    return _mean_share([row for row in own if WITH_SOLVER in row.measure] or own)


def is_worth_its_time(card: ModelCard) -> bool:
    """Whether the model leaves less error than the solver alone on the same data; also where nobody compared them."""
    of_solver = _mean_share([row for row in _landmark_rows(card) if OF_SOLVER in row.measure])
    return remaining_error(card) < of_solver * CLEARLY_LESS or of_solver == float("inf")


def _landmark_rows(card: ModelCard) -> list[ValidationRow]:
    return [row for row in card.validation if row.measure.lower().startswith(LANDMARK_MEASURE) and row.before > 0]


def _mean_share(rows: list[ValidationRow]) -> float:
    return sum(row.after / row.before for row in rows) / len(rows) if rows else float("inf")


def _best_that_works(device: torch.device) -> tuple[Method, list[str]]:
    best_first = _best_first()
    unused = [str(problem) for problem in available_models().problems]
    for card, method in best_first:
        try:
            method.check(device)
        except (ModelProblem, OutOfMemory) as problem:
            unused.append(str(problem))
        else:
            return (method if is_worth_its_time(card) else method_named(SOLVER_ALONE)), unused
    state = "can be used" if best_first else "is installed"
    return method_named(SOLVER_ALONE), [*unused, f"No trained model {state}: the solver worked alone."]


def _best_of_kind(name: str) -> Method | None:
    return next((method for card, method in _best_first() if card.method == name), None)


def _best_first() -> list[tuple[ModelCard, Method]]:
    """The methods that run an installed model, the best first; equals in the order in which the models were found."""
    methods = {method.model: method for method in available_methods().values() if method.model}
    cards = [model.card for model in available_models().models.values()]
    return [(card, methods[card.name]) for card in sorted(cards, key=remaining_error) if card.name in methods]
