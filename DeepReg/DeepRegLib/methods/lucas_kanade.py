"""The solver alone: it starts from the pre-alignment and needs no trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .interface import Cancelled, Method, Progress, register_method

if TYPE_CHECKING:
    from ..transforms.displacement_field import DisplacementField
    from .pair import Pair


def propose(pair: Pair, progress: Progress, cancelled: Cancelled) -> Sequence[DisplacementField]:
    """Nothing: the refinement, which follows every method, does all the work."""
    return ()


register_method(
    Method(
        "lucas-kanade",
        "Training-free solver: exact on lungs and other organs, no network needed.",
        propose,
        dimensions=(3,),
    )
)
