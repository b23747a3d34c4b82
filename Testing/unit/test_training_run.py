"""Runs that are stopped, killed, out of disk or exploding: what is saved stays, and going on changes nothing."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegTrainLib.run_folder import checkpoint as checkpoints
from DeepRegTrainLib.run_folder import tables
from DeepRegTrainLib.run_folder.checkpoint import Checkpoint, read_last_checkpoint, write_checkpoint
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.lock import held_lock, is_held
from DeepRegTrainLib.run_folder.status import read_status
from DeepRegTrainLib.run_folder.tables import Table
from DeepRegTrainLib.settings import ADAMW
from DeepRegTrainLib.training_run import METRICS_COLUMNS
from DeepRegTrainLib.training_step import TrainingExploded
from training_cases import SMALL, StopAfter, run_in, same_bits, shapes_for, small, steps_of, tensors_of

PROCESS = Path(__file__).with_name("training_process.py")
LIMIT_S = 120
CLOCKS = {"seconds", "drawing_share"}


def rows_without_clocks(path: Path) -> list[dict[str, str]]:
    rows = Table(path, ("step",)).rows()
    return [{name: value for name, value in row.items() if name not in CLOCKS} for row in rows]


@pytest.mark.parametrize("network", list(SMALL))
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path: Path, network: str, optimiser: str) -> None:
    """Weights, averages, optimiser, random numbers, and the tables; stopped between two rows and two checkpoints."""
    changes = ADAMW if optimiser == "adamw" else {"optimiser": "sgd", "momentum": 0.5, "average": 0.9}
    settings = small(network, **changes)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_in(whole, settings).go().state == "finished"
    assert run_in(parts, settings, StopAfter(5)).go().state == "stopped"
    assert run_in(parts, settings, StopAfter(3)).go().step == 8
    assert run_in(parts, settings).go().state == "finished"
    assert same_bits(tensors_of(whole), tensors_of(parts))
    assert any(name.startswith("average.") for name in tensors_of(whole))
    for table in ("metrics.csv", "validation.csv"):
        assert rows_without_clocks(whole / table) == rows_without_clocks(parts / table) != []


def test_a_run_is_another_one_with_another_seed_and_the_same_with_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_in(tmp_path / name, small(seed=seed, steps=3)).go()
    a, b, c = (tensors_of(tmp_path / name) for name in "abc")
    assert same_bits(a, b) and not same_bits(a, c)


def test_rows_after_the_last_checkpoint_are_written_again_and_not_twice(tmp_path: Path) -> None:
    settings = small(steps=20)
    run_in(tmp_path, settings, StopAfter(8)).go()
    table = Table(tmp_path / "metrics.csv", METRICS_COLUMNS)
    table.append({"step": 9, "loss": 1.0})  # written by a process that was killed before its next checkpoint
    run_in(tmp_path, settings).go()
    assert [row["step"] for row in table.rows()] == ["3", "6", "9", "12", "15", "18", "20"]
    assert float(table.rows()[2]["loss"]) != 1.0


def test_the_stop_file_has_the_run_save_and_end(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    training = run_in(tmp_path, small(steps=1000))
    training._progress = lambda fraction, words: run.stop.touch() if words.startswith("Step 7 ") else None
    status = training.go()
    assert (status.state, status.step) == ("stopped", 7)
    assert not run.stop.exists()
    checkpoint, _ = read_last_checkpoint(run.checkpoints)
    assert checkpoint is not None and checkpoint.step == 7
    assert read_status(run).state == "stopped"


@pytest.mark.parametrize("step", [6, 12])
def test_a_wish_to_stop_cuts_a_validation_short_and_the_next_start_makes_it(tmp_path: Path, step: int) -> None:
    """After step 6 of 12 and after the last."""
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    run_in(whole.path, small()).go()
    status = run_in(parts.path, small(), StopAfter(step)).go()
    assert (status.state, status.step) == ("stopped", step)
    assert str(step) not in {row["step"] for row in Table(parts.validation, ("step",)).rows()}
    assert run_in(parts.path, small()).go().state == "finished"
    assert rows_without_clocks(whole.validation) == rows_without_clocks(parts.validation) != []
    assert same_bits(tensors_of(whole.path), tensors_of(parts.path))
    best = [read_last_checkpoint(run.best)[0] for run in (whole, parts)]
    assert best[0] is not None and best[1] is not None and best[0].step == best[1].step
    assert same_bits(best[0].tensors, best[1].tensors)


def test_the_last_two_states_are_kept_and_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    settings = small(steps=20)
    run_in(tmp_path / "run", settings, StopAfter(14)).go()
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(file.name for file in folder.iterdir()) == [
        "00000012.json",
        "00000012.safetensors",
        "00000014.json",
        "00000014.safetensors",
    ]
    content = (folder / "00000014.safetensors").read_bytes()
    (folder / "00000014.safetensors").write_bytes(content[: len(content) // 2])
    checkpoint, problems = read_last_checkpoint(folder)
    assert checkpoint is not None and checkpoint.step == 12
    assert len(problems) == 1 and "damaged" in problems[0]
    assert run_in(tmp_path / "run", settings).go().state == "finished"
    run_in(tmp_path / "whole", settings).go()
    assert same_bits(tensors_of(tmp_path / "run"), tensors_of(tmp_path / "whole"))


def test_checkpoints_hold_no_pickles(tmp_path: Path) -> None:
    run_in(tmp_path, small(steps=8, **ADAMW)).go()
    for file in (tmp_path / "checkpoints").iterdir():
        content = file.read_bytes()
        assert not content.startswith((b"PK", b"\x80"))
        if file.suffix == ".json":
            assert json.loads(content)["step"] in (4, 8)
        else:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            assert any(name.startswith("optimiser.") for name in header)


@pytest.mark.parametrize("when", ["tensors", "index", "table"])
def test_a_full_disk_stops_the_run_with_a_sentence_and_leaves_it_to_be_resumed(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(steps=12)
    with monkeypatch.context() as full:
        _fill_disk(full, when, tmp_path / "run")
        with pytest.raises(OutputProblem, match="No space left") as stopped:
            run_in(tmp_path / "run", settings).go()
    assert "is kept" in str(stopped.value) and "resume" in stopped.value.hint
    status = read_status(RunFolder(tmp_path / "run"))
    assert status.state == "failed" and "No space left" in status.message
    assert run_in(tmp_path / "run", settings).go().state == "finished"
    run_in(tmp_path / "whole", settings).go()
    assert same_bits(tensors_of(tmp_path / "run"), tensors_of(tmp_path / "whole"))
    assert rows_without_clocks(tmp_path / "run" / "metrics.csv") == rows_without_clocks(
        tmp_path / "whole" / "metrics.csv"
    )


def _fill_disk(patch: pytest.MonkeyPatch, when: str, folder: Path) -> None:
    """From the second checkpoint (or the second row) on, writing fails as on a full disk, after a part was written."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if when == "table":
        written = Table.append

        def append(self: Table, row: dict) -> None:
            if row["step"] >= 6:
                raise tables.cannot_write(folder, full.strerror)
            written(self, row)

        patch.setattr(Table, "append", append)
        return
    ending = ".safetensors" if when == "tensors" else ".json"
    real = Path.write_bytes, Path.write_text

    def fails(path: Path) -> bool:
        return path.name.endswith(f"00000008{ending}")

    def write_bytes(self: Path, content: bytes) -> int:
        if fails(self):
            real[0](self, content[:100])
            raise full
        return real[0](self, content)

    def write_text(self: Path, content: str, **words: object) -> int:
        if fails(self):
            raise full
        return real[1](self, content, **words)

    patch.setattr(Path, "write_bytes", write_bytes)
    patch.setattr(Path, "write_text", write_text)


