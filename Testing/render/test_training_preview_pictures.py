"""A training pair as 3D Slicer's own displayable managers draw it: it changes the views while it is shown, and only
then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegSlicer import nodes
from DeepRegSlicer.colour_tables import LINE_COLOURS
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from DeepRegSlicer.training.pair_folder import PreviewPair
from DeepRegSlicer.training.preview_display import PreviewDisplay
from offscreen import SliceView, changed, keep_picture, with_views

GRID = Geometry((40, 36, 32), (3.0, 3.0, 3.0), (-58.5, -52.5, -46.5))
USERS = Geometry((30, 30, 30), (2.0, 2.0, 2.0), (500.0, 300.0, -900.0))
"""Somewhere else, as scans are."""
SLICES = ("Red", "Green", "Yellow")


def pair(shift_mm: float) -> PreviewPair:
    """A dark box in a bright one, bent to the side; the moving one is shifted up."""
    x, y, z = np.moveaxis(GRID.points(), -1, 0)
    images = []
    for moved in (0.0, shift_mm):
        inside = (np.abs(x) < 30) & (np.abs(y) < 26) & (np.abs(z - moved) < 22)
        images.append(Volume(np.where(inside, -850, 40).astype(np.float32), GRID))
    vectors = np.stack([5 * np.sin(z / 12), np.zeros_like(z), np.full_like(z, shift_mm)], -1).astype(np.float32)
    return PreviewPair(*images, DisplacementField(vectors, GRID), {}, 100.0, {})


class Desk:
    """A user's volume in three views, and the display of pairs."""

    def __init__(self, standalone: StandaloneScene) -> None:
        with_views(standalone)
        self.scene = standalone.scene
        self.views = {name: SliceView(standalone, name) for name in SLICES}
        array = np.random.default_rng(0).normal(0, 300, USERS.shape).astype(np.int16)
        self.users = nodes.add_volume(self.scene, Volume(array, USERS), "of the user")
        for view in self.views.values():
            view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(self.users.GetID())
            view.logic.FitSliceToBackground()
        self.display = PreviewDisplay(self.scene, standalone.application_logic)

    def show(self, shift_mm: float = 9.0, fade: float = 0.0, with_grid: bool = False) -> None:
        finish(self.display.fill_in_steps(pair(shift_mm)))
        self.display.show(fade, with_grid)

    def pictures(self) -> np.ndarray:
        """All views side by side."""
        return np.hstack([view.picture() for view in self.views.values()])


@pytest.fixture
def desk() -> Iterator[Desk]:
    with StandaloneScene() as standalone:
        desk = Desk(standalone)
        yield desk
        desk.display.forget()


def share(one: np.ndarray, other: np.ndarray) -> float:
    return float(changed(one, other).mean())


def names(desk: Desk) -> set[str]:
    found = desk.scene.GetNodes()
    return {found.GetItemAsObject(k).GetName() for k in range(found.GetNumberOfItems())}


def test_a_pair_fills_all_views_wherever_they_looked(desk: Desk, tmp_path: Path) -> None:
    before = desk.pictures()
    desk.show(with_grid=True)
    after = desk.pictures()
    keep_picture(after, "training-pair", tmp_path)
    for seen, former in zip(np.split(after, 3, axis=1), np.split(before, 3, axis=1), strict=True):
        assert share(seen, former) > 0.3
        # Dark lung in the middle, soft tissue around it, in CT's lung window.
        middle = seen[200:300, 200:300].mean()
        assert middle < 110 and np.median(seen) > middle


def test_fading_shows_the_other_image(desk: Desk) -> None:
    desk.show()
    fixed = desk.pictures()
    desk.display.set_fade(1.0)
    moving = desk.pictures()
    assert share(fixed, moving) > 0.02
    red, green, _ = (changed(a, b) for a, b in zip(np.split(fixed, 3, 1), np.split(moving, 3, 1), strict=True))
    assert green.mean() > 10 * red.mean()  # a shift upwards is seen from the front, not in the middle axial slice


def test_the_grid_is_drawn_in_colour_and_only_on_demand(desk: Desk) -> None:
    desk.show()
    without = desk.pictures()
    assert np.ptp(without.astype(int), axis=-1).max() < 40
    desk.display.show_grid(True)
    with_grid = desk.pictures()
    coloured = np.ptp(with_grid.astype(int), axis=-1) > 60
    assert all(0.02 < part.mean() < 0.4 for part in np.split(coloured, 3, axis=1))
    desk.display.show_grid(False)
    assert share(desk.pictures(), without) == 0


def test_the_next_pair_replaces_the_first(desk: Desk) -> None:
    desk.show(shift_mm=9.0, fade=1.0)
    first = desk.pictures()
    desk.show(shift_mm=-12.0, fade=1.0)
    assert share(desk.pictures(), first) > 0.02
    assert desk.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3


def test_the_views_come_back_as_they_were(desk: Desk) -> None:
    before = [view.logic.GetSliceCompositeNode().GetBackgroundVolumeID() for view in desk.views.values()]
    nodes_before = names(desk)
    desk.show(with_grid=True)
    desk.display.remove()
    after = [view.logic.GetSliceCompositeNode().GetBackgroundVolumeID() for view in desk.views.values()]
    assert after == before
    assert np.ptp(desk.pictures().astype(int), axis=-1).max() < 40
    assert names(desk) - nodes_before <= {LINE_COLOURS}  # which the review of registrations may be showing, too
