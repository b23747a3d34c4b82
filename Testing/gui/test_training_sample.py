"""The last validation pair of a run as nodes of the real MRML library; the files are those that a run writes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import training_preview_case as case
from DeepRegLib.images.geometry import Geometry
from DeepRegSlicer.steps import finish
from training_preview_case import SHIFT_MM, write_pair
from training_runs_case import run_folder

PLACE = (7, 9, 11)
"""Voxel (z, y, x) at which nodes are asked."""
LONGEST_STEP_S = 0.1
LARGE = Geometry((96, 96, 96), (3.0, 3.0, 3.0), (-142.5, -142.5, -142.5))
COARSE, FINE = "level 2 of 5", "level 3 of 5"


def vectors(scale: float) -> np.ndarray:
    """A motion that is different at each voxel, (z, y, x, 3), LPS mm."""
    x, y, z = np.moveaxis(case.GRID.points(), -1, 0)
    return (scale * np.stack([3 + z / 10, x / 12, 2 - y / 15], -1)).astype(np.float32)


def write_sample(run: Path, step: int, levels: list[tuple[str, float | None, np.ndarray]] | None) -> Path:
    """The last sample of ``run``; none as levels stands for a version that knew none."""
    for former in run.glob("samples/*"):
        former.rename(run / f"former-{former.name}")
    folder = run / "samples" / f"{step:08d}"
    write_pair(folder)
    known = [(0.0 if alpha is None else alpha, field) for _name, alpha, field in levels or []]
    np.save(folder / "predicted.npy", sum((a * f for a, f in known), vectors(0.0)).astype(np.float32))
    if levels is not None:
        for number, (_name, _alpha, field) in enumerate(levels, start=1):
            np.save(folder / f"level-{number}.npy", field)
        told = [{"name": name, "alpha": alpha} for name, alpha, _field in levels]
        (folder / "levels.json").write_text(json.dumps({"levels": told}))
    return folder


def added(scene, run: Path):
    from DeepRegSlicer.training.sample_pair import add_sample_in_steps

    return finish(add_sample_in_steps(scene, run))


def moved_ras(node) -> np.ndarray:
    """How far the node moves the point of the test, RAS mm."""
    point = case.GRID.points()[PLACE] * [-1, -1, 1]
    return np.array(node.GetTransformFromParent().TransformPoint(point)) - point


def grid_transforms(scene) -> set[str]:
    kind = "vtkMRMLGridTransformNode"
    return {scene.GetNthNodeByClass(k, kind).GetName() for k in range(scene.GetNumberOfNodesByClass(kind))}


def test_each_level_is_a_transform_with_its_own_vectors_and_they_sum_to_the_found_motion(scene, tmp_path):
    write_sample(tmp_path, 10, [(COARSE, 0.4, vectors(1.0)), (FINE, 0.6, vectors(-2.0))])
    sample = added(scene, tmp_path)
    coarse, fine = sample.levels
    assert [node.GetName() for node in sample.levels] == [
        "Training sample: level 2 of 5 (alpha 0.40), found motion",
        "Training sample: level 3 of 5 (alpha 0.60), found motion",
    ]
    for node, scale in ((coarse, 1.0), (fine, -2.0)):
        assert np.allclose(moved_ras(node), vectors(scale)[PLACE] * [-1, -1, 1], atol=1e-4)
        assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) == sample.fixed
    assert np.allclose(0.4 * moved_ras(coarse) + 0.6 * moved_ras(fine), moved_ras(sample.found_motion), atol=1e-4)
    assert np.allclose(moved_ras(sample.true_motion), np.array(SHIFT_MM) * [-1, -1, 1], atol=1e-4)
    assert sample.moving.GetParentTransformNode() == sample.found_motion
    missed = np.linalg.norm(0.4 * vectors(1.0) + 0.6 * vectors(-2.0) - SHIFT_MM, axis=-1).mean()
    assert (sample.error_mm, sample.zero_mm) == (pytest.approx(missed, rel=1e-5), pytest.approx(5.0))


def test_grids_of_levels_are_drawn_as_the_found_one_is_as_soon_as_they_are_switched_on(scene, tmp_path):
    write_sample(tmp_path, 10, [("level of 12 mm", None, vectors(1.0)), ("level of 6 mm", None, vectors(1.2))])
    sample = added(scene, tmp_path)
    assert sample.levels[0].GetName() == "Training sample: level of 12 mm, found motion"
    shown = sample.found_motion.GetDisplayNode()
    colours = set()
    for node in (sample.true_motion, sample.found_motion, *sample.levels):
        display = node.GetDisplayNode()
        assert display.GetVisibility() == (node not in sample.levels)
        assert (display.GetVisualizationMode(), display.GetVisibility2D(), display.GetVisibility3D()) == (
            display.VIS_MODE_GRID,
            True,
            False,
        )
        assert display.GetGridSpacingMm() == shown.GetGridSpacingMm() and display.GetRegionNode() == sample.fixed
        colours.add(display.GetColorNode().GetColorTransferFunction().GetColor(5.0))
    assert len(colours) == 4


def test_the_next_sample_has_its_levels_and_keeps_what_the_user_switched_on(scene, tmp_path):
    write_sample(tmp_path, 10, [(COARSE, 0.4, vectors(1.0)), (FINE, 0.6, vectors(-2.0))])
    _coarse, fine = added(scene, tmp_path).levels
    fine.GetDisplayNode().SetVisibility(True)
    count = scene.GetNumberOfNodes()
    assert added(scene, tmp_path).levels[1] == fine and scene.GetNumberOfNodes() == count
    write_sample(tmp_path, 20, [(FINE, 1.0, vectors(0.5))])
    sample = added(scene, tmp_path)
    assert sample.levels == (fine,) and fine.GetName() == "Training sample: level 3 of 5 (alpha 1.00), found motion"
    assert np.allclose(moved_ras(fine), vectors(0.5)[PLACE] * [-1, -1, 1], atol=1e-4)
    assert fine.GetDisplayNode().GetVisibility()
    assert grid_transforms(scene) == {
        "Training sample: true motion",
        "Training sample: found motion",
        fine.GetName(),
    }
    assert scene.GetNumberOfNodes() == count - 3  # the level, its display and its colour


def test_a_sample_of_an_older_version_is_shown_without_levels(scene, tmp_path):
    write_sample(tmp_path / "new", 10, [(COARSE, 1.0, vectors(1.0))])
    write_sample(tmp_path / "old", 30, None)
    added(scene, tmp_path / "new")
    sample = added(scene, tmp_path / "old")
    assert sample.levels == () and sample.step == 30
    assert grid_transforms(scene) == {"Training sample: true motion", "Training sample: found motion"}
    assert sample.error_mm == pytest.approx(5.0) == sample.zero_mm


def test_a_level_that_is_missing_is_told_before_the_scene_is_changed(scene, tmp_path):
    from DeepRegLib.errors import BadInput

    folder = write_sample(tmp_path, 10, [(COARSE, 0.4, vectors(1.0)), (FINE, 0.6, vectors(-2.0))])
    (folder / "level-2.npy").unlink()
    count = scene.GetNumberOfNodes()
    with pytest.raises(BadInput, match=r"level-2\.npy"):
        added(scene, tmp_path)
    assert scene.GetNumberOfNodes() == count


def test_no_step_on_the_way_to_the_nodes_of_a_large_pair_takes_long(scene, tmp_path, monkeypatch):
    """Seconds of the processor: a busy machine does not count."""
    from DeepRegSlicer.training.sample_pair import add_sample_in_steps

    monkeypatch.setattr(case, "GRID", LARGE)
    write_sample(tmp_path, 10, [(COARSE, 0.4, vectors(1.0)), (FINE, 0.6, vectors(-2.0))])
    for _second_time in range(2):
        steps, longest, before = add_sample_in_steps(scene, tmp_path), 0.0, time.thread_time()
        for _step in steps:
            longest = max(longest, time.thread_time() - before)
            before = time.thread_time()
        assert longest < LONGEST_STEP_S


def test_the_panel_says_where_the_levels_are_and_nothing_of_levels_where_there_are_none(runs_bench, tmp_path):
    bench = runs_bench
    bench.parameters.outputFolder = str(tmp_path)
    folder = run_folder(tmp_path / "run", {"state": "finished"})
    write_sample(folder, 10, [(COARSE, 0.4, vectors(1.0)), (FINE, 0.6, vectors(-2.0))])
    bench.wait_for("run", "finished")
    for step, are_told in ((10, True), (20, False)):
        if not are_told:
            write_sample(folder, step, [])
        bench.spin(lambda: bench.ui.sampleButton.enabled)
        bench.ui.sampleButton.click()
        bench.spin(lambda step=step: f"Sample pair after step {step}:" in bench.ui.levelsLabel.text)
        assert ("What each level found is in the Data module" in bench.ui.levelsLabel.text) == are_told
