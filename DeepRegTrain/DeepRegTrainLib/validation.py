"""How good the network is on pairs it does not train on, beside the two controls that need no training."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from DeepRegLib.datasets.load_pair import load_pair
from DeepRegLib.errors import Cancelled, DeepRegError
from DeepRegLib.models.card import ModelCard
from DeepRegLib.models.find import FOLDERS_VARIABLE
from DeepRegLib.models.save import save_model
from DeepRegLib.registration import register

from .autocast import autocast
from .controls import QUALITY, SOLVER, solver_field
from .objective import error_mm
from .pair_level import PairLevel, focused
from .pairs.training_pair import TrainingPair
from .pairs.working_grid import jacobian_determinant
from .pictures import picture_of
from .trainable.interface import LevelEstimate, TrainableNetwork

INSIDE = 0.5
COLUMNS = ("step", "data", "error_mm", "folding_percent", "zero_mm", "solver_mm", "seconds")
PICTURED = 3


@dataclass(frozen=True)
class ValidationNumbers:
    """On ``data``: the mean error in mm and the folding in percent of the region after the network, the errors of the
    controls (none where a control declined), and the seconds that the network took."""

    data: str
    error_mm: float
    folding_percent: float
    zero_mm: float
    solver_mm: float | None
    seconds: float


class PairSource(Protocol):
    """Numbered training pairs, such as :class:`~DeepRegTrainLib.pairs.PairGenerator`."""

    device: torch.device

    def draw(self, index: int) -> TrainingPair: ...


class SyntheticValidation:
    """``count`` pairs of ``source``, whose seed (and scans, where some are held out) are not those of the training.
    Errors are means over the voxels with a weight, those away from the region counting ``outside``. Controls are kept
    in ``known``, which a run folder keeps as JSON; ``sample`` is the first pair with its estimate and its levels."""

    def __init__(self, source: PairSource, count: int, outside: float, known: dict[str, Any]) -> None:
        self._source = source
        self._count = count
        self._outside = outside
        self.known = known
        self.pictures: list[np.ndarray] = []
        self.sample: tuple[TrainingPair, torch.Tensor, list[LevelEstimate]] | None = None

    def __call__(
        self,
        trainable: TrainableNetwork,
        step: int,
        precision: str = "float32",
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[ValidationNumbers]:
        """The network as trained by ``step``, computed in ``precision``.

        Raises :class:`~DeepRegLib.errors.Cancelled` before the next pair, once somebody ``asked_to_stop``.
        """
        self.pictures = []
        for index in range(self._count):
            if asked_to_stop():
                raise Cancelled("The validation was cut short.")
            pair = focused(self._source.draw(index), self._outside)
            level = PairLevel.of(pair, 1)
            start = time.perf_counter()
            with torch.no_grad(), autocast(precision, self._source.device):
                field = trainable.estimate(pair, step)
            seconds = time.perf_counter() - start
            if index == 0:
                with torch.no_grad(), autocast(precision, self._source.device):
                    self.sample = pair, field, trainable.level_estimates(pair, step)
            if index < PICTURED:
                self.pictures.append(picture_of(pair, field))
            name = f"held-out pair {index + 1}"
            if name not in self.known:
                self.known[name] = _controls(pair, level)
            error = float(error_mm(field, level))
            yield ValidationNumbers(name, error, folding_percent(field, pair), **self.known[name], seconds=seconds)


class LandmarkValidation:
    """Pairs of scans with landmarks in ``folders``, registered as users do: with the network alone as a method."""

    def __init__(self, folders: Sequence[Path], known: dict[str, Any]) -> None:
        self._folders = list(folders)
        self.known = known

    def __call__(
        self, network: torch.nn.Module, card: ModelCard, asked_to_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[ValidationNumbers]:
        """``network`` is the one that is deployed, ``card`` describes it.

        Raises :class:`~DeepRegLib.errors.Cancelled` once somebody ``asked_to_stop``.
        """
        for folder in self._folders:
            pair = load_pair(folder)
            given: dict[str, Any] = {
                "fixed": pair.fixed,
                "moving": pair.moving,
                "fixed_mask": pair.fixed_mask,
                "fixed_landmarks": pair.fixed_landmarks,
                "moving_landmarks": pair.moving_landmarks,
                "threads": torch.get_num_threads(),
                "cancelled": asked_to_stop,
            }
            name = f"landmarks of {folder.name}"
            if name not in self.known:
                zero = register(**given, method=SOLVER, quality=QUALITY, refine=False)
                solved = register(**given, method=SOLVER, quality=QUALITY)
                self.known[name] = {"zero_mm": _mean_error(zero), "solver_mm": _mean_error(solved)}
            with _as_method(network, card) as method:
                found = register(**given, method=method, quality=QUALITY, refine=False)
            evidence = found.evidence
            yield ValidationNumbers(
                name,
                _mean_error(found),
                float(evidence["folding_percent"]),
                **self.known[name],
                seconds=float(evidence["seconds"]["propose"]),
            )


def folding_percent(field: torch.Tensor, pair: TrainingPair) -> float:
    """The share of the region in which T(x) = x + u(x) folds (central differences), in percent."""
    inside = pair.region > INSIDE
    folded = (jacobian_determinant(field.float()) <= 0) & inside
    return 100 * float(folded.sum()) / max(1, int(inside.sum()))


def mean_error(numbers: Sequence[ValidationNumbers]) -> float | None:
    """The mean over the pairs with known displacements, or over all where there are none of these."""
    synthetic = [row.error_mm for row in numbers if not row.data.startswith("landmarks")]
    errors = synthetic or [row.error_mm for row in numbers]
    return float(np.mean(errors)) if errors else None


def as_row(numbers: ValidationNumbers, step: int) -> dict[str, Any]:
    """For the table of the run folder."""
    return {"step": step, **asdict(numbers)}


@contextmanager
def averaged_weights(network: torch.nn.Module, average: dict[str, torch.Tensor] | None) -> Iterator[None]:
    """``network`` in evaluation mode, with its averaged weights where there are some; afterwards as it was, to the
    bit."""
    before = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()} if average else None
    network.eval()
    if average:
        network.load_state_dict(average)
    try:
        yield
    finally:
        if before:
            network.load_state_dict(before)


def _controls(pair: TrainingPair, level: PairLevel) -> dict[str, float | None]:
    solved = solver_field(pair)
    return {
        "zero_mm": float(error_mm(torch.zeros_like(pair.displacement), level)),
        "solver_mm": None if solved is None else _finite(float(error_mm(solved, level))),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean_error(registration: Any) -> float:
    if registration.evidence.get("landmarks") is None:
        raise DeepRegError("A folder of validation pairs has no landmarks.", "Name folders with landmarks only.")
    return float(registration.evidence["landmarks"]["after"]["mean_mm"])


@contextmanager
def _as_method(network: torch.nn.Module, card: ModelCard) -> Iterator[str]:
    """A name under which ``register`` finds the network."""
    before = os.environ.get(FOLDERS_VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), card, network)
        os.environ[FOLDERS_VARIABLE] = folder
        try:
            yield card.name
        finally:
            if before is None:
                del os.environ[FOLDERS_VARIABLE]
            else:
                os.environ[FOLDERS_VARIABLE] = before
