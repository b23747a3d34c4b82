"""A real pair through the panel with a real process: the same errors as from the command line, and a window that never
stands still."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SAME_ERROR_MM = 0.01
LONGEST_GAP_S = 0.1
"""A window that answers within a tenth of a second feels immediate."""
TICK_MS = 5
LANDMARKS = 51
WHOLE_RUN_S = 120
"""Very slow and busy machines included."""


@pytest.mark.data
def test_a_real_pair_from_two_nodes_to_landmark_table(widget, spin, host, data_folder: Path, tmp_path) -> None:
    import qt
    from DeepRegSlicer.parameters import Quality

    folder = data_folder / "lung_followup"
    widget.panel.inputs.load_pair(folder)
    spin(lambda: widget._parameterNode.movingLandmarks is not None, WHOLE_RUN_S)
    parameters = widget._parameterNode
    assert parameters.fixedVolume and parameters.movingVolume and parameters.fixedRegion
    parameters.quality = Quality.FAST

    ticks = []
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.perf_counter()))
    timer.start(TICK_MS)
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running, WHOLE_RUN_S)
    timer.stop()
    assert "Mean landmark error" in widget.ui.statusLabel.text
    gaps = np.diff(ticks)
    assert len(gaps) > 100 and np.quantile(gaps, 0.99) < LONGEST_GAP_S

    parameters.showGrid = True
    table = widget.ui.landmarkTable

    def errors_shown() -> list[float]:
        """The column "After", which is filled piece by piece; distances are never negative, other columns are."""
        titles = [table.horizontalHeaderItem(column).text().split()[0] for column in range(table.columnCount)]
        if "After" not in titles or table.rowCount != LANDMARKS:
            return []
        return sorted(float(table.item(row, titles.index("After")).text()) for row in range(LANDMARKS))

    spin(lambda: errors_shown() and errors_shown()[0] >= 0, 20)
    errors = errors_shown()
    words = ["register", "--pair", str(folder), "--quality", "fast", "--output", str(tmp_path), "--json"]
    answer = subprocess.check_output([sys.executable, "-m", "DeepRegLib.cli", *words], timeout=WHOLE_RUN_S)
    expected = json.loads(answer)["landmarks"]["after"]
    assert np.mean(errors) == pytest.approx(expected["mean_mm"], abs=SAME_ERROR_MM)
    assert np.median(errors) == pytest.approx(expected["median_mm"], abs=SAME_ERROR_MM)
    assert errors[-1] == pytest.approx(expected["max_mm"], abs=SAME_ERROR_MM)
    assert (
        parameters.outputWarped.GetImageData().GetDimensions() == parameters.fixedVolume.GetImageData().GetDimensions()
    )


def test_cancel_ends_the_real_process_within_a_second(widget, pair, spin) -> None:
    from DeepRegLib.phantom import make_phantom
    from DeepRegSlicer.nodes import add_volume

    phantom = make_phantom((128, 96, 96), seed=2)
    import slicer

    widget._parameterNode.fixedVolume = add_volume(slicer.mrmlScene, phantom.fixed, "fixed")
    widget._parameterNode.movingVolume = add_volume(slicer.mrmlScene, phantom.moving, "moving")
    widget.ui.registerButton.click()
    spin(lambda: "Aligning" in widget.ui.statusLabel.text or "Refining" in widget.ui.statusLabel.text, WHOLE_RUN_S)
    start = time.perf_counter()
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running, 5)
    assert time.perf_counter() - start < 1.0
    assert "Cancelled" in widget.ui.statusLabel.text
