"""The button *Register*, which is *Cancel* while a registration runs; its progress, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer
from slicer.i18n import tr as _

PERCENT = 100
SECONDS_SHOWN_FROM = 0.5
"""Less time left than this is not worth a word."""


class RunSection:
    """``on_register`` and ``on_cancel`` are called when the button is clicked. States: idle, running, cancelling."""

    def __init__(self, ui, on_register: Callable[[], None], on_cancel: Callable[[], None]) -> None:
        self._ui = ui
        self._on_register = on_register
        self._on_cancel = on_cancel
        self._message = ""
        self._details = ""
        self._missing = ""
        self._state = "idle"

    def connect(self) -> None:
        self._ui.registerButton.connect("clicked(bool)", lambda *_args: self._clicked())
        self._ui.detailsButton.connect("clicked(bool)", lambda *_args: self._show_details())

    def show_missing(self, sentence: str) -> None:
        """What keeps the registration from starting; "" when nothing does."""
        self._missing = sentence
        if self._state == "idle":
            self._show_idle()

    def show_running(self) -> None:
        self._state = "running"
        self.tell("")
        button = self._ui.registerButton
        button.text, button.toolTip, button.enabled = _("Cancel"), _("Stop the registration; nothing changes."), True
        self._ui.progressBar.value = 0
        self._ui.progressBar.visible = True

    def show_progress(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        if self._state != "running":
            return
        self._ui.progressBar.value = int(PERCENT * fraction)
        left = ""
        if seconds_left is not None and seconds_left > SECONDS_SHOWN_FROM:
            left = " " + _("(about {seconds} s left)").format(seconds=max(1, round(seconds_left)))
        self.tell(f"{stage}...{left}")

    def show_cancelling(self) -> None:
        self._state = "cancelling"
        self._ui.registerButton.enabled = False
        self.tell(_("Cancelling..."))

    def show_idle(self, sentences: Sequence[str] = (), details: str = "") -> None:
        """The end of a run: what it came to, one sentence a line; details behind a button."""
        self._state = "idle"
        self._ui.progressBar.visible = False
        self._message, self._details = "\n".join(sentences), details
        self._show_idle()

    def tell(self, text: str, details: str = "") -> None:
        """Show a message below the button."""
        self._message, self._details = text, details
        self._show_text()

    def _show_text(self) -> None:
        """The message, and while nothing runs what is missing: nobody looks for it in the tool tip of a grey button."""
        sentences = (self._message, self._missing if self._state == "idle" else "")
        text = "\n".join(filter(None, sentences))
        self._ui.statusLabel.text = text
        self._ui.statusLabel.visible = bool(text)
        self._ui.detailsButton.visible = bool(self._details)

    def _show_idle(self) -> None:
        button = self._ui.registerButton
        button.text = _("Register")
        button.enabled = not self._missing
        button.toolTip = self._missing or _("Find how the moving image has to be deformed to fit the fixed one.")
        self._show_text()

    def _clicked(self) -> None:
        if self._state == "idle":
            self._on_register()
        elif self._state == "running":
            self._on_cancel()

    def _show_details(self) -> None:
        slicer.util.infoDisplay(self._message, windowTitle=_("Details"), detailedText=self._details)
