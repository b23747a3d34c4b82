"""``train`` and ``resume``."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from DeepRegLib.command_line.answer import Answer
from DeepRegLib.command_line.output import check_output_folder
from DeepRegLib.command_line.progress import Progress, shown_progress
from DeepRegLib.command_line.stopping import first_signal_asks
from DeepRegLib.command_line.values import positive, seed
from DeepRegLib.errors import Cancelled

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from ..distributed import Group
    from ..pairs import Preset
    from ..run_folder.layout import RunFolder
    from ..run_folder.status import Status
    from ..run_folder.stop_wish import StopWish
    from ..settings import Settings

TRAIN = """Trains a network on the scans in FOLDER with synthetic motion and keeps the run in the folder RUN. The scans
are looked at first, and two steps of each part of the schedule tell how much memory and time it will take. A file
called "stop" in RUN, Ctrl-C or SIGTERM have it save and end; "resume RUN" goes on. With several graphics cards:
torchrun --nproc_per_node N -m DeepRegTrainLib train ... --set pairs=N"""
RESUME = """Goes on with the run in the folder RUN from its last checkpoint. With --steps a run, finished or not, learns
longer than it was told."""
PRESETS = ("breathing", "eppenhof2018", "eppenhof2020")
NETWORKS = ("correspondence", "progressive_unet", "unet", "vgg_grid")
SUPERVISIONS = ("supervised", "unsupervised", "weakly")
DEVICES = ("auto", "cpu", "cuda")
PREPARED_SHARE = 0.02
"""Of the progress."""


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train a network", description=TRAIN)
    train.add_argument("--output", metavar="RUN", type=Path, required=True, help="folder for the run, a new one")
    add_settings(train)
    _add_common(train)
    train.set_defaults(run=run_train)

    resume = commands.add_parser("resume", help="go on with a training", description=RESUME)
    resume.add_argument("folder", metavar="RUN", type=Path, help="folder of the run")
    resume.add_argument("--steps", metavar="N", type=positive, help="how many steps in all, more than before")
    _add_common(resume)
    resume.set_defaults(run=run_resume)


def add_settings(parser: ArgumentParser) -> None:
    """What decides a training, for :func:`settings_of` and :func:`pair_preset_of`."""
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True, help="folder with CT scans")
    parser.add_argument("--preset", choices=PRESETS, help="kind of training pairs (default: breathing)")
    parser.add_argument("--ranges", metavar="JSON", help="a changed preset, as a file or as text")
    parser.add_argument("--network", choices=NETWORKS, help="default: the one that goes with the preset")
    parser.add_argument("--size", metavar="N", type=positive, help="voxels along each side of a pair")
    parser.add_argument("--steps", metavar="N", type=positive, help="how many steps (default: for a graphics card)")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="start of random numbers (default: 0)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.add_argument("--supervision", choices=SUPERVISIONS, help="what the loss knows (default: supervised)")
    parser.add_argument(
        "--validate", metavar="PAIR", type=Path, action="append", default=[], help="folder of a pair with landmarks"
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help='any other setting, such as loss=l1, pairs=4 or arguments={"base":4}; see config.json of a run',
    )


def run_train(arguments: Namespace) -> Answer:
    from ..run_folder.layout import RunFolder
    from ..run_folder.stop_wish import old_wish

    output = check_output_folder(arguments.output)
    run = RunFolder(output)
    wish = old_wish(run)
    settings, pair_preset = settings_of(arguments), pair_preset_of(arguments)
    from ..distributed import joined_group
    from ..start import begin

    with _threads(arguments), joined_group() as group, first_signal_asks() as asked, _progress(group) as progress:
        progress(0.0, "Looking at the scans")
        prepared = lambda f, words: progress(PREPARED_SHARE * f, words)  # noqa: E731
        begin(run, arguments.data, settings, group, prepared, pair_preset)
        return _trained(run, group, progress, asked, wish)


def run_resume(arguments: Namespace) -> Answer:
    from ..run_folder.layout import RunFolder
    from ..run_folder.stop_wish import old_wish

    run = RunFolder(arguments.folder)
    wish = old_wish(run)
    run.require_run()
    from ..distributed import joined_group

    with _threads(arguments), joined_group() as group, first_signal_asks() as asked, _progress(group) as progress:
        progress(0.0, "Preparing the run")
        return _trained(run, group, progress, asked, wish, arguments.steps)


def _trained(
    run: RunFolder,
    group: Group,
    progress: Progress,
    asked: Any,
    wish: StopWish | None,
    steps: int | None = None,
) -> Answer:
    from ..start import open_run

    shown = lambda f, words: progress(PREPARED_SHARE + (1 - PREPARED_SHARE) * f, words)  # noqa: E731
    with open_run(run, group, shown, asked, wish, steps) as training:
        status = training.go()
    if asked():
        raise Cancelled(
            f"Stopped after step {status.step} of {status.steps}; the state is saved in {run.path}.",
            f"Go on with: slicer-deepreg resume {run.path}",
        )
    return Answer("\n".join(_words(run, status)), {"run": str(run.path), **asdict(status)})


def _words(run: RunFolder, status: Status) -> list[str]:
    from ..dry_run import duration
    from ..run_folder.status import FINISHED

    ended = "Trained" if status.state == FINISHED else "Stopped"
    lines = [f"{ended} after step {status.step} of {status.steps}, {duration(status.seconds)}, in {run.path}."]
    if status.best_error_mm is not None:
        lines.append(f"  Smallest error in validation: {status.best_error_mm:.2f} mm (see validation.csv)")
    go_on = "export" if status.state == FINISHED else "resume"
    lines.append(f"  Next: slicer-deepreg {go_on} {run.path}" + (" --output FOLDER" if go_on == "export" else ""))
    return lines


def settings_of(arguments: Namespace) -> Settings:
    """Raises :class:`~DeepRegLib.errors.BadInput`."""
    from ..settings import parsed, recipe

    changes = parsed(arguments.set)
    for name in ("preset", "size", "steps", "seed", "device", "supervision"):
        value = getattr(arguments, name)
        if value is not None:
            changes[name] = value
    if arguments.validate:
        changes["validation_folders"] = tuple(str(folder.expanduser().resolve()) for folder in arguments.validate)
    return recipe(arguments.network, **changes)


def pair_preset_of(arguments: Namespace) -> Preset | None:
    """The changed preset, if there is one. Raises :class:`~DeepRegLib.errors.BadInput`."""
    from ..preset_form import checked_preset
    from ..preview import read_ranges

    content = read_ranges(arguments.ranges)
    return None if content is None else checked_preset(content)


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--threads", metavar="N", type=positive, help="processor threads (default: all)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")


def _threads(arguments: Namespace) -> Any:
    from DeepRegLib.device import working_threads

    return working_threads(arguments.threads)


def _progress(group: Group) -> Any:
    """Only the first of several processes shows how far they are."""
    import contextlib

    silent: Progress = lambda fraction, words: None  # noqa: E731
    return shown_progress() if group.is_first else contextlib.nullcontext(silent)
