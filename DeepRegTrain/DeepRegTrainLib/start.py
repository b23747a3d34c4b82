"""Begins a run in a new folder, or takes one up: from settings and scans to a run that is ready to go."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from DeepRegLib import __version__

from .check import DataCheck, check_folder
from .distributed import Group
from .dry_run import DryRun, dry_run
from .lengthen import lengthen
from .pairs import Mixture, PairGenerator, Phantoms, Preset, Scans, Source, preset
from .run_folder.layout import RunFolder, read_json, write_json
from .run_folder.lock import held_lock
from .run_folder.status import FAILED, StatusFile, words_for
from .run_folder.stop_wish import StopWish, forget_wish
from .run_record import RunRecord
from .settings import Settings
from .trainable.build import build_trainable
from .training_run import Asked, Progress, TrainingRun
from .training_step import Steps
from .validators import Validators

VALIDATION_SEED = 1_000_003
"""Added to the seed: pairs of validation have motion and noise that training never draws."""
PHANTOMS = 8


def begin(
    run: RunFolder,
    data: Path,
    settings: Settings,
    group: Group = Group(),  # noqa: B008 (it never changes)
    progress: Progress = lambda fraction, words: None,
    pair_preset: Preset | None = None,
) -> DryRun | None:
    """Check the scans in ``data`` and make the run folder; gives what a dry run foresees (None in a process that is not
    the first of its group). The run then starts with :func:`open_run`.

    Raises :class:`~DeepRegLib.errors.BadInput` and its siblings; what is wrong is said before a folder is made.
    """
    if not group.is_first:
        group.wait()
        return None
    run.require_new()
    device = group.device(settings.device)
    pair_preset = pair_preset or preset(settings.preset)
    build_trainable(settings)  # says what is wrong with sizes and arguments
    check = check_folder(data, settings.hold_out, settings.seed, lambda f, words: progress(0.5 * f, words))
    check.require_usable()
    progress(0.5, "Preparing the first pairs")
    run.create()
    with held_lock(run.lock):
        run.require_new()
        pairs = training_pairs(run, settings, pair_preset, check, device)
        foreseen = dry_run(settings, pairs, device)
        write_json(run.data, check.to_dict())
        record = RunRecord(settings, pair_preset, about_this_computer(device, group) | {"dry_run": foreseen.to_dict()})
        write_json(run.config, record.to_dict())  # last: with it the folder is a run
        run.note(foreseen.words())
    progress(1.0, foreseen.words())
    group.wait()
    return foreseen


@contextmanager
def open_run(
    run: RunFolder,
    group: Group = Group(),  # noqa: B008
    progress: Progress = lambda fraction, words: None,
    asked: Asked = lambda: False,
    old_wish: StopWish | None = None,
    steps: int | None = None,
) -> Iterator[TrainingRun]:
    """The run in a folder, locked against other processes, ready to :meth:`~.training_run.TrainingRun.go` from where it
    is. ``old_wish`` to stop was there before anybody asked for this start; any other one counts. With ``steps`` the run
    is made longer first (:func:`.lengthen.lengthen`).

    Raises :class:`~DeepRegLib.errors.BadInput`: no run, another process trains it, the scans have changed.
    """
    run.require_run()
    with _locked(run, group):
        if group.is_first and steps is not None:
            lengthen(run, steps)
        group.wait()
        record = RunRecord.read(run)
        settings = record.settings
        device = group.device(settings.device)
        try:
            if group.is_first:
                run.remove_unfinished()
                forget_wish(run, old_wish)
            training = _ready(run, record, settings, device, group, progress, asked)
        except BaseException as problem:
            _say_why(run, settings, problem, group)
            raise
        yield training


def training_pairs(
    run: RunFolder, settings: Settings, pair_preset: Preset, check: DataCheck, device: torch.device
) -> PairGenerator:
    """The pairs that the network learns from."""
    source = _source(run, check, "train", settings.phantoms)
    return PairGenerator(source, pair_preset, settings.size, settings.spacing_mm, settings.seed, device)


def validation_pairs(
    run: RunFolder, settings: Settings, pair_preset: Preset, check: DataCheck, device: torch.device
) -> PairGenerator:
    """Pairs of people who are held out (or of all, where nobody is), with motion that training does not draw."""
    source = _source(run, check, "validate" if check.files("validate") else "train", 0.0)
    seed = settings.seed + VALIDATION_SEED
    return PairGenerator(source, pair_preset, settings.size, settings.spacing_mm, seed, device)


def about_this_computer(device: torch.device, group: Group) -> dict[str, Any]:
    """Versions and hardware."""
    processor = platform.processor() or platform.machine()
    return {
        "versions": {
            "deepreg": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "safetensors": safetensors.__version__,
        },
        "system": platform.platform(),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{processor} (CPU)",
        "device": device.type,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": group.size,
    }


def _ready(
    run: RunFolder,
    record: RunRecord,
    settings: Settings,
    device: torch.device,
    group: Group,
    progress: Progress,
    asked: Callable[[], bool],
) -> TrainingRun:
    check = DataCheck.from_dict(read_json(run.data))
    if group.is_first:
        check.require_unchanged()
    torch.manual_seed(settings.seed)
    steps = Steps(build_trainable(settings), settings, device, group)
    pairs = training_pairs(run, settings, record.pair_preset, check, device)
    validated = validation_pairs(run, settings, record.pair_preset, check, device)
    return TrainingRun(run, steps, pairs, Validators(run, settings, validated), progress, asked)


def _source(run: RunFolder, check: DataCheck, use: str, phantoms: float) -> Source:
    # Scans are read when they are first drawn: what has become of one since the run began is found out then.
    scans = Scans(check.files(use), cache=run.cache, before_reading=check.require_unchanged_file)
    if phantoms <= 0:
        return scans
    return Mixture([scans, Phantoms(PHANTOMS)], [1 - phantoms, phantoms])


@contextmanager
def _locked(run: RunFolder, group: Group) -> Iterator[None]:
    if not group.is_first:
        yield
        return
    with held_lock(run.lock):
        yield


def _say_why(run: RunFolder, settings: Settings, problem: BaseException, group: Group) -> None:
    """A run that could not even begin says so too."""
    if group.is_first and not isinstance(problem, KeyboardInterrupt):
        run.note(words_for(problem))
        if not run.status.exists():
            StatusFile(run.status, settings.steps).update(state=FAILED, message=words_for(problem))
