"""What the panel shows of measured landmarks: views, arrows, plots and files, on the stand-in host."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from landmark_case import COUNT, Case, arrow_models, residuals


@pytest.fixture
def case(scene):
    case = Case(scene)
    yield case
    case.close()


@pytest.fixture
def measured(case, spin):
    case.choose(outputTransform=case.add_transform())
    case.settle(spin)
    return case


def test_a_click_jumps_to_the_fixed_landmark_in_all_views(measured):
    import slicer

    for name in ("Red", "Green"):
        if measured.scene.GetNodeByID(f"vtkMRMLSliceNode{name}") is None:
            view = slicer.vtkMRMLSliceNode()
            view.SetSingletonTag(name)
            view.SetLayoutName(name)
            measured.scene.AddNode(view)
    measured.ui.landmarkTable.cellClicked.emit(0, 0)
    place = measured.fixed_points[17] * [-1, -1, 1]
    crosshair = measured.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert np.allclose(crosshair.GetCrosshairRAS(), place)
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        to_ras = measured.scene.GetNthNodeByClass(k, "vtkMRMLSliceNode").GetSliceToRAS()
        normal = np.array([to_ras.GetElement(r, 2) for r in range(3)])
        origin = np.array([to_ras.GetElement(r, 3) for r in range(3)])
        assert abs((place - origin) @ normal) < 1e-6


def test_filling_the_table_does_not_move_the_views(measured, spin):
    crosshair = measured.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairRAS(1.0, 2.0, 3.0)
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert crosshair.GetCrosshairRAS() == (1.0, 2.0, 3.0)


def test_the_clicked_landmark_stays_selected_when_the_order_changes(measured, spin):
    measured.ui.landmarkTable.cellClicked.emit(0, 0)  # L17
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert measured.ui.landmarkTable.selectedItems()[0].text() == "L17"


def test_arrows_come_and_go_with_their_switch(measured):
    measured.choose(showErrorVectors=True)
    assert arrow_models(measured) > 0
    measured.choose(showErrorVectors=False)
    assert arrow_models(measured) == 0


def test_arrows_show_the_state_that_the_views_show(measured):
    """While the moving image is shown as it was, so are the errors."""

    def longest() -> float:
        kind = "vtkMRMLModelNode"
        models = [
            measured.scene.GetNthNodeByClass(k, kind) for k in range(measured.scene.GetNumberOfNodesByClass(kind))
        ]
        (model,) = [model for model in models if model.GetName() == "landmark errors in 3-D"]
        return model.GetPolyData().GetPointData().GetArray("error (mm)").GetRange()[1]

    measured.choose(showErrorVectors=True)
    assert abs(longest() - np.linalg.norm(residuals(measured), axis=1).max()) < 1e-3
    measured.choose(showBefore=True)
    distances = np.linalg.norm(measured.fixed_points - measured.moving_points, axis=1)
    assert abs(longest() - distances.max()) < 1e-3


def test_the_histogram_is_shown_in_the_plot_view(measured, monkeypatch):
    import slicer

    shown = []
    monkeypatch.setattr(slicer.modules.plots, "_logic", SimpleNamespace(ShowChartInLayout=shown.append))
    measured.ui.histogramButton.click()
    (chart,) = shown
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("error (mm)", "number of landmarks")
    names = [chart.GetNthPlotSeriesNode(k).GetName() for k in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names == ["before", "after"]
    table = chart.GetNthPlotSeriesNode(1).GetTableNode().GetTable()
    heights = [table.GetValue(k, 1).ToDouble() for k in range(table.GetNumberOfRows())]
    assert sum(heights) / 2 == COUNT  # every bar has two corners
    measured.ui.histogramButton.click()
    assert shown[1] is chart  # nothing piles up


def test_the_before_after_plot_holds_every_landmark_and_follows_changes(measured, spin):
    measured.ui.beforeAfterButton.click()
    (chart,) = [
        node
        for node in (
            measured.scene.GetNthNodeByClass(k, "vtkMRMLPlotChartNode")
            for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode"))
        )
        if "before and after" in node.GetTitle()
    ]
    series = chart.GetNthPlotSeriesNode(1)
    table = series.GetTableNode()
    assert table.GetNumberOfRows() == COUNT
    after = np.linalg.norm(residuals(measured), axis=1)
    assert abs(table.GetTable().GetValue(17, 1).ToDouble() - after[17]) < 1e-3
    measured.moving.SetNthControlPointPosition(17, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert table.GetTable().GetValue(17, 1).ToDouble() > 100
    assert chart.GetYAxisRange()[1] > 100


def test_the_table_node_of_the_scene_is_kept_up_to_date(measured, spin):
    def tables():
        found = [
            measured.scene.GetNthNodeByClass(k, "vtkMRMLTableNode")
            for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLTableNode"))
        ]
        return [node for node in found if node.GetName() == "landmark errors"]

    (node,) = tables()
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert float(node.GetCellText(4, 2)) > 100
    assert tables() == [node]


def test_the_table_is_saved_as_csv(measured, tmp_path: Path, monkeypatch):
    import qt

    target = tmp_path / "Fehler"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_args: str(target))
    measured.ui.saveLandmarksButton.click()
    rows = list(csv.DictReader(target.with_suffix(".csv").open(encoding="utf-8")))
    assert len(rows) == COUNT
    assert rows[0]["landmark"] == "L17"


def test_landmarks_are_loaded_from_a_file_and_chosen(case, spin, tmp_path: Path, monkeypatch):
    import qt

    case.choose(fixedLandmarks=None)
    path = write_landmarks(tmp_path / "points.mrk.json", Landmarks(case.fixed_points))
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_args: str(path))
    case.ui.fixedLandmarksLoadButton.click()
    loaded = case.parameters.fixedLandmarks
    assert loaded.GetNumberOfControlPoints() == COUNT
    assert loaded.GetLocked()
    assert loaded.GetDisplayNode().GetSelectedColor()[0] > 0.9 > 0.2 > loaded.GetDisplayNode().GetSelectedColor()[1]
    assert np.allclose(loaded.GetNthControlPointPosition(3), case.fixed_points[3] * [-1, -1, 1])


def test_a_file_that_cannot_be_read_is_told(case, tmp_path: Path, monkeypatch):
    import qt
    import slicer

    told = []
    monkeypatch.setattr(slicer.util, "errorDisplay", told.append)
    (tmp_path / "points.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_args: str(tmp_path / "points.csv"))
    case.choose()
    case.ui.movingLandmarksLoadButton.click()
    assert "points.csv" in told[0] and "columns" in told[0]
    assert case.parameters.movingLandmarks is case.moving
