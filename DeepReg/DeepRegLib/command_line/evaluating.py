"""``evaluate``: how well a transform fits, whoever made it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import wording
from .answer import Answer
from .pairs import add_pair_options, check_pair_options, inputs_of, load_chosen_pair, pair_record
from .registering import add_landmark_options, check_landmark_options

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..transforms.displacement_field import DisplacementField

DESCRIPTION = """Measures a transform that maps points of the fixed image to points of the moving one: of this program,
of 3D Slicer, ANTs, elastix (its ITK transform or deformation field) and whatever else writes ITK transforms or images
of displacements. "Before" means the two images as they lie in space without it. Instead of the images and landmarks,
--pair names a folder that holds them: a case of DIR-Lab, or two images."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("evaluate", help="measure how well a transform fits", description=DESCRIPTION)
    parser.add_argument("transform", metavar="TRANSFORM", type=Path, help="ITK transform or image of displacements")
    parser.add_argument("--fixed", metavar="FILE", type=Path, help="the fixed image")
    parser.add_argument("--moving", metavar="FILE", type=Path, help="the moving image")
    add_pair_options(parser)
    add_landmark_options(parser)
    parser.add_argument("--fixed-mask", metavar="FILE", type=Path, help="where to measure (default: lungs or body)")
    parser.add_argument("--fixed-labels", metavar="FILE", type=Path, help="label map of the fixed image, for Dice")
    parser.add_argument("--moving-labels", metavar="FILE", type=Path, help="label map of the moving image")
    parser.add_argument("--json", action="store_true", help="print the measures as one JSON object")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(arguments: Namespace) -> Answer:
    from ..evaluation import evaluate
    from ..images.read import read_volume
    from ..transforms.read_write import read_transform

    check_landmark_options(arguments)
    check_pair_options(arguments, **{"--fixed": arguments.fixed, "--moving": arguments.moving})
    _check_label_options(arguments)
    pair = load_chosen_pair(arguments)
    given = inputs_of(arguments, pair)
    given.pop("moving_mask")  # measured is what lies in the fixed region
    given["fixed"] = read_volume(given["fixed"])
    transform = read_transform(arguments.transform, given["fixed"].geometry)
    evidence = {"transform": arguments.transform.name, **evaluate(transform, **given).evidence}
    if pair is not None:
        evidence["pair"] = pair_record(pair)
    if arguments.fixed_labels:
        evidence["dice"] = _of_labels(arguments, transform)
    heading = f"{arguments.transform.name}, from {evidence['fixed']['name']} to {evidence['moving']['name']}:"
    return Answer("\n".join([heading, *wording.pair(evidence), *wording.measures(evidence)]), evidence)


def _check_label_options(arguments: Namespace) -> None:
    if (arguments.fixed_labels is None) != (arguments.moving_labels is None):
        missing = "fixed" if arguments.fixed_labels is None else "moving"
        raise BadInput(f"Labels are needed for both images: --{missing}-labels is missing.")


def _of_labels(arguments: Namespace, transform: DisplacementField) -> dict[str, Any]:
    """Dice of each label and its mean over the labels large enough to count, without and with the transform."""
    from ..evidence.labels import label_overlap
    from ..images.read import read_volume
    from ..transforms.linear import LinearTransform
    from ..transforms.warp import warp_volume

    fixed, moving = read_volume(arguments.fixed_labels), read_volume(arguments.moving_labels)
    found = {}
    for when, step in (("before", LinearTransform()), ("after", transform)):
        overlap = label_overlap(fixed, warp_volume(moving, step, fixed.geometry, "nearest", outside=0))
        labels = {str(label): dice for label, dice in overlap.dice.items()}
        found[when] = {"mean": overlap.mean(), "counted": len(overlap.counted()), "labels": labels}
    return found
