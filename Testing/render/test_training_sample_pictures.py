"""The last sample of a run as 3D Slicer's own displayable managers draw it: the grid of a level only on demand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")
pytest.importorskip("PySide6", reason="needs Qt: pip install PySide6-Essentials")

import slicer_host.i18n
import torch
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from DeepRegTrainLib.pairs import PairGenerator, Phantoms, preset
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.sample import write_sample
from DeepRegTrainLib.trainable.interface import LevelEstimate
from offscreen import SliceView, changed, keep_picture, with_views

SLICES = ("Red", "Green", "Yellow")
ALPHAS = (0.4, 0.6)
WAVE_MM = 6.0


class _Motions:
    """Of one person who breathes: the true one, and what two levels could have found of it."""

    def __init__(self) -> None:
        person = Phantoms(count=1, spacing_mm=5.0)
        self.pair = PairGenerator(person, preset("breathing"), 48, None, seed=4).draw(0)
        waves = torch.zeros_like(self.pair.displacement)
        waves[:, 2] = WAVE_MM / self.pair.spacing_mm[2] * torch.sin(torch.arange(48) / 3)
        fields = (0.5 * self.pair.displacement, self.pair.displacement + waves)
        self.levels = [
            LevelEstimate(f"level {number} of 5", alpha, field)
            for number, alpha, field in zip((2, 3), ALPHAS, fields, strict=True)
        ]
        self.found = ALPHAS[0] * fields[0] + ALPHAS[1] * fields[1]


class Desk:
    """The sample of a run in ``run``, shown in three views."""

    def __init__(self, standalone: StandaloneScene, run: Path) -> None:
        from DeepRegSlicer.training.sample_pair import add_sample_in_steps

        motions = _Motions()
        write_sample(RunFolder(run), 500, motions.pair, motions.found, motions.levels)
        with_views(standalone)
        self.views = {name: SliceView(standalone, name) for name in SLICES}
        self.sample = finish(add_sample_in_steps(standalone.scene, run))
        for view in self.views.values():
            view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(self.sample.fixed.GetID())
            view.logic.FitSliceToBackground()

    def pictures(self) -> np.ndarray:
        """All views side by side."""
        return np.hstack([view.picture() for view in self.views.values()])

    def show_only(self, *shown) -> np.ndarray:
        """The views with these grids."""
        for node in (self.sample.true_motion, self.sample.found_motion, *self.sample.levels):
            node.GetDisplayNode().SetVisibility(node in shown)
        return self.pictures()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    monkeypatch.setitem(sys.modules, "slicer.i18n", slicer_host.i18n)
    with StandaloneScene() as standalone:
        yield Desk(standalone, tmp_path)


def like(picture: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Pixels of a line in this colour."""
    return np.abs(picture.astype(int) - np.array(colour) * 255).max(-1) < 40


def test_a_sample_shows_two_grids_and_a_level_only_when_it_is_switched_on(desk: Desk, tmp_path: Path) -> None:
    from DeepRegSlicer.training.sample_pair import FOUND_COLOUR, LEVEL_COLOURS, TRUE_COLOUR

    first = desk.pictures()
    keep_picture(first, "training-sample", tmp_path)
    for colour, is_seen in ((TRUE_COLOUR, True), (FOUND_COLOUR, True), (LEVEL_COLOURS[0], False)):
        assert (like(first, colour).mean() > 0.01) == is_seen
    coarse, fine = desk.sample.levels
    bare, with_coarse, with_fine = desk.show_only(), desk.show_only(coarse), desk.show_only(fine)
    keep_picture(np.vstack([with_coarse, with_fine]), "training-sample-levels", tmp_path)
    for picture, colour in ((with_coarse, LEVEL_COLOURS[0]), (with_fine, LEVEL_COLOURS[1])):
        for seen, without in zip(np.split(picture, 3, axis=1), np.split(bare, 3, axis=1), strict=True):
            assert like(seen, colour)[changed(seen, without)].mean() > 0.01
            assert 0.01 < changed(seen, without).mean() < 0.4
    assert changed(with_coarse, with_fine).mean() > 0.02
    together = desk.show_only(desk.sample.true_motion, desk.sample.found_motion, coarse, fine)
    keep_picture(together, "training-sample-all", tmp_path)
    assert not changed(desk.show_only(), bare).any()
