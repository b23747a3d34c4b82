"""Landmark errors in the plot view: how they are distributed, and what became of each.

Charts, series and tables are found again by their role and filled anew; a saved scene holds them.
"""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from .landmark_table import LandmarkErrors
from .plot_nodes import chart_node, line_series
from .review_nodes import find_review_node

HISTOGRAM_ROLE, SCATTER_ROLE = "landmark error histogram", "landmark errors before and after"

BEFORE_COLOUR, AFTER_COLOUR, UNCHANGED_COLOUR = (0.55, 0.55, 0.55), (0.12, 0.42, 0.80), (0.75, 0.75, 0.75)
"""Grey was, blue is; on the white of 3D Slicer's plots."""
MARKER_SIZE = 8.0

BIN_WIDTHS_MM = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Round widths of the bars."""
WANTED_BARS = 12
"""The errors up to their 95th percentile spread over about this many bars ..."""
MOST_BARS = 80
"""... and no more than this many reach to the largest one before the registration."""
HEADROOM, SCATTER_HEADROOM = 1.05, 1.25
"""The axes reach this much beyond the largest value; in the scatter plot the legend must not hide the worst point."""


def update_histogram(scene: slicer.vtkMRMLScene, errors: LandmarkErrors) -> slicer.vtkMRMLPlotChartNode:
    """A chart with the outline of the distribution of the errors before and, if there is a registration, after."""
    edges = bin_edges(errors.before_mm, errors.current_mm)
    chart = chart_node(scene, HISTOGRAM_ROLE, _("Landmark errors"), _("error (mm)"), _("number of landmarks"))
    outlines = [outline(errors.before_mm, edges)]
    line_series(scene, chart, HISTOGRAM_ROLE, "before", _("before"), BEFORE_COLOUR, *outlines[0])
    if errors.after_mm is not None:
        outlines.append(outline(errors.after_mm, edges))
        line_series(scene, chart, HISTOGRAM_ROLE, "after", _("after"), AFTER_COLOUR, *outlines[1])
    else:
        _remove_series(scene, chart, HISTOGRAM_ROLE, "after")
    _set_ranges(chart, edges[-1], max(heights.max() for _places, heights in outlines))
    return chart


def update_before_after(scene: slicer.vtkMRMLScene, errors: LandmarkErrors) -> slicer.vtkMRMLPlotChartNode:
    """A chart with a point for each landmark, its error after over that before; below the grey line it got better."""
    before, after = errors.before_mm, errors.current_mm
    title = _("Landmark errors before and after")
    chart = chart_node(scene, SCATTER_ROLE, title, _("error before (mm)"), _("error after (mm)"))
    diagonal = np.array([0.0, before.max() * HEADROOM])
    line_series(scene, chart, SCATTER_ROLE, "unchanged", _("unchanged"), UNCHANGED_COLOUR, diagonal, diagonal)
    points = line_series(scene, chart, SCATTER_ROLE, "landmarks", _("landmarks"), AFTER_COLOUR, before, after)
    points.SetMarkerStyle(points.MarkerStyleCircle)
    points.SetMarkerSize(MARKER_SIZE)
    points.SetLineStyle(points.LineStyleNone)
    _set_ranges(chart, before.max(), after.max() * SCATTER_HEADROOM)
    return chart


def update_existing(scene: slicer.vtkMRMLScene, errors: LandmarkErrors) -> None:
    """Fill the charts that are there with new errors."""
    if find_review_node(scene, HISTOGRAM_ROLE) is not None:
        update_histogram(scene, errors)
    if find_review_node(scene, SCATTER_ROLE) is not None:
        update_before_after(scene, errors)


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in the plot view, in a layout that has one; without an application there is no view."""
    plots = getattr(getattr(slicer, "modules", None), "plots", None)
    if plots is not None:
        plots.logic().ShowChartInLayout(chart)


def bin_edges(*samples: np.ndarray) -> np.ndarray:
    """Edges from 0 to beyond the largest error; the bars are as wide as suits the sample of the smallest errors."""
    largest = max(float(sample.max()) for sample in samples)
    wanted = min(float(np.percentile(sample, 95)) for sample in samples) / WANTED_BARS
    wanted = max(wanted, largest / MOST_BARS)
    width = next((width for width in BIN_WIDTHS_MM if width >= wanted), wanted)
    return width * np.arange(int(largest / width) + 2)


def outline(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The way around the bars of a histogram: places and heights.

    >>> x, y = outline(np.array([0.5, 0.6, 1.5]), np.array([0.0, 1.0, 2.0]))
    >>> x.tolist(), y.tolist()
    ([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], [0.0, 2.0, 2.0, 1.0, 1.0, 0.0])
    """
    heights, _edges = np.histogram(values, edges)
    return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(heights.astype(float), 2), [0.0]])


def _set_ranges(chart: slicer.vtkMRMLPlotChartNode, x_end: float, y_end: float) -> None:
    chart.SetXAxisRangeAuto(False)
    chart.SetYAxisRangeAuto(False)
    chart.SetXAxisRange(0.0, max(x_end, 1e-3) * HEADROOM)
    chart.SetYAxisRange(0.0, max(y_end, 1e-3) * HEADROOM)


def _remove_series(scene: slicer.vtkMRMLScene, chart: slicer.vtkMRMLPlotChartNode, role: str, key: str) -> None:
    series = find_review_node(scene, f"{role}: {key}")
    if series is not None:
        chart.RemovePlotSeriesNodeID(series.GetID())
