"""``warp`` and ``invert``: transforms put to use."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .answer import Answer
from .output import check_output_file

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..images.geometry import Geometry

POINT_FILES = (".csv", ".fcsv", ".json")
POINTS_WRITABLE = (".csv", ".mrk.json")
WARP = """Brings an image onto the grid of the fixed image, or takes points of the fixed image to the moving one. An
image is pulled through the transform: it is a moving image, and the result lies on the fixed grid. Landmarks (.csv,
.mrk.json, .fcsv) go the other way, FORWARD: they are points of the fixed image, and the result are their places in the
moving one."""
INVERT = """Writes the inverse of a transform: the one that maps points of the moving image to the fixed one."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    warp = commands.add_parser("warp", help="bring an image, labels or points through a transform", description=WARP)
    warp.add_argument("input", metavar="INPUT", type=Path, help="moving image or label map, or landmarks of the fixed")
    warp.add_argument("transform", metavar="TRANSFORM", type=Path)
    warp.add_argument("--output", metavar="FILE", type=Path, required=True)
    warp.add_argument(
        "--reference", metavar="FIXED", type=Path, help="image whose grid the result gets (default: the transform's)"
    )
    kind = warp.add_mutually_exclusive_group()
    kind.add_argument("--interpolation", choices=("linear", "nearest"), default="linear", help="default: linear")
    kind.add_argument("--labels", action="store_true", help="the input is a label map: nearest voxel, 0 outside")
    kind.add_argument("--points", action="store_true", help="the input holds landmarks, whatever its name")
    warp.set_defaults(run=run_warp)

    invert = commands.add_parser("invert", help="invert a transform", description=INVERT)
    invert.add_argument("transform", metavar="TRANSFORM", type=Path)
    invert.add_argument("--output", metavar="FILE", type=Path, required=True)
    invert.add_argument(
        "--reference", metavar="MOVING", type=Path, help="image whose grid the inverse gets (default: the transform's)"
    )
    invert.add_argument("--fixed", metavar="FIXED", type=Path, help="the grid for transforms that have none (B-spline)")
    invert.set_defaults(run=run_invert)


def run_warp(arguments: Namespace) -> Answer:
    if arguments.points or arguments.input.name.lower().endswith(POINT_FILES):
        return _warp_points(arguments)
    return _warp_image(arguments)


def _warp_points(arguments: Namespace) -> Answer:
    from ..evidence.landmarks import Landmarks, read_landmarks, write_landmarks
    from ..transforms.read_write import read_transform

    output = check_output_file(arguments.output, POINTS_WRITABLE)
    landmarks = read_landmarks(arguments.input)
    transform = read_transform(arguments.transform, _grid_of(arguments.reference))
    write_landmarks(output, Landmarks(transform.map_points(landmarks.points), landmarks.labels, landmarks.name))
    return Answer(f"Mapped {len(landmarks)} points forward, from the fixed to the moving image: {output}")


def _warp_image(arguments: Namespace) -> Answer:
    from ..images.read import WRITABLE, read_volume, write_volume
    from ..transforms.read_write import read_transform
    from ..transforms.warp import warp_volume

    output = check_output_file(arguments.output, WRITABLE)
    volume = read_volume(arguments.input)
    reference = _grid_of(arguments.reference)
    transform = read_transform(arguments.transform, reference)
    grid = reference or transform.geometry
    if arguments.labels:
        warped = warp_volume(volume, transform, grid, "nearest", outside=0)
    else:
        warped = warp_volume(volume, transform, grid, arguments.interpolation)
    write_volume(warped, output)
    whose = (arguments.reference or arguments.transform).name
    return Answer(f"Warped {volume.name} onto the grid of {whose}: {output}")


def run_invert(arguments: Namespace) -> Answer:
    from ..transforms.invert import invert
    from ..transforms.read_write import WRITABLE, read_transform, write_transform

    output = check_output_file(arguments.output, WRITABLE)
    transform = read_transform(arguments.transform, _grid_of(arguments.fixed))
    result = invert(transform, _grid_of(arguments.reference))
    write_transform(output, result.field)
    accuracy = f"T(inverse(y)) comes back to y within {result.residual_mm:.2g} mm"
    if result.unconverged:
        accuracy += f"; {100 * result.unconverged:.2g} % of the points have no exact inverse: T folds there"
    return Answer(f"Wrote the inverse to {output}. {accuracy}.")


def _grid_of(image: Path | None) -> Geometry | None:
    from ..images.read import read_volume

    return read_volume(image).geometry if image else None
