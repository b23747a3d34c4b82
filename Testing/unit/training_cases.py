"""Small trainings for the tests: pairs of 16 voxels of made-up shapes, networks of some thousand weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from DeepRegTrainLib.distributed import Group
from DeepRegTrainLib.pairs import PairGenerator, RandomShapes, TrainingPair, preset
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.settings import Settings, recipe
from DeepRegTrainLib.trainable.build import build_trainable
from DeepRegTrainLib.training_run import TrainingRun
from DeepRegTrainLib.training_step import Steps
from DeepRegTrainLib.validators import Validators

SIZE = 16
CPU = torch.device("cpu")
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"base": 2, "levels": 2},
    "progressive_unet": {"base": 2, "levels": 3},
    "vgg_grid": {"channels": [4, 4]},
    "correspondence": {"channels": [4, 4, 4], "decoders": [4, 4, 4], "depths": [1, 1, 1], "radii": [1, 1, 1]},
}
ALONE = Group()


@dataclass(frozen=True)
class Shapes:
    """Training pairs of made-up shapes, made once for all tests of a process; nobody changes them."""

    device: torch.device = CPU
    seed: int = 0
    preset: str = "eppenhof2020"
    spacing_mm: float | None = None
    size: int = SIZE

    def draw(self, index: int) -> TrainingPair:
        return _pair(self, index)


@cache
def _shapes() -> RandomShapes:
    return RandomShapes(count=2, size=32)


@cache
def _pair(shapes: Shapes, index: int) -> TrainingPair:
    generator = PairGenerator(_shapes(), preset(shapes.preset), shapes.size, shapes.spacing_mm, shapes.seed, "cpu")
    return generator.draw(index)


def small(network: str = "unet", **changes: Any) -> Settings:
    """Settings for a training of a second."""
    words = {
        "size": SIZE,
        "steps": 12,
        "arguments": SMALL[network],
        "precision": "float32",
        "device": "cpu",
        "log_every": 3,
        "checkpoint_every": 4,
        "validate_every": 6,
        "validation_pairs": 1,
    }
    return recipe(network, **{**words, **changes})


def shapes_for(settings: Settings, seed: int = 0) -> Shapes:
    return Shapes(seed=seed, preset=settings.preset, spacing_mm=settings.spacing_mm, size=settings.size)


def steps_of(settings: Settings, group: Group = ALONE) -> Steps:
    """A network with the weights of the settings' seed, ready to be trained."""
    torch.manual_seed(settings.seed)
    return Steps(build_trainable(settings), settings, CPU, group)


class StopAfter:
    """A wish to stop that comes after so many ``steps``, and stays."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step_done(self, fraction: float, words: str) -> None:
        self._left -= 1

    def __call__(self) -> bool:
        return self._left <= 0


def run_in(
    folder: Path, settings: Settings, asked: Callable[[], bool] = lambda: False, group: Group = ALONE
) -> TrainingRun:
    """A run in ``folder``, new or from its last checkpoint, without the lock."""
    run = RunFolder(folder)
    run.create()
    source = shapes_for(settings)
    validators = Validators(run, settings, shapes_for(settings, seed=1))
    progress = asked.step_done if isinstance(asked, StopAfter) else lambda fraction, words: None
    return TrainingRun(run, steps_of(settings, group), source, validators, progress, asked)


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """The last checkpoint of a run: weights, averages, optimiser, random numbers."""
    from DeepRegTrainLib.run_folder.checkpoint import read_last_checkpoint

    checkpoint, problems = read_last_checkpoint(RunFolder(folder).checkpoints)
    assert checkpoint is not None and not problems
    return checkpoint.tensors


def same_bits(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)
