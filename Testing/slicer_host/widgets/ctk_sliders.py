"""ctkSliderWidget, ctkDoubleSpinBox and their kin (CTK Libs/Widgets/ctkSliderWidget.h)."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import forwarded, standin, stored

SLIDER_STEPS = 1000


class _NumberWithSlider(QtWidgets.QWidget):
    """A slider and a spin box that show one number."""

    decimals, setDecimals = forwarded("_spin", "decimals", int)
    prefix, setPrefix = forwarded("_spin", "prefix", str)
    suffix, setSuffix = forwarded("_spin", "suffix", str)
    singleStep, setSingleStep = forwarded("_spin", "singleStep", float)
    pageStep, setPageStep = stored("pageStep", float, 10.0)
    tickInterval, setTickInterval = stored("tickInterval", float, 0.0)
    tracking, setTracking = stored("tracking", bool, True)
    popupSlider, setPopupSlider = stored("popupSlider", bool, False)
    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        slider, spin = QtWidgets.QSlider(QtCore.Qt.Horizontal), QtWidgets.QDoubleSpinBox()
        self.__dict__.update(_slider=slider, _spin=spin)
        slider.setRange(0, SLIDER_STEPS)
        spin.setRange(0.0, 99.0)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(slider, 1)
        layout.addWidget(spin)
        slider.sliderMoved.connect(self._slider_moved)
        spin.valueChanged.connect(self._spin_changed)

    value = Property(float, lambda self: self._spin.property("value"), lambda self, value: self.setValue(value))
    minimum = Property(float, lambda self: self._spin.property("minimum"), lambda self, value: self.setMinimum(value))
    maximum = Property(float, lambda self: self._spin.property("maximum"), lambda self, value: self.setMaximum(value))
    spinBoxVisible = Property(
        bool, lambda self: not self._spin.isHidden(), lambda self, visible: self.setSpinBoxVisible(visible)
    )

    def setValue(self, value: float) -> None:
        self._spin.setValue(value)
        self._place_slider()

    def setMinimum(self, minimum: float) -> None:
        self._spin.setMinimum(minimum)
        self._place_slider()

    def setMaximum(self, maximum: float) -> None:
        self._spin.setMaximum(maximum)
        self._place_slider()

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spin.setRange(minimum, maximum)
        self._place_slider()

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._spin.setVisible(visible)

    def reset(self) -> None:
        self.setValue(0.0)

    def spinBox(self) -> QtWidgets.QDoubleSpinBox:
        return self._spin

    def _span(self) -> float:
        return max(self._spin.property("maximum") - self._spin.property("minimum"), 1e-12)

    def _place_slider(self) -> None:
        part = (self._spin.property("value") - self._spin.property("minimum")) / self._span()
        self._slider.setValue(round(part * SLIDER_STEPS))

    def _slider_moved(self, position: int) -> None:
        self._spin.setValue(self._spin.property("minimum") + position / SLIDER_STEPS * self._span())

    def _spin_changed(self, value: float) -> None:
        self._place_slider()
        self.valueChanged.emit(value)


@standin("valueChanged(double)", "valueIsChanging(double)")
class ctkSliderWidget(_NumberWithSlider):
    pass


@standin("valueChanged(double)", "valueIsChanging(double)", "mrmlSceneChanged(vtkMRMLScene*)")
class qMRMLSliderWidget(_NumberWithSlider):
    """ctkSliderWidget that follows the units of the scene (Libs/MRML/Widgets/qMRMLSliderWidget.h)."""

    mrmlSceneChanged = Signal(object)
    quantity, setQuantity = stored("quantity", str, "")

    def mrmlScene(self) -> object:
        return self.__dict__.get("_scene")

    def setMRMLScene(self, scene: object) -> None:
        self.__dict__["_scene"] = scene
        self.mrmlSceneChanged.emit(scene)


@standin()
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    pass
