"""What is told of the steps since the last row of the table."""

from __future__ import annotations

from typing import Any

from .training_step import StepNumbers


class StepWindow:
    """Sums over the steps since the last row of the table."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = [0.0, 0.0, 0.0, 0.0]
        self.rate = 0.0
        self.seconds = 0.0
        self.drawing = 0.0
        self._recent: float | None = None

    def add(self, numbers: StepNumbers, seconds: float, drawing: float) -> None:
        self.count += 1
        values = (numbers.loss, numbers.error_mm, numbers.zero_mm, numbers.gradient)
        self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]
        self.rate = numbers.learning_rate
        self.seconds += seconds
        self.drawing += drawing
        self._recent = seconds if self._recent is None else 0.9 * self._recent + 0.1 * seconds

    def row(self) -> dict[str, float]:
        means = dict(zip(("loss", "error_mm", "zero_mm", "gradient"), self.sums, strict=True))
        row = {name: total / self.count for name, total in means.items()}
        return {**row, "learning_rate": self.rate, "drawing_share": self.drawing / max(self.seconds, 1e-9)}

    def seconds_per_step(self) -> float:
        return self._recent or 0.0

    def clear(self) -> None:
        self.count, self.sums, self.seconds, self.drawing = 0, [0.0, 0.0, 0.0, 0.0], 0.0, 0.0

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("count", "sums", "rate", "seconds", "drawing")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> StepWindow:
        window = cls()
        for name, value in content.items():
            setattr(window, name, value)
        return window
