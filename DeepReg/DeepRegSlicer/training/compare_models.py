"""Two methods on one landmark pair: registered one after the other in the background, measured alike, put side by side.

Nothing is added to the scene but the table. The error of a landmark is |T(x_fixed) - x_moving|, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from DeepRegLib.errors import BadInput, BadLandmarks, DeepRegError
from DeepRegLib.evidence.landmarks import ErrorStatistics, target_registration_error
from DeepRegLib.evidence.verdict import CLEARLY_BETTER
from DeepRegLib.job_folder import JobResult
from DeepRegLib.methods.automatic import SOLVER_ALONE
from DeepRegLib.transforms.linear import LinearTransform
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from ..background_process import BackgroundProcess
from ..background_run import BackgroundRun, Listener
from ..landmark_table import kept_node
from ..registration_job import CallAfter
from ..request import Request, job_in_steps
from ..steps import Steps

TABLE_ROLE = "model comparison"
MEASURE_COLUMN, BEFORE_COLUMN = "measure", "before"
CLEARLY_CLOSER_MM = 0.05
"""Means that differ by less are called the same: landmarks are not placed that well."""
TABLE_DECIMALS = 4


@dataclass(frozen=True, eq=False)
class Measures:
    """What is known of a pair before a registration or after one: the ``errors_mm`` (n,) of the landmarks, the share of
    the region where the field folds, the squared local correlation of the images, and the time it took."""

    errors_mm: np.ndarray
    folding_percent: float | None = None
    similarity: float | None = None
    seconds: float | None = None

    @property
    def statistics(self) -> ErrorStatistics:
        return ErrorStatistics.of(self.errors_mm)

    def numbers(self) -> dict[str, float | None]:
        """The rows of the table, in their order; None is what is not known."""
        s = self.statistics
        return {
            "mean error (mm)": s.mean_mm,
            "SD of the error (mm)": s.sd_mm,
            "median error (mm)": s.median_mm,
            "95 % of the errors below (mm)": s.p95_mm,
            "largest error (mm)": s.max_mm,
            "folding (% of the region)": self.folding_percent,
            "similarity (0 to 1)": self.similarity,
            "time (s)": self.seconds,
        }


@dataclass(frozen=True)
class Comparison:
    """Names of two methods, the pair before any registration and after each."""

    names: tuple[str, str]
    before: Measures
    after: tuple[Measures, Measures]

    @property
    def titles(self) -> tuple[str, str]:
        """The names as they stand in sentences."""
        return title_of(self.names[0]), title_of(self.names[1])


def title_of(name: str) -> str:
    """The name of a method inside a sentence."""
    return _("the solver alone") if name == SOLVER_ALONE else name


def heading_of(name: str) -> str:
    """The name of a method in a list."""
    return _("The solver alone") if name == SOLVER_ALONE else name


class ComparisonRun:
    """Registers the pair of ``request`` with each of two methods (``names`` as they are typed). The listener's
    ``on_finished`` gets a :class:`Comparison`; the stages of its progress say which of both is at work."""

    def __init__(
        self,
        request: Request,
        names: tuple[str, str],
        listener: Listener,
        call_after: CallAfter,
        new_process: Callable[[], BackgroundProcess],
        base_folder: Path,
    ) -> None:
        self._request = request
        self._names = names
        self._listener = listener
        self._call_after = call_after
        self._new_process = new_process
        self._base_folder = base_folder
        self._before: Measures | None = None
        self._after: list[Measures] = []
        self._run: BackgroundRun | None = None

    def start(self) -> None:
        """Begin. Raises :class:`~DeepRegLib.errors.BadInput` and :class:`~DeepRegLib.errors.BadLandmarks` for what
        cannot be compared; all else is told by the listener."""
        check_comparison(self._request, self._names)
        fixed, moving = self._request.landmarks()
        assert fixed is not None and moving is not None
        self._before = Measures(target_registration_error(LinearTransform(), fixed, moving))
        self._start_next()

    def cancel(self) -> None:
        """Stop wherever it is; :attr:`Listener.on_cancelled` follows."""
        if self._run is not None:
            self._run.cancel()

    def abandon(self) -> None:
        """Stop at once and tell nobody."""
        if self._run is not None:
            self._run.abandon()

    def _start_next(self) -> None:
        name = self._names[len(self._after)]
        options = replace(self._request.options, method=name, wants_warped=False, wants_inverse=False, report=False)
        self._run = BackgroundRun(
            job_in_steps(replace(self._request, options=options)),
            self._measured_in_steps,
            Listener(self._show_progress, self._measured, self._failed, self._listener.on_cancelled),
            self._call_after,
            self._new_process(),
            self._base_folder,
        )
        self._run.start()

    def _measured_in_steps(self, result: JobResult) -> Steps[tuple[Measures, float | None]]:
        """The measures after this registration, and the similarity before it."""
        yield
        if result.landmark_errors_mm is None or len(result.landmark_errors_mm) != len(self._landmark_errors):
            raise BadLandmarks("The landmarks changed while the models were compared.", "Compare them again.")
        evidence, alike = result.evidence, result.evidence.get("similarity") or {}
        measures = Measures(
            result.landmark_errors_mm,
            evidence.get("folding_percent"),
            alike.get("after"),
            (evidence.get("seconds") or {}).get("total"),
        )
        return measures, alike.get("before")

    @property
    def _landmark_errors(self) -> np.ndarray:
        assert self._before is not None
        return self._before.errors_mm

    def _measured(self, found: tuple[Measures, float | None]) -> None:
        after, similarity_before = found
        self._after.append(after)
        self._before = Measures(self._landmark_errors, similarity=similarity_before)
        if len(self._after) < len(self._names):
            self._start_next()
        else:
            self._run = None
            first, second = self._after
            self._listener.on_finished(Comparison(self._names, self._before, (first, second)))

    def _show_progress(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        done = len(self._after)
        words = _("{number} of {count}, {name}: {stage}")
        stage = words.format(number=done + 1, count=len(self._names), name=title_of(self._names[done]), stage=stage)
        self._listener.on_progress((done + fraction) / len(self._names), stage, seconds_left)

    def _failed(self, error: DeepRegError, details: str) -> None:
        name = title_of(self._names[len(self._after)])
        told = type(error)(_("With {name}: {sentence}").format(name=name, sentence=error), error.hint)
        self._listener.on_failed(told, details)


def check_comparison(request: Request, names: Sequence[str]) -> None:
    """Raise :class:`~DeepRegLib.errors.BadInput` or :class:`~DeepRegLib.errors.BadLandmarks` for what cannot be
    compared, without looking at voxels."""
    if "" in names:
        raise BadInput(_("Choose two methods."))
    if names[0] == names[1]:
        raise BadInput(_("Both methods are the same."), _("Choose two different ones."))
    request.check()
    if request.fixed_landmarks is None or request.moving_landmarks is None:
        raise BadLandmarks(_("Choose fixed and moving landmarks: they measure the error."))
    request.landmarks()


def comparison_sentences(comparison: Comparison) -> list[str]:
    """The differences in words: the error first, then what is worth knowing besides."""
    means = [measures.statistics.mean_mm for measures in comparison.after]
    sentences = [_error_sentence(comparison, means), _landmark_sentence(comparison)]
    before = comparison.before.statistics.mean_mm
    for name, mean, measures in zip(comparison.titles, means, comparison.after, strict=True):
        if mean > before + CLEARLY_CLOSER_MM:
            sentences.append(_("It got worse than without registration with {name}.").format(name=name))
        if measures.folding_percent:
            words = _("The field of {name} folds in {percent} % of the region.")
            sentences.append(words.format(name=name, percent=f"{measures.folding_percent:.2g}"))
    sentences += [_similarity_sentence(comparison), _time_sentence(comparison)]
    return [sentence for sentence in sentences if sentence]


def comparison_table(scene: slicer.vtkMRMLScene, comparison: Comparison) -> slicer.vtkMRMLTableNode:
    """The comparison as the table node of the scene that is kept for it: a measure in each row, the columns "before"
    and the two methods. It is saved with the scene, and as CSV by Slicer's Save."""
    table = vtk.vtkTable()
    titles = vtk.vtkStringArray()
    titles.SetName(MEASURE_COLUMN)
    for title in comparison.before.numbers():
        titles.InsertNextValue(title)
    table.AddColumn(titles)
    columns = {BEFORE_COLUMN: comparison.before, **dict(zip(comparison.names, comparison.after, strict=True))}
    for name, measures in columns.items():
        numbers = [np.nan if number is None else number for number in measures.numbers().values()]
        column = numpy_to_vtk(np.round(np.array(numbers, float), TABLE_DECIMALS), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    node: Any = kept_node(scene, "vtkMRMLTableNode", TABLE_ROLE, TABLE_ROLE)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    return node


def _error_sentence(comparison: Comparison, means: Sequence[float]) -> str:
    better = int(means[1] < means[0])
    low, high = means[better], means[1 - better]
    if high - low < CLEARLY_CLOSER_MM:
        words = _("Both leave about the same mean error: {low} and {high} mm.")
        return words.format(low=f"{means[0]:.2f}", high=f"{means[1]:.2f}")
    words = _("The mean error with {name} is {low} mm instead of {high} mm: {difference} mm ({percent} %) less.")
    return words.format(
        name=comparison.titles[better],
        low=f"{low:.2f}",
        high=f"{high:.2f}",
        difference=f"{high - low:.2f}",
        percent=round(100 * (high - low) / high),
    )


def _landmark_sentence(comparison: Comparison) -> str:
    first, second = (measures.errors_mm for measures in comparison.after)
    closer = [int((first < second - CLEARLY_CLOSER_MM).sum()), int((second < first - CLEARLY_CLOSER_MM).sum())]
    words = _("Of {n} landmarks {a} are closer with {first} and {b} with {second}.")
    return words.format(n=len(first), a=closer[0], first=comparison.titles[0], b=closer[1], second=comparison.titles[1])


def _similarity_sentence(comparison: Comparison) -> str:
    first, second = (measures.similarity for measures in comparison.after)
    if first is None or second is None or abs(first - second) < CLEARLY_BETTER:
        return ""
    better = comparison.titles[int(second > first)]
    return _("The images look more alike after {name} ({high} instead of {low}).").format(
        name=better, high=f"{max(first, second):.2f}", low=f"{min(first, second):.2f}"
    )


def _time_sentence(comparison: Comparison) -> str:
    first, second = (measures.seconds for measures in comparison.after)
    if first is None or second is None:
        return ""
    return _("Time: {a} s with {first}, {b} s with {second}.").format(
        first=comparison.titles[0], a=f"{first:.1f}", second=comparison.titles[1], b=f"{second:.1f}"
    )
