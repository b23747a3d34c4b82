"""Runs in processes of their own: signalled, killed, two at one folder, two together."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from DeepRegLib.errors import BadInput
from DeepRegTrainLib.run_folder.checkpoint import read_last_checkpoint
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.lock import held_lock
from DeepRegTrainLib.run_folder.status import read_status
from training_cases import SMALL, run_in, same_bits, small, steps_of, tensors_of
from training_process import GROUP_THREADS_LEFT

PROCESS = Path(__file__).with_name("training_process.py")
LIMIT_S = 120


def start_process(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(PROCESS), str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(process: subprocess.Popen, words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"'{words}' never came")


def finished(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=LIMIT_S)
    return output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_has_the_run_save_and_end(tmp_path: Path, number: signal.Signals) -> None:
    with start_process(tmp_path, "unet", "100000", "checkpoint_every=100000") as process:
        wait_for(process, "Step 20 ")
        process.send_signal(number)
        assert "stopped" in finished(process)
    checkpoint, _ = read_last_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None and checkpoint.step >= 20


def test_kills_at_any_moment_lose_steps_but_never_a_state(tmp_path: Path) -> None:
    """Killed three times at random moments, some while it writes; in the end all is as if nothing had happened."""
    words = ("unet", "120", "checkpoint_every=3", "validate_every=300", "average=0.9")
    draws = random.Random(1)
    reached = 0
    for kill in range(3):
        with start_process(tmp_path / "killed", *words) as process:
            wait_for(process, "Step ")
            time.sleep(draws.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            finished(process)
        checkpoint, problems = read_last_checkpoint(tmp_path / "killed" / "checkpoints")
        assert checkpoint is not None and not problems
        assert checkpoint.step >= reached
        reached = checkpoint.step
        if kill == 0:
            assert read_status(RunFolder(tmp_path / "killed")).state == "interrupted"
    assert reached > 0
    settings = small(steps=120, checkpoint_every=3, validate_every=300, average=0.9)
    run_in(tmp_path / "killed", settings).go()
    run_in(tmp_path / "whole", settings).go()
    assert same_bits(tensors_of(tmp_path / "killed"), tensors_of(tmp_path / "whole"))


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    with start_process(tmp_path, "unet", "100000") as process:
        wait_for(process, "Step 1 ")
        with pytest.raises(BadInput, match=f"Another process \\({process.pid} on "), held_lock(tmp_path / "lock"):
            pytest.fail("both hold it")
        status = read_status(RunFolder(tmp_path))
        assert (status.state, status.pid, status.steps) == ("training", process.pid, 100_000)
        process.kill()
        finished(process)
    with held_lock(tmp_path / "lock"):
        assert read_status(RunFolder(tmp_path)).state in ("training", "starting")


@pytest.mark.parametrize("network", ["unet", "progressive_unet", "correspondence"])
def test_two_processes_with_a_pair_each_train_as_one_with_two_pairs(tmp_path: Path, network: str) -> None:
    """Through torchrun and DistributedDataParallel, with normalisation that does not depend on the batch; the
    progressive network leaves levels out, which not all gradients then come from."""
    arguments = SMALL[network] if network == "correspondence" else {**SMALL[network], "norm": "instance"}
    words = [f"arguments={json.dumps(arguments)}", "pairs=2", "validate_every=100", "average=0.9"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_port())]
    answer = subprocess.run(
        [*launch, str(PROCESS), str(tmp_path / "two"), network, "6", *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count(f"{GROUP_THREADS_LEFT} 0.") == 2, "a thread that outlives Python may abort its process"
    settings = replace(small(network, arguments=arguments, pairs=2, validate_every=100, average=0.9), steps=6)
    run_in(tmp_path / "one", settings).go()
    one, two = tensors_of(tmp_path / "one"), tensors_of(tmp_path / "two")
    start = dict(steps_of(settings).network.state_dict())
    for name, tensor in one.items():
        if name.startswith(("network.", "average.")):
            assert torch.allclose(tensor, two[name], atol=1e-5, rtol=1e-4), name
    moved = [not torch.equal(one[f"network.{name}"], tensor) for name, tensor in start.items()]
    assert any(moved)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
