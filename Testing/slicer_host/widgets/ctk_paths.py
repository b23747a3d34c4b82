"""ctkPathLineEdit and ctkDirectoryButton (CTK Libs/Widgets)."""

from __future__ import annotations

from fnmatch import fnmatch

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import standin, stored


@standin()
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path with a button that opens a file dialog."""

    Dirs, Files, Drives, NoSymLinks, Readable, Writable, Executable = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40
    AllEntries = Dirs | Files | Drives
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    label, setLabel = stored("label", str, "")
    filters, setFilters = stored("filters", int, AllEntries)
    options, setOptions = stored("options", int, 0)
    settingKey, setSettingKey = stored("settingKey", str, "")
    nameFilters, setNameFilters = stored("nameFilters", "QStringList", ())
    showHistoryButton, setShowHistoryButton = stored("showHistoryButton", bool, True)
    minimumContentsLength, setMinimumContentsLength = stored("minimumContentsLength", int, 0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        line, button = QtWidgets.QLineEdit(), QtWidgets.QToolButton()
        self.__dict__.update(_line=line, _button=button, _valid=False)
        button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(line)
        layout.addWidget(button)
        line.textChanged.connect(self._on_text)
        button.clicked.connect(self.browse)

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    currentPath = Property(str, lambda self: self._line.property("text"), setCurrentPath)
    showBrowseButton = Property(
        bool, lambda self: not self._button.isHidden(), lambda self, visible: self._button.setVisible(visible)
    )

    def _on_text(self, path: str) -> None:
        """A path that does not fit the name filters is not announced."""
        valid = not self.nameFilters or any(fnmatch(path, f"*{end}") for end in self._endings())
        if valid:
            self.currentPathChanged.emit(path)
        if valid != self._valid:
            self.__dict__["_valid"] = valid
            self.validInputChanged.emit(valid)

    def _endings(self) -> list[str]:
        """``"Images (*.nrrd *.nii.gz)"`` names two."""
        return [word.lstrip("*") for text in self.nameFilters for word in text.partition("(")[2].rstrip(")").split()]

    def addCurrentPathToHistory(self) -> None:
        """The history is a matter of the settings, which tests do not share."""

    def retrieveHistory(self) -> None:
        """See :meth:`addCurrentPathToHistory`."""

    def browse(self) -> None:
        """Through the static functions of QFileDialog, which tests replace."""
        if self.filters & self.Files:
            ask = QtWidgets.QFileDialog.getSaveFileName
            if not self.filters & self.Writable:
                ask = QtWidgets.QFileDialog.getOpenFileName
            path = ask(self, self.label, self.currentPath, ";;".join(self.nameFilters))
        else:
            path = QtWidgets.QFileDialog.getExistingDirectory(self, self.label, self.currentPath)
        if path:
            self.setCurrentPath(path)


@standin()
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    caption, setCaption = stored("caption", str, "")
    acceptMode, setAcceptMode = stored("acceptMode", int, 0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        button = QtWidgets.QPushButton()
        self.__dict__.update(_button=button, _directory=QtCore.QDir("."))
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(button)
        button.clicked.connect(self.browse)
        button.setText(self._directory.absolutePath())

    def setDirectory(self, directory: str) -> None:
        new = QtCore.QDir(directory)
        if new == self._directory:
            self.directorySelected.emit(new.absolutePath())
            return
        self._directory.setPath(new.absolutePath())
        self._button.setText(self._directory.absolutePath())
        self.directorySelected.emit(new.absolutePath())
        self.directoryChanged.emit(self._directory.absolutePath())

    directory = Property(str, lambda self: self._directory.path(), setDirectory)

    def browse(self) -> None:
        chosen = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self.directory)
        if chosen:
            self.setDirectory(chosen)
