"""What is known about a trained model: a card of JSON beside its weights.

A card is read in full before anything of the weights is: whatever is missing or wrong becomes a
:class:`~DeepRegLib.errors.ModelProblem` that names the file and the field.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelProblem
from .card_fields import Fields

FORMAT_VERSION = 1
"""Raised whenever an older program would misread a newer card."""
CARD_SUFFIX = ".card.json"
MAXIMUM_CARD_BYTES = 1_000_000
"""A card is a page of text; anything larger is not one."""
OUTPUT_UNITS = ("voxels", "mm")
"""Voxels of the model's own working grid, or mm."""
LONGEST_NAME = 100
SAFE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
"""Names that are file names on every system, without folders."""
HASH_DIGITS = 12
"""Digits of the checksum in the name of a weights file: enough to tell its versions apart."""
LONGEST_PART = 70
"""Letters of a model's name in that of its weights, which then is a safe name too."""


@dataclass(frozen=True)
class Architecture:
    """The name of a network in :mod:`DeepRegLib.models.build` and the arguments it is built with."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelInput:
    """The working grid: ``size`` in voxels (x, y, z), ``spacing_mm`` (x, y, z), or both; the one that is None follows
    from the extent of the image. ``units`` of the images before ``preprocessing`` (HU, for instance)."""

    size: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    units: str
    preprocessing: str


@dataclass(frozen=True)
class TrainingData:
    """A data set that the model has seen, the licence it came under, and how many ``scans`` of it."""

    name: str
    licence: str
    scans: int


@dataclass(frozen=True)
class ValidationRow:
    """A ``measure`` with its unit on ``data`` that the model has not seen, before and after registration."""

    data: str
    measure: str
    before: float
    after: float


@dataclass(frozen=True)
class ModelCard:
    """A trained model. ``method`` is the registration method that uses it; ``steps`` and ``hours`` say how long it was
    trained on ``hardware``; ``licence`` is that of the weights. ``weights_file`` (a file name beside the card) and its
    ``sha256`` are empty until the weights are written.

    Raises :class:`ModelProblem` for values that no model can have.
    """

    name: str
    description: str
    architecture: Architecture
    method: str
    input: ModelInput
    output_units: str
    training_data: tuple[TrainingData, ...]
    steps: int
    hardware: str
    hours: float
    validation: tuple[ValidationRow, ...]
    licence: str
    weights_file: str = ""
    sha256: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        who = f"The model '{self.name}'"
        if not SAFE_NAME.fullmatch(self.name):
            raise ModelProblem(f"'{self.name}' cannot name a model: use letters, digits, '.', '_' and '-'.")
        if self.output_units not in OUTPUT_UNITS:
            raise ModelProblem(f"{who} gives displacements in '{self.output_units}'; known are voxels and mm.")
        if self.input.size is None and self.input.spacing_mm is None:
            raise ModelProblem(f"{who} says neither the size nor the spacing of its input.")
        if min((*(self.input.size or ()), *(self.input.spacing_mm or ()))) <= 0:
            raise ModelProblem(f"{who} has an input of no size.")
        if self.steps < 0 or self.hours < 0:
            raise ModelProblem(f"{who} was trained for a negative time.")
        if self.weights_file and not SAFE_NAME.fullmatch(self.weights_file):
            raise ModelProblem(
                f"{who} names weights '{self.weights_file}'; they must be a file in the folder of the card."
            )
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ModelProblem(f"{who} has a broken checksum (SHA-256).")

    def to_json(self) -> str:
        """The text of the card file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def weights_name(model_name: str, sha256: str) -> str:
    """The file name of weights with this checksum.

    >>> weights_name("lung-small", "0123456789abcdef" * 4)
    'lung-small-0123456789ab.safetensors'
    """
    return f"{model_name[:LONGEST_PART]}-{sha256[:HASH_DIGITS]}.safetensors"


def other_weights(path: Path) -> ModelProblem:
    """The error that says that a file does not have the checksum of the card."""
    return ModelProblem(
        f"The weights '{path.name}' are not those of the model card: their checksum (SHA-256) differs.",
        "The file was changed or not copied completely. Get the model again.",
    )


def safe_name(text: str) -> str:
    """``text`` made into a name for a model.

    >>> safe_name("Lungs of Ward 3 (new)"), safe_name("Легкие")
    ('Lungs-of-Ward-3-new', 'model')
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:LONGEST_NAME].rstrip("-._")
    return name or "model"


def read_card(path: Path) -> ModelCard:
    """The card in the file ``path``, complete with its weights' name and checksum; raises :class:`ModelProblem`."""
    try:
        if path.stat().st_size > MAXIMUM_CARD_BYTES:
            raise ModelProblem(f"The model card '{path.name}' is too large to be one.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelProblem(f"The model card '{path.name}' does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelProblem(f"The model card '{path.name}' cannot be read: {error}.") from error
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelProblem(f"The model card '{path.name}' is not JSON: {error}.") from error
    return _card_from(Fields(content, f"The model card '{path.name}'"))


def _card_from(fields: Fields) -> ModelCard:
    # The version comes first: a card of another format may lack any other field.
    version = fields.integer("format_version")
    if version != FORMAT_VERSION:
        raise ModelProblem(
            f"{fields.owner} has format {version}; this program reads format {FORMAT_VERSION}.",
            hint="Update the extension, or get the model for this version.",
        )
    architecture = fields.record("architecture")
    model_input = fields.record("input")
    card = ModelCard(
        name=fields.text("name"),
        description=fields.text("description"),
        architecture=Architecture(architecture.text("name"), architecture.mapping("arguments")),
        method=fields.text("method"),
        input=ModelInput(
            model_input.triple("size", int),
            model_input.triple("spacing_mm", float),
            model_input.text("units"),
            model_input.text("preprocessing"),
        ),
        output_units=fields.text("output_units"),
        training_data=tuple(
            TrainingData(row.text("name"), row.text("licence"), row.integer("scans"))
            for row in fields.records("training_data")
        ),
        steps=fields.integer("steps"),
        hardware=fields.text("hardware"),
        hours=fields.number("hours"),
        validation=tuple(
            ValidationRow(row.text("data"), row.text("measure"), row.number("before"), row.number("after"))
            for row in fields.records("validation")
        ),
        licence=fields.text("licence"),
        weights_file=fields.text("weights_file"),
        sha256=fields.text("sha256"),
        format_version=version,
    )
    fields.refuse_others()
    return card


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")
