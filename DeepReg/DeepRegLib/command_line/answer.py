"""What a command has to say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The same answer twice: ``text`` for people and ``numbers`` for programs."""

    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def as_json(answer: Answer) -> str:
    """The numbers as one JSON object; what is not a number in JSON's eyes (NaN, infinity) becomes null.

    >>> as_json(Answer("", {"mean": float("nan"), "count": 2}))
    '{"mean": null, "count": 2}'
    """
    return json.dumps(_finite(answer.numbers), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
