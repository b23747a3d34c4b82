"""From a run to a model: weights, card, and the record of how it came to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from DeepRegLib.errors import BadInput, ModelProblem
from DeepRegLib.methods.automatic import LANDMARK_MEASURE, OF_SOLVER
from DeepRegLib.models.card import TrainingData, ValidationRow, safe_name
from DeepRegLib.models.find import Model
from DeepRegLib.models.save import save_model

from .cards import LICENCE, trained_model
from .check import DataCheck
from .run_folder.checkpoint import AVERAGE, WEIGHTS, Checkpoint, read_last_checkpoint
from .run_folder.layout import RunFolder, read_json, write_json
from .run_folder.tables import Table
from .run_record import RunRecord
from .settings import Settings
from .start import PHANTOMS
from .trainable.build import build_trainable
from .trainable.interface import TrainableNetwork
from .trainable.progressive import TrainableProgressiveUNet
from .validation import COLUMNS

RECORD_SUFFIX = ".training.json"
NOT_STATED = "not stated"
ERROR_MEASURE = f"{LANDMARK_MEASURE}, network alone, mean in mm"
"""Known displacements and landmarks measure the same: how far the found place is from the true one."""
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class ExportOptions:
    """``name`` as a registration method is called (that of the run folder by default), the ``description`` and
    ``licence`` of the weights, whether they are written in ``half`` precision, and whether those of the ``last`` state
    are taken instead of those with the smallest validation error."""

    name: str = ""
    description: str = ""
    licence: str = LICENCE
    half: bool = False
    last: bool = False


def export(run: RunFolder, folder: Path, options: ExportOptions = ExportOptions()) -> Model:
    """Write the best model of ``run`` into ``folder``: averaged weights where the run has them, the card, and
    ``<name>.training.json`` with all settings, scans and numbers. The best is that of the smallest validation error; it
    is the last one where none was validated, or where the best was not whole yet.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no run, :class:`~DeepRegLib.errors.ModelProblem` when it
    has trained nothing that could infer, and :class:`~DeepRegLib.errors.OutputProblem`.
    """
    run.require_run()
    record = RunRecord.read(run)
    settings = record.settings
    check = DataCheck.from_dict(read_json(run.data))
    trainable = build_trainable(settings)
    checkpoint = _chosen(run, trainable, options)
    trainable.network.load_state_dict(_weights(checkpoint))
    name = options.name or safe_name(run.path.resolve().name)
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
        validation_rows(run, checkpoint.step),
    )
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    model = save_model(folder, card, network)
    content: dict[str, Any] = {**record.to_dict(), "data": check.to_dict(), "step": checkpoint.step}
    content |= {"weights": model.card.weights_file, "sha256": model.card.sha256}
    content["validation"] = Table(run.validation, COLUMNS).rows()
    write_json(folder / f"{name}{RECORD_SUFFIX}", content)
    return model


def _chosen(run: RunFolder, trainable: TrainableNetwork, options: ExportOptions) -> Checkpoint:
    """The state whose weights are exported."""
    best = None if options.last else read_last_checkpoint(run.best)[0]
    if best is not None and _is_whole(trainable, best):
        return best
    checkpoint, problems = read_last_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise BadInput(" ".join(["The run has no checkpoint.", *problems]))
    if checkpoint.step == 0:
        raise ModelProblem("The run has not done a step yet.", "Go on with it first.")
    return checkpoint


def _is_whole(trainable: TrainableNetwork, checkpoint: Checkpoint) -> bool:
    """A progressive network may have been best before its last level was trained."""
    if isinstance(trainable, TrainableProgressiveUNet):
        try:
            trainable.check_finished(checkpoint.step)
        except ModelProblem:
            return False
    return True


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


def validation_rows(run: RunFolder, step: int) -> list[ValidationRow]:
    """The last validation of a run up to ``step``, pairs with known displacements as one row, with the controls
    beside."""
    rows = [row for row in Table(run.validation, COLUMNS).rows() if int(row["step"]) <= step]
    if not rows:
        return []
    rows = [row for row in rows if row["step"] == rows[-1]["step"]]
    synthetic = [row for row in rows if not row["data"].startswith("landmarks")]
    groups = [(f"{len(synthetic)} held-out synthetic pairs", synthetic)] if synthetic else []
    groups += [(row["data"], [row]) for row in rows if row["data"].startswith("landmarks")]
    found = []
    for data, group in groups:
        zero = _mean(group, "zero_mm")
        found.append(ValidationRow(data, ERROR_MEASURE, zero, _mean(group, "error_mm")))
        found.append(ValidationRow(data, "folding, % of the region", 0.0, _mean(group, "folding_percent")))
        if all(row["solver_mm"] for row in group):
            measure = f"{LANDMARK_MEASURE}, {OF_SOLVER}, mean in mm"
            found.append(ValidationRow(data, measure, zero, _mean(group, "solver_mm")))
    return found


def _weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    names = [name for name in checkpoint.tensors if name.startswith(AVERAGE)]
    beginning = AVERAGE if names else WEIGHTS
    found = checkpoint.tensors.items()
    return {name.removeprefix(beginning): tensor for name, tensor in found if name.startswith(beginning)}


def _mean(rows: list[dict[str, str]], column: str) -> float:
    return round(sum(float(row[column]) for row in rows) / len(rows), 4)
