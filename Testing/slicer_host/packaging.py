"""``slicer.packaging`` (Slicer 5.11 and later; Base/Python/slicer/packaging.py). The stand-in installs nothing: a test
replaces the functions that it expects to be called, the others raise."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement


class UnexpectedInstallation(AssertionError):
    """Something wanted to install or remove packages, and the test had not prepared for it."""


def load_requirements(path: str | Path) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pip_check(req: str | Requirement | list[str | Requirement]) -> bool:
    """Whether the packages are there in a version that fits."""
    wanted = [Requirement(str(r)) for r in (req if isinstance(req, list) else [req])]
    return all(_is_there(requirement) for requirement in wanted if _applies(requirement))


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def _is_there(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def pip_ensure(
    requirements: str | Requirement | list[str | Requirement],
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    raise UnexpectedInstallation(f"slicer.packaging.pip_ensure({requirements})")


def pip_install(
    requirements: str | list[str],
    constraints: str | Path | None = None,
    no_deps_requirements: str | list[str] | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> list[str] | None:
    raise UnexpectedInstallation(f"slicer.packaging.pip_install({requirements})")


def pip_uninstall(requirements: Any, *arguments: Any, **keywords: Any) -> None:
    raise UnexpectedInstallation(f"slicer.packaging.pip_uninstall({requirements})")
