"""Landmark errors as arrows, drawn by 3D Slicer's own displayable managers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.phantom import make_phantom
from DeepRegSlicer import nodes
from DeepRegSlicer.landmark_display import ErrorArrows, arrows_of
from DeepRegSlicer.landmark_table import LandmarkErrors, landmark_errors_in_steps
from DeepRegSlicer.result import FIXED_COLOUR, MOVING_COLOUR
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from offscreen import VIEW_PIXELS, SliceView, ThreeDView, changed, keep_picture, with_views

OUTLIER_MM = np.array([-14.0, -3.0, 10.0])
"""What is added to one moving landmark, LPS: 14 mm to the right, 3 mm to the front, 10 mm up."""
RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def pair():
    return make_phantom(size=(80, 64, 72), seed=2)


class Shown:
    """The phantom with the true field and noisy landmarks, in a scene with the views of the application."""

    def __init__(self, standalone: StandaloneScene, pair) -> None:
        scene = standalone.scene
        with_views(standalone)
        rng = np.random.default_rng(4)
        self.standalone, self.scene = standalone, scene
        moving = pair.moving_landmarks + rng.normal(0, 1.2, pair.moving_landmarks.shape)
        self.outlier = int(np.argmin(np.linalg.norm(pair.fixed_landmarks - pair.fixed_landmarks.mean(0), axis=1)))
        moving[self.outlier] += OUTLIER_MM
        self.fixed_image = nodes.add_volume(scene, pair.fixed, "fixed")
        self.transform = nodes.add_transform(scene, pair.field, "result")
        self.fixed = nodes.add_landmarks(scene, Landmarks(pair.fixed_landmarks), "fixed points", FIXED_COLOUR)
        self.moving = nodes.add_landmarks(scene, Landmarks(moving), "moving points", MOVING_COLOUR)
        self.moving.SetAndObserveTransformNodeID(self.transform.GetID())
        self.errors = finish(landmark_errors_in_steps(self.fixed, self.moving, self.transform))
        self.arrows = ErrorArrows(scene)

    def show(self) -> None:
        self.arrows.show(arrows_of(self.errors, self.transform, self.fixed_image))

    def hide_points(self) -> None:
        for points in (self.fixed, self.moving):
            points.GetDisplayNode().SetVisibility(False)

    def slice_through(self, name: str, place: np.ndarray) -> SliceView:
        """A view of the fixed image in the slice through ``place`` (RAS mm)."""
        view = SliceView(self.standalone, name)
        view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(self.fixed_image.GetID())
        view.logic.FitSliceToVolume(self.fixed_image, VIEW_PIXELS, VIEW_PIXELS)
        view.node.JumpSliceByOffsetting(*place)
        return view

    @property
    def ends(self) -> np.ndarray:
        """Both ends of the outlier's arrow, RAS mm: where its moving landmark is seen, and its fixed landmark."""
        start = np.array(self.moving.GetNthControlPointPositionWorld(self.outlier))
        return np.array([start, self.fixed.GetNthControlPointPositionWorld(self.outlier)])


@pytest.fixture
def shown(pair):
    with StandaloneScene() as standalone:
        yield Shown(standalone, pair)


def pixels(view: SliceView, places: np.ndarray) -> np.ndarray:
    """Row and column (n, 2) of RAS points in the picture."""
    to_xy = np.linalg.inv(np.array(view.node.GetXYToRAS().GetData()).reshape(4, 4))
    x, y = (places @ to_xy[:2, :3].T + to_xy[:2, 3]).T
    return np.stack([VIEW_PIXELS - 1 - y, x], axis=1)


