"""How landmark files are read: CSV tables, 3D Slicer's markups (.mrk.json) and its older lists (.fcsv), and the plain
lists of elastix and DIR-Lab (.txt).

Every reader returns the points in LPS millimetres, whatever frame the file is written in. Lists of voxels need the
image that the voxels are of.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadLandmarks
from ..images.volume import Volume
from .voxel_lists import check_voxels, slice_order, voxel_points

LPS_COLUMNS = (("x_lps_mm", "y_lps_mm", "z_lps_mm"), ("x_lps", "y_lps", "z_lps"), ("x", "y", "z"), ("l", "p", "s"))
"""Headers of tables in LPS. The last is what 3D Slicer writes when it exports control points to a CSV file."""
RAS_COLUMNS = (("x_ras_mm", "y_ras_mm", "z_ras_mm"), ("x_ras", "y_ras", "z_ras"), ("r", "a", "s"))
"""Headers of tables in RAS, the frame that 3D Slicer shows on the screen."""
LABEL_COLUMNS = ("label", "name", "id")
"""Columns that may name a landmark; the first that is there is used."""

FCSV_COLUMNS = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "node")
"""Columns of a versioned .fcsv file (vtkMRMLMarkupsFiducialStorageNode); the position status comes after them."""
FCSV_POSITION_STATUS = 14
FCSV_DEFINED = "2"
"""vtkMRMLMarkupsNode::PositionDefined."""

ELASTIX_MM, ELASTIX_VOXELS = "point", "index"
"""First word of a list for transformix: LPS mm, or voxels counted from 0. The number of points follows."""


class FilePoint(NamedTuple):
    """One point of a file: LPS mm, its label (may be empty) and its place in the file's list, counted from 1."""

    position: tuple[float, float, float]
    label: str
    row: int


