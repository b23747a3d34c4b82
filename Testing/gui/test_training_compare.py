"""Two methods compared on one landmark pair: numbers, words, the table, cancelling, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from DeepRegLib.job_folder import RESULT_FOLDER, write_result
from DeepRegLib.phantom import make_phantom
from fake_process import shifted
from training_models_case import CARD, made

SHIFTS = ((4.0, 0.0, 0.0), (6.0, 1.0, 0.0))
"""What both registrations "find", LPS mm; the truth is SHIFT."""
SHIFT = (6.0, 0.0, 0.0)
SPREAD_MM = 1.5
COUNT = 12


@pytest.fixture
def bench(models_bench):
    return models_bench


@pytest.fixture
def pair(bench, own):
    """Two images and two lists, chosen; the moving landmarks are the fixed ones, shifted and scattered. Returns the
    points, LPS mm."""
    from DeepRegLib.evidence.landmarks import Landmarks
    from DeepRegSlicer.nodes import add_landmarks
    from panel_cases import add_image

    made(own)
    bench.section.enter()
    rng = np.random.default_rng(0)
    fixed = rng.uniform((2, 2, 2), (30, 30, 30), (COUNT, 3))
    moving = fixed + SHIFT + rng.normal(0, SPREAD_MM, (COUNT, 3))
    p = bench.parameters
    p.compareFixed, p.compareMoving = add_image("inhale", 1), add_image("exhale", 2)
    p.compareFixedLandmarks = add_landmarks(bench.scene, Landmarks(fixed), "points in", (1, 0, 0))
    p.compareMovingLandmarks = add_landmarks(bench.scene, Landmarks(moving), "points ex", (0, 1, 0))
    bench.section.update(p)
    return fixed, moving


def choose(bench, first: str, second: str) -> None:
    for selector, title in ((bench.ui.firstModelSelector, first), (bench.ui.secondModelSelector, second)):
        selector.currentIndex = [selector.itemText(k) for k in range(selector.count)].index(title)


def started(bench, spin, number: int):
    """The process of the first or second registration, once it runs."""
    spin(lambda: len(bench.processes) == number and bench.processes[-1].running)
    return bench.processes[-1]


def give(process, shift, folding=0.0, similarity=(0.4, 0.8), seconds=3.0) -> None:
    evidence = {"method": "fake", "warnings": [], "folding_percent": folding}
    evidence |= {"similarity": dict(zip(("before", "after"), similarity, strict=True)), "seconds": {"total": seconds}}
    result = process.folder / RESULT_FOLDER
    write_result(result, replace(shifted(process.job, shift), evidence=evidence), process.job.options)
    process.say({"result": str(result)})
    process.end(0)


def compare(bench, spin, **second) -> None:
    bench.ui.compareButton.click()
    give(started(bench, spin, 1), SHIFTS[0], similarity=(0.4, 0.7), seconds=2.0)
    give(started(bench, spin, 2), SHIFTS[1], **second)
    spin(lambda: not bench.section.compare.running)


def texts(bench, row: int) -> list[str]:
    return [bench.ui.compareTable.item(row, column).text() for column in range(3)]


def errors(points, shift) -> np.ndarray:
    fixed, moving = points
    return np.linalg.norm(fixed + shift - moving, axis=1)


def test_the_solver_alone_and_a_model_are_offered(bench, pair) -> None:
    first = bench.ui.firstModelSelector
    assert [first.itemText(k) for k in range(first.count)] == ["The solver alone", "lung-small"]
    assert (first.currentIndex, bench.ui.secondModelSelector.currentIndex) == (0, 1)
    assert bench.ui.compareButton.enabled and not bench.ui.compareLabel.text


def test_the_table_holds_what_the_landmarks_say(bench, pair, spin) -> None:
    compare(bench, spin, folding=0.25, seconds=5.5)
    assert not bench.ui.compareTable.isHidden()
    for column, shift in enumerate(((0, 0, 0), *SHIFTS)):
        e = errors(pair, shift)
        assert texts(bench, 0)[column] == f"{e.mean():.2f} ({e.std(ddof=1):.2f})"
        for row, truth in ((1, np.median(e)), (2, np.percentile(e, 95)), (3, e.max())):
            assert float(texts(bench, row)[column]) == pytest.approx(truth, abs=0.006)
    assert texts(bench, 4) == ["–", "0", "0.25"]
    assert texts(bench, 5) == ["0.400", "0.700", "0.800"]
    assert texts(bench, 6) == ["–", "2.0", "5.5"]


def test_the_words_say_which_is_better_and_by_how_much(bench, pair, spin) -> None:
    compare(bench, spin, folding=0.25, seconds=5.5)
    text = bench.ui.compareLabel.text
    means = [errors(pair, shift).mean() for shift in SHIFTS]
    assert f"The mean error with lung-small is {means[1]:.2f} mm instead of {means[0]:.2f} mm" in text
    closer = (errors(pair, SHIFTS[1]) < errors(pair, SHIFTS[0]) - 0.05).sum()
    assert f"{closer} with lung-small" in text
    assert "lung-small folds in 0.25 %" in text and "more alike after lung-small" in text
    assert "Time: 2.0 s with the solver alone, 5.5 s with lung-small." in text


def test_both_get_the_same_pair_and_each_its_method(bench, pair, spin) -> None:
    bench.ui.compareRefineCheckBox.checked = False
    bench.ui.compareButton.click()
    jobs = []
    for number in (1, 2):
        process = started(bench, spin, number)
        jobs.append(process.job)
        voxels = np.array(jobs[-1].fixed.array)
        assert voxels.shape == (16, 18, 20) and not jobs[-1].options.wants_warped
        give(process, SHIFTS[0])
    spin(lambda: not bench.section.compare.running)
    assert [job.options.method for job in jobs] == ["lucas-kanade", "lung-small"]
    assert replace(jobs[0].options, method="lung-small") == jobs[1].options and not jobs[0].options.refine
    assert "about the same mean error" in bench.ui.compareLabel.text


def test_nothing_but_the_table_is_added_and_slicer_writes_it_as_csv(bench, pair, spin, tmp_path) -> None:
    import slicer

    before = bench.scene.GetNumberOfNodes()
    compare(bench, spin)
    compare_again = bench.scene.GetNumberOfNodes()
    tables = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert len(tables) == 1 and compare_again == before + 1
    path = tmp_path / "comparison.csv"
    assert slicer.util.saveNode(tables[0], str(path))
    lines = path.read_text().splitlines()
    assert lines[0].replace('"', "") == "measure,before,lucas-kanade,lung-small"
    first = lines[1].replace('"', "").split(",")
    assert first[0] == "mean error (mm)"
    expected = [errors(pair, shift).mean() for shift in ((0, 0, 0), *SHIFTS)]
    assert [float(text) for text in first[1:]] == pytest.approx(expected, abs=1e-3)


def test_a_second_comparison_fills_the_same_table(bench, pair, spin) -> None:
    import slicer

    compare(bench, spin)
    bench.processes.clear()
    choose(bench, "lung-small", "The solver alone")
    compare(bench, spin)
    tables = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert len(tables) == 1 and tables[0].GetTable().GetColumnName(2) == "lung-small"


@pytest.mark.parametrize("number", [1, 2])
def test_a_second_click_cancels(bench, pair, spin, number) -> None:
    bench.ui.compareButton.click()
    assert bench.ui.compareButton.text == "Cancel" and not bench.ui.compareProgressBar.isHidden()
    if number == 2:
        give(started(bench, spin, 1), SHIFTS[0])
    process = started(bench, spin, number)
    process.say({"progress": 0.5, "stage": "Refining", "seconds_left": 3.0})
    assert f"{number} of 2" in bench.ui.compareLabel.text and "Refining" in bench.ui.compareLabel.text
    bench.ui.compareButton.click()
    spin(lambda: not bench.section.compare.running)
    assert process.sent == [{"cancel": True}] and len(bench.processes) == number
    assert "Cancelled" in bench.ui.compareLabel.text and bench.ui.compareTable.isHidden()
    assert bench.ui.compareButton.text == "Compare" and bench.ui.compareProgressBar.isHidden()


def test_a_model_that_fails_is_named(bench, pair, spin) -> None:
    from DeepRegLib.errors import ModelProblem

    bench.ui.compareButton.click()
    give(started(bench, spin, 1), SHIFTS[0])
    process = started(bench, spin, 2)
    process.fail(ModelProblem("The weights are damaged.", "Get the model again."))
    process.end(1)
    spin(lambda: not bench.section.compare.running)
    assert bench.ui.compareLabel.text == "With lung-small: The weights are damaged. Get the model again."


def test_what_cannot_be_compared_is_said_and_the_button_waits(bench, pair) -> None:
    p, button, label = bench.parameters, bench.ui.compareButton, bench.ui.compareLabel
    choose(bench, "lung-small", "lung-small")
    assert not button.enabled and "same" in label.text
    choose(bench, "The solver alone", "lung-small")
    assert button.enabled
    landmarks, p.compareMovingLandmarks = p.compareMovingLandmarks, None
    bench.section.update(p)
    assert not button.enabled and "landmarks" in label.text
    p.compareMovingLandmarks = landmarks
    landmarks.SetFixedNumberOfControlPoints(False)
    landmarks.RemoveNthControlPoint(0)
    bench.section.update(p)
    assert not button.enabled and "partner" in label.text
    p.compareMoving = p.compareFixed
    bench.section.update(p)
    assert not button.enabled and "Choose two different images" in label.text


def test_what_is_found_while_the_section_is_closed_is_seen_when_it_is_opened(bench, pair, spin) -> None:
    bench.ui.compareButton.click()
    bench.ui.compareSection.collapsed = True
    give(started(bench, spin, 1), SHIFTS[0])
    give(started(bench, spin, 2), SHIFTS[1])
    spin(lambda: not bench.section.compare.running)
    bench.ui.compareSection.collapsed = False
    assert not bench.ui.compareTable.isHidden() and bench.ui.compareProgressBar.isHidden()


def test_landmarks_that_change_before_the_click_are_told(bench, pair) -> None:
    landmarks = bench.parameters.compareMovingLandmarks
    landmarks.SetFixedNumberOfControlPoints(False)
    landmarks.RemoveNthControlPoint(0)
    bench.ui.compareButton.click()
    assert "partner" in bench.ui.compareLabel.text and not bench.processes and not bench.section.compare.running


def test_closing_the_scene_ends_the_comparison(bench, pair, spin) -> None:
    bench.ui.compareButton.click()
    process = started(bench, spin, 1)
    bench.section.close_scene()
    assert process.kills == 1 and not bench.section.compare.running and not bench.ui.compareButton.enabled


def test_a_model_that_came_is_offered_and_the_choice_stays(bench, pair, own) -> None:
    choose(bench, "lung-small", "The solver alone")
    made(own, replace(CARD, name="a-new-one"))
    bench.section.enter()
    first, second = bench.ui.firstModelSelector, bench.ui.secondModelSelector
    assert first.count == 3
    assert (first.itemText(first.currentIndex), second.itemText(second.currentIndex)) == (
        "lung-small",
        "The solver alone",
    )


def test_a_real_comparison_ends_with_what_the_library_measures(bench, own, spin, tmp_path) -> None:
    from DeepRegLib.evidence.landmarks import Landmarks
    from DeepRegLib.registration import register
    from DeepRegSlicer.background_process import QtProcess
    from DeepRegSlicer.nodes import add_landmarks, add_volume

    phantom = make_phantom((48, 40, 40), seed=1)
    made(own)
    bench.section.enter()
    p = bench.parameters
    p.compareFixed = add_volume(bench.scene, phantom.fixed, "inhale")
    p.compareMoving = add_volume(bench.scene, phantom.moving, "exhale")
    points = [Landmarks(phantom.fixed_landmarks), Landmarks(phantom.moving_landmarks)]
    p.compareFixedLandmarks = add_landmarks(bench.scene, points[0], "points in", (1, 0, 0))
    p.compareMovingLandmarks = add_landmarks(bench.scene, points[1], "points ex", (0, 1, 0))
    bench.section.update(p)
    bench.section.new_process = QtProcess
    bench.ui.compareButton.click()
    spin(lambda: not bench.section.compare.running, 240)
    expected = register(
        phantom.fixed,
        phantom.moving,
        method="lucas-kanade",
        fixed_landmarks=points[0],
        moving_landmarks=points[1],
    ).evidence["landmarks"]["after"]
    assert not bench.ui.compareTable.isHidden(), bench.ui.compareLabel.text
    assert float(texts(bench, 1)[1]) == pytest.approx(expected["median_mm"], abs=0.011)
    assert float(texts(bench, 3)[1]) == pytest.approx(expected["max_mm"], abs=0.011)
    assert float(texts(bench, 6)[2]) > 0
