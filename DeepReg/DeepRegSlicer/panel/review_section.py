"""*Review*: how well fixed and moving image fit, in the views, in colours and in numbers.

What is shown lasts as long as the section is unfolded: folded up, the views are as they were before.
"""

from __future__ import annotations

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..deformation_display import ARROWS, CONTOURS, GRID
from ..event_loop import soon
from ..parameters import Comparison, DeepRegParameters, Overlay
from ..registration_nodes import RegistrationNodes
from ..review import Review, ReviewNumbers, ReviewWish
from ..review_pair import ReviewPair, pair_of
from ..segment_measures import SegmentMeasures

FLICKER_MS = 333
"""Each image is seen for a third of a second: one and a half changes back and forth in a second, as the eye likes it
and far below what is dangerous to people with photosensitive epilepsy (3 Hz)."""
ROWS_OF_TITLES = 2.6
"""Height of two-line titles and a scroll bar, in rows (size hints are methods here and properties there)."""
TABLE_ROWS_SEEN = 8
NOT_MEASURED = "-"


class ReviewSection:
    """Wires the widgets of the section; :class:`~DeepRegSlicer.review.Review` does the work."""

    def __init__(self, ui, scene: slicer.vtkMRMLScene) -> None:
        self._ui = ui
        self._scene = scene
        self._parameters: DeepRegParameters | None = None
        self._is_left = False
        self._again = False
        self._review = Review(
            scene,
            slicer.app.applicationLogic(),
            soon,
            self._show_numbers,
            self._show_error,
            legend_title,
        )
        self._flicker = qt.QTimer()
        self._flicker.interval = FLICKER_MS

    @property
    def review(self) -> Review:
        """What the views show."""
        return self._review

    def connect(self) -> None:
        ui = self._ui
        self._flicker.connect("timeout()", self._review.flicker)
        ui.reviewSection.connect("contentsCollapsed(bool)", lambda _folded: self._refresh())
        table = ui.segmentTable
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        table.setSelectionMode(qt.QTableWidget.NoSelection)
        table.verticalHeader().setVisible(False)
        table.setColumnCount(len(table_titles()))
        table.setHorizontalHeaderLabels(table_titles())
        table.visible = False
        self._refresh()

    def disconnect(self) -> None:
        """The module is reloaded or the application quits: the views get back what they had."""
        self._flicker.stop()
        self._review.end()

    def update(self, parameters: DeepRegParameters | None) -> None:
        """Show what the parameter node says."""
        self._parameters = parameters
        self._refresh()

    def show_result(self, _nodes: RegistrationNodes) -> None:
        """A registration is done: unfold the section, measure anew and show it."""
        self._again = True
        if self._ui.reviewSection.collapsed:
            self._ui.reviewSection.collapsed = False
        else:
            self._refresh()

    def clear(self) -> None:
        """There is no parameter node any more: end the review, or forget it when the scene is being closed."""
        self._parameters = None
        self._flicker.stop()
        if self._scene.IsClosing():
            self._review.forget()
        else:
            self._review.end()
        self._show_enabled(None)

    def enter(self) -> None:
        """The module is shown again."""
        self._is_left = False
        self._refresh()

    def leave(self) -> None:
        """Another module is shown: what is seen stays, but nothing flickers any more."""
        self._is_left = True
        self._flicker.stop()

    def _refresh(self) -> None:
        pair = self._pair()
        self._show_enabled(pair)
        if pair is None or self._ui.reviewSection.collapsed:
            self._flicker.stop()
            self._review.end()
            return
        self._review.show(wish_of(self._parameters, pair), self._again)
        self._again = False
        flickers = self._parameters.comparison is Comparison.FLICKER and not self._is_left
        if flickers != self._flicker.active:
            self._flicker.start() if flickers else self._flicker.stop()

    def _pair(self) -> ReviewPair | None:
        parameters = self._parameters
        if parameters is None:
            return None
        return pair_of(parameters.outputTransform, parameters.fixedVolume, parameters.movingVolume)

    def _show_enabled(self, pair: ReviewPair | None) -> None:
        ui = self._ui
        for widget in (
            ui.comparisonSelector,
            ui.beforeButton,
            ui.gridButton,
            ui.glyphButton,
            ui.contourButton,
            ui.threeDCheckBox,
            ui.overlaySelector,
            ui.foldingButton,
            ui.linkedCrosshairCheckBox,
        ):
            widget.enabled = pair is not None
        fades = pair is not None and self._parameters.comparison is Comparison.FADE
        ui.fadeSlider.enabled = ui.fadeLabel.enabled = fades

    def _show_numbers(self, numbers: ReviewNumbers | None) -> None:
        self._ui.foldingValueLabel.text = NOT_MEASURED if numbers is None else folding_sentence(numbers)
        self._show_table(() if numbers is None else numbers.segments)

    def _show_table(self, rows: tuple[SegmentMeasures, ...]) -> None:
        table = self._ui.segmentTable
        table.visible = bool(rows)
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(table_texts(row)):
                item = qt.QTableWidgetItem(text)
                if column > 0:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                table.setItem(number, column, item)
        if rows:
            table.resizeColumnsToContents()
            table.resizeRowsToContents()
            seen = min(len(rows), TABLE_ROWS_SEEN)
            height = table.rowHeight(0) * (seen + ROWS_OF_TITLES) + 2 * table.frameWidth
            table.setMinimumHeight(int(height))
            table.setMaximumHeight(int(height))

    def _show_error(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, DeepRegError) else repr(error)
        self._ui.foldingValueLabel.text = _("Not measured: {reason}").format(reason=reason)


