"""``import-model``, ``export-model`` and ``delete-model`` as people and scripts type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from DeepRegLib.models.build import build_network
from DeepRegLib.models.card import Architecture, ModelCard, ModelInput
from DeepRegLib.models.save import save_model

CARD = ModelCard(
    name="tiny",
    description="Random weights.",
    architecture=Architecture("unet", {"base": 2, "levels": 2}),
    method="progressive-unet",
    input=ModelInput((16, 16, 16), None, "HU", "gradient magnitude"),
    output_units="voxels",
    training_data=(),
    steps=0,
    hardware="none",
    hours=0.0,
    validation=(),
    licence="Apache-2.0",
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models; the processes are told where it is."""
    folder = tmp_path / "user" / "Models"
    monkeypatch.setenv("DEEPREG_USER_MODELS", str(folder))
    return folder


def made(folder: Path, **changes: str) -> Path:
    folder.mkdir()
    save_model(folder, replace(CARD, **changes), build_network("unet", CARD.architecture.arguments))
    return folder


def test_a_model_is_taken_in_listed_passed_on_and_deleted(command: Callable, tmp_path: Path, own: Path) -> None:
    sent = made(tmp_path / "sent")
    answer = command("import-model", sent, "--json")
    assert answer.returncode == 0, answer.stderr
    content = json.loads(answer.stdout)
    assert content["card"]["name"] == "tiny" and Path(content["folder"]) == own and content["warnings"] == []
    methods = json.loads(command("methods", "--json").stdout)["methods"]
    assert [method["installed"] for method in methods if method["name"] == "tiny"] == [True]
    again = command("import-model", sent)
    assert again.returncode == 2 and "is here already" in again.stderr and "Traceback" not in again.stderr
    assert command("export-model", "tiny", "--output", tmp_path / "out").returncode == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in own.iterdir()}
    assert json.loads(command("delete-model", "tiny", "--json").stdout) == {"deleted": "tiny"}
    assert not list(own.iterdir())


@pytest.mark.parametrize("name", ["lucas-kanade", "auto", "progressive-unet", "Correspondence"])
def test_the_names_of_methods_are_kept(command: Callable, tmp_path: Path, own: Path, name: str) -> None:
    answer = command("import-model", made(tmp_path / "sent", name=name))
    assert answer.returncode == 2 and "is the name of a method" in answer.stderr
    assert not own.exists()


def test_a_model_that_nothing_can_run_comes_with_a_warning(command: Callable, tmp_path: Path, own: Path) -> None:
    answer = command("import-model", made(tmp_path / "sent", method="of-tomorrow"), "--json")
    assert "no method 'of-tomorrow'" in json.loads(answer.stdout)["warnings"][0]


@pytest.mark.parametrize("words", [["import-model", "--help"], ["delete-model", "--help"], ["export-model", "--help"]])
def test_the_help_says_where_the_folder_is(words: list[str], capsys: pytest.CaptureFixture) -> None:
    from DeepRegLib import cli

    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert words[0] in told
    assert "DEEPREG_USER_MODELS" in told or words[0] != "import-model"
