"""Which files a scripted module of the extension consists of: those in its CMakeLists.txt and those in its folder."""

from __future__ import annotations

import re
from pathlib import Path

LEFT_OUT = {"__pycache__", "Testing"}
"""Folders in a module's folder that are not installed."""
DEVELOPERS_FILES = {"CMakeLists.txt"}
SCRIPTS, RESOURCES = "MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"


def modules(repository: Path) -> list[Path]:
    """Folders of the scripted modules that the extension builds, as its CMakeLists.txt says."""
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    return [repository / name for name in re.findall(r"^add_subdirectory\((\w+)\)", text, re.MULTILINE)]


def listed(module: Path, variable: str) -> list[str]:
    """The files that a module's CMakeLists.txt lists in a variable."""
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(rf"set\({variable}\n(.*?)\n  \)", text, re.DOTALL)
    assert match, f"{module.name}/CMakeLists.txt sets no {variable}"
    return match[1].replace("${MODULE_NAME}", module.name).split()


def in_tree(module: Path) -> dict[str, list[str]]:
    """The files in a module's folder, for each variable, in the order in which they are to be listed."""
    files = [file for file in sorted(module.rglob("*")) if file.is_file()]
    names = [file.relative_to(module).as_posix() for file in files if not _is_left_out(file.relative_to(module))]
    return {
        SCRIPTS: [name for name in names if name.endswith(".py")],
        RESOURCES: [name for name in names if not name.endswith(".py")],
    }


def _is_left_out(path: Path) -> bool:
    folders = set(path.parts[:-1])
    built = any(part.endswith(".egg-info") for part in folders)
    return bool(folders & LEFT_OUT) or built or path.name in DEVELOPERS_FILES or path.name.startswith(".")


def lines_to_paste(module: Path, variable: str) -> str:
    """The list as CMake wants it."""
    body = "".join(f"  {name}\n" for name in in_tree(module)[variable])
    return f"set({variable}\n{body}  )"
