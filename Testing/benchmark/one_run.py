"""One tool on one pair, in a process of its own: ``python -m benchmark.one_run TOOL SETTING THREADS FOLDER``, with the
pair in FOLDER/pair.json. Leaves its numbers in FOLDER/answer.json.

The life of the process is what a whole command costs: start, reading, registration, writing of the field; the time of
measuring is told, so that it can be taken off.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import SimpleITK as sitk

from .measure import measure, peak_memory_gb
from .pairs import ImagePair
from .run import tool_module


def main(tool: str, setting: str, threads: int, folder: Path) -> None:
    pair = ImagePair.from_json((folder / "pair.json").read_text(encoding="utf-8"))
    outcome = tool_module(tool).register(pair, setting, threads)
    _write(outcome.field.to_sitk(), folder / "field.nii")
    memory = peak_memory_gb()
    measuring = time.perf_counter()
    answer = {
        "group": pair.group,
        "seconds": outcome.seconds,
        "stages": outcome.stages,
        "peak_memory_gb": memory,
        **measure(outcome.field, pair),
    }
    answer["measuring_seconds"] = time.perf_counter() - measuring
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _write(field: sitk.Image, path: Path) -> None:
    sitk.WriteImage(sitk.Cast(field, sitk.sitkVectorFloat32), str(path))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
