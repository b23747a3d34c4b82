"""Which method runs: the one asked for, the best model that works, or the solver alone, and never in silence."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from DeepRegLib.errors import BadInput, ModelProblem, OutOfMemory
from DeepRegLib.methods import network_pass
from DeepRegLib.methods.automatic import choose_method, remaining_error
from DeepRegLib.methods.interface import available_methods
from DeepRegLib.models.card import ModelCard, ValidationRow
from DeepRegLib.models.save import save_model
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid
from model_cases import TPS_CARD, UNET_CARD, only_folder_of_models

CPU = torch.device("cpu")
CARD = replace(TPS_CARD, name="lung-ct-tps")
UNET = replace(UNET_CARD, name="lung-ct-progressive")
SOLVER = "lucas-kanade"
ALONE = "the solver worked alone."


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_folder_of_models(tmp_path, monkeypatch)


def measured(
    card: ModelCard, before: float, after: float, measure: str = "target registration error (mm)"
) -> ModelCard:
    return replace(card, validation=(ValidationRow("case 1", measure, before, after),))


def install(folder: Path, card: ModelCard) -> None:
    save_model(folder, card, UNet(2, 2) if card.architecture.name == "unet" else VGGGrid((2,)))


def test_without_a_model_auto_is_the_solver_and_says_so():
    method, warnings = choose_method("auto", CPU)
    assert method.name == SOLVER
    assert warnings == [f"No trained model is installed: {ALONE}"]


@pytest.mark.parametrize("kind", ["tps-grid", "progressive-unet"])
def test_a_kind_without_a_model_is_listed_and_refused_with_a_way_out(kind):
    method = available_methods()[kind]
    assert method.model is not None
    with pytest.raises(ModelProblem, match=f"'{kind}' needs a trained model") as raised:
        choose_method(kind, CPU)
    assert "DEEPREG_MODELS" in raised.value.hint and "auto" in raised.value.hint


def test_a_model_takes_the_place_of_its_kind_in_the_list_and_answers_to_both_names(models):
    install(models, CARD)
    methods = available_methods()
    assert "lung-ct-tps" in methods and "tps-grid" not in methods and "progressive-unet" in methods
    assert methods["lung-ct-tps"].model == "lung-ct-tps"
    for name in ("lung-ct-tps", "tps-grid", "auto"):
        method, warnings = choose_method(name, CPU)
        assert (method.name, warnings) == ("lung-ct-tps", [])


def test_auto_takes_the_model_that_leaves_the_smallest_share_of_the_landmark_error(models):
    install(models, measured(CARD, before=8.0, after=2.0))
    install(models, measured(UNET, before=20.0, after=3.0))
    assert choose_method("auto", CPU)[0].name == "lung-ct-progressive"
    install(models, measured(CARD, before=8.0, after=0.9))
    assert choose_method("auto", CPU)[0].name == "lung-ct-tps"
    install(models, measured(replace(CARD, name="lung-ct-tps-2"), before=8.0, after=0.8))
    assert choose_method("tps-grid", CPU)[0].name == "lung-ct-tps-2"


def test_a_card_without_landmark_errors_comes_last():
    assert remaining_error(CARD) == float("inf")
    assert remaining_error(measured(CARD, 0.6, 0.9, measure="Dice")) == float("inf")
    assert remaining_error(measured(CARD, 8.0, 2.0)) == 0.25


def test_the_solver_is_there_for_who_asks_for_it_though_models_are(models):
    install(models, CARD)
    method, warnings = choose_method(SOLVER, CPU)
    assert (method.name, warnings) == (SOLVER, [])


def test_auto_passes_over_a_model_that_does_not_work_and_says_why(models):
    install(models, measured(UNET, 8.0, 1.0))
    next(models.glob("lung-ct-progressive-*.safetensors")).unlink()
    method, warnings = choose_method("auto", CPU)
    assert method.name == SOLVER
    assert "missing" in warnings[0] and warnings[-1] == f"No trained model can be used: {ALONE}"
    install(models, CARD)
    method, warnings = choose_method("auto", CPU)
    assert method.name == "lung-ct-tps" and len(warnings) == 1
    with pytest.raises(ModelProblem, match="missing"):
        choose_method("lung-ct-progressive", CPU)


def test_auto_goes_on_without_the_network_where_memory_is_short(models, monkeypatch):
    install(models, CARD)
    monkeypatch.setattr(network_pass, "available_memory_bytes", lambda: 1000)
    method, warnings = choose_method("auto", CPU)
    assert method.name == SOLVER and "lung-ct-tps" in warnings[0] and "memory" in warnings[0]
    with pytest.raises(OutOfMemory):
        choose_method("lung-ct-tps", CPU)


def test_a_damaged_card_is_told(models):
    (models / "broken.card.json").write_text("{")
    method, warnings = choose_method("auto", CPU)
    assert method.name == SOLVER and "broken.card.json" in warnings[0]
    with pytest.raises(ModelProblem, match=r"broken\.card\.json"):
        choose_method("tps-grid", CPU)


def test_a_model_cannot_take_the_name_of_the_solver(models):
    install(models, replace(CARD, name=SOLVER))
    assert choose_method(SOLVER, CPU)[0].model is None


def test_a_model_for_a_method_of_another_version_is_not_offered(models):
    install(models, replace(CARD, method="of-tomorrow"))
    with pytest.raises(BadInput, match="There is no method 'lung-ct-tps'"):
        choose_method("lung-ct-tps", CPU)
    assert choose_method("auto", CPU)[0].name == SOLVER


def test_an_unknown_name_is_refused_with_the_list(models):
    install(models, CARD)
    with pytest.raises(BadInput, match=r"'magic'.*auto.*lucas-kanade.*lung-ct-tps.*progressive-unet"):
        choose_method("magic", CPU)


def test_listing_methods_and_their_models_brings_no_torch(models):
    install(models, CARD)
    code = (
        "import sys; from DeepRegLib.methods.interface import available_methods\n"
        "assert 'lung-ct-tps' in available_methods()\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_a_quick_look_is_left_to_the_solver_even_when_a_model_is_installed(models):
    install(models, measured(CARD, before=8.0, after=0.5))
    assert choose_method("auto", CPU)[0].name == CARD.name
    method, warnings = choose_method("auto", CPU, "fast")
    assert (method.name, warnings) == (SOLVER, [])


@pytest.mark.parametrize(
    ("with_solver", "of_solver", "taken"),
    [(0.5, 0.8, CARD.name), (0.8, 0.8, SOLVER), (0.79, 0.8, SOLVER), (1.5, 0.8, SOLVER)],
    ids=["clearly better", "equal", "hardly better", "worse"],
)
def test_auto_takes_a_model_only_when_its_card_shows_less_error_than_the_solver_alone(
    models, with_solver, of_solver, taken
):
    error = "target registration error"
    rows = (
        ValidationRow("case 1", f"{error}, network alone, mean, mm", 8.0, 2.0),
        ValidationRow("case 1", f"{error}, network and solver, mean, mm", 8.0, with_solver),
        ValidationRow("case 1", f"{error}, solver alone, mean, mm", 8.0, of_solver),
    )
    install(models, replace(CARD, validation=rows))
    assert choose_method("auto", CPU)[0].name == taken
    assert choose_method(CARD.name, CPU)[0].name == CARD.name
