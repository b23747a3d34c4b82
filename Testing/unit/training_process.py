"""A small training in a process of its own: ``python training_process.py FOLDER NETWORK STEPS [SETTING=VALUE ...]``.

Says "step N" for each step, so that a test knows when to stop it. Under torchrun the processes train together, and
each says after it left their group how many threads of that are left, where the system tells (Linux).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from DeepRegLib.command_line.stopping import first_signal_asks
from DeepRegTrainLib.distributed import joined_group
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.lock import held_lock
from DeepRegTrainLib.settings import parsed
from training_cases import run_in, small

GROUP_THREADS_LEFT = "Threads of the group left:"


def main() -> None:
    torch.set_num_threads(1)
    folder, network, steps, *words = sys.argv[1:]
    settings = small(network, steps=int(steps), **parsed(words))
    with joined_group() as group, first_signal_asks() as asked:
        run = RunFolder(Path(folder))
        run.create()
        training = run_in(run.path, settings, asked, group)
        training._progress = lambda fraction, said: print(said, flush=True)
        if group.is_first:
            with held_lock(run.lock):
                run.remove_unfinished()
                print(training.go().state, flush=True)
        else:
            training.go()
    print(f"{GROUP_THREADS_LEFT} {group_threads_left()}.", flush=True)


def group_threads_left() -> int:
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").glob("*")]
    return sum("gloo" in name for name in names)


if __name__ == "__main__":
    main()
