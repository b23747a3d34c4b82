"""Pictures of panels, to be looked at."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtGui, QtWidgets

DARK = {
    "Window": "#323232",
    "WindowText": "#ffffff",
    "Base": "#242424",
    "AlternateBase": "#2e2e2e",
    "ToolTipBase": "#323232",
    "ToolTipText": "#ffffff",
    "Text": "#ffffff",
    "Button": "#3c3c3c",
    "ButtonText": "#ffffff",
    "BrightText": "#ff5050",
    "Link": "#7fb2ff",
    "Highlight": "#2a82da",
    "HighlightedText": "#000000",
    "PlaceholderText": "#9a9a9a",
    "Mid": "#282828",
    "Dark": "#1e1e1e",
    "Light": "#505050",
}
LIGHT = {
    "Window": "#efefef",
    "WindowText": "#000000",
    "Base": "#ffffff",
    "AlternateBase": "#f7f7f7",
    "ToolTipBase": "#ffffdc",
    "ToolTipText": "#000000",
    "Text": "#000000",
    "Button": "#efefef",
    "ButtonText": "#000000",
    "BrightText": "#ffffff",
    "Link": "#0000ff",
    "Highlight": "#308cc6",
    "HighlightedText": "#ffffff",
    "PlaceholderText": "#808080",
    "Mid": "#b8b8b8",
    "Dark": "#9f9f9f",
    "Light": "#ffffff",
}
DISABLED_TEXT = {"light": "#a0a0a0", "dark": "#7a7a7a"}
PALETTES = {"light": LIGHT, "dark": DARK}


def screenshot(widget: QtWidgets.QWidget, path: str | Path, width: int = 400, palette: str = "light") -> Path:
    """Draw the widget as wide as asked and as high as it wants to be, in the Fusion style that Slicer uses; ``palette``
    is "light" or "dark". Writes a PNG and returns its path. The palette of the application is put back."""
    application = QtWidgets.QApplication.instance()
    before = application.palette()
    application.setStyle("Fusion")
    application.setPalette(_palette(palette))
    try:
        visible = not widget.isHidden()
        widget.show()
        widget.resize(width, 10)
        for _ in range(3):  # word-wrapped labels know their height only once they have their width
            application.processEvents()
            widget.resize(width, _height_for(widget, width))
        application.processEvents()
        if not widget.grab().save(str(path)):
            raise OSError(f"{path} cannot be written")
        widget.setVisible(visible)
    finally:
        application.setPalette(before)
        application.processEvents()
    return Path(path)


def _height_for(widget: QtWidgets.QWidget, width: int) -> int:
    layout = widget.layout()
    if layout is not None and layout.hasHeightForWidth():
        return max(layout.totalHeightForWidth(width), widget.minimumSizeHint().height())
    return widget.sizeHint().height()


def _palette(name: str) -> QtGui.QPalette:
    palette = QtGui.QPalette()
    for role, colour in PALETTES[name].items():
        palette.setColor(getattr(QtGui.QPalette, role), QtGui.QColor(colour))
    for role in (QtGui.QPalette.WindowText, QtGui.QPalette.Text, QtGui.QPalette.ButtonText):
        palette.setColor(QtGui.QPalette.Disabled, role, QtGui.QColor(DISABLED_TEXT[name]))
    return palette
