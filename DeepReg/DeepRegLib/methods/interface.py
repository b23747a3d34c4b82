"""What a method is: a file that proposes how the moving image meets the fixed one.

A method registers itself with :func:`register_method`; the panel, the command, the report and the benchmark list
methods through :func:`available_methods` and know none by name. It never reads files, never evaluates and never
refines: it gets a :class:`~DeepRegLib.methods.pair.Pair`, which gives both images, regions and the pre-alignment on any
grid asked for, and returns zero, one or several proposals.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..errors import BadInput

if TYPE_CHECKING:
    from ..transforms.displacement_field import DisplacementField
    from .pair import Pair

Progress = Callable[[float, str], None]
"""Called with the finished share (0 to 1) and the name of the stage."""
Cancelled = Callable[[], bool]
"""Asked between steps of less than a second; true means stop now."""


class Propose(Protocol):
    def __call__(self, pair: Pair, progress: Progress, cancelled: Cancelled) -> Sequence[DisplacementField]:
        """Proposals for the deformable part d of T(x) = A(x + d(x)), A being ``pair.prealignment``; each lies on
        whatever grid suits the method (axes of any direction, LPS mm). An empty sequence proposes nothing: the
        registration starts from the pre-alignment alone. Raises :class:`~DeepRegLib.errors.Cancelled`."""


@dataclass(frozen=True)
class Method:
    """``name`` as it is typed, a one-line ``description`` for people, the ``dimensions`` of images it takes, and the
    name of the ``model`` (card and weights) it cannot work without, if any."""

    name: str
    description: str
    propose: Propose = field(repr=False, compare=False)
    dimensions: tuple[int, ...] = (3,)
    model: str | None = None


_METHODS: dict[str, Method] = {}


def register_method(method: Method) -> Method:
    """Make a method known; a method file calls it once at import."""
    _METHODS[method.name] = method
    return method


def available_methods() -> dict[str, Method]:
    """All methods by name. Finds them by importing every file of this folder, so that a new file is a new method."""
    import DeepRegLib.methods as folder

    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    return dict(sorted(_METHODS.items()))


def method_named(name: str) -> Method:
    """The method called ``name``; raises :class:`~DeepRegLib.errors.BadInput` that lists what there is."""
    methods = available_methods()
    if name not in methods:
        raise BadInput(f"There is no method '{name}'. Available: {', '.join(['auto', *methods])}.")
    return methods[name]
