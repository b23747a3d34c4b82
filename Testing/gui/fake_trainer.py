"""A training that trains nothing: ``python fake_trainer.py FOLDER [deaf] [steps=N]``. It keeps the files of a run as
the trainer does, quickly and without torch, until the last step or until it is asked to stop; a deaf one does not hear.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.lock import held_lock
from DeepRegTrainLib.run_folder.status import FINISHED, STOPPED, TRAINING, StatusFile
from DeepRegTrainLib.run_folder.tables import Table

COLUMNS = ("step", "stage", "loss", "error_mm", "zero_mm")
STEP_S = 0.05


def main(folder: Path, *words: str) -> None:
    run = RunFolder(folder)
    run.create()
    steps = next((int(word[6:]) for word in words if word.startswith("steps=")), 100_000)
    run.config.write_text(json.dumps({"settings": {"network": "unet", "steps": steps}}))
    with held_lock(run.lock):
        status, table = StatusFile(run.status, steps), Table(run.metrics, COLUMNS)
        run.note("Begins")
        for step in range(1, steps + 1):
            if run.stop.exists() and "deaf" not in words:
                run.stop.unlink()
                status.update(state=STOPPED, step=step, message=f"Stopped after step {step}; the state is saved.")
                return
            table.append({"step": step, "stage": "all", "loss": 9 / step, "error_mm": 5 / step, "zero_mm": 6.0})
            left = float(steps - step)
            status.update(state=TRAINING, step=step, stage="all", best_error_mm=5 / step, seconds_left=left)
            time.sleep(STEP_S)
        status.update(state=FINISHED, step=steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
