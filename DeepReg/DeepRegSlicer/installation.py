"""What registration and training need beside Slicer, and how they get it: at Register or Start, after one question.

Slicer brings numpy and SimpleITK. Two packages come from outside: PyTorch, which the extension *PyTorch* installs in
the build that suits the graphics card, and safetensors. Nothing here imports torch; registration runs in a process of
its own, so Slicer need not be restarted after the installation.

When the extension *PyTorch* is missing, the same question offers the build for the processor from PyTorch's own index:
registration takes seconds on it, and a module that only sends people elsewhere is what users of other extensions
complained about most. pip's usual index is not asked for it: on Linux it would bring gigabytes for NVIDIA cards.

pip is kept from touching numpy and SimpleITK by constraints, which name their installed versions. They are given in
``PIP_CONSTRAINT``, the one way that reaches pip through the extension *PyTorch*, ``slicer.packaging`` and
``slicer.util.pip_install`` alike. ``--no-deps`` would protect them too, but PyTorch does need what it depends on.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import slicer
from DeepRegLib.errors import InstallationProblem
from slicer.i18n import tr as _

from .install_progress import shown_while_installing
from .pip_failures import installation_problem, no_room_problem, read_only_problem

REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
"""What pip installs; PyTorch is not among it."""
TORCH_MINIMUM = "2.4"
"""The first PyTorch that was built for numpy 2 on all systems, which Slicer has had since 5.10."""
PROCESSOR_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds for the processor (192 MB; those with CUDA take 3 GB)."""
KEPT = ("numpy", "SimpleITK")
"""Packages of Slicer that no installation may replace: other modules of Slicer are built against them."""
GRAPHICS_CARD_ROOM_GB, PROCESSOR_ROOM_GB = 10.0, 2.0
"""Disk space while PyTorch is downloaded and unpacked (installed: 7 GB with CUDA, 0.8 GB without)."""


@dataclass(frozen=True)
class Package:
    """A package that registration needs: the name for Python and pip, that for people, the lowest version."""

    name: str
    title: str
    minimum: str

    @property
    def requirement(self) -> str:
        """As pip wants it: ``torch>=2.4``."""
        return f"{self.name}>={self.minimum}"


TORCH = Package("torch", "PyTorch", TORCH_MINIMUM)


def needed_packages() -> list[Package]:
    """All packages from outside Slicer, small ones first: a missing connection shows before gigabytes are asked for."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([\w-]+)>=([\d.]+)", line.strip()) for line in lines]
    return [*(Package(match[1], match[1], match[2]) for match in found if match), TORCH]


def missing_packages() -> list[Package]:
    """Packages that are not installed, not completely, or in too old a version. Imports none of them."""
    importlib.invalidate_caches()
    return [package for package in needed_packages() if not _is_new_enough(package)]


def what_will_be_installed(button: str) -> str | None:
    """One sentence for the panel, or None when all is there. ``button`` is the word on what the user presses."""
    missing = missing_packages()
    if not missing:
        return None
    names = _(" and ").join(_with_size(package) for package in reversed(missing))
    if TORCH in missing and not has_pytorch_extension():
        return _(
            "'{button}' will first install {names}, the build for the processor; for a graphics card, install the "
            "extension PyTorch with the Extensions Manager before."
        ).format(button=button, names=names)
    return _("'{button}' will first install {names} from the internet.").format(button=button, names=names)


def check_installed() -> None:
    """For scripts, which ask nobody: :class:`~DeepRegLib.errors.InstallationProblem` when a package is missing."""
    missing = missing_packages()
    if missing:
        raise InstallationProblem(
            _("Registration needs {names}, which is not installed yet.").format(names=_names(missing)),
            _(
                "Press Register in the module DeepReg once, or call install_missing(ask=False) of "
                "DeepRegSlicer.installation."
            ),
        )


def install_missing(ask: bool, button: str = "") -> None:
    """Install what is missing, after one question when ``ask``; returns at once when nothing is. ``button`` is the word
    on what the user pressed, and will press again (without one: Register).

    Everything is checked before the question: a folder that cannot be written, a full disk. In Slicer's testing mode
    nothing is installed, as in ``slicer.packaging``. Raises :class:`~DeepRegLib.errors.InstallationProblem` when the
    user declines and for every failure.
    """
    missing = missing_packages()
    if not missing:
        return
    button = button or _("Register")
    _check_that_it_can_be_installed(missing, button)
    if ask and not _user_agrees(button):
        raise InstallationProblem(
            _("{names} was not installed, so nothing was done.").format(names=_names(missing)),
            _("Press '{button}' again to install it.").format(button=button),
        )
    with _slicers_own_packages_kept(), shown_while_installing(_names(missing)) as log:
        try:
            for package in missing:
                _install(package, button)
        except InstallationProblem:
            raise
        except Exception as error:  # pip, the extension and the operating system all have errors of their own
            raise installation_problem(log.text(), button, error) from error
    if missing_packages():
        raise installation_problem(log.text(), button)


def has_pytorch_extension() -> bool:
    """Whether the extension PyTorch is installed and switched on; it is not imported."""
    return "PyTorchUtils" in sys.modules or PathFinder.find_spec("PyTorchUtils") is not None


# ---------------------------------------------------------------------------------------------- what is there


def installed_version(name: str) -> str | None:
    """The version of an installed package that has code; a removal that failed can leave a folder without any."""
    spec = PathFinder.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _is_new_enough(package: Package) -> bool:
    version = installed_version(package.name)
    return version is not None and _release(version) >= _release(package.minimum)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version: ``2.13.0+cpu`` gives (2, 13, 0).

    >>> _release("2.13.0+cpu") > _release("2.4")
    True
    """
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def _has_nvidia_card() -> bool:
    """The extension PyTorch asks the same program before it chooses a build."""
    return shutil.which("nvidia-smi") is not None


