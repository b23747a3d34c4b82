"""The models of this computer as rows of a table and their cards as text to read. Only cards are read, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from DeepRegLib.methods.automatic import LANDMARK_MEASURE, OF_SOLVER
from DeepRegLib.models.card import ModelCard, TrainingData, ValidationRow
from DeepRegLib.models.find import BUNDLED_FOLDER, Model, available_models, is_same_folder
from DeepRegLib.models.library import is_of_user
from slicer.i18n import tr as _

BYTES_PER_MB = 1e6
MINUTES_PER_HOUR = 60
CHECKSUM_GROUP = 16
"""Letters of a checksum between two places where a line may break."""
TRAINED_MEASURE = "mean error, mm"
"""What trainings of earlier versions wrote; now their measures begin with ``LANDMARK_MEASURE``."""
NOTHING = "–"


@dataclass(frozen=True)
class ModelRow:
    """A model as the table shows it. ``error`` is what it left of how much, in mm, on data it had not seen; ``data``
    are the names of these data; ``size_mb`` is None when the weights are missing."""

    model: Model
    error: str
    data: str
    licences: str
    size_mb: float | None
    place: str
    is_of_user: bool

    @property
    def name(self) -> str:
        return self.model.card.name

    @property
    def method(self) -> str:
        return self.model.card.method


@dataclass(frozen=True)
class ModelList:
    """The models in the order of the method list, and what is wrong with others, in sentences."""

    rows: tuple[ModelRow, ...]
    problems: tuple[str, ...]

    def row_of(self, name: str) -> int | None:
        """Where the model of this name stands."""
        return next((number for number, row in enumerate(self.rows) if row.name == name), None)


def read_models() -> ModelList:
    """What DeepReg would find now."""
    found = available_models()
    rows = (_row(found.models[name]) for name in sorted(found.models))
    return ModelList(tuple(rows), tuple(f"{problem} {problem.hint}".rstrip() for problem in found.problems))


def measured_error(card: ModelCard) -> ValidationRow | None:
    """The validation that says most: landmarks of people where there are any, else known displacements."""
    own = [row for row in card.validation if OF_SOLVER not in row.measure]
    rows = [row for row in own if row.measure == TRAINED_MEASURE or _is_of_landmarks(row)]

    def says_less(row: ValidationRow) -> tuple[bool, bool]:
        return "synthetic" in row.data, not (_is_of_landmarks(row) or row.data.startswith("landmarks"))

    return min(rows, key=says_less, default=None)


def licences_of(data: tuple[TrainingData, ...]) -> str:
    """The licences of the training data, each once."""
    return ", ".join(dict.fromkeys(part.licence for part in data)) or NOTHING


def card_text(row: ModelRow) -> str:
    """The card as rich text. Whatever a card says is shown as letters: it may come from anybody."""
    card = row.model.card
    lines = [
        (_("Method"), _("{method} ({network} network)").format(method=card.method, network=card.architecture.name)),
        (_("Input"), _input(card)),
        (_("Trained on"), [_source(part) for part in card.training_data] or NOTHING),
        (_("Training"), _training(card)),
        (_("Validation"), [_measured(part) for part in card.validation] or NOTHING),
        (_("Licence"), card.licence),
        (_("SHA-256"), [card.sha256[k : k + CHECKSUM_GROUP] for k in range(0, len(card.sha256), CHECKSUM_GROUP)]),
    ]
    if row.size_mb is None:
        lines.insert(0, (_("Problem"), _("The weights are missing. Get the model again.")))
    cells = "".join(f"<tr><td><b>{escape(title)}</b>&nbsp;</td><td>{_html(value)}</td></tr>" for title, value in lines)
    return f"<p><b>{escape(card.name)}</b>: {escape(card.description)}</p><table cellspacing='2'>{cells}</table>"


def _row(model: Model) -> ModelRow:
    card, measured = model.card, measured_error(model.card)
    return ModelRow(
        model=model,
        error=NOTHING if measured is None else f"{measured.before:.1f} → {measured.after:.1f}",
        data="" if measured is None else measured.data,
        licences=licences_of(card.training_data),
        size_mb=_size_mb(model),
        place=_place(model),
        is_of_user=is_of_user(model),
    )


def _place(model: Model) -> str:
    if is_of_user(model):
        return _("yours")
    if is_same_folder(model.folder, BUNDLED_FOLDER):
        return _("built in")
    return model.folder.name


def _size_mb(model: Model) -> float | None:
    try:
        return model.weights.stat().st_size / BYTES_PER_MB
    except OSError:
        return None


def _is_of_landmarks(row: ValidationRow) -> bool:
    return row.measure.lower().startswith(LANDMARK_MEASURE)


def _source(part: TrainingData) -> str:
    words = _("{name}: {n} scan, {licence}") if part.scans == 1 else _("{name}: {n} scans, {licence}")
    return words.format(name=part.name, n=part.scans, licence=part.licence)


def _measured(row: ValidationRow) -> str:
    words = _("{data}: {measure}: {before}\u00a0→\u00a0{after}")
    return words.format(data=row.data, measure=row.measure, before=f"{row.before:.3g}", after=f"{row.after:.3g}")


def _input(card: ModelCard) -> str:
    grid = []
    if card.input.size is not None:
        grid.append(_("{size} voxels").format(size=" x ".join(map(str, card.input.size))))
    if card.input.spacing_mm is not None:
        grid.append(_("{spacing} mm").format(spacing=" x ".join(f"{value:g}" for value in card.input.spacing_mm)))
    return _("{grid}, {units}, {preprocessing}").format(
        grid=_(" of ").join(grid), units=card.input.units, preprocessing=card.input.preprocessing
    )


def _training(card: ModelCard) -> str:
    hours = card.hours
    time = _("{n} min").format(n=round(MINUTES_PER_HOUR * hours)) if hours < 1 else _("{n} h").format(n=f"{hours:.1f}")
    return _("{steps} steps in {time} on {hardware}").format(steps=card.steps, time=time, hardware=card.hardware)


def _html(value: str | list[str]) -> str:
    return "<br>".join(map(escape, value)) if isinstance(value, list) else escape(value)
