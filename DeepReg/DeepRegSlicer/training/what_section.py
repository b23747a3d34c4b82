"""*What to train*: the motion, the supervision, the network, and the folder of the runs. Size and steps are bound to
the parameter node by their widgets."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from .choices import NETWORK_OF_PRESET, Choice, networks, presets, supervisions
from .parameters import DeepRegTrainParameters


class ChoiceBox:
    """A combo box of words; a word that is not among them (a scene of another version) is kept and told in ``label``,
    where else the description of the choice stands."""

    def __init__(self, selector, label, on_chosen: Callable[[str], None]) -> None:
        self._selector = selector
        self._label = label
        self._on_chosen = on_chosen
        self._choices: list[Choice] = []

    def connect(self, choices: list[Choice]) -> None:
        """Fill the box; once."""
        self._choices = choices
        self._selector.clear()
        self._selector.addItems([choice.title for choice in choices])
        self._selector.connect("activated(int)", self._activated)

    def show(self, word: str) -> None:
        words = [choice.word for choice in self._choices]
        known = word in words
        self._selector.currentIndex = words.index(word) if known else -1
        if known:
            self._label.text = self._choices[words.index(word)].description
        else:
            self._label.text = _("'{word}' is of another version of this module; choose another.").format(word=word)
        self._label.visible = bool(self._label.text)

    def _activated(self, index: int) -> None:
        if 0 <= index < len(self._choices):
            self._on_chosen(self._choices[index].word)


class WhatSection:
    """Wires the widgets below *What to train*, but for the estimate."""

    def __init__(self, ui) -> None:
        self._ui = ui
        self._parameters: DeepRegTrainParameters | None = None
        self._preset = ChoiceBox(ui.presetSelector, ui.presetDescriptionLabel, self._choose_preset)
        self._supervision = ChoiceBox(
            ui.supervisionSelector, ui.supervisionDescriptionLabel, lambda word: self._choose("supervision", word)
        )
        self._network = ChoiceBox(
            ui.networkSelector, ui.networkDescriptionLabel, lambda word: self._choose("network", word)
        )

    def connect(self) -> None:
        self._preset.connect(presets())
        self._supervision.connect(supervisions())
        self._network.connect(networks())
        self._ui.outputPath.connect("currentPathChanged(QString)", lambda path: self._choose("outputFolder", path))

    def disconnect(self) -> None:
        self._parameters = None

    def enter(self) -> None:
        """Nothing here lies on the disk."""

    def leave(self) -> None:
        """Nothing here goes on by itself."""

    def close_scene(self) -> None:
        """Nothing here is a node."""

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self._parameters = parameters
        if parameters is None:
            return
        self._preset.show(parameters.preset)
        self._supervision.show(parameters.supervision)
        self._network.show(parameters.network)
        if self._ui.outputPath.currentPath != parameters.outputFolder:
            self._ui.outputPath.currentPath = parameters.outputFolder

    def _choose(self, name: str, word: str) -> None:
        if self._parameters is not None and getattr(self._parameters, name) != word:
            setattr(self._parameters, name, word)

    def _choose_preset(self, word: str) -> None:
        """The network follows, while it is the one that went with the former motion."""
        parameters = self._parameters
        if parameters is None or parameters.preset == word:
            return
        follows = parameters.network == NETWORK_OF_PRESET.get(parameters.preset)
        parameters.preset = word
        if follows and word in NETWORK_OF_PRESET:
            parameters.network = NETWORK_OF_PRESET[word]
