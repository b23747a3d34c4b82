"""The examples in the documentation say the truth."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import DeepRegLib
import pytest
from DeepRegLib import device

ROOT = Path(DeepRegLib.__file__).parent
MODULES = sorted(
    ".".join(("DeepRegLib", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_promise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On busy processors two threads that wait for each other take ten times as long as one.
    monkeypatch.setattr(device, "usable_processors", lambda: 1)
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_modules_with_examples() -> None:
    assert {"DeepRegLib.registration", "DeepRegLib.images.geometry"} <= set(MODULES)
