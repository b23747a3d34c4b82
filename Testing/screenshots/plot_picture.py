"""A plot view: Slicer draws a chart of the scene with VTK's charts (Libs/MRML/Widgets/qMRMLPlotView.cxx), and so does
this, for lines and markers."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
import vtkmodules.vtkRenderingContextOpenGL2
import vtkmodules.vtkRenderingFreeType
from vtk.util.numpy_support import vtk_to_numpy

PAPER = (255, 253, 246, 255)
AXES = {
    vtk.vtkAxis.BOTTOM: ("GetXAxisTitle", "GetXAxisRangeAuto", "GetXAxisRange"),
    vtk.vtkAxis.LEFT: ("GetYAxisTitle", "GetYAxisRangeAuto", "GetYAxisRange"),
}
NEEDED = (vtkmodules.vtkRenderingContextOpenGL2, vtkmodules.vtkRenderingFreeType)
"""VTK draws charts and their letters only with these."""


def plot_picture(node: slicer.vtkMRMLPlotChartNode, size: tuple[int, int]) -> np.ndarray:
    """The chart ``node`` in a view of ``size`` (width, height) pixels: (row from the top, column, RGB)."""
    chart = vtk.vtkChartXY()
    chart.GetBackgroundBrush().SetColor(*PAPER)
    for number in range(node.GetNumberOfPlotSeriesNodes()):
        _add_line(chart, node.GetNthPlotSeriesNode(number))
    chart.SetTitle(node.GetTitle())
    chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
    chart.SetShowLegend(node.GetLegendVisibility())
    chart.GetLegend().GetLabelProperties().SetFontSize(node.GetLegendFontSize())
    for number, names in AXES.items():
        _set_axis(chart.GetAxis(number), node, *names)
    view = vtk.vtkContextView()
    view.GetScene().AddItem(chart)
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(*size)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    flat = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    return flat.reshape(size[1], size[0], -1)[::-1, :, :3].copy()


def _add_line(chart: Any, series: slicer.vtkMRMLPlotSeriesNode) -> None:
    table = series.GetTableNode().GetTable()
    if table.GetNumberOfRows() == 0:
        return
    line = chart.AddPlot(vtk.vtkChart.LINE)
    line.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
    line.SetColorF(*series.GetColor())
    line.SetWidth(series.GetLineWidth())
    line.GetPen().SetLineType(vtk.vtkPen.SOLID_LINE)
    line.SetLabel(series.GetName())
    line.SetMarkerSize(series.GetMarkerSize())
    circles = series.GetMarkerStyle() == series.MarkerStyleCircle
    line.SetMarkerStyle(vtk.vtkPlotPoints.CIRCLE if circles else vtk.vtkPlotPoints.NONE)


def _set_axis(axis: Any, node: slicer.vtkMRMLPlotChartNode, title: str, is_automatic: str, range_of: str) -> None:
    axis.SetTitle(getattr(node, title)())
    axis.GetTitleProperties().SetBold(False)
    axis.GetTitleProperties().SetFontSize(node.GetAxisTitleFontSize())
    axis.GetLabelProperties().SetFontSize(node.GetAxisLabelFontSize())
    axis.SetGridVisible(node.GetGridVisibility())
    if not getattr(node, is_automatic)():
        axis.SetBehavior(vtk.vtkAxis.FIXED)
        axis.SetRange(*getattr(node, range_of)())
