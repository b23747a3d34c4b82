"""Stand-ins for the widgets of CTK and Slicer, by the names that .ui files and modules use."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from slicer_host.widgets.base import WIDGETS

__all__ = ["WIDGETS", "load_all"]


def load_all() -> dict[str, type[QWidget]]:
    """Import every stand-in and give them by name."""
    from slicer_host.widgets import (  # noqa: F401 (each registers itself)
        checkable_combo_box,
        ctk_paths,
        ctk_plain,
        ctk_sliders,
        markups_widget,
        node_combo_box,
        segment_selector,
        slicer_plain,
    )

    return WIDGETS
