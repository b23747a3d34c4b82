"""From a run to a model that registers, and validation of a run beside its controls."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from DeepRegLib.errors import BadInput, ModelProblem
from DeepRegLib.images.read import write_volume
from DeepRegLib.models.find import available_models
from DeepRegLib.models.load import load_network
from DeepRegLib.phantom import make_phantom, write_pair
from DeepRegLib.registration import register
from DeepRegTrainLib.dry_run import dry_run, duration
from DeepRegTrainLib.export import ERROR_MEASURE, ExportOptions, export
from DeepRegTrainLib.lengthen import lengthen
from DeepRegTrainLib.losses.transformer import pulled
from DeepRegTrainLib.pictures import picture_of
from DeepRegTrainLib.run_folder.checkpoint import read_last_checkpoint, write_checkpoint
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.status import read_status
from DeepRegTrainLib.run_folder.stop_wish import NO_OLD_WISH_VARIABLE, old_wish
from DeepRegTrainLib.run_folder.tables import Table
from DeepRegTrainLib.run_record import RunRecord
from DeepRegTrainLib.settings import Settings
from DeepRegTrainLib.start import begin, open_run
from DeepRegTrainLib.validation import COLUMNS, averaged_weights, folding_percent
from model_cases import only_folder_of_models
from safetensors.torch import load_file
from training_cases import CPU, SMALL, Shapes, same_bits, shapes_for, small, steps_of, tensors_of

SIZE = (64, 56, 56)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up people, with a table of sources."""
    folder = tmp_path_factory.mktemp("data") / "scans"
    folder.mkdir()
    for seed in (0, 1):
        write_volume(make_phantom(SIZE, seed=seed).fixed, folder / f"person-{'ab'[seed]}.nii.gz")
    (folder / "sources.csv").write_text("file,patient,name,licence\nperson-a.nii.gz,,Phantoms,Apache-2.0\n")
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair with landmarks."""
    folder = tmp_path_factory.mktemp("pairs") / "phantom"
    write_pair(make_phantom(SIZE, seed=5), folder)
    return folder


def trained(folder: Path, scans: Path, settings: Settings) -> RunFolder:
    run = RunFolder(folder)
    prepared = scans.parent / "prepared"  # once for all runs of this file
    if prepared.is_dir():
        shutil.copytree(prepared, run.cache)
    begin(run, scans, settings)
    with open_run(run) as training:
        assert training.go().state == "finished"
    if not prepared.is_dir():
        shutil.copytree(run.cache, prepared)
    return run


@pytest.mark.parametrize("network", list(SMALL))
def test_an_exported_network_registers_as_a_method(
    tmp_path: Path, scans: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = only_folder_of_models(tmp_path, monkeypatch)
    run = trained(tmp_path / "my run", scans, small(network, steps=6, average=0.9))
    model = export(run, models)
    assert model.card.name == "my-run"
    assert model.card.steps == 6
    assert {(row.name, row.licence, row.scans) for row in model.card.training_data} == {
        ("Phantoms", "Apache-2.0", 1),
        (scans.name, "not stated", 1),
    }
    assert list(available_models().models) == ["my-run"] and not available_models().problems
    phantom = make_phantom(SIZE, seed=7)
    found = register(phantom.fixed, phantom.moving, method="my-run", quality="fast", refine=False, threads=1)
    assert found.evidence["method"] == "my-run"
    assert np.isfinite(found.field.array).all() and np.abs(found.field.array).max() > 0
    record = json.loads((models / "my-run.training.json").read_text())
    assert record["sha256"] == model.card.sha256
    assert record["settings"]["network"] == network
    assert [scan["file"] for scan in record["data"]["scans"]] == ["person-a.nii.gz", "person-b.nii.gz"]
    assert record["about"]["versions"]["torch"] == torch.__version__


def test_the_averaged_weights_are_exported_and_half_of_them_weighs_half(tmp_path: Path, scans: Path) -> None:
    run = trained(tmp_path / "run", scans, small(steps=6, average=0.9))
    whole = export(run, tmp_path / "whole", ExportOptions(name="whole"))
    half = export(run, tmp_path / "half", ExportOptions(name="half", half=True))
    tensors = tensors_of(run.path)
    for name, tensor in load_network(whole).state_dict().items():
        assert torch.equal(tensor, tensors[f"average.{name}"])
        assert torch.allclose(load_network(half).state_dict()[name].float(), tensor.float(), rtol=2e-3, atol=1e-4)
    assert any(
        not torch.equal(tensors[f"average.{n}"], tensors[f"network.{n}"]) for n in load_network(whole).state_dict()
    )
    assert half.weights.stat().st_size < 0.9 * whole.weights.stat().st_size


def test_the_card_holds_the_last_validation_with_its_controls(tmp_path: Path, scans: Path, pair: Path) -> None:
    settings = small(steps=4, validate_every=2, validation_pairs=2, validation_folders=(str(pair),))
    run = trained(tmp_path / "run", scans, settings)
    rows = Table(run.validation, COLUMNS).rows()
    assert [row["step"] for row in rows] == ["2"] * 3 + ["4"] * 3
    assert [row["data"] for row in rows[:3]] == ["held-out pair 1", "held-out pair 2", "landmarks of phantom"]
    card = export(run, tmp_path / "models", ExportOptions(name="m", last=True)).card
    errors = {row.data: row for row in card.validation if row.measure == ERROR_MEASURE}
    synthetic = errors["2 held-out synthetic pairs"]
    assert synthetic.after == pytest.approx(np.mean([float(row["error_mm"]) for row in rows[3:5]]), abs=1e-3)
    assert synthetic.before == pytest.approx(np.mean([float(row["zero_mm"]) for row in rows[3:5]]), abs=1e-3)
    solver = next(row for row in card.validation if "solver" in row.measure and row.data == "landmarks of phantom")
    assert solver.after < 1.5 < solver.before
    assert errors["landmarks of phantom"].before == pytest.approx(solver.before)
    assert sorted(file.name for file in run.pictures.iterdir()) == ["step-00000002.png", "step-00000004.png"]
    picture = (run.pictures / "step-00000004.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_a_progressive_network_cannot_be_exported_half_way(tmp_path: Path, scans: Path) -> None:
    run = RunFolder(tmp_path / "run")
    begin(run, scans, small("progressive_unet", steps=12, delta=4, period=12))
    with open_run(run, asked=iter([False] * 5 + [True]).__next__) as training:
        assert training.go().step == 5
    with pytest.raises(ModelProblem, match="not trained yet"):
        export(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_run_that_is_made_longer_is_the_one_that_was_told_so_from_the_start(tmp_path: Path, scans: Path) -> None:
    """To the bit, where the learning rate does not follow the end; levels join when they would have."""
    words: dict[str, Any] = {"network": "progressive_unet", "rate": "constant"}
    long = trained(tmp_path / "long", scans, small(**words, steps=9, delta=1, period=3))
    short = trained(tmp_path / "short", scans, small(**words, steps=5, delta=1, period=3))
    for steps in (4, 5):
        with pytest.raises(BadInput, match="has 5 steps already"), open_run(short, steps=steps):
            pytest.fail("it went on")
    with open_run(short, steps=9) as training:
        assert (training.go().state, read_status(short).steps) == ("finished", 9)
    assert same_bits(tensors_of(long.path), tensors_of(short.path))
    assert "From 5 to 9 steps" in short.log.read_text()


def test_the_levels_of_a_longer_run_join_when_they_would_have(tmp_path: Path, scans: Path) -> None:
    run = trained(tmp_path / "run", scans, small("progressive_unet", steps=15))
    before = RunRecord.read(run).settings.schedule
    lengthen(run, 30)
    assert RunRecord.read(run).settings.schedule == before == (1.0, 3.0)


def test_a_folder_that_is_no_run_or_a_run_already_is_refused(tmp_path: Path, scans: Path) -> None:
    with pytest.raises(BadInput, match="holds no training run"):
        export(RunFolder(tmp_path), tmp_path / "models")
    run = RunFolder(tmp_path / "run")
    begin(run, scans, small(steps=2))
    with pytest.raises(BadInput, match="no checkpoint"):
        export(run, tmp_path / "models")
    with open_run(run, asked=lambda: True) as training:
        assert training.go().step == 0
    with pytest.raises(ModelProblem, match="not done a step"):
        export(run, tmp_path / "models")
    with pytest.raises(BadInput, match="holds a run already"):
        begin(run, scans, small(steps=2))


def test_a_run_whose_scans_have_changed_does_not_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    write_volume(make_phantom(SIZE, seed=0).fixed, folder / "a.nii.gz")
    run = RunFolder(tmp_path / "run")
    begin(run, folder, small(steps=2))
    write_volume(make_phantom(SIZE, seed=1).fixed, folder / "a.nii.gz")
    with pytest.raises(BadInput, match="is not what it was"), open_run(run):
        pytest.fail("it went on")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "its content has changed"),
        (lambda file: write_volume(make_phantom(SIZE, seed=1).fixed, file), "its content has changed"),
        (Path.unlink, "it is missing"),
    ],
    ids=["cut", "another scan", "deleted"],
)
def test_a_scan_that_changes_before_it_is_first_drawn_ends_the_run_with_its_name(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    file = folder / "a.nii.gz"
    write_volume(make_phantom(SIZE, seed=0).fixed, file)
    content = file.read_bytes()
    run = RunFolder(tmp_path / "run")
    begin(run, folder, small(steps=2))
    with open_run(run) as training:
        spoil(file)
        with pytest.raises(BadInput, match=f"The scan '.*a.nii.gz' is not what it was .*: {why}") as ended:
            training.go()
    assert "resume the run" in ended.value.hint
    assert read_status(run).state == "failed" and str(ended.value) in read_status(run).message
    assert run.log.read_text().count(str(ended.value)) == 1
    file.write_bytes(content)
    with open_run(run) as training:
        assert training.go().state == "finished"


def test_a_wish_to_stop_counts_unless_it_was_there_before_the_command(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    begin(run, scans, small(steps=2))
    assert old_wish(run) is None
    run.stop.touch()
    os.utime(run.stop, (1, 1))  # long ago
    old = old_wish(run)
    monkeypatch.setenv(NO_OLD_WISH_VARIABLE, "1")
    assert old_wish(run) is None  # whoever started the command took them away before
    run.stop.touch()  # said again while the run is prepared
    with open_run(run, old_wish=old) as training:
        assert training.go().state == "stopped"
    run.stop.touch()
    os.utime(run.stop, (1, 1))
    monkeypatch.delenv(NO_OLD_WISH_VARIABLE)
    with open_run(run, old_wish=old_wish(run)) as training:
        assert training.go().state == "finished"
    assert not run.stop.exists()


def test_wrong_settings_are_said_before_a_folder_is_made(tmp_path: Path, scans: Path) -> None:
    with pytest.raises(BadInput, match="multiples of"):
        begin(RunFolder(tmp_path / "run"), scans, small(size=17))
    with pytest.raises(ModelProblem, match="cannot be built"):
        begin(RunFolder(tmp_path / "run"), scans, small(arguments={"bases": 2}))
    assert not (tmp_path / "run").exists()


def test_the_dry_run_foresees_each_part_of_the_schedule() -> None:
    settings = small("progressive_unet", steps=100)
    foreseen = dry_run(settings, shapes_for(settings), CPU)
    assert list(foreseen.seconds_per_step) == ["level 0", "level 1", "level 2"]
    lowest, highest = (min(foreseen.seconds_per_step.values()), max(foreseen.seconds_per_step.values()))
    assert 100 * lowest <= foreseen.seconds + 0.1 and foreseen.seconds <= 100 * highest + 0.1
    assert foreseen.memory_mb > 50 and "GB of memory" in foreseen.words()
    assert duration(7200) == "2.0 h"


def test_validation_leaves_the_training_as_it_was_to_the_bit() -> None:
    settings = small(average=0.9)
    steps = steps_of(settings)
    steps.do(0, [shapes_for(settings).draw(0)])
    before = {name: tensor.clone() for name, tensor in steps.network.state_dict().items()}
    assert steps.average is not None
    with averaged_weights(steps.network, steps.average.state):
        inside = {name: tensor.clone() for name, tensor in steps.network.state_dict().items()}
    assert all(torch.equal(inside[name], steps.average.state[name]) for name in inside)
    assert any(not torch.equal(inside[name], before[name]) for name in inside)
    assert all(torch.equal(tensor, before[name]) for name, tensor in steps.network.state_dict().items())


def test_folding_is_the_share_of_the_region_with_a_turned_over_neighbourhood() -> None:
    pair = Shapes().draw(0)
    field = torch.zeros_like(pair.displacement)
    assert folding_percent(field, pair) == 0
    field[:, 0] = -2.0 * torch.arange(16.0)
    assert folding_percent(field, pair) == pytest.approx(100)


def test_the_picture_shows_no_difference_where_the_field_is_true() -> None:
    pair = Shapes().draw(0)
    pair = dataclasses.replace(pair, fixed=pulled(pair.moving, pair.displacement))  # one contrast
    picture = picture_of(pair, pair.displacement)
    tile = (picture.shape[1] - 3 * 2) // 4
    before, after = (np.abs(picture[:, k * (tile + 2) : k * (tile + 2) + tile].astype(float) - 127) for k in (2, 3))
    assert after.max() <= 1 < before.max()
    assert picture.dtype == np.uint8 and picture.shape[0] == tile


def test_the_best_state_is_exported_and_the_last_one_on_request(tmp_path: Path, scans: Path) -> None:
    """The network is spoiled after its validation: users still get what was best before."""
    run = trained(tmp_path / "run", scans, small("vgg_grid", steps=6))
    best, last = (read_last_checkpoint(folder)[0] for folder in (run.best, run.checkpoints))
    assert best is not None and last is not None
    zeros = {name: torch.zeros_like(t) if t.is_floating_point() else t for name, t in last.tensors.items()}
    write_checkpoint(run.checkpoints, dataclasses.replace(last, tensors=zeros))
    of_best = export(run, tmp_path / "best")
    of_last = export(run, tmp_path / "last", ExportOptions(last=True))
    assert of_best.card.steps == best.step and of_last.card.steps == last.step
    largest = {
        name: max(float(t.abs().max()) for n, t in load_file(model.weights).items() if n.endswith("weight"))
        for name, model in (("best", of_best), ("last", of_last))
    }
    assert largest["best"] > 0 and largest["last"] == 0
