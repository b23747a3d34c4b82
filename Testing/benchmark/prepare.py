"""Makes the files of one pair in one variant, in a process of its own: ``python -m benchmark.prepare NAME VARIANT DATA
FOLDER``. Prints the pair as JSON. Apart from the tools, so that their memory and time hold nothing of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .pairs import load
from .variants import VARIANTS

if __name__ == "__main__":
    name, variant, data, folder = sys.argv[1:]
    print(VARIANTS[variant](load(name, Path(data), Path(folder)), Path(folder)).to_json())
