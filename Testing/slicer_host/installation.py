"""Puts the stand-ins where modules look for them, once a process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

STEP_S = 0.005
"""How long the event loop waits at a time in :meth:`Host.spin`."""

_host: Host | None = None


def install() -> Host:
    """Install the host, or give the one of this process. Sets the environment for drawing without a screen."""
    global _host
    if _host is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
        _host = Host()
    return _host


class Host:
    """The running application of this process. Attributes: ``app`` (= slicer.app), ``modules`` loaded so far."""

    def __init__(self) -> None:
        import slicer

        from slicer_host import pythonqt
        from slicer_host.dialogs import refuse_dialogs
        from slicer_host.scene import ApplicationScene

        self._slicer = slicer
        qt, ctk = ModuleType("qt"), ModuleType("ctk")
        pythonqt.install(qt)
        refuse_dialogs()
        qt.Signal, qt.Slot, qt.Property = (getattr(pythonqt.QtCore, n) for n in ("Signal", "Slot", "Property"))
        sys.modules["qt"], sys.modules["ctk"] = qt, ctk
        self._place_widgets(qt, ctk)
        self._scene = ApplicationScene()
        slicer.mrmlScene = self._scene.scene

        from slicer_host import modules
        from slicer_host.application import qSlicerApplication

        self.app = slicer.app = slicer.qApp = qSlicerApplication(self._scene)
        self._place("slicer.modules", modules.make_modules(self._scene.logics))
        self._place_python_modules()
        self._scene.remember_own_nodes()
        self._loaded: dict[str, Any] = {}

    def load_module(self, path: str | Path) -> Any:
        """Load a scripted module file (once); returns what ``slicer.modules.<name>`` is."""
        from slicer_host.modules import load_scripted_module

        path = Path(path).resolve()
        if path.stem not in self._loaded:
            self._loaded[path.stem] = load_scripted_module(path)
        return self._loaded[path.stem]

    def reset(self) -> None:
        """A fresh scene: panels are cleaned up and deleted, the scene is as after the start, dialogs are closed."""
        for module in self._loaded.values():
            module.forget_widget()
        self._scene.reset()
        self.app.layoutManager().reset()
        for window in self.app.topLevelWidgets():
            window.hide()
        self.process_events()

    def process_events(self) -> None:
        """Run what waits in the event loop, deletions too."""
        from PySide6 import QtCore

        self.app.processEvents()
        self.app.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)

    def spin(self, until: Callable[[], Any], limit_s: float = 5.0) -> None:
        """Run the event loop until ``until()`` is true. Raises TimeoutError after ``limit_s`` seconds."""
        end = time.monotonic() + limit_s
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"Not reached within {limit_s} s: {until}")
            self.process_events()
            time.sleep(STEP_S)

    def _place_widgets(self, qt: ModuleType, ctk: ModuleType) -> None:
        from slicer_host.widgets import load_all

        for name, widget in load_all().items():
            setattr(ctk if name.startswith("ctk") else self._slicer, name, widget)
        from slicer_host.ui_loader import UiLoader

        qt.QUiLoader = UiLoader

    def _place_python_modules(self) -> None:
        from slicer_host import i18n

        self._place("slicer.i18n", i18n)
        from slicer_host import packaging, parameter_node, sample_data, scripted_module

        self._place("slicer.ScriptedLoadableModule", scripted_module)
        self._place("slicer.parameterNodeWrapper", parameter_node)
        self._place("slicer.packaging", packaging)
        sys.modules["SampleData"] = sample_data

    def _place(self, name: str, module: ModuleType) -> None:
        sys.modules[name] = module
        setattr(self._slicer, name.removeprefix("slicer."), module)
