"""Seconds from two images in memory to a dense field for a pair of 256 x 256 x 100 voxels, method by method.

    cd Testing; python -m benchmark.speed [--device auto|cpu|cuda] [--threads N] [--repeats N]

The pair is the breathing phantom, so nothing has to be at hand. The first run of each method also loads its network and
is not counted; the median of the others is printed. The bar for the network alone is 3 s on two processor cores.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.phantom import make_phantom
from DeepRegLib.registration import register

from .networks import MODELS
from .ours import TIMED_STAGES

SIZE = (256, 256, 100)
RUNS = (
    *((model, "fast") for model in MODELS),
    *(("lucas-kanade", quality) for quality in ("fast", "balanced", "accurate")),
)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(%(default)s)")
    arguments = parser.parse_args(words)
    pair = make_phantom(SIZE, seed=1)
    print(f"{'method':22s}{'quality':10s}{'mm':>6s}{'s':>7s}  stages")
    for method, quality in RUNS:
        found = [
            register(
                pair.fixed,
                pair.moving,
                method=method,
                quality=quality,
                device=arguments.device,
                threads=arguments.threads,
                fixed_landmarks=Landmarks(pair.fixed_landmarks),
                moving_landmarks=Landmarks(pair.moving_landmarks),
            ).evidence
            for _ in range(arguments.repeats + 1)
        ][1:]
        seconds = [sum(evidence["seconds"].get(stage, 0.0) for stage in TIMED_STAGES) for evidence in found]
        stages = {stage: round(found[-1]["seconds"].get(stage, 0.0), 2) for stage in TIMED_STAGES}
        error = found[-1]["landmarks"]["after"]["mean_mm"]
        print(f"{method:22s}{quality:10s}{error:6.2f}{statistics.median(seconds):7.2f}  {stages}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
