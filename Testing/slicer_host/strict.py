"""Plain stand-in objects that take no attributes but their own."""

from __future__ import annotations

from typing import Any


class Strict:
    """Reading or writing an attribute that the class does not declare raises AttributeError.

    Writable ones are declared as annotations of the class.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        declared = {known for kind in type(self).__mro__ for known in getattr(kind, "__annotations__", {})}
        if name not in declared:
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}', or the stand-in does not know it yet")
