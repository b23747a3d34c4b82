"""A transform of the scene measured and reported on, in a process of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import slicer
from DeepRegLib.errors import OutputProblem
from DeepRegLib.files import cannot_write
from DeepRegLib.job_folder import Job, JobResult

from .request import Request, job_in_steps
from .result_marks import evidence_of
from .steps import Steps
from .transform_field import field_in_steps


def evaluation_job_in_steps(request: Request, transform: slicer.vtkMRMLTransformNode) -> Steps[Job]:
    """The job that measures ``transform`` on the images of ``request``; what its node knows of its making goes along.

    A transform that is no displacement grid is sampled on the grid of the fixed image.
    """
    job = yield from job_in_steps(request)
    field = yield from field_in_steps(transform, job.fixed.geometry)
    return replace(job, transform=field, evidence=evidence_of(transform))


def deliver_in_steps(result: JobResult, folder: Path) -> Steps[Path]:
    """:func:`deliver_report`, for the event loop."""
    yield
    return deliver_report(result.report_folder, folder)


def deliver_report(written: Path | None, folder: Path) -> Path:
    """Move the files of a report from where the process left them to where the user wants them; files there of the
    same name are replaced. Returns ``folder``. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    if written is None or not written.is_dir():
        raise OutputProblem("The report was not written.", "Register again, or look at the log.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(written.iterdir()):
            target = folder / file.name
            if target.exists():
                target.unlink()
            shutil.move(str(file), str(target))
    except OSError as error:
        raise cannot_write(folder, error.strerror or "") from error
    shutil.rmtree(written.parents[1], ignore_errors=True)
    return folder
