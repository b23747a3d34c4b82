"""What is said about training runs is what their tables hold; the commands are words of the trainer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.command_line.parser import build_parser
from DeepRegTrainLib.commands.training import pair_preset_of, settings_of

from . import papers_networks, training_runs

METRICS = "step,stage,loss,error_mm,zero_mm,seconds\n10,all,1,4.0,5.0,60\n20,all,1,2.0,4.0,120\n"
VALIDATION = """step,data,error_mm,folding_percent,zero_mm,solver_mm,seconds
10,held-out pair 1,9.0,0,9.0,9.0,1
20,held-out pair 1,2.0,0.5,4.0,1.0,1
20,held-out pair 2,3.0,0.1,6.0,,1
20,landmarks of case,1.5,0,7.0,0.5,1
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"settings": {"network": "unet"}}))
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "validation.csv").write_text(VALIDATION)
    return folder


def test_the_table_shows_the_means_of_the_last_validation(run: Path) -> None:
    lines = training_runs.table([training_runs.FinishedRun.read(run)]).splitlines()
    assert lines[2:] == [
        "| mine | unet | 20 | 2.0 | 0.17 | held-out pairs | 2.50 | 5.00 | 1.00 | 0.300 |",
        "| mine | unet | 20 | 2.0 | 0.17 | landmarks of case | 1.50 | 7.00 | 0.50 | 0.000 |",
    ]


def test_table_and_curves_are_written(run: Path, tmp_path: Path) -> None:
    assert training_runs.main([str(run), "--output", str(tmp_path / "out")]) == 0
    assert "held-out pairs" in (tmp_path / "out" / "table.md").read_text()
    picture = (tmp_path / "out" / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


def test_a_running_median_forgets_a_single_pair() -> None:
    values = np.ones(20)
    values[7] = 100.0
    assert np.all(training_runs._running_median(values) == 1.0)


@pytest.mark.parametrize("network", list(papers_networks.MODELS))
@pytest.mark.parametrize("sizes", [papers_networks.SMALL, papers_networks.FULL], ids=["small", "full"])
def test_the_commands_are_words_of_the_trainer(tmp_path: Path, network: str, sizes: dict) -> None:
    words = papers_networks.training_words(network, tmp_path, tmp_path / "run", sizes[network], [tmp_path])
    arguments = build_parser("slicer-deepreg").parse_args(words)
    settings, pairs = settings_of(arguments), pair_preset_of(arguments)
    assert settings.network == network and settings.hold_out == 0 and settings.seed == papers_networks.SEED
    assert settings.size == sizes[network].get("size", {"vgg_grid": 96}.get(network, 128))
    assert pairs == papers_networks.pairs_after_prealignment()


def test_a_run_that_is_there_is_taken_up(run: Path, tmp_path: Path) -> None:
    assert papers_networks.training_words("unet", tmp_path, run, {}, []) == ["resume", str(run)]
