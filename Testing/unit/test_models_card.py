"""Model cards: what they must say, and how they are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from DeepRegLib.errors import ModelProblem
from DeepRegLib.models.card import CARD_SUFFIX, MAXIMUM_CARD_BYTES, read_card
from DeepRegLib.models.find import BUNDLED_FOLDER, FOLDERS_VARIABLE, available_models, find_model, model_folders

CARD: dict[str, Any] = {
    "name": "lung-small",
    "description": "Breathing motion of lungs in CT.",
    "architecture": {"name": "unet", "arguments": {"base": 4, "levels": 3}},
    "method": "eppenhof2020",
    "input": {"size": [128, 128, 128], "spacing_mm": None, "units": "HU", "preprocessing": "gradient magnitude"},
    "output_units": "voxels",
    "training_data": [{"name": "LIDC-IDRI", "licence": "CC BY 3.0", "scans": 5}],
    "steps": 15000,
    "hardware": "one GPU",
    "hours": 1.5,
    "validation": [{"data": "case 1", "measure": "target registration error (mm)", "before": 8.0, "after": 2.4}],
    "licence": "Apache-2.0",
    "weights_file": "lung-small.safetensors",
    "sha256": "0" * 64,
    "format_version": 1,
}


def written(folder: Path, content: Any = CARD, name: str = "lung-small") -> Path:
    path = folder / f"{name}{CARD_SUFFIX}"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def changed(*keys: Any, to: Any) -> dict[str, Any]:
    """The card with one value changed, at the end of a path of keys."""
    content = json.loads(json.dumps(CARD))
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = to
    return content


def test_a_card_says_what_its_file_says(tmp_path):
    card = read_card(written(tmp_path))
    assert card.architecture.arguments == {"base": 4, "levels": 3}
    assert card.input.size == (128, 128, 128) and card.input.spacing_mm is None
    assert card.training_data[0].licence == "CC BY 3.0"
    assert card.validation[0].after == 2.4
    assert json.loads(card.to_json()) == CARD


def test_a_card_cannot_be_changed_by_accident(tmp_path):
    with pytest.raises(AttributeError):
        read_card(written(tmp_path)).name = "other"


@pytest.mark.parametrize("name", sorted(CARD))
def test_a_missing_field_is_named(tmp_path, name):
    content = {key: value for key, value in CARD.items() if key != name}
    with pytest.raises(ModelProblem, match=f"'lung-small.card.json' lacks the field '{name}'"):
        read_card(written(tmp_path, content))


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("name",), "../lung", "cannot name a model"),
        (("description",), "  ", "'description' must be a text"),
        (("description",), 5, "'description' must be a text"),
        (("architecture",), "unet", "'architecture' must be an object"),
        (("architecture", "arguments"), [4], "'arguments' must be an object"),
        (("input", "size"), [128, 128], "'size' must be three numbers"),
        (("input", "size"), [128, 128, 64.5], "'size' must be three whole numbers"),
        (("input", "size"), [128, 0, 128], "an input of no size"),
        (("input", "size"), None, "neither the size nor the spacing"),
        (("input", "spacing_mm"), ["1", "1", "1"], "'spacing_mm' must be three numbers"),
        (("output_units",), "metres", "known are voxels and mm"),
        (("training_data",), {"name": "LIDC"}, "'training_data' must be a list"),
        (("training_data", 0), "LIDC", "row 1, is not a JSON object"),
        (("training_data", 0, "scans"), 5.5, "'scans' must be a whole number"),
        (("steps",), True, "'steps' must be a whole number"),
        (("steps",), -1, "negative time"),
        (("hours",), "two", "'hours' must be a number"),
        (("hours",), 1e400, "Infinity is not a number"),
        (("validation", 0, "after"), None, "'after' must be a number"),
        (("validation", 0, "afetr"), 1.0, "a field 'afetr' that is not known"),
        (("colour",), "red", "a field 'colour' that is not known"),
        (("weights_file",), "../../secret.safetensors", "a file in the folder of the card"),
        (("weights_file",), "C:\\secret", "a file in the folder of the card"),
        (("sha256",), "abc", "broken checksum"),
        (("format_version",), 2, "has format 2; this program reads format 1"),
    ],
)
def test_a_wrong_field_is_refused_with_a_sentence(tmp_path, keys, value, sentence):
    with pytest.raises(ModelProblem, match=sentence):
        read_card(written(tmp_path, changed(*keys, to=value)))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "[" * 100_000])
def test_a_file_that_is_no_card_is_refused(tmp_path, text):
    with pytest.raises(ModelProblem, match=r"is not JSON|is not a JSON object"):
        read_card(written(tmp_path, text))


def test_a_missing_huge_or_binary_file_is_refused(tmp_path):
    with pytest.raises(ModelProblem, match="does not exist"):
        read_card(tmp_path / "nothing.card.json")
    with pytest.raises(ModelProblem, match="too large"):
        read_card(written(tmp_path, " " * (MAXIMUM_CARD_BYTES + 1)))
    path = tmp_path / "binary.card.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelProblem, match="cannot be read"):
        read_card(path)


# Finding --------------------------------------------------------------------------------------------------------------


def test_models_lie_in_the_folders_of_the_user_and_beside_the_program(tmp_path, monkeypatch):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    written(folders[0])
    written(folders[1], changed("name", to="brain"), "brain")
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join(str(folder) for folder in folders))
    assert model_folders() == [*folders, BUNDLED_FOLDER]  # the user's own is not there before the first model
    found = available_models()
    assert {"lung-small", "brain"} <= set(found.models)
    assert found.models["brain"].weights == folders[1] / "lung-small.safetensors"
    assert find_model("brain").card.name == "brain"


def test_the_bundled_models_are_those_of_the_module():
    assert BUNDLED_FOLDER.parts[-3:] == ("DeepReg", "Resources", "Models")


def test_a_damaged_card_hides_no_other_model(tmp_path):
    written(tmp_path)
    written(tmp_path, "{", "broken")
    found = available_models([tmp_path])
    assert list(found.models) == ["lung-small"]
    assert len(found.problems) == 1 and "broken.card.json" in str(found.problems[0])


def test_of_two_models_with_one_name_the_first_is_used_and_it_is_said(tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        written(folder)
    found = available_models(folders)
    assert found.models["lung-small"].folder == folders[0]
    assert "Two models are called 'lung-small'" in str(found.problems[0])


def test_an_unknown_model_is_answered_with_those_there_are(tmp_path):
    written(tmp_path)
    written(tmp_path, "{", "broken")
    with pytest.raises(ModelProblem, match=r"no model 'liver'. Available: lung-small. .*broken.card.json") as caught:
        find_model("liver", [tmp_path])
    assert FOLDERS_VARIABLE in caught.value.hint


def test_a_folder_that_is_gone_is_said(tmp_path):
    found = available_models([tmp_path / "gone"])
    assert not found.models and "does not exist" in str(found.problems[0])


def test_other_files_are_no_cards(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / ".1a2b.partial.lung-small.card.json").write_text('{"name"')  # left by a killed program
    found = available_models([tmp_path])
    assert not found.models and not found.problems


def test_listing_models_does_without_torch():
    program = "import sys, DeepRegLib.models.find as f; f.available_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
