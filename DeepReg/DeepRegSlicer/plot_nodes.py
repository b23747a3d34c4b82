"""Charts with lines through points, found again by their role and filled anew."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from .landmark_table import kept_node

LINE_WIDTH = 3.0


def chart_node(
    scene: slicer.vtkMRMLScene, role: str, title: str, x_title: str, y_title: str
) -> slicer.vtkMRMLPlotChartNode:
    """The chart with this role; its points cannot be dragged."""
    chart = kept_node(scene, "vtkMRMLPlotChartNode", role, title)
    chart.SetTitle(title)
    chart.SetXAxisTitle(x_title)
    chart.SetYAxisTitle(y_title)
    chart.SetEnablePointMoveAlongX(False)
    chart.SetEnablePointMoveAlongY(False)
    return chart


def line_series(
    scene: slicer.vtkMRMLScene,
    chart: slicer.vtkMRMLPlotChartNode,
    role: str,
    key: str,
    name: str,
    colour: tuple[float, float, float],
    x: np.ndarray,
    y: np.ndarray,
) -> slicer.vtkMRMLPlotSeriesNode:
    """A line through the points in ``chart``; its name is what the legend says."""
    table = kept_node(scene, "vtkMRMLTableNode", f"{role}: {key} (numbers)", f"{chart.GetName()} ({name})")
    table.SetHideFromEditors(True)
    contents = vtk.vtkTable()
    for title, values in (("x", x), ("y", y)):
        column = numpy_to_vtk(np.ascontiguousarray(values, np.float64), deep=True)
        column.SetName(title)
        contents.AddColumn(column)
    table.SetAndObserveTable(contents)
    series = kept_node(scene, "vtkMRMLPlotSeriesNode", f"{role}: {key}", name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("x")
    series.SetYColumnName("y")
    series.SetPlotType(series.PlotTypeScatter)  # the one that takes x as it is
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineWidth(LINE_WIDTH)
    series.SetColor(*colour)
    if not chart.HasPlotSeriesNodeID(series.GetID()):
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series
