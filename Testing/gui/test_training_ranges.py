"""The ranges of a preset in the panel: listed, changed, refused where they make no sense, kept for the run."""

from __future__ import annotations

import json

import pytest
from training_preview_case import CATALOGUE, DIAPHRAGM, EXACT, MIRRORED, NODES, PRESET, UNEVEN, ZOOM

FROM, TO = 2, 3


def test_the_ranges_of_the_preset_are_listed_with_unit(opened):
    cells = opened.cells(opened.ui.rangeTable)
    assert cells[0][0] == "Position and pose" and cells[3][0] == "Motion"
    assert cells[ZOOM] == ["Zoom", "mm", "0.85", "1.3"]
    assert cells[UNEVEN][2] == "4 2.4 1.2" and cells[NODES][2] == "6"
    assert not opened.ui.resetRangesButton.enabled


def test_a_changed_range_is_kept_as_the_whole_preset_and_drawn_from(opened):
    opened.set_cell(DIAPHRAGM, TO, "20,5")
    expected = json.loads(json.dumps(PRESET))
    expected["motion"]["usual_mm"]["high"] = 20.5
    assert opened.ranges() == expected
    assert opened.cells(opened.ui.rangeTable)[DIAPHRAGM][TO] == "20.5"
    assert opened.ui.rangeTable.item(DIAPHRAGM, TO).font().bold()
    opened.ui.drawButton.click()
    assert opened.asked_for()["ranges"] == expected


def test_kinds_of_numbers_keep_their_kind(opened):
    import qt

    opened.set_cell(UNEVEN, FROM, "1 2 3")
    opened.set_cell(NODES, FROM, "4")
    opened.set_cell(MIRRORED, FROM, "0.25")
    opened.ui.rangeTable.item(EXACT, FROM).setCheckState(qt.Qt.Unchecked)
    motion = opened.ranges()["motion"]
    assert (motion["uneven_mm"], motion["nodes"], motion["exact"]) == ([1.0, 2.0, 3.0], 4, False)
    assert isinstance(motion["nodes"], int) and opened.ranges()["framing"]["mirrored"] == 0.25


@pytest.mark.parametrize(
    ("row", "column", "text", "words"),
    [
        (ZOOM, FROM, "wide", "takes a number"),
        (ZOOM, FROM, "", "takes a number"),
        (ZOOM, FROM, "nan", "takes a number"),
        (ZOOM, FROM, "-1", "from 0.2 to 5"),
        (MIRRORED, FROM, "1.5", "from 0 to 1"),
        (UNEVEN, FROM, "1 2", "three numbers"),
        (NODES, FROM, "4.5", "whole number"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_and_changes_nothing(opened, row, column, text, words):
    before = opened.cells(opened.ui.rangeTable)
    opened.set_cell(row, column, text)
    assert words in opened.ui.rangeLabel.text
    assert opened.cells(opened.ui.rangeTable) == before and opened.parameters.ranges == ""


def test_the_other_end_follows_where_it_would_be_passed(opened):
    opened.set_cell(DIAPHRAGM, FROM, "50")
    assert opened.ranges()["motion"]["usual_mm"] == {"low": 50.0, "high": 50.0}
    assert opened.cells(opened.ui.rangeTable)[DIAPHRAGM][2:] == ["50", "50"]
    assert "upper end is now 50" in opened.ui.rangeLabel.text
    opened.set_cell(DIAPHRAGM, TO, "60")
    assert opened.ranges()["motion"]["usual_mm"] == {"low": 50.0, "high": 60.0} and opened.ui.rangeLabel.text == ""


def test_back_to_the_preset_forgets_all_changes(opened):
    opened.set_cell(ZOOM, FROM, "1")
    opened.set_cell(NODES, FROM, "3")
    opened.ui.resetRangesButton.click()
    assert opened.parameters.ranges == "" and opened.cells(opened.ui.rangeTable)[ZOOM][FROM] == "0.85"
    assert not opened.ui.resetRangesButton.enabled


def test_changing_a_number_back_is_no_change(opened):
    opened.set_cell(ZOOM, FROM, "1")
    opened.set_cell(ZOOM, FROM, "0.85")
    assert opened.parameters.ranges == ""


def test_changes_of_one_motion_are_not_used_for_another(opened):
    opened.set_cell(ZOOM, FROM, "1")
    kept = opened.parameters.ranges
    opened.parameters.preset = "eppenhof2018"
    assert opened.ui.rangeTable.rowCount == 3 and opened.cells(opened.ui.rangeTable)[ZOOM][FROM] == "0.85"
    opened.ui.drawButton.click()
    assert opened.asked_for()["ranges"] is None
    opened.parameters.preset = "breathing"
    assert opened.parameters.ranges == kept and opened.cells(opened.ui.rangeTable)[ZOOM][FROM] == "1"


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "breathing"}',
        json.dumps({**PRESET, "framing": {"zoom": {"low": 9, "high": 1}, "mirrored": 0.5}}),
        json.dumps({**PRESET, "motion": {**PRESET["motion"], "exact": "maybe"}}),
    ],
)
def test_ranges_of_another_version_are_told_and_not_shown(opened, text):
    opened.parameters.ranges = text
    assert "another version" in opened.ui.rangeLabel.text
    assert opened.cells(opened.ui.rangeTable)[ZOOM][FROM] == "0.85"
    opened.ui.resetRangesButton.click()
    assert opened.parameters.ranges == "" and opened.ui.rangeLabel.text == ""


def test_a_motion_of_another_version_empties_the_table(opened):
    opened.parameters.preset = "tides"
    assert opened.ui.rangeTable.rowCount == 0
    assert "tides" in opened.ui.presetDescriptionLabel.text


def test_the_catalogue_of_the_case_has_the_form_of_the_real_one():
    from DeepRegTrainLib.preset_form import catalogue

    real = catalogue()["breathing"]
    assert set(real) == set(CATALOGUE["breathing"]) and set(real["rows"][0]) == set(CATALOGUE["breathing"]["rows"][0])
    assert set(real["preset"]) == set(PRESET)
