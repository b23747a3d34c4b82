"""The house stands: imports point down, there are no circles, files stay small, torch waits until it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = (REPOSITORY / "DeepReg", REPOSITORY / "DeepRegTrain")
FLOORS = (
    {"errors"},
    {"files", "device", "stages", "steps", "parallel", "worker_protocol"},
    {"images", "array_files"},
    {"transforms"},
    {"refinement", "networks"},
    {"models"},  # a weight file is loaded into the network that its card names
    {"methods", "evidence", "phantom"},
    {"datasets"},  # scans with their landmarks, and the phantom as one of the pairs
    {"inputs"},
    {"result"},
    {"record", "job_folder"},
    {"registration", "evaluation"},
    {"demo", "worker"},
    {"command_line"},
    {"cli"},
    {"DeepRegTrainLib"},
    {"DeepRegSlicer"},
    {"DeepReg", "DeepRegTrain"},
)
"""Rooms from the ground up. A room sees those on lower floors, not its neighbours."""
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
NARROW = {"phantom": {"errors", "files", "parallel", "images", "transforms"}}
"""Rooms that need less than their floor would let them see."""
LIBRARIES = {"DeepRegLib", "DeepRegSlicer", "DeepRegTrainLib", "DeepReg", "DeepRegTrain"}
FOREIGN_TO_THE_LIBRARY = {"slicer", "qt", "ctk", "vtk", "scipy"}
"""DeepRegLib runs without Slicer, and inside it without packages that Slicer does not have."""
LONGEST_FILE = 400
TORCH_IS_ABSENT = "import sys; assert 'torch' not in sys.modules, 'torch was imported'"


def module_files() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of the product; scripts of Slicer modules have no package."""
    for source in SOURCES:
        for file in sorted(source.rglob("*.py")):
            parts = list(file.relative_to(source).with_suffix("").parts)
            if parts[0] in LIBRARIES:
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


MODULES = dict(module_files())


def room_of(module: str) -> str:
    """The room of the plan that a module lies in; the bare package DeepRegLib is the hall, which has no floor."""
    parts = module.split(".")
    return parts[0] if parts[0] != "DeepRegLib" else ".".join(parts[1:2])


def imports_of(module: str, file: Path) -> set[str]:
    """Dotted names that a file imports anywhere in it, also inside functions and for type checking."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            base = ".".join(filter(None, [above if node.level else "", node.module or ""]))
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def modules_imported_by(module: str, file: Path) -> set[str]:
    """Modules of the product behind the imports: ``a.b.Name`` means the module ``a.b``."""
    found = set()
    for name in imports_of(module, file):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name and name != module:
            found.add(name)
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms <= set(HEIGHT), f"Give these a place in FLOORS: {sorted(rooms - set(HEIGHT))}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    room = room_of(module)
    for other in sorted(modules_imported_by(module, MODULES[module])):
        target = room_of(other)
        if target in (room, ""):
            continue
        assert room, f"the package DeepRegLib itself imports {other}"
        assert HEIGHT[target] < HEIGHT[room], f"{module} ({room}) must not see {other} ({target})"
        assert target in NARROW.get(room, {target}), f"{room} needs no {target}"


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: modules_imported_by(module, file) for module, file in MODULES.items()}
    # The entry file of a package lists its modules, and a module may name a neighbour through the package.
    graph = {m: {o for o in others if not m.startswith(f"{o}.")} for m, others in graph.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[0] == "DeepRegLib"])
def test_the_library_knows_nothing_of_its_host(module: str) -> None:
    tops = {name.split(".")[0] for name in imports_of(module, MODULES[module])}
    assert not tops & FOREIGN_TO_THE_LIBRARY


def test_files_stay_small() -> None:
    folders = ("DeepReg", "DeepRegTrain", "Testing")
    files = [REPOSITORY / "run.py", *(f for folder in folders for f in (REPOSITORY / folder).rglob("*.py"))]
    lengths = {str(f.relative_to(REPOSITORY)): len(f.read_text(encoding="utf-8").splitlines()) for f in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def python(code: str) -> None:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "module",
    [
        "DeepRegLib",
        "DeepRegLib.errors",
        "DeepRegLib.images.geometry",
        "DeepRegLib.images.volume",
        "DeepRegLib.transforms.displacement_field",
        "DeepRegLib.transforms.linear",
        "DeepRegLib.methods.interface",
        "DeepRegLib.job_folder",
        "DeepRegLib.worker",
        "DeepRegSlicer.registration_job",
    ],
)
def test_importing_numpy_parts_brings_no_torch(module: str) -> None:
    python(f"import {module}; {TORCH_IS_ABSENT}")


@pytest.mark.skipif("DeepRegLib.cli" not in MODULES, reason="there is no command line yet")
def test_help_of_the_command_brings_no_torch() -> None:
    python(
        "import contextlib, io\n"
        "from DeepRegLib import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    cli.main(['--help'])\n"
        "assert 'usage' in out.getvalue().lower()\n" + TORCH_IS_ABSENT
    )
