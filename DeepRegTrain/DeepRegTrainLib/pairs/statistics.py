"""Numbers about drawn fields: what the paper's histograms show, folds and changes of volume."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .training_pair import TrainingPair
from .working_grid import jacobian_determinant


@dataclass(frozen=True)
class FieldStatistics:
    """Lengths of displacements (mean, 95 %, largest), the same for each axis (absolute values; x, y, z) and the mean
    with its sign, all in one unit; the Jacobian determinant of T and the percentage of voxels where it folds."""

    mean: float
    p95: float
    largest: float
    mean_of_axis: tuple[float, float, float]
    p95_of_axis: tuple[float, float, float]
    direction: tuple[float, float, float]
    jacobian_min: float
    jacobian_p1: float
    jacobian_p99: float
    jacobian_max: float
    folding_percent: float


def field_statistics(
    displacement: Tensor, region: Tensor | None = None, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> FieldStatistics:
    """Statistics of ``displacement`` (1, 3, z, y, x; voxels) where ``region`` (1, 1, z, y, x) is above a half, or
    everywhere. With ``spacing`` (x, y, z) in mm the lengths are in mm."""
    determinant = jacobian_determinant(displacement)[0, 0].cpu().numpy()
    vectors = displacement[0].movedim(0, -1).cpu().numpy() * np.asarray(spacing, np.float32)
    inside = np.ones(determinant.shape, bool) if region is None else region[0, 0].cpu().numpy() > 0.5
    inside = inside if inside.any() else np.ones(determinant.shape, bool)
    vectors, determinant = vectors[inside], determinant[inside]
    lengths = np.linalg.norm(vectors, axis=1)
    low, p1, p99, high = np.percentile(determinant, [0, 1, 99, 100])
    return FieldStatistics(
        mean=float(lengths.mean()),
        p95=float(np.percentile(lengths, 95)),
        largest=float(lengths.max()),
        mean_of_axis=_three(np.abs(vectors).mean(0)),
        p95_of_axis=_three(np.percentile(np.abs(vectors), 95, axis=0)),
        direction=_three(vectors.mean(0)),
        jacobian_min=float(low),
        jacobian_p1=float(p1),
        jacobian_p99=float(p99),
        jacobian_max=float(high),
        folding_percent=float(100 * (determinant <= 0).mean()),
    )


def pair_statistics(pair: TrainingPair) -> FieldStatistics:
    """Statistics of a pair inside its region, in mm."""
    return field_statistics(pair.displacement, pair.region * pair.weight, pair.spacing_mm)


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation, lowest and highest of a number over many draws."""

    mean: float
    sd: float
    lowest: float
    highest: float


def summarised(draws: Iterable[FieldStatistics]) -> dict[str, Summary | tuple[Summary, ...]]:
    """Each number of :class:`FieldStatistics` over many draws; three summaries for those of the axes."""
    rows = list(draws)
    out: dict[str, Summary | tuple[Summary, ...]] = {}
    for part in dataclasses.fields(FieldStatistics):
        values = np.array([getattr(row, part.name) for row in rows])
        out[part.name] = tuple(_summary(v) for v in values.T) if values.ndim == 2 else _summary(values)
    return out


def _summary(values: np.ndarray) -> Summary:
    return Summary(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
