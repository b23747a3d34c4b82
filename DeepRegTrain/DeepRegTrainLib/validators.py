"""All validation of a run: pairs with known displacements, pairs with landmarks, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from DeepRegLib.errors import ModelProblem

from .cards import card_under_training
from .pictures import write_pictures
from .run_folder.layout import RunFolder, read_json, write_json
from .run_folder.tables import Table
from .sample import write_sample
from .settings import Settings
from .training_step import Steps
from .validation import (
    LandmarkValidation,
    PairSource,
    SyntheticValidation,
    ValidationNumbers,
    as_row,
    averaged_weights,
    mean_error,
)


class Validators:
    """Validates on pairs of ``source`` and on the folders of the settings; keeps rows, controls and pictures in
    ``run``."""

    def __init__(self, run: RunFolder, settings: Settings, source: PairSource) -> None:
        self._run = run
        self._settings = settings
        known = read_json(run.controls) if run.controls.is_file() else {}
        self._synthetic = SyntheticValidation(source, settings.validation_pairs, settings.outside, known)
        folders = [Path(folder) for folder in settings.validation_folders]
        self._landmarks = LandmarkValidation(folders, known)

    def run(
        self, steps: Steps, done: int, table: Table, asked_to_stop: Callable[[], bool] = lambda: False
    ) -> float | None:
        """Validate the network after ``done`` steps; gives the mean error in mm (see :func:`mean_error`).

        Raises :class:`~DeepRegLib.errors.OutputProblem`, and :class:`~DeepRegLib.errors.Cancelled` soon after somebody
        ``asked_to_stop``; nothing of this validation is kept then.
        """
        average = steps.average.state if steps.average else None
        with averaged_weights(steps.network, average):
            numbers = list(self._synthetic(steps.trainable, done - 1, self._settings.precision, asked_to_stop))
            numbers += self._on_landmarks(steps, done, asked_to_stop)
        for row in numbers:
            table.append(as_row(row, done))
        write_json(self._run.controls, self._synthetic.known)
        if self._synthetic.pictures:
            write_pictures(self._run.pictures / f"step-{done:08d}.png", self._synthetic.pictures)
        if self._synthetic.sample:
            write_sample(self._run, done, *self._synthetic.sample)
            self._synthetic.sample = None  # its memory is wanted elsewhere
        return mean_error(numbers)

    def _on_landmarks(self, steps: Steps, done: int, asked_to_stop: Callable[[], bool]) -> list[ValidationNumbers]:
        try:
            network, card = card_under_training(steps.trainable, steps.network, self._settings, done)
        except ModelProblem:
            return []  # the part that will infer is not trained yet
        return list(self._landmarks(network, card, asked_to_stop))
