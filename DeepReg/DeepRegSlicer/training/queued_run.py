"""A run that waits until those before it have ended, then trains: ``python -m DeepRegSlicer.training.queued_run RUN``.

It is a process of its own from the start, so a queue goes on when Slicer is closed. Its place in the queue is the time
at which it was asked for; only the first of those that wait looks whether a run beside it is at work. A computer that
goes down takes the queue with it: the runs are shown as interrupted then, and are started by *Resume*.

Neither Slicer nor torch is loaded while it waits.
"""

from __future__ import annotations

import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path

from .command import TRAINING
from .run_list import QUEUED, RUNNING, STOPPING, list_runs
from .run_start import Launch, read_launch, take_stop_wish, this_process

LOOK_S = 1.0
"""Between two looks at the runs beside it."""


def main(folder: Path) -> int:
    """Wait, then train; returns the exit status."""
    launch = read_launch(folder)
    if launch is None or not launch.queued:
        print(f"slicer-deepreg: There is no queued run in '{folder}'.", file=sys.stderr)
        return 2
    launch = replace(launch, process=this_process())
    launch.write(folder)
    while True:
        if take_stop_wish(folder):
            replace(launch, queued=False, withdrawn=True).write(folder)
            return 0
        if has_turn(folder, launch):
            break
        time.sleep(LOOK_S)
    replace(launch, queued=False).write(folder)
    # In this process, whose number the launch file holds; os.execv would be another one in Windows.
    sys.argv = [TRAINING, *launch.words]
    runpy.run_module(TRAINING, run_name="__main__", alter_sys=True)
    return 0


def has_turn(folder: Path, launch: Launch) -> bool:
    """Whether no run beside ``folder`` is at work, and none that waits was asked for before."""
    for run in list_runs(folder.parent):
        if run.folder == folder:
            continue
        if run.state in (RUNNING, STOPPING):
            return False
        if run.state == QUEUED and (run.asked, run.folder) < (launch.asked, folder):
            return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