def read_points(path: Path, image: Volume | None = None) -> list[FilePoint]:
    """The points of a landmark file, chosen by its ending: .csv, .fcsv, .mrk.json, .json or .txt; ``image`` is needed
    for lists of voxels.

    Raises :class:`BadLandmarks` with the file and the row in the sentence.
    """
    readers = {
        ".csv": _read_csv,
        ".fcsv": _read_fcsv,
        ".json": _read_json,
        ".txt": lambda text, file: _read_list(text, file, image),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadLandmarks(
            f"The landmark file '{path.name}' ends in '{path.suffix}'.",
            "Landmarks are read from .csv, .mrk.json, .fcsv and .txt files.",
        )
    return reader(_text_of(path), path.name)


def read_voxel_list(path: Path) -> np.ndarray:
    """The voxels of a list without a header, as DIR-Lab writes them: (n, 3) integers in x, y, z order, from 1.

    Raises :class:`BadLandmarks` with the file and the row in the sentence.
    """
    return _voxels(_rows(_text_of(path)), path.name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Excel begins its CSV files with a byte order mark
    except FileNotFoundError:
        raise BadLandmarks(f"There is no landmark file '{path}'.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadLandmarks(f"The landmark file '{path.name}' cannot be read: {error}.") from error


def _read_csv(text: str, file: str) -> list[FilePoint]:
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = next((d for d in (",", ";", "\t") if d in first), ",")
    table = csv.reader(lines, delimiter=delimiter)
    header = [name.strip().lower() for name in next(table, [])]
    columns, sign = _coordinate_columns(header, file)
    label_column = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    defined_column = header.index("defined") if "defined" in header else None
    points = []
    for row, cells in enumerate(_filled(table), start=1):
        if defined_column is not None and defined_column < len(cells) and cells[defined_column].strip() == "0":
            continue
        x, y, z = _numbers([cells[c] if c < len(cells) else "" for c in columns], file, row)
        label = cells[label_column].strip() if label_column is not None and label_column < len(cells) else ""
        points.append(FilePoint((sign * x, sign * y, z), label, row))
    return points


def _coordinate_columns(header: list[str], file: str) -> tuple[list[int], int]:
    """Where x, y, z stand, and the sign that takes x and y to LPS."""
    for sign, families in ((1, LPS_COLUMNS), (-1, RAS_COLUMNS)):
        for names in families:
            if all(name in header for name in names):
                return [header.index(name) for name in names], sign
    raise BadLandmarks(
        f"The landmark file '{file}' has no columns x, y, z; its first line is: {', '.join(header)[:80] or '(empty)'}.",
        "The first line must name the columns x,y,z (LPS mm), or x_ras_mm,y_ras_mm,z_ras_mm.",
    )


def _read_fcsv(text: str, file: str) -> list[FilePoint]:
    lines = text.splitlines()
    comments = [line.lstrip("# ").strip() for line in lines if line.startswith("#")]
    versioned = any(line.startswith("Markups fiducial file version") for line in comments)
    frame = next((line.partition("=")[2].strip().upper() for line in comments if line.startswith("Coord")), None)
    # 3D Slicer's own reader: a versioned file without a frame is LPS; one without a version comes from Slicer 3,
    # begins each row with the label, and is RAS whatever it says.
    frame = (frame or "LPS") if versioned else "RAS"
    sign = {"LPS": 1, "1": 1, "RAS": -1, "0": -1}.get(frame)
    if sign is None:
        raise BadLandmarks(f"The landmark file '{file}' is in the frame '{frame}'; LPS and RAS are understood.")
    label_column = FCSV_COLUMNS.index("label") if versioned else 0
    points = []
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    for row, cells in enumerate(_filled(rows), start=1):
        if len(cells) > FCSV_POSITION_STATUS and cells[FCSV_POSITION_STATUS].strip() not in ("", FCSV_DEFINED):
            continue
        x, y, z = _numbers((cells[1:4] + [""] * 3)[:3], file, row)
        label = cells[label_column].strip() if label_column < len(cells) else ""
        points.append(FilePoint((sign * x, sign * y, z), label, row))
    return points


def _read_json(text: str, file: str) -> list[FilePoint]:
    try:
        markups = json.loads(text)["markups"]
        points = markups[0].get("controlPoints", []) if markups else []
        frame = str(markups[0].get("coordinateSystem", "LPS")).upper() if markups else "LPS"
        unit = markups[0].get("coordinateUnits", "mm") if markups else "mm"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise BadLandmarks(
            f"The landmark file '{file}' is not a markups file of 3D Slicer.",
            "Save the point list in Slicer as .mrk.json again.",
        ) from None
    if (unit[0] if isinstance(unit, list) and unit else unit) != "mm":
        raise BadLandmarks(f"The landmark file '{file}' is in '{unit}'; landmarks must be in millimetres.")
    if frame not in ("LPS", "RAS"):
        raise BadLandmarks(f"The landmark file '{file}' is in the frame '{frame}'; LPS and RAS are understood.")
    sign = 1 if frame == "LPS" else -1
    return list(_control_points(points, sign, file))


def _control_points(points: list[dict[str, Any]], sign: int, file: str) -> Iterator[FilePoint]:
    for row, point in enumerate(points, start=1):
        if point.get("positionStatus", "defined") != "defined":
            continue  # a point that is listed but not (or not yet) placed in the image
        position = point.get("position")
        if not isinstance(position, list) or len(position) != 3:
            raise BadLandmarks(f"Row {row} of the landmark file '{file}' has no position of three numbers.")
        x, y, z = _numbers(position, file, row)
        yield FilePoint((sign * x, sign * y, z), str(point.get("label", "")), row)


def _read_list(text: str, file: str, image: Volume | None) -> list[FilePoint]:
    """A list with the header of elastix, or one without any, which holds voxels."""
    rows = _rows(text)
    kind = rows[0][0].lower() if rows else ""
    if kind == ELASTIX_MM:
        points = np.array(_after_count(rows, file))
    elif kind == ELASTIX_VOXELS:
        points = _needed(image, file).geometry.to_physical(np.array(_after_count(rows, file)))
    else:
        points = _dirlab_points(_voxels(rows, file), image, file)
    return [FilePoint((x, y, z), "", row) for row, (x, y, z) in enumerate(points.tolist(), start=1)]


def _dirlab_points(voxels: np.ndarray, image: Volume | None, file: str) -> np.ndarray:
    if not len(voxels):
        return voxels
    image = _needed(image, file)
    check_voxels(voxels, image.geometry, file)
    return voxel_points(voxels, image.geometry, slice_order(voxels, image))


def _needed(image: Volume | None, file: str) -> Volume:
    if image is None:
        raise BadLandmarks(
            f"The landmark file '{file}' lists voxels; the image that they are of is needed with it.",
            "Give the image, or write the landmarks in millimetres: a .csv file with the columns x,y,z.",
        )
    return image


def _rows(text: str) -> list[list[str]]:
    return [cells for cells in (line.replace(",", " ").split() for line in text.splitlines()) if cells]


def _after_count(rows: list[list[str]], file: str) -> list[list[float]]:
    """The points below the two lines of an elastix header."""
    announced = rows[1][0] if len(rows) > 1 else ""
    points = [_numbers(cells, file, row) for row, cells in enumerate(rows[2:], start=1)]
    if announced != str(len(points)):
        raise BadLandmarks(
            f"The landmark file '{file}' announces {announced or 'no number of'} points and holds {len(points)}.",
            "Is the file complete?",
        )
    return points


def _voxels(rows: list[list[str]], file: str) -> np.ndarray:
    found = np.array([_numbers(cells, file, row) for row, cells in enumerate(rows, start=1)]).reshape(-1, 3)
    broken = (found != np.rint(found)).any(1)
    if broken.any():
        raise BadLandmarks(
            f"Row {int(np.argmax(broken)) + 1} of the landmark file '{file}' is no voxel: its numbers are not whole.",
            "Points in millimetres go into a .csv file with the columns x,y,z (LPS).",
        )
    return found.astype(int)


def _filled(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    return (cells for cells in rows if any(cell.strip() for cell in cells))


def _numbers(cells: list[Any], file: str, row: int) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except (TypeError, ValueError):
        values = []
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        shown = ", ".join(str(cell) for cell in cells)
        raise BadLandmarks(
            f"Row {row} of the landmark file '{file}' does not hold three numbers: {shown[:80]}.",
            "Each landmark needs x, y and z in millimetres, written with a decimal point.",
        )
    return values
