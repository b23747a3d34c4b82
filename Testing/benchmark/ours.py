"""The registrator of this project, through its one way in."""

from __future__ import annotations

from .pairs import ImagePair
from .run import Outcome

METHOD = "auto"
SETTINGS = {"ours_fast": "fast", "ours_balanced": "balanced", "ours_accurate": "accurate"}
"""The qualities that are offered."""
TIMED_STAGES = ("region", "prealign", "propose", "refine")
"""What corresponds to the peers' work: neither reading nor evaluating, reporting and writing."""


def register(pair: ImagePair, setting_name: str, threads: int) -> Outcome:
    return registered(pair, METHOD, SETTINGS[setting_name], threads)


def registered(pair: ImagePair, method: str, quality: str, threads: int) -> Outcome:
    """One pair with one method of ours."""
    from DeepRegLib.registration import register as register_pair

    result = register_pair(
        pair.fixed, pair.moving, method=method, quality=quality, fixed_mask=pair.mask, threads=threads
    )
    stages = result.evidence["seconds"]
    return Outcome(result.transform, sum(stages.get(stage, 0.0) for stage in TIMED_STAGES), stages)
