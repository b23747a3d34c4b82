"""The review of a registration: told what is wanted, it brings views and nodes there, and measures on the way.

Knows the scene, not the panel. What may take long is done in steps, one job after the other; a click that only shows
or hides what is ready acts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
from DeepRegLib.errors import BadMask
from DeepRegLib.images.geometry import Geometry

from .colour_tables import TABLES
from .compare_views import CompareViews
from .compared_images import COMPARED_ROLE, checkerboard_in_steps, difference_in_steps, same_kind
from .deformation_display import build_deformation_in_steps, remove_deformation, show_deformation
from .deformation_grid import rigid_motion_of
from .field_maps import determinant_in_steps, displacement_in_steps, folding_of, rigid_shift_mm
from .job_queue import JobQueue
from .linked_crosshair import MARK_ROLES, MOVING_VIEWS, LinkedCrosshair
from .overlays import (
    FOLDING_ROLE,
    OVERLAY_ROLES,
    add_displacement_in_steps,
    add_folding_in_steps,
    add_jacobian_in_steps,
    hide_legend,
    show_legend,
)
from .region_nodes import mask_in_steps
from .resampling import voxels_of
from .review_nodes import find_review_node, remove_review_nodes
from .review_pair import PAIR_ROLES, ReviewPair, fixed_volume_in_steps, moved_image, unmoved_image
from .segment_measures import SegmentMeasures, segment_measures_in_steps
from .shared_window import SharedWindow
from .steps import Steps
from .transform_field import field_in_steps

FADE, CHECKERBOARD, FLICKER, DIFFERENCE = "fade", "checkerboard", "flicker", "difference"
NO_OVERLAY, DISPLACEMENT, JACOBIAN = "none", "displacement", "jacobian"


@dataclass(frozen=True)
class ReviewWish:
    """What is to be seen. ``comparison``, ``overlay`` and ``ways`` (of ``deformation_display.WAYS``) are the words
    above; ``region`` is a segmentation or label map of the fixed image, ``segment_id`` None means all of it."""

    pair: ReviewPair
    comparison: str = FADE
    fade: float = 0.5
    before: bool = False
    ways: frozenset[str] = frozenset()
    in_3d: bool = False
    overlay: str = NO_OVERLAY
    folding: bool = False
    crosshair: bool = False
    region: slicer.vtkMRMLNode | None = None
    segment_id: str | None = None


@dataclass(frozen=True)
class ReviewNumbers:
    """Folded voxels of the field's grid and their share, in the region or (``in_region`` false) everywhere; one row
    for each segment of a segmentation."""

    folded_voxels: int
    folded_percent: float
    in_region: bool
    segments: tuple[SegmentMeasures, ...] = ()


@dataclass(frozen=True)
class _Maps:
    """What was computed from one state of the transform."""

    displacement: slicer.vtkMRMLScalarVolumeNode
    jacobian: slicer.vtkMRMLScalarVolumeNode
    geometry: Geometry
    shift_mm: float


class Review:
    """``later`` is that of :class:`~DeepRegSlicer.steps.StepRunner`. ``on_numbers`` gets what was measured, None while
    nothing is; ``legend_title(overlay, shift_mm)`` words the legend, with the rigid shift that is taken out."""

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application_logic: slicer.vtkMRMLApplicationLogic,
        later: Callable[[Callable[[], None]], None],
        on_numbers: Callable[[ReviewNumbers | None], None],
        on_error: Callable[[Exception], None],
        legend_title: Callable[[str, float], str],
    ) -> None:
        self._scene = scene
        self._views = CompareViews(scene, application_logic, left_alone=tuple(MOVING_VIEWS))
        self._crosshair = LinkedCrosshair(scene, application_logic)
        self._window = SharedWindow()
        self._jobs = JobQueue(later, self._failed)
        self._on_numbers = on_numbers
        self._on_error = on_error
        self._legend_title = legend_title
        self._wish: ReviewWish | None = None
        self._version = 0
        self._maps: _Maps | None = None
        self._flicker_shows_fixed = False

    @property
    def is_on(self) -> bool:
        return self._wish is not None

    @property
    def is_idle(self) -> bool:
        """Whether all that was asked for is done."""
        return self._jobs.is_idle

    def show(self, wish: ReviewWish, again: bool = False) -> None:
        """Bring everything to what ``wish`` says; only what changed is touched, with ``again`` everything."""
        former, self._wish = self._wish, wish
        version = wish.pair.transform.GetTransformToWorldMTime()
        fresh = again or former is None or former.pair != wish.pair or version != self._version
        self._version = version
        if fresh:
            self._forget_maps()
            self._jobs.put("maps", self._maps_in_steps, self._maps_are_ready)
        elif (former.region, former.segment_id) != (wish.region, wish.segment_id):
            self._measure_region()
        if fresh or (former.comparison, former.before) != (wish.comparison, wish.before):
            self._compare()
        elif former.fade != wish.fade and wish.comparison == FADE:
            self._views.set_opacity(wish.fade)
        if self._maps is not None:
            self._show_maps()
        self._show_crosshair(fresh)

    def flicker(self) -> None:
        """Show the other one of the two images; a timer calls this."""
        if self._wish is not None and self._wish.comparison == FLICKER:
            self._flicker_shows_fixed = not self._flicker_shows_fixed
            self._views.set_opacity(0.0 if self._flicker_shows_fixed else 1.0)

    def end(self) -> None:
        """Give the views back as they were and remove everything that was made for looking."""
        if self._wish is None:
            return
        self._crosshair.switch_off()
        self._window.end()
        self._views.restore()
        self.forget()
        remove_deformation(self._scene)
        remove_review_nodes(self._scene, COMPARED_ROLE, *OVERLAY_ROLES, *MARK_ROLES, *PAIR_ROLES, *TABLES)

    def forget(self) -> None:
        """Stop all work and remember nothing; the scene is closed or about to be."""
        self._jobs.clear()
        self._crosshair.stop()
        self._window.end()
        self._views.forget()
        self._wish = None
        self._forget_maps()

    def _forget_maps(self) -> None:
        self._maps = None
        self._on_numbers(None)

    def _failed(self, error: Exception) -> None:
        if self._wish is not None and self._wish.pair.is_in_scene:  # else the reason is known: a node is gone
            self._on_error(error)

    # Comparison

    def _compare(self) -> None:
        wish = self._wish
        makers = {CHECKERBOARD: checkerboard_in_steps, DIFFERENCE: difference_in_steps}
        if wish.comparison in makers:
            make = makers[wish.comparison]
            self._jobs.put("comparison", lambda: make(wish.pair, not wish.before), self._compared_is_ready)
            return
        self._jobs.drop("comparison")
        front = unmoved_image(wish.pair) if wish.before else moved_image(wish.pair)
        alike = same_kind(wish.pair.fixed, wish.pair.moving)
        self._window.begin(wish.pair.fixed.GetDisplayNode() if alike else None, front.GetDisplayNode())
        self._views.show(wish.pair.fixed, front, wish.fade if wish.comparison == FADE else 1.0)
        remove_review_nodes(self._scene, COMPARED_ROLE)

    def _compared_is_ready(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        fixed = self._wish.pair.fixed
        follows = self._wish.comparison == CHECKERBOARD
        self._window.begin(fixed.GetDisplayNode() if follows else None, node.GetDisplayNode())
        self._views.show(fixed, node, 1.0)

    # What the field does

    def _maps_in_steps(self) -> Steps[_Maps]:
        pair = self._wish.pair
        fixed = yield from fixed_volume_in_steps(pair)
        field = yield from field_in_steps(pair.transform, fixed.geometry)
        rigid = rigid_motion_of(field)
        yield
        yield from build_deformation_in_steps(pair, field, rigid)
        show_deformation(self._scene, self._wish.ways, self._wish.in_3d)  # need not wait for the rest
        yield
        values = yield from displacement_in_steps(field, rigid)
        displacement = yield from add_displacement_in_steps(pair, values, field.geometry)
        values = yield from determinant_in_steps(field)
        jacobian = yield from add_jacobian_in_steps(pair, values, field.geometry)
        yield from add_folding_in_steps(pair, values <= 0, field.geometry, FOLDING_ROLE)
        return _Maps(displacement, jacobian, field.geometry, rigid_shift_mm(rigid, field.geometry))

    def _maps_are_ready(self, maps: _Maps) -> None:
        self._maps = maps
        self._show_maps()
        self._measure_region()

    def _show_maps(self) -> None:
        wish, maps = self._wish, self._maps
        show_deformation(self._scene, wish.ways, wish.in_3d)
        find_review_node(self._scene, FOLDING_ROLE).GetDisplayNode().SetVisibility(wish.folding)
        overlay = {DISPLACEMENT: maps.displacement, JACOBIAN: maps.jacobian}.get(wish.overlay)
        if overlay is None:
            self._views.hide_overlay()
            hide_legend(self._scene)
        else:
            self._views.show_overlay(overlay)
            show_legend(overlay, self._legend_title(wish.overlay, maps.shift_mm))

    def _measure_region(self) -> None:
        if self._maps is not None:
            self._jobs.put("region", self._numbers_in_steps, self._on_numbers)

    def _numbers_in_steps(self) -> Steps[ReviewNumbers]:
        wish, maps = self._wish, self._maps
        displacement, determinant = (voxels_of(node.GetImageData()) for node in (maps.displacement, maps.jacobian))
        region = yield from self._region_in_steps(wish, maps)
        folding = folding_of(determinant, region)
        yield
        rows: list[SegmentMeasures] = []
        if isinstance(wish.region, slicer.vtkMRMLSegmentationNode):
            rows = yield from segment_measures_in_steps(
                wish.pair, wish.region, maps.jacobian, displacement, determinant, maps.geometry
            )
        return ReviewNumbers(folding.voxels, folding.percent, region is not None, tuple(rows))

    def _region_in_steps(self, wish: ReviewWish, maps: _Maps) -> Steps[np.ndarray | None]:
        if wish.region is None:
            return None
        try:
            mask = yield from mask_in_steps(wish.region, wish.segment_id, maps.jacobian, wish.pair.passed_over)
        except BadMask:  # it is told where it is chosen; here everything counts
            return None
        return mask.array

    # The moving image beside it

    def _show_crosshair(self, fresh: bool) -> None:
        wish = self._wish
        if wish.crosshair and (fresh or not self._crosshair.is_on):
            self._crosshair.switch_on(wish.pair)
        elif not wish.crosshair:
            self._crosshair.switch_off()
