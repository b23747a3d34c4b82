"""How a run learns, in two plot views below the slice views: errors in mm, and the loss in whatever it is measured.

The charts are listed in the module *Plots*, so that their looks can be changed and the numbers exported; they are left
out of saved scenes, because the truth is in the run folder and the panel draws them again from there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..plot_nodes import chart_node, line_series
from ..review_nodes import find_review_node
from ..steps import Steps
from .run_numbers import RunNumbers, Series

ERROR_ROLE, LOSS_ROLE = CHART_ROLES = ("training errors", "training loss")
LAYOUT = 15011
"""Beside the one of the linked crosshair."""
SLICE_VIEWS = {"Red": ("Axial", "#F34A33"), "Green": ("Coronal", "#6EB04B"), "Yellow": ("Sagittal", "#EDD54C")}
PLOT_VIEWS = {"PlotView1": ("P", ERROR_ROLE), "PlotView2": ("P2", LOSS_ROLE)}
"""The views of 3D Slicer's own plot layouts, and what each shows."""
MOST_POINTS = 250
"""A plot view is some 500 pixels wide. Single steps differ by chance; the mean over many shows whether it learns."""
HEADROOM = 1.05
TRAINING_COLOUR, VALIDATION_COLOUR, NOTHING_COLOUR = (0.12, 0.42, 0.80), (0.90, 0.45, 0.0), (0.55, 0.55, 0.55)
"""Blue, orange, grey: told apart with red-green blindness, on white."""
THIN_LINE = 1.5
MARKER_SIZE = 7.0


class TrainingCurves:
    """Follows one run; :meth:`show` and :meth:`hide` switch the layout, :meth:`follow` and :meth:`update_in_steps` the
    numbers."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._numbers: RunNumbers | None = None
        self._former_layout: int | None = None

    @property
    def are_shown(self) -> bool:
        return self._former_layout is not None

    @property
    def folder(self) -> Path | None:
        """The run that is followed."""
        return None if self._numbers is None else self._numbers.folder

    def follow(self, folder: Path | None) -> None:
        """Draw the curves of another run, or none."""
        if folder == self.folder:
            return
        self._numbers = None if folder is None else RunNumbers(folder)
        if self.are_shown:
            self._draw()

    def update_in_steps(self) -> Steps[None]:
        """Read what is new, a piece at a time, and draw it, if the curves are shown."""
        numbers = self._numbers
        if not self.are_shown or numbers is None:
            return
        is_new = False
        while numbers.read():
            is_new = True
            yield
        if is_new and self.are_shown and numbers is self._numbers:
            self._draw()

    def show(self) -> None:
        """Bring the plot views up."""
        layout = self._layout_node()
        if self.are_shown or layout is None:
            return
        if not layout.IsLayoutDescription(LAYOUT):
            layout.AddLayoutDescription(LAYOUT, layout_description())
        shown = layout.GetViewArrangement()
        # A scene that was saved with the curves has no other layout to go back to.
        self._former_layout = shown if shown != LAYOUT else layout.SlicerLayoutFourUpView
        self._draw()
        layout.SetViewArrangement(LAYOUT)
        for name, (_label, role) in PLOT_VIEWS.items():
            view = self._scene.GetSingletonNode(name, "vtkMRMLPlotViewNode")
            chart = find_review_node(self._scene, role)
            if view is not None and chart is not None:
                view.SetPlotChartNodeID(chart.GetID())

    def hide(self) -> None:
        """The layout as it was, unless the user chose another one meanwhile."""
        layout = self._layout_node()
        if self.are_shown and layout is not None and layout.GetViewArrangement() == LAYOUT:
            layout.SetViewArrangement(self._former_layout)
        self._former_layout = None

    def forget(self) -> None:
        """The scene is closed: its nodes are gone."""
        self._former_layout = None

    def _draw(self) -> None:
        name = "" if self.folder is None else self.folder.name
        numbers = self._numbers
        empty = Series()
        error, zero, loss, validation = (
            (numbers.error, numbers.zero, numbers.loss, numbers.validation) if numbers else (empty,) * 4
        )
        errors = self._chart(ERROR_ROLE, _("Error: {run}").format(run=name), _("error (mm)"))
        highest = [
            self._line(errors, ERROR_ROLE, "nothing", _("no motion found"), NOTHING_COLOUR, zero),
            self._line(errors, ERROR_ROLE, "training", _("training"), TRAINING_COLOUR, error),
            self._line(errors, ERROR_ROLE, "validation", _("validation"), VALIDATION_COLOUR, validation),
        ]
        errors.SetYAxisRangeAuto(False)
        errors.SetYAxisRange(0.0, max(*highest, 1e-3) * HEADROOM)
        losses = self._chart(LOSS_ROLE, _("Loss: {run}").format(run=name), _("loss"))
        self._line(losses, LOSS_ROLE, "training", _("training"), TRAINING_COLOUR, loss)

    def _chart(self, role: str, title: str, y_title: str) -> slicer.vtkMRMLPlotChartNode:
        chart = chart_node(self._scene, role, title, _("step"), y_title)
        chart.SetName(title)
        chart.SetSaveWithScene(False)
        return chart

    def _line(
        self,
        chart: slicer.vtkMRMLPlotChartNode,
        role: str,
        key: str,
        name: str,
        colour: tuple[float, float, float],
        numbers: Series,
    ) -> float:
        """Draw a line; gives its highest point, 0 for none."""
        steps, values = numbers.averaged(MOST_POINTS)
        series = line_series(self._scene, chart, role, key, name, colour, steps, values)
        if key == "nothing":
            series.SetLineWidth(THIN_LINE)
        if key == "validation" or len(steps) == 1:  # one point makes no line
            series.SetMarkerStyle(series.MarkerStyleCircle)
            series.SetMarkerSize(MARKER_SIZE)
        series.SetSaveWithScene(False)
        series.GetTableNode().SetSaveWithScene(False)
        return float(np.max(values, initial=0.0))

    def _layout_node(self) -> slicer.vtkMRMLLayoutNode | None:
        return self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def layout_description() -> str:
    """Three slice views for the sample pair, two plot views below."""
    slices = "".join(
        _view("vtkMRMLSliceNode", name, orientation=orientation, viewlabel=name[0], viewcolor=colour)
        for name, (orientation, colour) in SLICE_VIEWS.items()
    )
    plots = "".join(_view("vtkMRMLPlotViewNode", name, viewlabel=label) for name, (label, _role) in PLOT_VIEWS.items())
    rows = "".join(f'<item><layout type="horizontal">{row}</layout></item>' for row in (slices, plots))
    return f'<layout type="vertical" split="true">{rows}</layout>'


def _view(kind: str, name: str, **properties: str) -> str:
    inner = "".join(f'<property name="{key}" action="default">{value}</property>' for key, value in properties.items())
    return f'<item><view class="{kind}" singletontag="{name}">{inner}</view></item>'
