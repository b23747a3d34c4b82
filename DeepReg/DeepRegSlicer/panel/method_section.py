"""*Method*: which one makes the first guess, in words."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..parameters import DeepRegParameters

AUTOMATIC = "auto"


class MethodSection:
    """The list of methods is read when the panel is shown, not when it is built: models lie on the disk."""

    def __init__(self, ui) -> None:
        self._ui = ui
        self._parameters: DeepRegParameters | None = None
        self._names: list[str] = []
        self._descriptions: dict[str, str] = {}

    def connect(self) -> None:
        self._ui.methodSelector.connect("activated(int)", self._choose)

    def read_methods(self) -> None:
        """List what is installed now, and keep the choice."""
        from DeepRegLib.methods.interface import available_methods

        methods = available_methods()
        self._descriptions = {name: method.description for name, method in methods.items()}
        best = _("Takes a trained model where it is better than the solver alone, else the solver.")
        self._descriptions[AUTOMATIC] = best
        self._names = [AUTOMATIC, *methods]
        selector = self._ui.methodSelector
        selector.clear()
        selector.addItems([_("Automatic"), *methods])
        self._show_choice()

    def update(self, parameters: DeepRegParameters | None) -> None:
        self._parameters = parameters
        self._show_choice()

    def _show_choice(self) -> None:
        if self._parameters is None or not self._names:
            return
        chosen = self._parameters.method
        if chosen not in self._names:  # a scene from a machine with other models
            self._ui.methodDescriptionLabel.text = _("The method {name} is not installed here.").format(name=chosen)
            self._ui.methodSelector.currentIndex = -1
            return
        self._ui.methodSelector.currentIndex = self._names.index(chosen)
        self._ui.methodDescriptionLabel.text = self._descriptions[chosen]

    def _choose(self, index: int) -> None:
        if self._parameters is not None and 0 <= index < len(self._names):
            self._parameters.method = self._names[index]
