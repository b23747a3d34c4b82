"""``register``: two images in, a folder with the transform and the evidence out."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadLandmarks, Cancelled
from . import wording
from .answer import Answer
from .output import check_output_folder
from .pairs import add_pair_options, check_pair_options, inputs_of, load_chosen_pair, pair_record
from .progress import shown_progress
from .stopping import first_signal_asks
from .values import QUALITIES, millimetres, positive, seed

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

DESCRIPTION = """Brings MOVING onto FIXED and writes transform.h5, inverse.h5, warped.nii.gz, report.html and
evidence.json (with landmarks also landmark_errors.csv) to a folder. Images are NIfTI, NRRD, MetaImage files or folders
with one DICOM series. Instead of FIXED and MOVING, --pair names a folder that holds a pair with its masks and
landmarks: a case of DIR-Lab as it was downloaded (4DCT or COPDgene, raw scans), or two images."""
REGISTERED_SHARE = 0.95
"""Of the time; the rest is writing."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = commands.add_parser("register", help="register two images", description=DESCRIPTION)
    parser.add_argument("fixed", metavar="FIXED", type=Path, nargs="?", help="the image that stays where it is")
    parser.add_argument("moving", metavar="MOVING", type=Path, nargs="?", help="the image that is brought onto it")
    add_pair_options(parser)
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument("--method", metavar="NAME", default="auto", help="see the command methods (default: auto)")
    parser.add_argument("--quality", choices=QUALITIES, default="balanced", help="default: balanced")
    parser.add_argument("--fixed-mask", metavar="FILE", type=Path, help="where the match counts, in the fixed image")
    parser.add_argument("--moving-mask", metavar="FILE", type=Path, help="the same in the moving image")
    add_landmark_options(parser)
    parser.add_argument(
        "--prealignment", choices=("auto", "none"), default="auto", help="none: trust the positions (default: auto)"
    )
    parser.add_argument(
        "--similarity",
        choices=("auto", "intensity", "structure"),
        default="auto",
        help="intensity for two scans of one kind, structure for others (default: auto, which finds out)",
    )
    parser.add_argument("--no-refinement", action="store_true", help="the field as the method proposes it")
    parser.add_argument("--field-spacing", metavar="MM", type=millimetres, help="keep the field on coarser voxels")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--threads", metavar="N", type=positive, help="processor threads (default: all)")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="start of random numbers (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the evidence as one JSON object")
    parser.set_defaults(run=run_register)


def add_landmark_options(parser: ArgumentParser) -> None:
    """``--fixed-landmarks`` and ``--moving-landmarks``, for commands that measure."""
    parser.add_argument(
        "--fixed-landmarks",
        metavar="FILE",
        type=Path,
        help=".csv, .mrk.json, .fcsv, or a .txt list of elastix or DIR-Lab; used to measure, never to fit",
    )
    parser.add_argument("--moving-landmarks", metavar="FILE", type=Path, help="the same places, in the same order")


def check_landmark_options(arguments: Namespace) -> None:
    """Raises :class:`~DeepRegLib.errors.BadLandmarks` when landmarks are named for one image only."""
    if (arguments.fixed_landmarks is None) != (arguments.moving_landmarks is None):
        missing = "fixed" if arguments.fixed_landmarks is None else "moving"
        raise BadLandmarks(f"Landmarks are needed in both images: --{missing}-landmarks is missing.")


def run_register(arguments: Namespace) -> Answer:
    check_landmark_options(arguments)
    check_pair_options(arguments, FIXED=arguments.fixed, MOVING=arguments.moving)
    output = check_output_folder(arguments.output)
    with first_signal_asks() as cancelled, shown_progress() as progress:
        progress(0.0, "Starting")
        pair = load_chosen_pair(arguments)
        from ..registration import register  # brings torch: seconds in which the user should see something

        registration = register(
            **inputs_of(arguments, pair),
            method=arguments.method,
            quality=arguments.quality,
            device=arguments.device,
            threads=arguments.threads,
            seed=arguments.seed,
            prealignment=arguments.prealignment,
            similarity=arguments.similarity,
            refine=not arguments.no_refinement,
            field_spacing_mm=arguments.field_spacing,
            progress=lambda fraction, stage: progress(REGISTERED_SHARE * fraction, stage),
            cancelled=cancelled,
        )
        if cancelled():
            raise Cancelled("The registration was cancelled; nothing was written.")
        progress(REGISTERED_SHARE, "Writing the results")
        if pair is not None:
            registration.evidence["pair"] = pair_record(pair)
        files = registration.save(output)
        progress(1.0, "Done")
    text = "\n".join([*wording.registration(registration.evidence), *wording.files(files.values())])
    return Answer(text, registration.evidence)
