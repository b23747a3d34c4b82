"""From a run to a model: weights, card, and the record of how it came to be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from DeepRegLib.errors import BadInput, ModelProblem
from DeepRegLib.models.card import TrainingData, ValidationRow
from DeepRegLib.models.find import Model
from DeepRegLib.models.save import save_model

from .cards import LICENCE, trained_model
from .check import DataCheck
from .run_folder.checkpoint import AVERAGE, WEIGHTS, Checkpoint, read_last_checkpoint
from .run_folder.layout import RunFolder, read_json, write_json
from .run_folder.tables import Table
from .settings import Settings
from .start import PHANTOMS, RunRecord
from .trainable.build import build_trainable
from .validation import COLUMNS

RECORD_SUFFIX = ".training.json"
NOT_STATED = "not stated"
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class ExportOptions:
    """``name`` as a registration method is called (that of the run folder by default), the ``description`` and
    ``licence`` of the weights, and whether they are written in ``half`` precision."""

    name: str = ""
    description: str = ""
    licence: str = LICENCE
    half: bool = False


def export(run: RunFolder, folder: Path, options: ExportOptions = ExportOptions()) -> Model:
    """Write the model of the last checkpoint of ``run`` into ``folder``: averaged weights where the run has them, the
    card, and ``<name>.training.json`` with all settings, scans and numbers.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no run, :class:`~DeepRegLib.errors.ModelProblem` when it
    has trained nothing that could infer, and :class:`~DeepRegLib.errors.OutputProblem`.
    """
    run.require_run()
    record = RunRecord.read(run)
    settings = record.settings
    checkpoint, problems = read_last_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise BadInput(" ".join(["The run has no checkpoint.", *problems]))
    if checkpoint.step == 0:
        raise ModelProblem("The run has not done a step yet.", "Go on with it first.")
    check = DataCheck.from_dict(read_json(run.data))
    trainable = build_trainable(settings)
    trainable.network.load_state_dict(_weights(checkpoint))
    name = options.name or _name_from(run.path)
    about = record.about
    network, card = trained_model(
        trainable,
        trainable.network.half() if options.half else trainable.network,
        settings,
        checkpoint.step,
        name,
        options.description or f"{settings.network}, trained on synthetic pairs '{settings.preset}'.",
        options.licence,
        training_data(check, settings),
        str(about.get("hardware", "")),
        round(float(checkpoint.numbers["seconds"]) / SECONDS_PER_HOUR, 3),
        validation_rows(run),
    )
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    model = save_model(folder, card, network)
    content: dict[str, Any] = {**record.to_dict(), "data": check.to_dict(), "step": checkpoint.step}
    content |= {"weights": model.card.weights_file, "sha256": model.card.sha256}
    content["validation"] = Table(run.validation, COLUMNS).rows()
    write_json(folder / f"{name}{RECORD_SUFFIX}", content)
    return model


def training_data(check: DataCheck, settings: Settings) -> list[TrainingData]:
    """The data sets that the network has seen, by name and licence, as the table of sources in their folder says."""
    counts: dict[tuple[str, str], int] = {}
    for scan in check.scans:
        if scan.use == "train":
            key = scan.name or check.folder.name, scan.licence or NOT_STATED
            counts[key] = counts.get(key, 0) + 1
    found = [TrainingData(name, licence, count) for (name, licence), count in sorted(counts.items())]
    if settings.phantoms > 0:
        found.append(TrainingData("breathing thorax phantom (made up)", LICENCE, PHANTOMS))
    return found


def validation_rows(run: RunFolder) -> list[ValidationRow]:
    """The last validation of a run, pairs with known displacements as one row, with the controls beside."""
    rows = Table(run.validation, COLUMNS).rows()
    if not rows:
        return []
    rows = [row for row in rows if row["step"] == rows[-1]["step"]]
    synthetic = [row for row in rows if not row["data"].startswith("landmarks")]
    groups = [(f"{len(synthetic)} held-out synthetic pairs", synthetic)] if synthetic else []
    groups += [(row["data"], [row]) for row in rows if row["data"].startswith("landmarks")]
    found = []
    for data, group in groups:
        zero = _mean(group, "zero_mm")
        found.append(ValidationRow(data, "mean error, mm", zero, _mean(group, "error_mm")))
        found.append(ValidationRow(data, "folding, % of the region", 0.0, _mean(group, "folding_percent")))
        if all(row["solver_mm"] for row in group):
            measure = "mean error of the training-free solver, mm"
            found.append(ValidationRow(data, measure, zero, _mean(group, "solver_mm")))
    return found


def _weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    names = [name for name in checkpoint.tensors if name.startswith(AVERAGE)]
    beginning = AVERAGE if names else WEIGHTS
    found = checkpoint.tensors.items()
    return {name.removeprefix(beginning): tensor for name, tensor in found if name.startswith(beginning)}


def _mean(rows: list[dict[str, str]], column: str) -> float:
    return round(sum(float(row[column]) for row in rows) / len(rows), 4)


def _name_from(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name).strip("-._")
    return name or "model"
