"""The networks that ship with this project: alone, and as a start for the solver."""

from __future__ import annotations

from .ours import registered
from .pairs import ImagePair
from .run import Outcome

MODELS = ("lung-ct", "lung-ct-progressive", "lung-ct-tps")
SETTINGS = {
    **{f"{model}_alone": (model, "fast") for model in MODELS},
    **{f"{model}_start": (model, "accurate") for model in MODELS},
}
"""Method and quality: "fast" is the network alone, "accurate" keeps the better of its start and none."""


def register(pair: ImagePair, setting_name: str, threads: int) -> Outcome:
    method, quality = SETTINGS[setting_name]
    return registered(pair, method, quality, threads)
