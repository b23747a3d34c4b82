"""The written scene as 3D Slicer's own displayable managers draw it, without a screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.scene_file import write_scene
from offscreen import VIEW_PIXELS, SliceView, changed

SHIFT_MM = np.array([6.0, -25.0, 14.0])
"""How the patient lay differently for the moving image."""
GRID = Geometry((40, 36, 30), (2.0, 2.0, 3.0), (-50.0, 30.0, -900.0))
SLICES = ("Red", "Green", "Yellow")


@dataclass
class Pair:
    fixed: Volume
    moving: Volume
    warped: Volume | None
    transform: DisplacementField
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None


def ball_with_mark() -> np.ndarray:
    """A grey ball with a bright block on its left, front and upper side (x is left, y is back, z is up in LPS)."""
    z, y, x = (2 * np.arange(n) / (n - 1) - 1 for n in GRID.shape)
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    ball = 100.0 * (x**2 + y**2 + z**2 < 0.9)
    ball[(np.abs(x) < 0.7) & (x > -0.1) & (y < 0.1) & (y > -0.7) & (z > -0.1) & (z < 0.7)] = 255
    return ball.astype(np.float32)


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory) -> Path:
    """A pair that differs by a shift and a bend of up to 4 mm that is only in the field's plane of the axial slice."""
    moved = replace(GRID, origin=tuple(np.array(GRID.origin) + SHIFT_MM))
    points = GRID.points()
    bend = np.zeros_like(points)
    bend[..., 0] = 4 * np.sin((points[..., 1] - GRID.centre[1]) / 8)
    centre = GRID.centre[None]
    pair = Pair(
        Volume(ball_with_mark(), GRID),
        Volume(ball_with_mark(), moved),
        None,
        DisplacementField((bend + SHIFT_MM).astype(np.float32), GRID),
        Landmarks(centre + np.array([10.0, 0.0, 0.0]), ("L1",)),
        Landmarks(centre + SHIFT_MM + np.array([0.0, 10.0, 0.0]), ("L1",)),
    )
    path = tmp_path_factory.mktemp("scene") / "pair.mrb"
    write_scene(path, pair)
    return path


@pytest.fixture
def standalone(scene_path):
    with StandaloneScene() as standalone:
        standalone.read(scene_path)
        yield standalone


def hide(standalone: StandaloneScene, *names: str) -> None:
    for name in names:
        standalone.scene.GetFirstNodeByName(name).GetDisplayNode().SetVisibility(False)


def show_only(standalone: StandaloneScene, foreground_opacity: float) -> None:
    """No grid, landmarks and crosshair; the moving image at ``foreground_opacity`` over the fixed one."""
    hide(standalone, "deformation grid", "fixed landmarks", "moving landmarks")
    crosshair = standalone.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairMode(crosshair.NoCrosshair)
    for name in SLICES:
        standalone.scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode").SetForegroundOpacity(foreground_opacity)


@pytest.mark.parametrize("name", SLICES)
def test_the_grid_is_drawn_over_the_image_and_goes_with_its_switch(standalone, name):
    view = SliceView(standalone, name)
    with_grid = view.picture()
    hide(standalone, "deformation grid")
    lines = changed(with_grid, view.picture())
    assert 0.02 < lines.mean() < 0.3  # lines, neither nothing nor a filled area
    for rows in np.array_split(lines, 4):
        for part in np.array_split(rows, 4, axis=1):
            assert part.any()  # all over the view


def test_the_bend_is_seen_in_the_grid(standalone):
    hide(standalone, "fixed landmarks", "moving landmarks")
    view = SliceView(standalone, "Red")
    with_grid = view.picture()
    hide(standalone, "deformation grid")
    lines = changed(with_grid, view.picture())
    part = slice(100, 400), slice(50, 450)
    straightest_column = (lines | np.roll(lines, 1, axis=1))[part].mean(0).max()  # two pixels wide: the rigid motion
    straightest_row = (lines | np.roll(lines, 1, axis=0))[part].mean(1).max()  # that is taken out turns by 0.3 degrees
    assert straightest_row > 0.8  # the bend leaves lines across the body where they are ...
    assert straightest_column < 0.7  # ... and winds those that run from front to back


@pytest.mark.parametrize("name", ["Red", "Green"])
def test_the_image_is_the_right_way_up(standalone, name):
    """Patient's left on the right of the picture; front (axial) and head (coronal) at its top."""
    show_only(standalone, 0.0)
    picture = SliceView(standalone, name).picture()[..., 0].astype(int)
    rows, columns = np.nonzero(picture > 200)
    middle = VIEW_PIXELS / 2
    assert len(rows) > 1000
    assert columns.mean() > middle + 30
    assert rows.mean() < middle - 30


@pytest.mark.parametrize("name", SLICES)
def test_the_view_is_centred_on_the_image_and_filled_by_it(standalone, name):
    show_only(standalone, 0.0)
    rows, columns = np.nonzero(SliceView(standalone, name).picture()[..., 0] > 30)
    for seen in (rows, columns):
        assert abs((seen.min() + seen.max()) / 2 - VIEW_PIXELS / 2) < 25
    assert max(np.ptp(rows), np.ptp(columns)) > 0.7 * VIEW_PIXELS


def test_the_moving_image_appears_where_the_fixed_one_is(standalone):
    """The moving image is the fixed one shifted by 29 mm; the transform takes that back and adds the bend of 4 mm."""
    show_only(standalone, 0.0)
    view = SliceView(standalone, "Red")
    fixed = view.picture()
    show_only(standalone, 1.0)
    warped = view.picture()
    standalone.scene.GetFirstNodeByName("moving").SetAndObserveTransformNodeID(None)
    unmoved = view.picture()
    assert changed(fixed, warped).mean() < 0.10
    assert changed(fixed, unmoved).mean() > 2 * changed(fixed, warped).mean()


def test_fixed_landmarks_are_red_and_moving_ones_green(standalone):
    hide(standalone, "deformation grid")
    view = SliceView(standalone, "Red")
    view.logic.SetSliceOffset(GRID.centre[2])
    picture = view.picture().astype(int)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    assert ((red > 180) & (green < 80) & (blue < 80)).sum() > 30
    assert ((green > 150) & (red < 80) & (blue < 80)).sum() > 30
