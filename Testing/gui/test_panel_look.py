"""What the panel looks like: it fits into a narrow window, and what it has to say is seen."""

from __future__ import annotations

import pytest
from panel_cases import add_image, add_points, finish, run_to_the_process

NARROW_PIXELS = 400
"""The narrowest panel that people work with; a window beside it still shows the images."""
SCROLL_BAR_PIXELS = 16
SECTIONS = (
    *("inputsSection", "optionalInputsSection", "methodSection"),
    *("resultSection", "reviewSection", "landmarksSection", "advancedSection"),
)
LONG_NAME = "4: Thorax LUNG 1.25 mm b70f inspiration breath hold, contrast medium, reconstructed twice"


@pytest.fixture
def opened(widget, host):
    """The panel as the application shows it, all of its sections open."""
    host.app.setStyle("Fusion")
    for name in SECTIONS:
        getattr(widget.ui, name).collapsed = False
    widget.parent.show()
    return widget


def needed_width(widget, host) -> int:
    host.process_events()
    return widget.parent.minimumSizeHint().width() + SCROLL_BAR_PIXELS


def test_all_sections_fit_into_a_narrow_panel(opened, host) -> None:
    assert needed_width(opened, host) <= NARROW_PIXELS


def test_long_names_do_not_widen_the_panel(opened, host, process, spin) -> None:
    fixed, moving = add_image(LONG_NAME, 1), add_image(f"{LONG_NAME} (2)", 2)
    parameters = opened._parameterNode
    parameters.fixedVolume, parameters.movingVolume = fixed, moving
    parameters.fixedLandmarks, parameters.movingLandmarks = add_points(LONG_NAME, 5), add_points(f"{LONG_NAME} (2)", 5)
    finish(opened, process, spin)
    spin(lambda: opened.ui.landmarkTable.rowCount)
    opened.panel.runs.tell(
        f"Log: /data/a folder/with-a-rather-long-name-that-somebody-chose/{LONG_NAME}.txt", "details"
    )
    assert needed_width(opened, host) <= NARROW_PIXELS


def test_what_is_missing_is_read_below_the_button(widget) -> None:
    label = widget.ui.statusLabel
    assert not label.isHidden() and label.text == widget.ui.registerButton.toolTip
    widget._parameterNode.fixedVolume = add_image("inhale", 1)
    assert "moving" in label.text
    widget._parameterNode.movingVolume = add_image("exhale", 2)
    assert label.isHidden() and widget.ui.registerButton.enabled


def test_stage_and_time_left_are_seen_while_it_runs(widget, pair, process, spin) -> None:
    label = widget.ui.statusLabel
    assert label.isHidden()
    run_to_the_process(widget, process, spin)
    widget.panel.runs.show_progress(0.4, "Refining the deformation", 3.0)
    assert not label.isHidden() and label.text == "Refining the deformation... (about 3 s left)"
    widget.panel.cancel()
    assert not label.isHidden() and "Cancel" in label.text


def test_a_message_stays_beside_what_is_missing_afterwards(widget, pair, process, spin) -> None:
    finish(widget, process, spin)
    message = widget.ui.statusLabel.text
    assert message
    widget._parameterNode.movingVolume = None
    assert widget.ui.statusLabel.text == f"{message}\n{widget.ui.registerButton.toolTip}"
