"""What a training run is told: plain values, kept as JSON in the run folder.

Each network has a recipe, the settings it was published with or works best with; a run starts from one and changes what
it wants: ``recipe("progressive_unet", steps=30_000)``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from DeepRegLib.errors import BadInput

from .losses.similarity import SIMILARITIES
from .losses.supervised import LOSSES
from .objective import SUPERVISIONS, UNITS, Objective

FORMAT = 1
"""Raised whenever an older program would misread newer settings."""
OPTIMISERS = ("sgd", "adamw")
RATES = ("constant", "inverse", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")
PAPER_STEPS = 30_000
"""The paper does not say how long it trained: half of it at the last level."""
CHOICES = {
    "supervision": SUPERVISIONS,
    "loss": tuple(LOSSES),
    "unit": UNITS,
    "similarity": tuple(SIMILARITIES),
    "optimiser": OPTIMISERS,
    "rate": RATES,
    "precision": PRECISIONS,
    "device": DEVICES,
}


@dataclass(frozen=True)
class Settings:
    """``network`` is an architecture of :mod:`DeepRegLib.models.build` with its ``arguments``; ``preset`` names the
    training pairs, of ``size`` voxels along each axis (and ``spacing_mm``, where the preset has one). ``outside`` is
    the weight of voxels away from the lungs (or the organ); ``candidates`` that of the candidates' cross-entropy in
    networks that match.

    ``rate`` is how the learning rate goes on: "constant", "inverse" (rate / (1 + rate decay t), Eppenhof 2018) or
    "cosine" (after ``warm_up`` steps down to ``last_rate`` of it). ``average`` is the decay of the averaged weights, 0
    for none. ``clip`` bounds the norm of the gradient, 0 for not at all. ``pairs`` are drawn for each step and divided
    among the processes. ``delta`` and ``period`` are the schedule of the progressive network, in steps; None follows
    from ``steps``. Numbers of ``..._every`` are steps.
    """

    network: str
    preset: str
    size: int
    steps: int
    arguments: dict[str, Any] = field(default_factory=dict)
    spacing_mm: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    supervision: str = "supervised"
    loss: str = "l2"
    unit: str = "voxels"
    similarity: str = "lncc"
    outside: float = 1.0
    smoothness: float = 0.0
    fold_barrier: float = 0.0
    candidates: float = 0.0
    at_full_resolution: bool = False
    optimiser: str = "sgd"
    learning_rate: float = 1e-2
    momentum: float = 0.5
    weight_decay: float = 0.0
    rate: str = "constant"
    decay: float = 0.0
    warm_up: int = 0
    last_rate: float = 0.02
    clip: float = 1.0
    average: float = 0.0
    pairs: int = 1
    delta: float | None = None
    period: float | None = None
    hold_out: float = 0.2
    phantoms: float = 0.0
    validation_pairs: int = 4
    validation_folders: tuple[str, ...] = ()
    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 500
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise BadInput(f"There is no {name} '{getattr(self, name)}'. Available: {', '.join(words)}.")
        for name in ("size", "steps", "pairs", "log_every", "checkpoint_every", "validate_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"The setting '{name}' must be 1 or more, not {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise BadInput("The learning rate must be above zero.")
        if not 0 <= self.average < 1 or not 0 <= self.hold_out < 1 or not 0 <= self.phantoms <= 1:
            raise BadInput("The settings 'average', 'hold_out' and 'phantoms' are shares from 0 to 1.")
        delta, period = self.schedule
        if period <= 0 or not 0 <= 2 * delta <= period:
            raise BadInput(f"The transition (delta {delta:g}) must take at most half of a level's period ({period:g}).")

    @property
    def schedule(self) -> tuple[float, float]:
        """δ and Δ in steps; by default those of the paper for ``PAPER_STEPS``, in proportion for others."""
        delta = self.steps / 15 if self.delta is None else self.delta
        return delta, self.steps / 5 if self.period is None else self.period

    @property
    def objective(self) -> Objective:
        return Objective(self.supervision, self.loss, self.unit, self.similarity, self.smoothness, self.fold_barrier)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        return {**dataclasses.asdict(self), "validation_folders": list(self.validation_folders)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Settings:
        """The settings that :meth:`to_dict` gave. Raises :class:`~DeepRegLib.errors.BadInput` for anything else."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BadInput("The settings of the run are damaged or of another version of this program.")
        try:
            content = {**content, "validation_folders": tuple(content.get("validation_folders", ()))}
            return cls(**content)
        except TypeError as problem:
            raise BadInput(f"The settings of the run are damaged or of another version: {problem}.") from problem


U_NET = {
    "preset": "eppenhof2020",
    "size": 128,
    "steps": PAPER_STEPS,
    "checkpoint_every": 50,
}
RECIPES: dict[str, dict[str, Any]] = {
    "correspondence": {
        "preset": "breathing",
        "size": 64,
        "spacing_mm": 3.0,
        "steps": 40_000,
        "loss": "charbonnier",
        "unit": "mm",
        "outside": 0.05,
        "smoothness": 0.3,
        "fold_barrier": 5.0,
        "candidates": 0.5,
        "optimiser": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-4,
        "rate": "cosine",
        "warm_up": 100,
        "average": 0.998,
    },
    "progressive_unet": U_NET,
    "unet": U_NET,
    "vgg_grid": {
        "preset": "eppenhof2018",
        "size": 96,
        "steps": 100_000,
        "learning_rate": 0.1,
        "momentum": 0.0,
        "rate": "inverse",
        "decay": 1e-4,
    },
}
"""By network. Published settings are those of Eppenhof 2018 (vgg_grid) and Eppenhof 2020 (the U-Nets), with the norm of
the gradient bounded: squared voxels make steep losses when a level opens."""
ADAMW = {
    "optimiser": "adamw",
    "learning_rate": 3e-4,
    "weight_decay": 1e-4,
    "rate": "cosine",
    "warm_up": 100,
    "average": 0.999,
}
"""Changes a published recipe to an optimiser that needs fewer steps."""
NETWORK_OF_PRESET = {"eppenhof2018": "vgg_grid", "eppenhof2020": "progressive_unet", "breathing": "correspondence"}
DEFAULT_PRESET = "breathing"


def recipe(network: str | None = None, **changes: Any) -> Settings:
    """The settings for ``network`` (by default the one that goes with the preset) with some of them changed.

    Raises :class:`~DeepRegLib.errors.BadInput`.

    >>> recipe("unet", size=64).learning_rate
    0.01
    """
    network = network or NETWORK_OF_PRESET.get(changes.get("preset") or DEFAULT_PRESET, "correspondence")
    if network not in RECIPES:
        raise BadInput(f"There is no network '{network}'. Available: {', '.join(RECIPES)}.")
    known = {part.name for part in dataclasses.fields(Settings)}
    for name in changes:
        if name not in known:
            raise BadInput(f"There is no setting '{name}'. Available: {', '.join(sorted(known))}.")
    return Settings(**{"network": network, **RECIPES[network], **changes})


def parsed(words: list[str]) -> dict[str, Any]:
    """Settings from words such as ``loss=l1``: numbers and lists where the setting is one.

    >>> parsed(["loss=l1", "clip=0.5", "pairs=2"])
    {'loss': 'l1', 'clip': 0.5, 'pairs': 2}
    """
    import json

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadInput(f"A setting is given as NAME=VALUE, not as '{word}'.")
        try:
            content = json.loads(value)
        except ValueError:
            content = value
        found[name] = tuple(content) if isinstance(content, list) else content
    return found