def test_a_quota_of_the_system_is_a_sentence_too(tmp_path: Path) -> None:
    """Not simulated: the system refuses files of more than some bytes in this process."""
    tensors = {"network.weight": torch.zeros(100_000)}
    write_checkpoint(tmp_path, Checkpoint(1, tensors, {}))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(OutputProblem, match="cannot be written"):
            write_checkpoint(tmp_path, Checkpoint(2, tensors, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    checkpoint, problems = read_last_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.step == 1 and not problems
    assert not list(tmp_path.glob(".*"))


def test_an_exploding_loss_stops_with_a_clear_sentence_and_never_becomes_a_state(tmp_path: Path) -> None:
    settings = small(steps=200, learning_rate=1e6, clip=0.0)
    with pytest.raises(TrainingExploded, match="exploded at step") as exploded:
        run_in(tmp_path, settings).go()
    assert "learning rate" in exploded.value.hint and "delta" in exploded.value.hint
    assert read_status(RunFolder(tmp_path)).state == "failed"
    assert all(bool(torch.isfinite(t.float()).all()) for t in tensors_of(tmp_path).values())


def test_a_mean_error_of_the_size_of_the_image_is_an_explosion_when_it_stays(tmp_path: Path) -> None:
    settings = small("progressive_unet", steps=40, delta=0.0, period=20.0, learning_rate=1e-6)
    steps = steps_of(settings)
    pair = shapes_for(settings).draw(0)
    with torch.no_grad():
        for head in steps.network.output_convolutions:
            head.bias.fill_(1e4)  # what the paper saw when a level takes over at once
    with pytest.raises(TrainingExploded, match="has grown"):
        for step in range(40):
            steps.do(step, [pair])


def test_two_processes_never_train_one_folder(tmp_path: Path) -> None:
    with held_lock(tmp_path / "lock"):
        assert is_held(tmp_path / "lock")
        holder = json.loads((tmp_path / "lock").read_text())
        assert holder["pid"] == os.getpid() and abs(holder["started"] - time.time()) < 60
        with pytest.raises(BadInput, match=f"Another process \\({os.getpid()} on "), held_lock(tmp_path / "lock"):
            pytest.fail("both hold it")
    assert not is_held(tmp_path / "lock")
    with held_lock(tmp_path / "lock"):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.create()
    left = run.checkpoints / ".1234abcd.partial.00000004.safetensors"
    left.write_bytes(b"half")
    run.remove_unfinished()
    assert not left.exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run_in(tmp_path, small(steps=2)).go()
    with pytest.raises(BadInput, match="does not fit the settings"):
        run_in(tmp_path, small("vgg_grid", steps=4)).go()


def test_checkpoints_go_with_time_when_steps_are_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("DeepRegTrainLib.training_run.CHECKPOINT_S", 0.0)
    written: list[int] = []
    real = checkpoints.write_checkpoint

    def write(folder: Path, state: Checkpoint, kept: int = checkpoints.KEPT) -> None:
        if folder.name == "checkpoints":  # not the best one
            written.append(state.step)
        real(folder, state, kept)

    monkeypatch.setattr("DeepRegTrainLib.training_run.write_checkpoint", write)
    run_in(tmp_path, small(steps=3, checkpoint_every=1000)).go()
    assert written == [0, 1, 2, 3]
