"""What the panel costs its user: the time to build it, the longest moment that its window stands still, and the time
from *Cancel* to idle.

    .venv/bin/python Testing/benchmark/panel.py [FOLDER]

FOLDER holds a pair (default: the built-in phantom). Runs on the stand-in host with a real process; a quiet machine
gives the figures that count.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "DeepReg")]

LONGEST_S = 300
CANCEL_DURING = ("Reading", "Handing", "Starting", "Finding", "Aligning", "Refining", "Measuring")
"""First words of the stages in which Cancel is clicked."""


def main(folder: Path | None) -> None:
    from slicer_host import install

    from benchmark.window import Clock

    host = install()
    import slicer

    host.load_module(TESTING.parent / "DeepReg" / "DeepReg.py")
    start = time.perf_counter()
    representation = slicer.modules.deepreg.widgetRepresentation()
    report("panel built", f"{time.perf_counter() - start:.2f} s, torch loaded: {'torch' in sys.modules}")
    start = time.perf_counter()
    representation.enter()
    report("panel entered", f"{time.perf_counter() - start:.2f} s")
    widget = representation.self()
    clock = Clock()

    if folder is None:
        from DeepRegLib.phantom import make_phantom
        from DeepRegSlicer.nodes import add_volume

        pair = make_phantom(seed=1)
        widget._parameterNode.fixedVolume = add_volume(slicer.mrmlScene, pair.fixed, "fixed")
        widget._parameterNode.movingVolume = add_volume(slicer.mrmlScene, pair.moving, "moving")
    else:
        widget.panel.inputs.load_pair(folder)
        host.spin(lambda: widget._parameterNode.movingVolume is not None, LONGEST_S)
        report("pair loaded", f"longest standstill {clock.since_last():.0f} ms")

    clock.since_last()
    start = time.perf_counter()
    widget.ui.registerButton.click()
    host.spin(lambda: not widget.panel.running, LONGEST_S)
    seconds = time.perf_counter() - start
    report("registered", f"{seconds:.1f} s from click to result, longest standstill {clock.since_last():.0f} ms")
    print(widget.ui.statusLabel.text)
    settled = time.perf_counter()
    host.spin(lambda: time.perf_counter() - settled > 3, LONGEST_S)
    report("result shown", f"longest standstill {clock.since_last():.0f} ms")

    for words in CANCEL_DURING:
        widget.ui.registerButton.click()
        host.spin(
            lambda words=words: widget.ui.statusLabel.text.startswith(words) or not widget.panel.running, LONGEST_S
        )
        if not widget.panel.running:
            report(f"cancel while {words}", "the stage was over before it was seen")
            continue
        start = time.perf_counter()
        widget.ui.registerButton.click()
        host.spin(lambda: not widget.panel.running, LONGEST_S)
        report(f"cancel while {words}", f"idle after {time.perf_counter() - start:.2f} s")
    widget.cleanup()


def report(what: str, figures: str) -> None:
    print(f"{what + ':':32s}{figures}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
