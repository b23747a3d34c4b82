"""The models of the user: taken in from files, passed on, deleted.

A model is two files, its card and its weights. Here they are always written weights first, card last, and removed the
other way round: whoever looks at any moment finds a model whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ..errors import ModelProblem, OutputProblem
from ..files import cannot_write, whole_file
from .card import CARD_SUFFIX, ModelCard, other_weights, read_card, weights_name
from .find import BUNDLED_FOLDER, Model, available_models, find_model, is_same_folder
from .user_folder import USER_FOLDER_VARIABLE, user_models_folder

TRAINING_SUFFIX = ".training.json"
"""The record of a training beside the model that came out of it. It names scans, so it is never passed on."""
CHUNK_BYTES = 1 << 20


def writable_user_folder() -> Path:
    """The user's folder of models, made if it is not there yet. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    folder = user_models_folder()
    if folder is None:
        raise OutputProblem(
            "There is no home folder to keep models in.", f"Set {USER_FOLDER_VARIABLE} to a folder that you may use."
        )
    return _made(folder)


def import_model(source: Path, taken: Collection[str] = ()) -> Model:
    """Take the model in ``source``, its card file or the folder that holds it, into the user's folder.

    Everything is verified before anything is written: the card, that its network can be built, and that the weights are
    the safetensors file with its checksum, with the shapes of that network and finite values. ``taken`` are names that
    mean something else to the caller (methods).

    Raises :class:`~DeepRegLib.errors.ModelProblem` when it is not a whole model or its name is in use, and
    :class:`~DeepRegLib.errors.OutputProblem` when the folder cannot be written. Needs torch.
    """
    from .load import load_network

    source = source.expanduser()
    model = Model(read_card(card_file_of(source)), source if source.is_dir() else source.parent)
    _refuse_name_in_use(model.card, taken)
    load_network(model)
    return _copied(model, writable_user_folder())


def export_model(name: str, folder: Path) -> Model:
    """Copy the card and the weights of the model ``name`` into ``folder``, which is made if need be.

    Raises :class:`~DeepRegLib.errors.ModelProblem` when there is no such model, its weights are not those of its card,
    or the folder has a model of that name, and :class:`~DeepRegLib.errors.OutputProblem`.
    """
    model = find_model(name)
    folder = folder.expanduser()
    if (folder / f"{model.card.name}{CARD_SUFFIX}").exists():
        raise ModelProblem(f"The folder '{folder}' has a model '{name}' already.", "Choose another folder.")
    return _copied(model, _made(folder))


def delete_model(name: str) -> None:
    """Remove the model ``name`` and the record of its training from the user's folder.

    Raises :class:`~DeepRegLib.errors.ModelProblem` when there is no such model or it lies elsewhere, and
    :class:`~DeepRegLib.errors.OutputProblem` when it cannot be removed.
    """
    model = find_model(name)
    if not is_of_user(model):
        raise ModelProblem(
            f"The model '{name}' comes with the program and stays."
            if is_same_folder(model.folder, BUNDLED_FOLDER)
            else f"The model '{name}' lies in '{model.folder}', which is not your folder of models.",
            "Only models that were trained or imported here can be deleted.",
        )
    card_file = card_file_named(model)
    others = [other.card.weights_file for other in available_models([model.folder]).models.values() if other != model]
    files = [card_file, model.folder / f"{name}{TRAINING_SUFFIX}"]
    files += [model.weights] if model.card.weights_file not in others else []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputProblem(
                f"'{file.name}' cannot be removed from {file.parent}: {error.strerror or error}.",
                "Check that you may write to the folder, and that no other program uses the file.",
            ) from error


def is_of_user(model: Model) -> bool:
    """Whether it lies in the user's folder, so that it may be deleted."""
    folder = user_models_folder()
    return folder is not None and is_same_folder(model.folder, folder)


def card_file_of(source: Path) -> Path:
    """The card file that ``source`` is or, as the only one, holds. Raises
    :class:`~DeepRegLib.errors.ModelProblem`."""
    if not source.is_dir():
        if source.name.endswith(CARD_SUFFIX):
            return source
        raise ModelProblem(
            f"'{source.name}' is not a model card.", f"Choose the file that ends in {CARD_SUFFIX}, beside the weights."
        )
    cards = sorted(path for path in source.glob(f"*{CARD_SUFFIX}") if not path.name.startswith("."))
    if len(cards) != 1:
        number = f"{len(cards)} models" if cards else "no model"
        raise ModelProblem(
            f"The folder '{source}' holds {number}.", f"Choose the card of the model, a file *{CARD_SUFFIX}."
        )
    return cards[0]


def card_file_named(model: Model) -> Path:
    """The file in the folder of ``model`` that holds its card; a file copied by hand may have another name."""
    usual = model.folder / f"{model.card.name}{CARD_SUFFIX}"
    for path in (usual, *sorted(model.folder.glob(f"*{CARD_SUFFIX}"))):
        with contextlib.suppress(ModelProblem):
            if read_card(path) == model.card:
                return path
    return usual


def _refuse_name_in_use(card: ModelCard, taken: Collection[str]) -> None:
    """Names that differ in case only are one file name on Windows and macOS."""
    found = {name.lower(): model for name, model in available_models().models.items()}
    same = found.get(card.name.lower())
    if same is not None and same.card.sha256 == card.sha256:
        raise ModelProblem(f"The model '{card.name}' is here already, in '{same.folder}'.", "There is nothing to do.")
    if same is not None:
        raise ModelProblem(
            f"Another model is called '{same.card.name}' already, in '{same.folder}'.",
            f"Delete that one first, or give the new one another name: the field 'name' in its file *{CARD_SUFFIX}.",
        )
    if card.name.lower() in {name.lower() for name in taken}:
        raise ModelProblem(
            f"'{card.name}' is the name of a method, so no model can be called so.",
            f"Give the model another name: the field 'name' in its file *{CARD_SUFFIX}.",
        )


def _copied(model: Model, folder: Path) -> Model:
    """The model with its two files in ``folder``. What is copied is checked once more: a disk may err."""
    card = replace(model.card, weights_file=weights_name(model.card.name, model.card.sha256))
    copy = Model(card, folder)
    was_there = copy.weights.exists()
    with whole_file(copy.weights, _size_of(model.weights)) as temporary:
        _copy_bytes(model.weights, temporary)
        if _sha256(temporary) != card.sha256:
            raise other_weights(model.weights)
    try:
        with whole_file(folder / f"{card.name}{CARD_SUFFIX}") as temporary:
            temporary.write_text(card.to_json(), encoding="utf-8")
    except OutputProblem:
        if not was_there:
            with contextlib.suppress(OSError):
                copy.weights.unlink()
        raise
    return copy


def _copy_bytes(source: Path, target: Path) -> None:
    """Errors of reading and of writing get different words."""
    try:
        file = source.open("rb")
    except OSError as error:
        raise ModelProblem(f"The weights '{source.name}' cannot be read: {error.strerror or error}.") from error
    with file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, CHUNK_BYTES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelProblem(
            f"The weights '{path.name}' are missing beside their model card.", "Get the model again."
        ) from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error.strerror or str(error)) from error
    return folder
