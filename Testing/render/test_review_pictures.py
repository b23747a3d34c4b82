"""The review as 3D Slicer's own displayable managers draw it: each thing changes the pixels that it should, only while
it is on, and the views come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


import vtk
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import make_phantom
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.warp import warp_volume
from DeepRegSlicer import nodes
from DeepRegSlicer.deformation_display import ARROWS, CONTOURS, GRID, WAYS
from DeepRegSlicer.linked_crosshair import LAYOUT, MOVING_VIEWS, layout_description
from DeepRegSlicer.result_marks import WARPED
from DeepRegSlicer.review import (
    CHECKERBOARD,
    DIFFERENCE,
    DISPLACEMENT,
    FADE,
    FLICKER,
    JACOBIAN,
    Review,
    ReviewNumbers,
    ReviewWish,
)
from DeepRegSlicer.review_pair import ReviewPair, pair_of
from DeepRegSlicer.scene import StandaloneScene
from offscreen import VIEW_PIXELS, SliceView, ThreeDView, changed, keep_picture, with_views

SLICES = ("Red", "Green", "Yellow")
QUIET = 0.002
"""Less than this share of the pixels is noise of the renderer."""


class Desk:
    """A registered pair in a scene with three slice views and a 3-D view, and its review."""

    def __init__(self, standalone: StandaloneScene, fixed: Volume, moving: Volume, field: DisplacementField) -> None:
        scene = standalone.scene
        with_views(standalone)
        self.scene = scene
        transform = nodes.add_transform(scene, field, "T")
        nodes.record_images(
            transform, nodes.add_volume(scene, fixed, "fixed"), nodes.add_volume(scene, moving, "moving")
        )
        warped = warp_volume(moving, field, fixed.geometry)
        transform.SetNodeReferenceID(WARPED, nodes.add_volume(scene, warped, "warped").GetID())
        self.pair: ReviewPair = pair_of(transform)
        self.views = {name: SliceView(standalone, name) for name in SLICES}
        self.three_d = ThreeDView(standalone)
        self.three_d.look_at(self.pair.fixed)
        self.numbers: ReviewNumbers | None = None
        self._later: list[Callable[[], None]] = []
        self.review = Review(
            scene,
            standalone.application_logic,
            self._later.append,
            self._keep_numbers,
            self._fail,
            lambda overlay, shift: f"{overlay} {shift:.0f} mm",
        )

    def show(self, **wish) -> None:
        self.review.show(ReviewWish(**({"pair": self.pair, "fade": 0.0} | wish)))
        while self._later:
            self._later.pop(0)()

    def slices(self) -> np.ndarray:
        """The three slice views side by side."""
        return np.concatenate([view.picture() for view in self.views.values()], axis=1)

    def _keep_numbers(self, numbers: ReviewNumbers | None) -> None:
        self.numbers = numbers

    def _fail(self, error: Exception) -> None:
        raise error


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((80, 64, 72), seed=2)


@pytest.fixture(scope="module")
def phantom_desk(phantom) -> Iterator[Desk]:
    with StandaloneScene() as standalone:
        yield Desk(standalone, phantom.fixed, phantom.moving, phantom.field)


@pytest.fixture
def desk(phantom_desk) -> Iterator[Desk]:
    """The phantom, with the review that a test has asked for ended behind it."""
    yield phantom_desk
    phantom_desk.review.end()


def inside_views(pixels: np.ndarray) -> list[float]:
    """The share of changed pixels in each of the three views."""
    return [float(part.mean()) for part in np.split(pixels, 3, axis=1)]


def test_the_fade_goes_from_the_fixed_to_the_warped_image(desk, tmp_path):
    desk.show(fade=0.0)
    fixed = desk.slices()
    desk.show(fade=1.0)
    warped = desk.slices()
    desk.show(fade=1.0, before=True)
    before = desk.slices()
    keep_picture(before, "fade_before", tmp_path)
    assert changed(fixed, warped).mean() < 0.5 * changed(fixed, before).mean()
    assert changed(fixed, before).mean() > 0.02


def test_the_moving_image_under_the_transform_looks_as_the_warped_one(desk):
    desk.show(fade=1.0)
    warped = desk.slices()
    desk.show(pair=replace(desk.pair, warped=None), fade=1.0)
    assert changed(desk.slices(), warped).mean() < 0.02


def test_flicker_shows_one_image_and_then_the_other(desk):
    desk.show(fade=0.0)
    fixed = desk.slices()
    desk.show(comparison=FLICKER, before=True)
    other = desk.slices()
    desk.review.flicker()
    assert changed(desk.slices(), fixed).mean() < QUIET
    desk.review.flicker()
    assert changed(desk.slices(), other).mean() < QUIET
    assert changed(fixed, other).mean() > 0.02


def test_the_checkerboard_takes_half_of_each_image(desk, tmp_path):
    desk.show(fade=0.0)
    fixed = desk.slices()
    desk.show(fade=1.0, before=True)
    moving = desk.slices()
    desk.show(comparison=CHECKERBOARD, before=True)
    board = desk.slices()
    keep_picture(board, "checkerboard_before", tmp_path)
    differing = changed(fixed, moving)
    like_fixed = ~changed(board, fixed) & differing
    like_moving = ~changed(board, moving) & differing
    assert 0.25 < like_fixed.sum() / differing.sum() < 0.75
    assert 0.25 < like_moving.sum() / differing.sum() < 0.75


def test_the_difference_lights_up_before_and_is_dark_after(desk, tmp_path):
    desk.show(comparison=DIFFERENCE, before=True)
    before = desk.slices()
    desk.show(comparison=DIFFERENCE)
    after = desk.slices()
    keep_picture(np.concatenate([before, after]), "difference", tmp_path)
    coloured = [(np.ptp(picture.astype(int), axis=-1) > 60).mean() for picture in (before, after)]
    assert coloured[0] > 0.05
    assert coloured[1] < 0.5 * coloured[0]


@pytest.mark.parametrize("way", WAYS)
def test_lines_are_drawn_over_every_slice_and_go_again(desk, way, tmp_path):
    desk.show()
    plain = desk.slices()
    desk.show(ways=frozenset({way}))
    drawn = desk.slices()
    keep_picture(drawn, way, tmp_path)
    for share in inside_views(changed(drawn, plain)):
        assert 0.003 < share < 0.3
    desk.show()
    assert changed(desk.slices(), plain).mean() < QUIET


def test_lines_can_be_drawn_together(desk):
    pictures = {}
    for ways in ((), (GRID,), (ARROWS,), (GRID, ARROWS)):
        desk.show(ways=frozenset(ways))
        pictures[ways] = desk.slices()
    lines = {ways: changed(picture, pictures[()]) for ways, picture in pictures.items()}
    both = lines[(GRID,)] | lines[(ARROWS,)]
    assert (lines[(GRID, ARROWS)] & both).sum() > 0.9 * both.sum()


@pytest.mark.parametrize("way", WAYS)
def test_in_3d_they_are_drawn_only_when_asked(desk, way, tmp_path):
    desk.show(ways=frozenset({way}))
    without = desk.three_d.picture()
    desk.show(ways=frozenset({way}), in_3d=True)
    drawn = desk.three_d.picture()
    keep_picture(drawn, f"{way}_3d", tmp_path)
    assert changed(drawn, without).mean() > 0.02
    desk.show(in_3d=True)
    assert changed(desk.three_d.picture(), without).mean() < QUIET


@pytest.mark.parametrize("overlay", [DISPLACEMENT, JACOBIAN])
def test_an_overlay_colours_the_image_and_brings_its_legend(desk, overlay, tmp_path):
    desk.show()
    plain = desk.slices()
    desk.show(overlay=overlay)
    painted = desk.slices()
    keep_picture(painted, overlay, tmp_path)
    for share in inside_views(changed(painted, plain)):
        assert share > 0.2
    legend = desk.scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode")
    legend.SetVisibility(False)
    bar = changed(desk.slices(), painted)
    for part in np.split(bar, 3, axis=1):
        columns = np.nonzero(part)[1]
        assert columns.min() > 0.4 * part.shape[1]  # at the right edge, out of the way
        assert 0.003 < part.mean() < 0.1
    desk.show()
    assert changed(desk.slices(), plain).mean() < QUIET


def test_the_overlay_lies_over_a_comparison(desk):
    desk.show(comparison=CHECKERBOARD)
    board = desk.slices()
    desk.show(comparison=CHECKERBOARD, overlay=DISPLACEMENT)
    assert changed(desk.slices(), board).mean() > 0.2
    desk.show(comparison=CHECKERBOARD)
    assert changed(desk.slices(), board).mean() < QUIET


def test_folding_is_marked_in_magenta(phantom, tmp_path):
    field = phantom.field.array.copy()
    middle = [n // 2 for n in phantom.field.geometry.shape]
    field[middle[0], middle[1], middle[2] - 1 : middle[2] + 2, 0] += np.array([12.0, 0.0, -12.0])
    with StandaloneScene() as standalone:
        desk = Desk(standalone, phantom.fixed, phantom.moving, DisplacementField(field, phantom.field.geometry))
        desk.show()
        plain = desk.slices()
        desk.show(folding=True)
        marked = desk.slices()
        keep_picture(marked, "folding", tmp_path)
        assert desk.numbers.folded_voxels > 0
        pixels = marked[changed(marked, plain)]
        assert len(pixels) > 10
        assert ((pixels[:, 0] > 200) & (pixels[:, 1] < 60) & (pixels[:, 2] > 200)).mean() > 0.8


def test_the_second_row_shows_the_moving_image_with_a_mark_at_the_same_place(phantom, tmp_path):
    with StandaloneScene() as standalone:
        desk = Desk(standalone, phantom.fixed, phantom.moving, phantom.field)
        layout = desk.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        layout.AddLayoutDescription(LAYOUT, layout_description())
        layout.SetViewArrangement(LAYOUT)  # the application makes the views then
        row = {name: SliceView(standalone, name) for name in MOVING_VIEWS}
        desk.show(crosshair=True)
        fixed_point = phantom.fixed_landmarks[len(phantom.fixed_landmarks) // 2]
        crosshair = desk.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        crosshair.SetCrosshairRAS(*nodes.to_ras(fixed_point))
        for name in SLICES:
            desk.views[name].node.JumpSliceByOffsetting(*nodes.to_ras(fixed_point))
        pictures = [view.picture() for view in row.values()]
        keep_picture(np.concatenate([desk.slices(), np.concatenate(pictures, axis=1)]), "crosshair", tmp_path)
        there = nodes.to_ras(phantom.field.map_points(fixed_point))
        for view, picture in zip(row.values(), pictures, strict=True):
            to_pixels = vtk.vtkMatrix4x4()
            vtk.vtkMatrix4x4.Invert(view.node.GetXYToRAS(), to_pixels)
            column, row_from_below, depth = to_pixels.MultiplyPoint((*there, 1.0))[:3]
            assert abs(depth) < 1e-3  # the slice goes through T(x)
            yellow = (picture[..., 0] > 200) & (picture[..., 1] > 150) & (picture[..., 2] < 90)
            rows, columns = np.nonzero(yellow)
            assert len(rows) > 10
            assert abs(columns.mean() - column) < 3
            assert abs(VIEW_PIXELS - 1 - rows.mean() - row_from_below) < 3


def test_the_end_of_the_review_leaves_no_trace(desk):
    composite = desk.scene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(desk.pair.moving.GetID())
    plain = desk.slices()
    desk.show(comparison=DIFFERENCE, ways=frozenset(WAYS), in_3d=True, overlay=JACOBIAN, folding=True)
    assert changed(desk.slices(), plain).mean() > 0.1
    desk.review.end()
    red = slice(0, plain.shape[1] // 3)
    assert changed(desk.slices(), plain)[:, red].mean() < QUIET


@pytest.mark.data
def test_a_real_pair_is_worth_looking_at(data_folder, tmp_path):
    from DeepRegLib.registration import register

    folder: Path = data_folder / "lung_followup"
    files = [str(folder / f"{name}.mha") for name in ("fixed", "moving", "fixed_mask", "moving_mask")]
    result = register(*files[:2], quality="fast", fixed_mask=files[2], moving_mask=files[3], threads=2)
    with StandaloneScene() as standalone:
        desk = Desk(standalone, result.fixed, result.moving, result.transform)
        desk.show(comparison=DIFFERENCE, before=True)
        before = desk.slices()
        looks = {
            "fade": {"fade": 0.5},
            "checkerboard": {"comparison": CHECKERBOARD},
            "difference": {"comparison": DIFFERENCE},
            "grid": {"ways": frozenset({GRID})},
            "arrows": {"ways": frozenset({ARROWS})},
            "contours": {"ways": frozenset({CONTOURS})},
            "displacement": {"overlay": DISPLACEMENT},
            "jacobian": {"overlay": JACOBIAN},
        }
        pictures = {}
        for name, wish in looks.items():
            desk.show(**wish)
            pictures[name] = desk.slices()
            keep_picture(pictures[name], f"lung_{name}", tmp_path)
    coloured = [(np.ptp(p.astype(int), axis=-1) > 60).mean() for p in (before, pictures["difference"])]
    assert coloured[1] < 0.5 * coloured[0]
    assert FADE in pictures and desk.numbers.folded_voxels == 0
