"""ctkCollapsibleButton, ctkMessageBox and other plain widgets of CTK."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import standin, stored

WISH = "visibilityToParent"
"""Dynamic property of the children of a collapsible button: whether their owner wants them to be seen."""


@standin()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A title bar that folds its contents away (CTK Libs/Widgets/ctkCollapsibleButton.h)."""

    contentsCollapsed = Signal(bool)
    collapsedHeight, setCollapsedHeight = stored("collapsedHeight", int, 10)
    contentsLineWidth, setContentsLineWidth = stored("contentsLineWidth", int, 1)
    collapsed = Property(
        bool, lambda self: self.__dict__["_is_collapsed"], lambda self, collapsed: self.setCollapsed(collapsed)
    )

    def __init__(self, *arguments: object) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self.__dict__.update(_is_collapsed=False, _forcing=False, _maximum_height=self.property("maximumHeight"))
        self.setText(text)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._head_height(), 0, 0)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(lambda checked: self._collapse(not checked))

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self.collapsed:
            return
        self.__dict__["_is_collapsed"] = collapsed
        if collapsed:
            self.__dict__["_maximum_height"] = self.property("maximumHeight")
        self.setMaximumHeight(self.sizeHint().height() if collapsed else self._maximum_height)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            self._place_child(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _place_child(self, child: QtWidgets.QWidget) -> None:
        """Hide or show a child without taking that for its owner's wish."""
        wanted = child.property(WISH)
        self.__dict__["_forcing"] = True
        child.setVisible(not self.collapsed and wanted is not False)
        if wanted is not False:
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        self.__dict__["_forcing"] = False

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if child.isWidgetType():
            if event.type() == QtCore.QEvent.ChildAdded:
                if self.collapsed:
                    self._place_child(child)
                child.installEventFilter(self)
            elif event.type() == QtCore.QEvent.ChildRemoved:
                child.removeEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Someone else shows or hides a child: remembered for the time when the contents are open."""
        if not self._forcing and event.type() in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent):
            child.setProperty(WISH, event.type() == QtCore.QEvent.ShowToParent)
            self._place_child(child)
        return False

    def _head_height(self) -> int:
        return self.fontMetrics().height() + 8

    def sizeHint(self) -> QtCore.QSize:
        head = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.property("text")) + 30, self._head_height())
        if self.collapsed:
            return head + QtCore.QSize(0, self.collapsedHeight)
        if not self.layout():
            return head
        return self.layout().totalSizeHint().expandedTo(head)

    def minimumSizeHint(self) -> QtCore.QSize:
        head = QtCore.QSize(30, self._head_height())
        if self.collapsed:
            return head + QtCore.QSize(0, self.collapsedHeight)
        return self.layout().totalMinimumSize().expandedTo(head) if self.layout() else head

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._head_height()

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:
        painter, option = QtWidgets.QStylePainter(self), QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.property("width"), self._head_height())
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        sign = "\u25b8" if self.collapsed else "\u25be"
        painter.drawText(
            option.rect.adjusted(6, 0, 0, 0),
            QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft,
            f"{sign}  {self.property('text')}",
        )


@standin()
class ctkMessageBox(QtWidgets.QMessageBox):
    """QMessageBox with "do not show again" (CTK Libs/Widgets/ctkMessageBox.h)."""

    dontShowAgain, setDontShowAgain = stored("dontShowAgain", bool, False)
    dontShowAgainVisible, setDontShowAgainVisible = stored("dontShowAgainVisible", bool, False)
    dontShowAgainSettingsKey, setDontShowAgainSettingsKey = stored("dontShowAgainSettingsKey", str, "")


@standin()
class ctkCheckBox(QtWidgets.QCheckBox):
    pass


@standin()
class ctkComboBox(QtWidgets.QComboBox):
    """QComboBox with a text while nothing is chosen (CTK Libs/Widgets/ctkComboBox.h)."""

    defaultText, setDefaultText = stored("defaultText", str, "", "update")
    forceDefault, setForceDefault = stored("forceDefault", bool, False, "update")

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:
        painter, option = QtWidgets.QStylePainter(self), QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.property("currentIndex") < 0 or self.forceDefault:
            option.currentText = self.defaultText
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)
