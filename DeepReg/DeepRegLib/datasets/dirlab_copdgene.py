"""DIR-Lab COPDgene: ten patients, one breath held after inhaling and one after exhaling, 300 landmark pairs.

R. Castillo et al., Phys. Med. Biol. 58 (2013) 2861. The scans may not be passed on: they are read from where the user
has put them.
"""

from __future__ import annotations

import re

from ..images.geometry import Geometry
from .dirlab_collection import Collection, LandmarkLists

COLUMNS = 512
SLICE_MM = 2.5


def _scan(slices: int, pixel_mm: float) -> Geometry:
    return Geometry((COLUMNS, COLUMNS, slices), (pixel_mm, pixel_mm, SLICE_MM))


COPDGENE = Collection(
    key="dirlab-copdgene",
    title="DIR-Lab COPDgene",
    cases={
        1: _scan(121, 0.625),
        2: _scan(102, 0.645),
        3: _scan(126, 0.652),
        4: _scan(126, 0.590),
        5: _scan(131, 0.647),
        6: _scan(119, 0.633),
        7: _scan(112, 0.625),
        8: _scan(115, 0.586),
        9: _scan(116, 0.664),
        10: _scan(135, 0.742),
    },
    phases={"i": "inhale", "e": "exhale"},
    # The experts chose their points in the inhaled scan and looked for them in the exhaled one; as in the 4DCT.
    usual=("inhale", "exhale"),
    # copd1_iBHCT.img
    scan=re.compile(r"(?:copd_?0*(?P<case>\d+)_)?(?P<phase>[ie])BHCT\.img", re.IGNORECASE),
    # copd1_300_iBH_xyz_r1.txt
    lists=(
        LandmarkLists(
            300, re.compile(r"(?:copd_?0*(?P<case>\d+)_)?300_(?P<phase>[ie])BH_xyz(?:_r\d+)?\.txt", re.IGNORECASE)
        ),
    ),
    folder=re.compile(r"copd[ _-]?0*(?P<case>\d+)(?:pack|deploy)?", re.IGNORECASE),
)
