"""A run that shall learn longer than it was told."""

from __future__ import annotations

import dataclasses

from DeepRegLib.errors import BadInput

from .run_folder.layout import RunFolder, write_json
from .run_record import RunRecord


def lengthen(run: RunFolder, steps: int) -> None:
    """Give ``run`` that many steps in all, more than it has.

    Levels of a progressive network join when they would have; a learning rate that follows the cosine goes on as if it
    had been so long from the start, so it rises once. Raises :class:`~DeepRegLib.errors.BadInput`.
    """
    record = RunRecord.read(run)
    before = record.settings
    if steps <= before.steps:
        raise BadInput(
            f"The run has {before.steps} steps already; it can be made longer, not shorter than {steps} or as long.",
            f"Choose --steps above {before.steps}, or leave it out to go on as planned.",
        )
    delta, period = before.schedule  # they follow from the steps where nobody has set them
    settings = dataclasses.replace(before, steps=steps, delta=delta, period=period)
    write_json(run.config, dataclasses.replace(record, settings=settings).to_dict())
    run.note(f"From {before.steps} to {steps} steps")
