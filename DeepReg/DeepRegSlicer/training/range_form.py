"""The numbers of a preset, changed one at a time and checked; no widgets here.

The form holds a preset as plain types (``DeepRegTrainLib.pairs.Preset.to_dict``) and the rows of
``DeepRegTrainLib.preset_form``; its :meth:`RangeForm.text` is what the parameter ``ranges`` keeps and what a run is
started with.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from DeepRegLib.errors import BadInput
from slicer.i18n import tr as _

RANGE, THREE, WHOLE, YES_NO = "range", "three", "whole", "yes or no"
"""Kinds of rows; all others are one number."""
ENDS = ("low", "high")


class RangeForm:
    """``entry`` is one preset of ``preset_form.catalogue()``; ``text`` the changed preset, "" for the preset as it is.
    A text of another preset or another version changes nothing; :attr:`misfit` says so."""

    def __init__(self, entry: Mapping[str, Any], text: str = "") -> None:
        self.rows: list[dict[str, Any]] = list(entry["rows"])
        self._preset = entry["preset"]
        self._content = copy.deepcopy(self._preset)
        self.misfit = ""
        if text:
            self._take(text)

    @property
    def is_changed(self) -> bool:
        return any(self.row_is_changed(number) for number in range(len(self.rows)))

    def row_is_changed(self, number: int) -> bool:
        row = self.rows[number]
        return self._content[row["part"]][row["name"]] != self._preset[row["part"]][row["name"]]

    def text(self) -> str:
        """The changed preset as JSON; "" when nothing is changed."""
        return json.dumps(self._content) if self.is_changed else ""

    def words(self, number: int) -> list[str]:
        """What stands in the cells of a row: one or two texts; "yes" or "no" for a switch."""
        row = self.rows[number]
        value = self._content[row["part"]][row["name"]]
        if row["kind"] == RANGE:
            return [_number(value[end]) for end in ENDS]
        if row["kind"] == THREE:
            return [" ".join(_number(part) for part in value)]
        if row["kind"] == YES_NO:
            return ["yes" if value else "no"]
        return [_number(value)]

    def set_switch(self, number: int, on: bool) -> None:
        row = self.rows[number]
        self._content[row["part"]][row["name"]] = bool(on)

    def set_words(self, number: int, place: int, words: str) -> str:
        """Take what was entered in cell ``place`` (0 or 1) of a row; a sentence when something else changed with it.

        Raises :class:`~DeepRegLib.errors.BadInput` when the entry makes no sense; then nothing is changed.
        """
        row = self.rows[number]
        values = self._checked(row, words)
        part = self._content[row["part"]]
        if row["kind"] == THREE:
            part[row["name"]] = values
        elif row["kind"] == RANGE:
            return self._set_end(row, ENDS[place], values[0])
        else:
            part[row["name"]] = int(values[0]) if row["kind"] == WHOLE else values[0]
        return ""

    def _set_end(self, row: Mapping[str, Any], end: str, value: float) -> str:
        """The other end follows where it would be passed: one cannot enter both at once."""
        both = self._content[row["part"]][row["name"]]
        both[end] = value
        if both["low"] <= both["high"]:
            return ""
        other = ENDS[1 - ENDS.index(end)]
        both[other] = value
        if other == "high":
            words = _("'{label}' goes from the lower to the higher number: the upper end is now {value}, too.")
        else:
            words = _("'{label}' goes from the lower to the higher number: the lower end is now {value}, too.")
        return words.format(label=row["label"], value=_number(value))

    def _checked(self, row: Mapping[str, Any], words: str) -> list[float]:
        wanted = 3 if row["kind"] == THREE else 1
        # A comma between digits is that of another language; three numbers are told apart by spaces.
        parts = words.replace(",", ".").replace(";", " ").split()
        try:
            values = [float(part) for part in parts]
        except ValueError:
            values = []
        if len(values) != wanted or not all(math.isfinite(value) for value in values):
            sentence = _("'{label}' takes a number, not '{words}'.")
            if wanted == 3:
                sentence = _("'{label}' takes three numbers with spaces between them, not '{words}'.")
            raise BadInput(sentence.format(label=row["label"], words=words))
        if row["kind"] == WHOLE and any(value != round(value) for value in values):
            raise BadInput(_("'{label}' takes a whole number, not {words}.").format(label=row["label"], words=words))
        for value in values:
            if not row["lowest"] <= value <= row["highest"]:
                raise BadInput(
                    _("'{label}' goes from {lowest} to {highest}, not to {value}.").format(
                        label=row["label"],
                        lowest=_number(row["lowest"]),
                        highest=_number(row["highest"]),
                        value=_number(value),
                    )
                )
        return values

    def _take(self, text: str) -> None:
        try:
            content = json.loads(text)
            if content["name"] != self._preset["name"]:
                return  # they belong to another motion, and are for that one
            found = {(row["part"], row["name"]): content[row["part"]][row["name"]] for row in self.rows}
            trial = RangeForm({"rows": self.rows, "preset": self._preset})
            for number, row in enumerate(self.rows):
                trial._content[row["part"]][row["name"]] = found[row["part"], row["name"]]
                self._require_sound(trial, number)
        except (ValueError, KeyError, TypeError, AttributeError, BadInput):
            self.misfit = _("The changed ranges in this scene are of another version and are not used.")
            return
        self._content = trial._content

    def _require_sound(self, trial: RangeForm, number: int) -> None:
        row = self.rows[number]
        if row["kind"] == YES_NO:
            if not isinstance(trial._content[row["part"]][row["name"]], bool):
                raise BadInput("no switch")
            return
        words = trial.words(number)
        for text in words:
            self._checked(row, text)
        if row["kind"] == RANGE and float(words[0]) > float(words[1]):
            raise BadInput("no range")


def changed_preset(text: str, preset: str) -> dict[str, Any] | None:
    """The changed preset that the parameter ``ranges`` keeps, for a run or a preview of ``preset``; None for the preset
    as it is, also where the text belongs to another one or is damaged.

    >>> changed_preset('{"name": "breathing", "size": [64, 64, 64]}', "eppenhof2018") is None
    True
    """
    try:
        content = json.loads(text) if text else None
        return content if content is not None and content["name"] == preset else None
    except (ValueError, KeyError, TypeError):
        return None


def rows_titles() -> Sequence[str]:
    return (_("Range"), _("Unit"), _("From"), _("To"))


def _number(value: float) -> str:
    """
    >>> _number(0.30000000000000004), _number(34.0), _number(-3)
    ('0.3', '34', '-3')
    """
    return f"{value:.6g}"