def _takes_cuda_build() -> bool:
    return has_pytorch_extension() and _has_nvidia_card()


# ----------------------------------------------------------------------------------------------------- words


def _names(packages: list[Package]) -> str:
    return _(" and ").join(package.title for package in reversed(packages))


def _with_size(package: Package) -> str:
    """Name and rough size of the download: safetensors has 0.5 MB, PyTorch with all it needs 0.3 or 3 GB."""
    if package is not TORCH:
        return _("{name} (1 MB)").format(name=package.title)
    size = _("3 GB") if _takes_cuda_build() else _("0.3 GB")
    return _("{name} (about {size})").format(name=package.title, size=size)


def _user_agrees(button: str) -> bool:
    if slicer.util.mainWindow() is None:
        raise InstallationProblem(
            _("Slicer runs without a window, so nobody can be asked about the installation."),
            _("Call install_missing(ask=False) of DeepRegSlicer.installation."),
        )
    question = _(
        "{what}\n\nThis takes some minutes and happens once. Slicer's own packages stay as they are. Install now?"
    )
    return slicer.util.confirmOkCancelDisplay(question.format(what=what_will_be_installed(button)), "DeepReg")


# ------------------------------------------------------------------------------------------------ installing


def _check_that_it_can_be_installed(missing: list[Package], button: str) -> None:
    if slicer.app.testingEnabled():
        raise InstallationProblem(
            _("{names} is missing, and nothing is installed in testing mode.").format(names=_names(missing))
        )
    if TORCH in missing and "torch" in sys.modules:
        raise InstallationProblem(
            _("The installed PyTorch is older than {minimum} and in use.").format(minimum=TORCH_MINIMUM),
            _("Restart Slicer and press '{button}' before any other module is opened.").format(button=button),
        )
    folder = sysconfig.get_paths()["purelib"]
    try:
        with tempfile.TemporaryFile(dir=folder):  # os.access is wrong about folders on Windows
            pass
    except OSError as problem:
        raise read_only_problem(folder) from problem
    needed = GRAPHICS_CARD_ROOM_GB if _takes_cuda_build() else PROCESSOR_ROOM_GB
    free = shutil.disk_usage(folder).free / 1e9
    if TORCH in missing and free < needed:
        raise no_room_problem(needed, free, button)


def _install(package: Package, button: str) -> None:
    if package is not TORCH:
        _install_with_pip(package)
    elif has_pytorch_extension():
        _install_torch_with_extension(button)
    else:
        _install_torch_for_processor()


def _install_with_pip(package: Package) -> None:
    try:
        from slicer import packaging  # since Slicer 5.11
    except ImportError:
        slicer.util.pip_install([package.requirement])
    else:
        packaging.pip_ensure(
            [package.requirement],
            prompt_install=False,
            prompt_restart=False,  # registration runs in another process
            requester="DeepReg",
            show_progress=False,  # one window of our own for both packages
        )


def _install_torch_with_extension(button: str) -> None:
    import PyTorchUtils

    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=f">={TORCH_MINIMUM}"
        )
    except (ImportError, OSError) as error:  # a missing DLL is an OSError
        if installed_version(TORCH.name) is None:
            raise
        raise InstallationProblem(
            _("PyTorch was installed but does not start: {reason}").format(reason=error),
            _(
                "Open the module PyTorch Utils, uninstall PyTorch there, restart Slicer and press '{button}' again. "
                "On Windows it helps to install Slicer into a folder with a short name."
            ).format(button=button),
        ) from error
    if torch is None:
        raise InstallationProblem(
            _("The extension PyTorch did not install PyTorch."),
            _("Open the module PyTorch Utils and install PyTorch there; it shows the reason."),
        )


def _install_torch_for_processor() -> None:
    # For Macs there is one build only, in the usual index.
    index = [] if sys.platform == "darwin" else ["--index-url", PROCESSOR_INDEX]
    arguments = [TORCH.requirement, *index]
    try:
        from slicer import packaging
    except ImportError:
        slicer.util.pip_install(arguments)
    else:
        packaging.pip_install(arguments, requester="DeepReg", show_progress=False)


@contextmanager
def _slicers_own_packages_kept() -> Iterator[None]:
    """Constraints for every pip that is started meanwhile: the installed versions of Slicer's own packages.

    The file is named as an address, because pip splits ``PIP_CONSTRAINT`` at spaces.
    """
    before = os.environ.get("PIP_CONSTRAINT")
    versions = {name: installed_version(name) for name in KEPT}
    lines = [f"{name}=={version}\n" for name, version in versions.items() if version]
    with tempfile.TemporaryDirectory(prefix="DeepReg") as folder:
        constraints = Path(folder) / "slicers-own-packages.txt"
        constraints.write_text("".join(lines), encoding="utf-8")
        os.environ["PIP_CONSTRAINT"] = " ".join(filter(None, [before, constraints.as_uri()]))
        try:
            yield
        finally:
            if before is None:
                del os.environ["PIP_CONSTRAINT"]
            else:
                os.environ["PIP_CONSTRAINT"] = before
