"""The script that draws the pictures of Resources/Screenshots runs, and its pictures show what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")
pytest.importorskip("PySide6", reason="needs Qt: pip install PySide6-Essentials")

FOLDER = Path(__file__).resolve().parents[1] / "screenshots"
SMALL = """
import sys
sys.path.insert(0, sys.argv[1])
import make_screenshots
from pathlib import Path
make_screenshots.PHANTOM = {"size": (64, 48, 56)}
make_screenshots.STEPS, make_screenshots.SHOWN_AT_STEP = 40, 6
make_screenshots.main(Path(sys.argv[2]))
"""
LONG_S = 300


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The pictures (row, column, RGB) by name, of a small phantom."""
    folder = tmp_path_factory.mktemp("screenshots")
    subprocess.run([sys.executable, "-c", SMALL, str(FOLDER), str(folder)], check=True, timeout=LONG_S)
    return {path.stem: np.asarray(Image.open(path).convert("RGB"), int) for path in sorted(folder.glob("*.png"))}


def test_there_is_a_picture_for_each_that_the_extension_shows(pictures) -> None:
    shown = Path(__file__).resolve().parents[2] / "Resources" / "Screenshots"
    assert set(pictures) == {path.stem for path in shown.glob("*.png")}


def test_the_whole_window_has_a_light_panel_beside_dark_views_with_coloured_lines(pictures) -> None:
    window = pictures["DeepReg"]
    assert window.shape == (1000, 1600, 3)
    panel, coronal = window[:, :400], window[520:, 410:980]
    assert np.median(panel) > 220
    coloured = np.ptp(coronal, axis=-1) > 40
    assert 0.03 < coloured.mean() < 0.4
    assert np.median(coronal[~coloured]) < 200


def test_the_review_shows_four_different_pictures_of_one_slice(pictures) -> None:
    row = pictures["DeepReg-review"][:390]
    before, after, grid, colours = (row[:, left : left + 420] for left in range(0, 4 * 424, 424))
    assert (np.abs(before - after).max(-1) > 30).mean() > 0.02
    assert (np.ptp(after, axis=-1) > 40).mean() < 0.001 < 0.03 < (np.ptp(grid, axis=-1) > 40).mean()
    assert (np.ptp(colours, axis=-1) > 40).mean() > 0.3


def test_the_error_arrows_shrink_from_before_to_after(pictures) -> None:
    picture = pictures["DeepReg-landmarks"]
    before, after = picture[:, 404:904], picture[:, 908:]
    coloured = [int((np.ptp(view, axis=-1) > 40).sum()) for view in (before, after)]
    assert coloured[0] > 50 and coloured[1] < 0.5 * coloured[0]


def test_the_training_has_a_light_panel_beside_a_pair_with_two_grids_and_two_charts(pictures) -> None:
    window = pictures["DeepRegTrain"]
    panel, coronal, errors = window[:, :400], window[:332, 740:1072], window[340:, 404:904]
    assert np.median(panel) > 220
    lines = (coronal, (70, 225, 235)), (coronal, (245, 165, 35)), (errors, (31, 107, 204)), (errors, (230, 115, 0))
    for part, colour in lines:
        assert (np.abs(part - colour).max(-1) < 50).sum() > 50, colour
    assert np.median(errors) > 240
