"""A computer with a Slicer in which packages are missing: what of it DeepRegSlicer.installation talks to."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import slicer

SLICER_VERSIONS = {"numpy": "2.0.2", "SimpleITK": "2.5.0"}


def stand_in_translation() -> None:
    """``slicer.i18n`` belongs to the application; here a text stays as it is."""
    if "slicer.i18n" not in sys.modules:
        i18n = ModuleType("slicer.i18n")
        i18n.tr = lambda text: text  # type: ignore[attr-defined]
        i18n.translate = lambda context, text: text  # type: ignore[attr-defined]
        sys.modules["slicer.i18n"] = i18n


class Window:
    """A progress dialog."""

    def __init__(self, **properties: Any) -> None:
        self.labelText = properties["labelText"]
        self.shown_texts: list[str] = []
        self.open = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "labelText" and hasattr(self, "shown_texts"):
            self.shown_texts.append(value)
        super().__setattr__(name, value)

    def setCancelButton(self, button: None) -> None:  # noqa: N802
        assert button is None

    def show(self) -> None:
        self.open = True

    def close(self) -> None:
        self.open = False


class Computer:
    """Slicer with an empty Python: everything that is asked or installed is noted down.

    ``log`` and ``fails`` are what every pip prints and raises.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions: dict[str, str] = dict(SLICER_VERSIONS)
        self.questions: list[str] = []
        self.answer = True
        self.testing = False
        self.main_window: Any = object()
        self.windows: list[Window] = []
        self.done: list[str] = []
        self.constraints: list[str] = []
        self.log: list[str] = []
        self.fails: Exception | None = None
        self._monkeypatch = monkeypatch
        app = SimpleNamespace(testingEnabled=lambda: self.testing, processEvents=lambda: None)
        monkeypatch.setattr(slicer, "app", app, raising=False)
        monkeypatch.setattr(slicer.util, "mainWindow", lambda: self.main_window)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", self._ask)
        monkeypatch.setattr(slicer.util, "createProgressDialog", self._window)
        monkeypatch.setattr(slicer.util, "pip_install", self._pip_install_of_util)
        monkeypatch.setitem(sys.modules, "qt", SimpleNamespace(Qt=SimpleNamespace(ApplicationModal=2)))
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.delattr(slicer, "packaging", raising=False)
        monkeypatch.delitem(sys.modules, "torch", raising=False)  # other tests of this process need it

    def has_packaging(self) -> None:
        """Slicer 5.11 and later."""
        packaging = ModuleType("slicer.packaging")
        packaging.pip_ensure = self._pip_ensure  # type: ignore[attr-defined]
        packaging.pip_install = self._pip_install  # type: ignore[attr-defined]
        self._monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
        self._monkeypatch.setattr(slicer, "packaging", packaging, raising=False)

    def has_pytorch_extension(self, answer: Any = "torch", error: Exception | None = None) -> None:
        """The extension PyTorch; ``answer`` is what its installTorch returns, ``error`` what its import of torch raises
        after pip has been successful."""

        class PyTorchUtilsLogic:
            def installTorch(  # noqa: N802
                logic,  # noqa: N805
                askConfirmation: bool = False,
                forceComputationBackend: str | None = None,
                torchVersionRequirement: str | None = None,
                torchvisionVersionRequirement: str | None = None,
            ) -> Any:
                assert not askConfirmation, "a second question"
                self._run_pip(f"extension: torch{torchVersionRequirement}")
                if answer is not None:
                    self.versions["torch"] = "2.9.1+cu126"
                if error is not None:
                    raise error
                return answer

        self._monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))

    def _ask(self, text: str, windowTitle: str | None = None) -> bool:
        assert self.main_window is not None and not self.testing
        self.questions.append(text)
        return self.answer

    def _window(self, **properties: Any) -> Window:
        assert self.main_window is not None and not self.testing
        self.windows.append(Window(**properties))
        return self.windows[-1]

    def _pip_install_of_util(self, requirements: list[str]) -> None:
        self._run_pip(f"util: {' '.join(requirements)}")
        self._note(requirements[0])

    def _pip_install(self, requirements: list[str], *, requester: str, show_progress: bool) -> None:
        assert not show_progress, "a second window"
        self._run_pip(f"packaging: {' '.join(requirements)}")
        self._note(requirements[0])

    def _pip_ensure(
        self,
        requirements: list[str],
        *,
        prompt_install: bool,
        prompt_restart: bool,
        requester: str,
        show_progress: bool,
    ) -> None:
        assert not prompt_install and not prompt_restart, "a second question"
        assert not show_progress, "a second window"
        self._run_pip(f"packaging: {' '.join(requirements)}")
        self._note(requirements[0])

    def _note(self, requirement: str) -> None:
        name, _, version = requirement.partition(">=")
        self.versions[name] = version

    def _run_pip(self, what: str) -> None:
        """As slicer.util.logProcessOutput: prints line by line, raises when pip has failed."""
        self.constraints.append(os.environ.get("PIP_CONSTRAINT", ""))
        for line in self.log or ["Successfully installed"]:
            print(line)
        if self.fails is not None:
            raise self.fails
        self.done.append(what)


PIP_FAILED = subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", "install"])
