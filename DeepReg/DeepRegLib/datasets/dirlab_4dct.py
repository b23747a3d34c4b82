"""DIR-Lab 4DCT: ten patients in radiotherapy, ten breathing phases each; 300 landmark pairs between T00 (end of
inhaling) and T50 (end of exhaling), 75 landmarks in the six phases from T00 to T50.

R. Castillo et al., Phys. Med. Biol. 54 (2009) 1849; E. Castillo et al., Phys. Med. Biol. 55 (2010) 305. The scans may
not be passed on: they are read from where the user has put them.
"""

from __future__ import annotations

import re

from ..images.geometry import Geometry
from .dirlab_collection import Collection, LandmarkLists

SLICE_MM = 2.5


def _scan(columns: int, slices: int, pixel_mm: float) -> Geometry:
    return Geometry((columns, columns, slices), (pixel_mm, pixel_mm, SLICE_MM))


FOUR_D_CT = Collection(
    key="dirlab-4dct",
    title="DIR-Lab 4DCT",
    cases={
        1: _scan(256, 94, 0.97),
        2: _scan(256, 112, 1.16),
        3: _scan(256, 104, 1.15),
        4: _scan(256, 99, 1.13),
        5: _scan(256, 106, 1.10),
        6: _scan(512, 128, 0.97),
        7: _scan(512, 136, 0.97),
        8: _scan(512, 128, 0.97),
        9: _scan(512, 128, 0.97),
        10: _scan(512, 120, 0.97),
    },
    phases={f"t{tenth}0": f"T{tenth}0" for tenth in range(10)},
    # Inhaling is fixed, as in most papers: there the experts chose their points, and the lungs are largest.
    usual=("T00", "T50"),
    # case1_T00.img, case1_T00_s.img, case2_T00-ssm.img; renamed copies without the number of the case
    scan=re.compile(r"(?:case_?0*(?P<case>\d+)_)?(?P<phase>t\d0)(?:[-_]s(?:sm)?)?\.img", re.IGNORECASE),
    lists=(
        # Case1_300_T00_xyz.txt (cases 1 to 5), case6_dirLab300_T00_xyz.txt (6 to 10)
        LandmarkLists(
            300, re.compile(r"(?:case_?0*(?P<case>\d+)_)?(?:dirlab_?)?300_(?P<phase>t\d0)_xyz\.txt", re.IGNORECASE)
        ),
        # case1_4D-75_T00.txt
        LandmarkLists(
            75, re.compile(r"(?:case_?0*(?P<case>\d+)_)?4d-?_?75_(?P<phase>t\d0)(?:_xyz)?\.txt", re.IGNORECASE)
        ),
    ),
    folder=re.compile(r"case[ _-]?0*(?P<case>\d+)(?:pack|deploy)?", re.IGNORECASE),
)
