"""What a method is: a file that proposes how the moving image meets the fixed one.

A method registers itself with :func:`register_method`, a kind of network that needs trained models with
:func:`register_network_kind`; the panel, the command, the report and the benchmark list methods through
:func:`available_methods` and know none by name. It never reads images, never evaluates and never refines: it gets a
:class:`~DeepRegLib.methods.pair.Pair`, which gives both images, regions and the pre-alignment on any grid asked for,
and returns zero, one or several proposals.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..errors import BadInput, ModelProblem
from ..models.find import FOLDERS_VARIABLE, FoundModels, Model, available_models

if TYPE_CHECKING:
    import torch

    from ..transforms.displacement_field import DisplacementField
    from .pair import Pair

Progress = Callable[[float, str], None]
"""Called with the finished share (0 to 1) and the name of the stage."""
Cancelled = Callable[[], bool]
"""Asked between steps of less than a second; true means stop now."""
SERVING_FILES = frozenset(
    {"automatic", "correspondence_pass", "interface", "network_method", "network_pass", "pair", "prealign"}
)
"""Files of this folder that hold no method: some bring torch, which a list of names does not need."""


class Propose(Protocol):
    def __call__(self, pair: Pair, progress: Progress, cancelled: Cancelled) -> Sequence[DisplacementField]:
        """Proposals for the deformable part d of T(x) = A(x + d(x)), A being ``pair.prealignment``; each lies on
        whatever grid suits the method (axes of any direction, LPS mm). An empty sequence proposes nothing: the
        registration starts from the pre-alignment alone. Raises :class:`~DeepRegLib.errors.Cancelled`."""


class Check(Protocol):
    def __call__(self, device: torch.device) -> None:
        """Raises :class:`~DeepRegLib.errors.ModelProblem` or :class:`~DeepRegLib.errors.OutOfMemory` when the method
        cannot work on ``device``; asked before anything else is done."""


def _always_ready(device: torch.device) -> None:
    """The check of a method that needs nothing but the images."""


@dataclass(frozen=True)
class Method:
    """``name`` as it is typed, a one-line ``description`` for people, the ``dimensions`` of images it takes, and the
    name of the ``model`` (card and weights) it cannot work without, if any."""

    name: str
    description: str
    propose: Propose = field(repr=False, compare=False)
    dimensions: tuple[int, ...] = (3,)
    model: str | None = None
    check: Check = field(default=_always_ready, repr=False, compare=False)


@dataclass(frozen=True)
class NetworkKind:
    """A way of proposing that is nothing without a trained model. A model belongs to it when the field ``method`` of
    its card is ``name``; ``with_model`` makes the method that runs this model (no weights are read yet)."""

    name: str
    description: str
    with_model: Callable[[Model], Method] = field(repr=False, compare=False)
    dimensions: tuple[int, ...] = (3,)


_METHODS: dict[str, Method] = {}
_KINDS: dict[str, NetworkKind] = {}


def register_method(method: Method) -> Method:
    """Make a method known; a method file calls it once at import."""
    _METHODS[method.name] = method
    return method


def register_network_kind(kind: NetworkKind) -> NetworkKind:
    """Make a kind of network known; its file calls it once at import."""
    _KINDS[kind.name] = kind
    return kind


def available_methods() -> dict[str, Method]:
    """All methods by name, without torch. Finds them by importing the files of this folder, so that a new file is a
    new method.

    Every installed model of a known kind is a method under its own name, unless a method without model has that name.
    A kind without any model stands in the list under the name of the kind: its check says what is missing.
    """
    _import_method_files()
    found = available_models()
    methods = dict(_METHODS)
    for kind in _KINDS.values():
        of_kind = [kind.with_model(model) for model in found.models.values() if model.card.method == kind.name]
        for method in of_kind or [_without_model(kind, found)]:
            methods.setdefault(method.name, method)
    return dict(sorted(methods.items()))


def reserved_names() -> list[str]:
    """The names of all methods that need no model, and of all kinds of methods that do: no model can be called so."""
    _import_method_files()
    return sorted({*_METHODS, *_KINDS})


def method_named(name: str) -> Method:
    """The method called ``name``; raises :class:`~DeepRegLib.errors.BadInput` that lists what there is."""
    methods = available_methods()
    if name not in methods:
        raise BadInput(f"There is no method '{name}'. Available: {', '.join(['auto', *methods])}.")
    return methods[name]


def _import_method_files() -> None:
    import DeepRegLib.methods as folder

    for module in pkgutil.iter_modules(folder.__path__):
        if module.name not in SERVING_FILES:
            importlib.import_module(f"{folder.__name__}.{module.name}")


def _without_model(kind: NetworkKind, found: FoundModels) -> Method:
    damaged = "".join(f" {problem}" for problem in found.problems)

    def refuse(device: torch.device) -> None:
        raise ModelProblem(
            f"The method '{kind.name}' needs a trained model, and none is installed.{damaged}",
            hint=f"Set {FOLDERS_VARIABLE} to a folder with a model card and its weights, or choose the method 'auto'.",
        )

    def propose(pair: Pair, progress: Progress, cancelled: Cancelled) -> Sequence[DisplacementField]:
        refuse(pair.device)
        return ()

    return Method(kind.name, kind.description, propose, kind.dimensions, model=kind.name, check=refuse)
