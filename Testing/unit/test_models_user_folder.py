"""The user's own models: where they lie, what is taken in and what is refused, passed on, deleted."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from DeepRegLib.errors import ModelProblem, OutputProblem
from DeepRegLib.methods.interface import available_methods
from DeepRegLib.models import library, user_folder
from DeepRegLib.models.build import build_network
from DeepRegLib.models.card import CARD_SUFFIX, read_card, safe_name
from DeepRegLib.models.find import BUNDLED_FOLDER, Model, available_models, find_model, model_folders
from DeepRegLib.models.library import delete_model, export_model, import_model
from DeepRegLib.models.load import load_network
from DeepRegLib.models.save import save_model
from model_cases import UNET_CARD, only_folder_of_models
from safetensors.torch import save

CARD = replace(UNET_CARD, name="tiny")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, not made yet; no other model is found."""
    only_folder_of_models(tmp_path, monkeypatch)
    return tmp_path / "user" / "Models"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model that somebody sent."""
    return made(tmp_path / "sent", CARD)


def made(folder: Path, card=CARD, seed: int = 0) -> Model:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    return save_model(folder, card, build_network(card.architecture.name, card.architecture.arguments))


def card_file(model: Model) -> Path:
    return model.folder / f"{model.card.name}{CARD_SUFFIX}"


def rewrite(model: Model, **changes) -> None:
    """The card of the model with other values, whatever they are."""
    content = json.loads(card_file(model).read_text()) | changes
    card_file(model).write_text(json.dumps(content))


def with_weights(model: Model, content: bytes) -> None:
    """Other weights, with the right checksum in the card."""
    model.weights.write_bytes(content)
    rewrite(model, sha256=hashlib.sha256(content).hexdigest())


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


# Where it is ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "", "home/.local/share/SlicerDeepReg/Models"),
        ("linux", "XDG_DATA_HOME", "given/SlicerDeepReg/Models"),
        ("darwin", "", "home/Library/Application Support/SlicerDeepReg/Models"),
        ("win32", "LOCALAPPDATA", "given/SlicerDeepReg/Models"),
        ("win32", "", "home/AppData/Local/SlicerDeepReg/Models"),
    ],
)
def test_each_system_has_its_place(tmp_path, monkeypatch, platform, variable, expected) -> None:
    for name in (user_folder.USER_FOLDER_VARIABLE, "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(user_folder.sys, "platform", platform)
    monkeypatch.setattr(user_folder.Path, "home", lambda: tmp_path / "home")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "given"))
    assert user_folder.user_models_folder() == tmp_path / expected


def test_a_relative_data_folder_is_ignored_as_its_rules_say(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(user_folder.USER_FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(user_folder.sys, "platform", "linux")
    monkeypatch.setattr(user_folder.Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    assert user_folder.user_models_folder() == tmp_path / ".local/share/SlicerDeepReg/Models"


def test_without_a_home_folder_models_are_found_and_importing_says_what_to_do(model, own, monkeypatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (user_folder.USER_FOLDER_VARIABLE, "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(user_folder.sys, "platform", "linux")
    monkeypatch.setattr(user_folder.Path, "home", homeless)
    assert not available_models().problems
    with pytest.raises(OutputProblem, match="no home folder") as caught:
        import_model(card_file(model))
    assert user_folder.USER_FOLDER_VARIABLE in caught.value.hint


def test_looking_for_models_makes_no_folder(own) -> None:
    found = available_models()
    assert not found.models and not found.problems
    assert not own.parent.exists()


def test_the_own_folder_is_searched_once_even_when_it_is_named_too(own, monkeypatch) -> None:
    own.mkdir(parents=True)
    assert own in model_folders()
    monkeypatch.setenv("DEEPREG_MODELS", str(own))
    assert [folder for folder in model_folders() if folder == own] == [own]


def test_a_locked_folder_hides_no_other_model(own, monkeypatch) -> None:
    is_dir = Path.is_dir

    def locked(path: Path) -> bool:
        if path == own:
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", locked)
    assert not available_models().problems


# Taking in ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_folder", [True, False])
def test_an_imported_model_is_a_method_and_infers_the_same(model, own, whole_folder) -> None:
    taken = import_model(model.folder if whole_folder else card_file(model))
    shutil.rmtree(model.folder)
    assert taken.folder == own and "tiny" in available_methods()
    assert {path.name for path in own.iterdir()} == {"tiny.card.json", taken.card.weights_file}
    found = find_model("tiny")
    assert found.card.sha256 == model.card.sha256
    torch.manual_seed(0)
    expected = build_network("unet", CARD.architecture.arguments).state_dict()
    state = load_network(found).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_two_models_whose_weights_have_one_name_do_not_meet(tmp_path, own) -> None:
    for number, name in enumerate(("one", "two")):
        model = made(tmp_path / name, replace(CARD, name=name), seed=number)
        model.weights.rename(model.folder / "weights.safetensors")
        rewrite(model, weights_file="weights.safetensors")
        import_model(model.folder)
    one, two = find_model("one"), find_model("two")
    assert one.weights != two.weights
    assert not torch.equal(load_network(one).head.weight, load_network(two).head.weight)


@pytest.mark.parametrize("name", ["tiny", "Tiny"])
def test_a_name_that_is_in_use_is_refused(tmp_path, model, own, name) -> None:
    import_model(model.folder)
    other = made(tmp_path / "other", replace(CARD, name=name), seed=1)
    with pytest.raises(ModelProblem, match="Another model is called 'tiny' already") as caught:
        import_model(other.folder)
    assert "Delete that one first" in caught.value.hint
    assert find_model("tiny").card.sha256 == model.card.sha256


def test_the_same_model_again_is_said_to_be_there(model, own) -> None:
    import_model(model.folder)
    with pytest.raises(ModelProblem, match="is here already"):
        import_model(model.folder)


def test_a_model_called_like_a_method_is_refused(model, own) -> None:
    with pytest.raises(ModelProblem, match="'tiny' is the name of a method"):
        import_model(model.folder, taken=["Tiny"])
    assert nothing_in(own)


def test_what_is_no_single_card_is_refused_with_a_hint(tmp_path, model, own) -> None:
    made(model.folder, replace(CARD, name="second"))
    with pytest.raises(ModelProblem, match="holds 2 models") as caught:
        import_model(model.folder)
    assert CARD_SUFFIX in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelProblem, match="holds no model"):
        import_model(tmp_path / "empty")
    with pytest.raises(ModelProblem, match="is not a model card"):
        import_model(model.weights)
    with pytest.raises(ModelProblem, match="does not exist"):
        import_model(tmp_path / f"gone{CARD_SUFFIX}")
    assert nothing_in(own)


def damaged(model: Model) -> None:
    content = bytearray(model.weights.read_bytes())
    content[-1] ^= 1
    model.weights.write_bytes(content)


def truncated(model: Model) -> None:
    with_weights(model, model.weights.read_bytes()[:-100])


def of_another_shape(model: Model) -> None:
    with_weights(model, save(build_network("unet", {"base": 4, "levels": 2}).state_dict()))


def not_numbers(model: Model) -> None:
    state = build_network("unet", CARD.architecture.arguments).state_dict()
    state["head.bias"][0] = torch.nan
    with_weights(model, save(state))


def built_too_large(model: Model) -> None:
    rewrite(model, architecture={"name": "unet", "arguments": {"base": 10**9, "levels": 2}})


def a_pickle(model: Model) -> None:
    torch.save(build_network("unet", CARD.architecture.arguments).state_dict(), model.weights)
    with_weights(model, model.weights.read_bytes())


def an_endless_file(model: Model) -> None:
    with model.weights.open("r+b") as file:
        file.truncate(1 << 40)  # a hole: takes no room


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (damaged, "checksum"),
        (truncated, "damaged"),
        (of_another_shape, "do not fit the network"),
        (not_numbers, "not numbers"),
        (a_pickle, "damaged"),
        (an_endless_file, "larger"),
        (lambda model: model.weights.unlink(), "missing beside their model card"),
        (lambda model: card_file(model).write_text("{"), "is not JSON"),
        (lambda model: rewrite(model, weights_file="../../secret.safetensors"), "in the folder of the card"),
        (lambda model: rewrite(model, weights_file="/etc/passwd"), "in the folder of the card"),
        (lambda model: rewrite(model, weights_file="C:\\secret"), "in the folder of the card"),
        (lambda model: rewrite(model, name="../tiny"), "cannot name a model"),
        (lambda model: rewrite(model, architecture={"name": "os", "arguments": {}}), "no network 'os'"),
        (built_too_large, "cannot be built|do not fit the network"),
        (
            lambda model: rewrite(model, architecture={"name": "unet", "arguments": {"base": 10**9}}),
            "cannot be built|fit",
        ),
    ],
)
def test_a_model_that_is_not_whole_is_refused_and_nothing_is_written(model, own, harm, sentence) -> None:
    harm(model)
    with pytest.raises(ModelProblem, match=sentence):
        import_model(card_file(model))
    assert nothing_in(own)


def test_a_folder_that_cannot_be_made_is_said(model, own) -> None:
    own.parent.write_text("a file where the folder should be")
    with pytest.raises(OutputProblem, match="cannot be written"):
        import_model(model.folder)


def test_no_right_to_write_is_said(model, own, monkeypatch) -> None:
    own.mkdir(parents=True)
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *rest, **words):
        if own in path.parents and "w" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(path, mode, *rest, **words)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputProblem, match="Permission denied"):
        import_model(model.folder)
    assert nothing_in(own)


@pytest.mark.parametrize("disk_says_so", [True, False])
def test_a_full_disk_is_said_and_leaves_nothing(model, own, monkeypatch, disk_says_so) -> None:
    def no_room(*_arguments) -> None:
        raise OSError(28, "No space left on device")

    if disk_says_so:
        usage = shutil.disk_usage("/")._replace(free=10)
        monkeypatch.setattr("DeepRegLib.files.shutil.disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(library.shutil, "copyfileobj", no_room)
    with pytest.raises(OutputProblem, match=r"are free|No space left"):
        import_model(model.folder)
    assert nothing_in(own)


def test_a_disk_that_is_full_at_the_card_takes_the_weights_back(model, own, monkeypatch) -> None:
    def no_room(*_arguments, **_words) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", no_room)
    with pytest.raises(OutputProblem, match="No space left"):
        import_model(model.folder)
    assert nothing_in(own)


def test_weights_that_change_while_they_are_copied_are_refused(model, own, monkeypatch) -> None:
    monkeypatch.setattr(library.shutil, "copyfileobj", lambda source, target, size: target.write(b"other"))
    with pytest.raises(ModelProblem, match="checksum"):
        import_model(model.folder)
    assert nothing_in(own)


# Passing on and deleting ----------------------------------------------------------------------------------------------


def test_what_is_exported_can_be_imported_elsewhere(tmp_path, model, own, monkeypatch) -> None:
    import_model(model.folder)
    (own / "tiny.training.json").write_text('{"scans": ["a name"]}')
    copy = export_model("tiny", tmp_path / "to pass on" / "new")
    assert {path.name for path in copy.folder.iterdir()} == {"tiny.card.json", copy.card.weights_file}
    monkeypatch.setenv("DEEPREG_USER_MODELS", str(tmp_path / "somebody else"))
    assert import_model(copy.folder).card == copy.card


def test_an_export_replaces_nothing_and_checks_what_it_copies(tmp_path, model, own) -> None:
    taken = import_model(model.folder)
    out = tmp_path / "out"
    export_model("tiny", out)
    with pytest.raises(ModelProblem, match="has a model 'tiny' already"):
        export_model("tiny", out)
    damaged(taken)
    with pytest.raises(ModelProblem, match="checksum"):
        export_model("tiny", tmp_path / "second")
    assert nothing_in(tmp_path / "second")
    with pytest.raises(ModelProblem, match="no model 'nobody'"):
        export_model("nobody", out)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem):
        export_model("tiny", tmp_path / "file" / "folder")


def test_a_deleted_model_is_gone_with_its_record(model, own) -> None:
    import_model(model.folder)
    (own / "tiny.training.json").write_text("{}")
    (own / "notes.txt").write_text("mine")
    delete_model("tiny")
    assert [path.name for path in own.iterdir()] == ["notes.txt"]
    assert "tiny" not in available_methods()
    with pytest.raises(ModelProblem, match="no model 'tiny'"):
        delete_model("tiny")


def test_models_of_others_stay(tmp_path, own, monkeypatch) -> None:
    bundled = made(tmp_path / "bundled", replace(CARD, name="ours"))
    monkeypatch.setattr("DeepRegLib.models.find.BUNDLED_FOLDER", bundled.folder)
    monkeypatch.setattr("DeepRegLib.models.library.BUNDLED_FOLDER", bundled.folder)
    named = made(tmp_path / "models", replace(CARD, name="shared"))
    with pytest.raises(ModelProblem, match="'ours' comes with the program"):
        delete_model("ours")
    with pytest.raises(ModelProblem, match=r"'shared' lies in .*models"):
        delete_model("shared")
    assert bundled.weights.exists() and named.weights.exists()


def test_weights_that_another_card_needs_stay(model, own) -> None:
    taken = import_model(model.folder)
    twin = replace(taken.card, name="twin")
    (own / f"copied{CARD_SUFFIX}").write_text(twin.to_json())
    delete_model("twin")
    assert load_network(find_model("tiny")) is not None
    assert [path.name for path in own.glob(f"*{CARD_SUFFIX}")] == ["tiny.card.json"]


def test_a_file_that_cannot_be_removed_is_said(model, own, monkeypatch) -> None:
    import_model(model.folder)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputProblem, match=r"'tiny.card.json' cannot be removed"):
        delete_model("tiny")


def test_long_names_and_odd_ones_become_names(tmp_path, own) -> None:
    assert safe_name("../../Ward 3\\новый") == "Ward-3"
    assert safe_name(" .. ") == "model"
    name = safe_name("a" * 300)
    assert import_model(made(tmp_path / "long", replace(CARD, name=name)).folder).card.name == name
    assert read_card(own / f"{name}{CARD_SUFFIX}").weights_file.endswith(".safetensors")


def test_the_bundled_folder_is_no_folder_of_the_user() -> None:
    assert user_folder.user_models_folder() != BUNDLED_FOLDER
