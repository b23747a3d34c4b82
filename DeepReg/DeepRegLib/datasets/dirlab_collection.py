"""What is common to the collections of DIR-Lab: cases by number, phases, and files that are told by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..images.geometry import Geometry


@dataclass(frozen=True)
class LandmarkLists:
    """One kind of landmark files: how many points each has, and what their names look like (groups ``case``, which
    may be missing, and ``phase``)."""

    count: int
    name: re.Pattern[str]


@dataclass(frozen=True)
class Collection:
    """``cases`` gives the grid of each case, as it is read (the first slice is the most inferior one); ``phases`` the
    name of each phase by the small letters in file names; ``usual`` the phases of the fixed and the moving scan;
    ``folder`` the names of folders that tell the case."""

    key: str
    title: str
    cases: Mapping[int, Geometry]
    phases: Mapping[str, str]
    usual: tuple[str, str]
    scan: re.Pattern[str]
    lists: tuple[LandmarkLists, ...]
    folder: re.Pattern[str]

    def phase(self, match: re.Match[str]) -> str:
        """The phase that a file name tells."""
        return self.phases[match["phase"].lower()]