def wish_of(parameters: DeepRegParameters, pair: ReviewPair) -> ReviewWish:
    """What the parameter node asks the review for."""
    ways = ((GRID, parameters.showGrid), (ARROWS, parameters.showGlyphs), (CONTOURS, parameters.showContours))
    return ReviewWish(
        pair=pair,
        comparison=parameters.comparison.value,
        fade=parameters.fade,
        before=parameters.showBefore,
        ways=frozenset(way for way, wanted in ways if wanted),
        in_3d=parameters.showIn3D,
        overlay=parameters.overlay.value,
        folding=parameters.showFolding,
        crosshair=parameters.linkedCrosshair,
        region=parameters.fixedRegion,
        segment_id=parameters.fixedSegmentID or None,
    )


def folding_sentence(numbers: ReviewNumbers) -> str:
    """Where the field folds, in words."""
    if numbers.in_region:
        if numbers.folded_voxels == 0:
            return _("None in the region")
        text = _("{voxels} voxels ({percent} %) in the region")
    else:
        if numbers.folded_voxels == 0:
            return _("None")
        text = _("{voxels} voxels ({percent} %)")
    return text.format(voxels=numbers.folded_voxels, percent=f"{numbers.folded_percent:.2g}")


def legend_title(overlay: str, shift_mm: float) -> str:
    """What the colour bar measures, and what was taken out of it."""
    if overlay == Overlay.DISPLACEMENT.value:
        return _("Displacement (mm)\nwithout rigid shift of {shift} mm").format(shift=f"{shift_mm:.0f}")
    return _("Volume change\n(1 = none)")


def table_titles() -> list[str]:
    """Columns of the segment table, on two lines so that they fit into a narrow panel."""
    return [_("Segment"), _("Mean\n(mm)"), _("Max\n(mm)"), _("Volume\n(%)"), _("Folding\n(voxels)"), _("Jacobian")]


def table_texts(row: SegmentMeasures) -> list[str]:
    """One row of the segment table."""
    return [
        row.name,
        f"{row.mean_displacement_mm:.1f}",
        f"{row.largest_displacement_mm:.1f}",
        f"{row.volume_change_percent:+.0f}",
        str(row.folded_voxels),
        f"{row.mean_jacobian:.2f}",
    ]