def along(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Pixels (n, 2) on the way from one place to another, its last tenths left out."""
    share = np.linspace(0.1, 0.9, 30)[:, None]
    return np.rint(start + share * (end - start)).astype(int)


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_an_arrow_leads_from_the_moving_to_the_fixed_landmark_in_every_slice_view(shown, name, tmp_path: Path):
    view = shown.slice_through(name, shown.ends[1])
    plain = view.picture()
    shown.show()
    picture = view.picture()
    keep_picture(picture, f"landmark_errors_{name}", tmp_path)
    start, end = pixels(view, shown.ends)
    way = along(start, end)
    assert np.linalg.norm(end - start) > 10
    assert changed(plain, picture)[way[:, 0], way[:, 1]].mean() > 0.8


def test_only_arrows_near_the_slice_are_drawn(shown):
    shown.hide_points()
    below_everything = np.array([0.0, 0.0, shown.ends[1][2] - 500.0])
    view = shown.slice_through("Red", shown.ends[1])
    shown.show()
    near = view.picture()
    view.node.JumpSliceByOffsetting(*below_everything)
    far = view.picture()
    shown.arrows.hide()
    assert not changed(far, view.picture()).any()
    view.node.JumpSliceByOffsetting(*shown.ends[1])
    arrows = changed(near, view.picture())
    fixed = np.array([shown.fixed.GetNthControlPointPositionWorld(i) for i in range(len(shown.errors.pairs))])
    close = fixed[np.abs(fixed[:, 2] - shown.ends[1][2]) < 12]
    rows, columns = np.nonzero(arrows)
    assert 20 < len(rows) < 0.02 * arrows.size
    drawn = np.stack([rows, columns], axis=1)[:, None]
    distance = np.linalg.norm(drawn - pixels(view, close), axis=-1).min(1)
    assert distance.max() < 60  # pixels: no arrow is where no landmark is


def test_the_worst_landmark_is_pink_and_the_others_are_blue(shown):
    shown.hide_points()
    view = shown.slice_through("Red", shown.ends[1])
    plain = view.picture()
    shown.show()
    picture = view.picture().astype(int)
    start, end = pixels(view, shown.ends)
    rows, columns = along(start, end).T
    worst = picture[rows, columns][changed(plain, picture)[rows, columns]]
    red, green, blue = np.median(worst, axis=0)
    assert red > 200 and green < 150 and blue > 120
    best = int(np.argmin(np.where(shown.errors.current_mm > 1.5, shown.errors.current_mm, np.inf)))
    place = np.array(shown.fixed.GetNthControlPointPositionWorld(best))
    view.node.JumpSliceByOffsetting(*place)
    shown.arrows.hide()
    plain = view.picture()
    shown.show()
    picture = view.picture().astype(int)
    row, column = np.rint(pixels(view, place[None])[0]).astype(int)
    patch = (slice(row - 12, row + 13), slice(column - 12, column + 13))
    red, green, blue = np.median(picture[patch][changed(plain, picture)[patch]], axis=0)
    assert blue > 150 and blue >= green > red


def test_arrows_are_drawn_in_a_view_that_is_opened_later(shown):
    shown.hide_points()
    shown.show()
    view = slicer.vtkMRMLSliceNode()
    view.SetSingletonTag("Later")
    view.SetLayoutName("Later")
    shown.scene.AddNode(view)
    later = shown.slice_through("Later", shown.ends[1])
    with_arrows = later.picture()
    shown.arrows.hide()
    assert changed(with_arrows, later.picture()).sum() > 20


def test_the_views_of_the_unmoved_moving_image_get_no_arrows(shown):
    """The linked crosshair opens them; places of the fixed image mean nothing there."""
    view = slicer.vtkMRMLSliceNode()
    view.SetSingletonTag("DeepRegAxial")
    view.SetLayoutName("DeepRegAxial")
    shown.scene.AddNode(view)
    shown.show()
    models = [shown.scene.GetNthNodeByClass(k, "vtkMRMLModelNode") for k in range(20)]
    names = [model.GetName() for model in models if model is not None]
    assert any(name.endswith("Red") for name in names)
    assert not any(name.endswith("DeepRegAxial") for name in names)


def test_in_3d_every_landmark_has_its_arrow_and_there_is_a_legend(shown, tmp_path: Path):
    shown.hide_points()
    view = ThreeDView(shown.standalone)
    view.look_at(shown.fixed_image)
    plain = view.picture()
    shown.show()
    picture = view.picture()
    drawn = changed(plain, picture)
    left = drawn[:, : VIEW_PIXELS // 6]
    assert left.sum() > 300  # the legend
    assert drawn[:, VIEW_PIXELS // 6 :].sum() > 300
    for points in (shown.fixed, shown.moving):
        points.GetDisplayNode().SetVisibility(True)
    keep_picture(view.picture(), "landmark_errors_3d", tmp_path)


def test_before_the_registration_the_arrows_span_the_whole_way(shown, tmp_path: Path):
    shown.hide_points()
    view = ThreeDView(shown.standalone)
    view.look_at(shown.fixed_image)
    plain = view.picture()
    shown.show()
    after = changed(plain, view.picture())[:, VIEW_PIXELS // 5 :].sum()
    before = LandmarkErrors(shown.errors.pairs)
    shown.arrows.show(arrows_of(before, None, shown.fixed_image))
    picture = view.picture()
    keep_picture(picture, "landmark_distances_3d", tmp_path)
    assert changed(plain, picture)[:, VIEW_PIXELS // 5 :].sum() > 1.5 * after


def test_hidden_arrows_leave_no_node_behind(shown):
    nodes_before = shown.scene.GetNumberOfNodes()
    shown.show()
    assert shown.scene.GetNumberOfNodes() > nodes_before
    shown.arrows.hide()
    assert shown.scene.GetNumberOfNodes() == nodes_before
    assert shown.arrows.Observations == []
