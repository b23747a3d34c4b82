"""Where models are: in folders that were named, in the user's own, and beside the program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelProblem
from .card import CARD_SUFFIX, ModelCard, read_card
from .user_folder import user_models_folder

BUNDLED_FOLDER = Path(__file__).parents[2] / "Resources" / "Models"
FOLDERS_VARIABLE = "DEEPREG_MODELS"
"""Environment variable with further folders, separated as in PATH."""


@dataclass(frozen=True)
class Model:
    """A card and the ``folder`` it lies in."""

    card: ModelCard
    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / self.card.weights_file


@dataclass(frozen=True)
class FoundModels:
    """The models by name, and what is wrong with the cards that cannot be used: one damaged card hides no other."""

    models: dict[str, Model]
    problems: tuple[ModelProblem, ...]


def model_folders() -> list[Path]:
    """The folders of ``DEEPREG_MODELS``, then the user's own, once there is one
    (:func:`~DeepRegLib.models.user_folder.user_models_folder`), then the one beside the program."""
    given = [Path(folder) for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    own = user_models_folder()
    if own is None or not _is_folder(own) or any(is_same_folder(folder, own) for folder in given):
        return [*given, BUNDLED_FOLDER]
    return [*given, own, BUNDLED_FOLDER]


def is_same_folder(one: Path, other: Path) -> bool:
    """Whether both paths mean one folder, whether or not it exists."""
    return one.expanduser().resolve() == other.expanduser().resolve()


def available_models(folders: Sequence[Path] | None = None) -> FoundModels:
    """All models in ``folders`` (:func:`model_folders` where none are given), those of a folder by name. Of two with
    the same name the first is used, and the second is a problem. Only cards are read, no weights."""
    models: dict[str, Model] = {}
    problems: list[ModelProblem] = []
    for path in _card_files(model_folders() if folders is None else folders, problems):
        try:
            card = read_card(path)
        except ModelProblem as problem:
            problems.append(problem)
            continue
        if card.name in models:
            first = models[card.name].folder
            problems.append(ModelProblem(f"Two models are called '{card.name}'; the one in '{first}' is used."))
        else:
            models[card.name] = Model(card, path.parent)
    return FoundModels(models, tuple(problems))


def find_model(name: str, folders: Sequence[Path] | None = None) -> Model:
    """The model called ``name``; raises :class:`ModelProblem` that says which there are and which are damaged."""
    found = available_models(folders)
    if name in found.models:
        return found.models[name]
    names = ", ".join(found.models) or "none"
    damaged = " ".join(str(problem) for problem in found.problems)
    raise ModelProblem(
        f"There is no model '{name}'. Available: {names}." + (f" {damaged}" if damaged else ""),
        hint=f"Import it, set {FOLDERS_VARIABLE} to the folder with its card, or choose another method.",
    )


def _card_files(folders: Iterable[Path], problems: list[ModelProblem]) -> Iterable[Path]:
    for folder in folders:
        if _is_folder(folder):
            # Hidden files are what a killed program left of a card it was writing.
            yield from sorted(path for path in folder.glob(f"*{CARD_SUFFIX}") if not path.name.startswith("."))
        elif folder != BUNDLED_FOLDER:
            problems.append(ModelProblem(f"The folder of models '{folder}' does not exist."))


def _is_folder(path: Path) -> bool:
    """Whether it is there and may be seen: ``Path.is_dir`` raises where a folder above it is locked."""
    try:
        return path.is_dir()
    except OSError:
        return False
