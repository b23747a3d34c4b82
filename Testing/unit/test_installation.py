"""What Register installs: one question, nothing of Slicer replaced, every failure a sentence."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import urllib.parse
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from DeepRegLib.errors import DeepRegError, InstallationProblem
from installation_cases import PIP_FAILED, Computer, stand_in_translation

stand_in_translation()
installation = pytest.importorskip("DeepRegSlicer.installation", reason="needs Slicer's MRML library")

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    computer = Computer(monkeypatch)
    monkeypatch.setattr(installation, "installed_version", lambda name: computer.versions.get(name))
    monkeypatch.setattr(installation, "_has_nvidia_card", lambda: False)
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    return computer


def constraints_in(value: str) -> set[str]:
    """Lines of the constraint files that PIP_CONSTRAINT names."""
    files = [Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)) for address in value.split()]
    return {line for file in files for line in file.read_text(encoding="utf-8").split()}


# ---------------------------------------------------------------------------------------------- what is there


def test_nothing_is_said_asked_or_done_when_all_is_installed(computer: Computer) -> None:
    computer.versions |= {"torch": "2.9.1+cpu", "safetensors": "0.8.0"}
    installation.install_missing(ask=True)
    installation.check_installed()
    assert installation.what_will_be_installed("Register") is None
    assert (computer.questions, computer.done, computer.windows) == ([], [], [])


def test_looking_imports_no_torch() -> None:
    code = (
        "import installation_cases as cases, sys; cases.stand_in_translation()\n"
        "from DeepRegSlicer import installation\n"
        "installation.missing_packages(); installation.what_will_be_installed('Register')\n"
        "assert not {'torch', 'safetensors', 'SimpleITK', 'PyTorchUtils', 'qt'} & set(sys.modules), sys.modules"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("version", "is_missing"),
    [(None, True), ("2.1.0", True), ("2.3.1+cu121", True), ("2.4.0", False), ("2.13.0+cpu", False), ("3.0", False)],
)
def test_a_torch_that_is_too_old_is_missing(computer: Computer, version: str | None, is_missing: bool) -> None:
    computer.versions |= {"safetensors": "0.4.5"} | ({"torch": version} if version else {})
    assert [package.name for package in installation.missing_packages()] == (["torch"] if is_missing else [])


def test_an_installed_package_is_one_with_code_and_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def package(name: str, has_code: bool, version: str | None) -> None:
        (tmp_path / name / "lib").mkdir(parents=True)
        if has_code:
            (tmp_path / name / "__init__.py").touch()
        if version:
            information = tmp_path / f"{name}-{version}.dist-info"
            information.mkdir()
            (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    package("whole", True, "1.2")
    package("emptied", False, "1.2")
    package("unnamed", True, None)
    monkeypatch.syspath_prepend(tmp_path)
    found = {name: installation.installed_version(name) for name in ("whole", "emptied", "unnamed", "absent")}
    assert found == {"whole": "1.2", "emptied": None, "unnamed": None, "absent": None}


def test_the_same_versions_are_asked_for_as_outside_slicer() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {package.requirement for package in installation.needed_packages()}
    assert asked == {need for need in project["dependencies"] if not need.startswith(installation.KEPT)}


# ------------------------------------------------------------------------------------------------- the words


def test_the_panel_says_what_is_installed_and_how_much(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.has_pytorch_extension()
    expected = "'Register' will first install PyTorch (about {}) and safetensors (1 MB) from the internet."
    assert installation.what_will_be_installed("Register") == expected.format("0.3 GB")
    monkeypatch.setattr(installation, "_has_nvidia_card", lambda: True)
    assert installation.what_will_be_installed("Register") == expected.format("3 GB")


def test_without_the_extension_the_panel_names_it_and_the_build_for_the_processor(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_has_nvidia_card", lambda: True)
    sentence = installation.what_will_be_installed("Start")
    assert sentence.startswith("'Start' will first install")
    assert "for the processor" in sentence and "extension PyTorch" in sentence and "0.3 GB" in sentence


def test_the_page_on_installation_has_the_commands_of_the_messages() -> None:
    page = (REPOSITORY / "docs" / "installation.md").read_text(encoding="utf-8")
    command = "PythonSlicer -m pip install --no-index --find-links wheels torch safetensors"
    assert command in page and command in installation.installation_problem("NewConnectionError", "Register").hint
    assert all(f'"{package.requirement}"' in page for package in installation.needed_packages())
    assert installation.PROCESSOR_INDEX in page


def test_a_script_is_told_what_to_call(computer: Computer) -> None:
    with pytest.raises(InstallationProblem, match="PyTorch and safetensors") as problem:
        installation.check_installed()
    assert "install_missing(ask=False)" in problem.value.hint
    assert isinstance(problem.value, DeepRegError) and problem.value.exit_code == 1


# ------------------------------------------------------------------------------------------------ installing


def test_one_question_then_the_small_package_then_torch_through_its_extension(computer: Computer) -> None:
    computer.has_packaging()
    computer.has_pytorch_extension()
    installation.install_missing(ask=True)
    assert len(computer.questions) == 1
    assert "PyTorch (about 0.3 GB) and safetensors" in computer.questions[0]
    assert computer.done == ["packaging: safetensors>=0.4", "extension: torch>=2.4"]
    assert installation.missing_packages() == []


def test_slicer_5_10_installs_with_its_own_pip_install(computer: Computer) -> None:
    computer.has_pytorch_extension()
    installation.install_missing(ask=True)
    assert computer.done == ["util: safetensors>=0.4", "extension: torch>=2.4"]


@pytest.mark.parametrize("has_packaging", [False, True])
def test_without_the_extension_the_build_for_the_processor_comes_from_pytorch_itself(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, has_packaging: bool
) -> None:
    monkeypatch.setattr(installation.sys, "platform", "linux")
    if has_packaging:
        computer.has_packaging()
    installation.install_missing(ask=True)
    assert computer.done[1].endswith(": torch>=2.4 --index-url https://download.pytorch.org/whl/cpu")


def test_a_script_that_has_decided_is_not_asked(computer: Computer) -> None:
    computer.main_window = None
    installation.install_missing(ask=False)
    assert computer.questions == [] and installation.missing_packages() == []


def test_declining_installs_nothing_and_is_an_error_of_its_own(computer: Computer) -> None:
    computer.answer = False
    with pytest.raises(InstallationProblem, match="was not installed, so nothing was done") as problem:
        installation.install_missing(ask=True)
    assert problem.value.hint == "Press 'Register' again to install it."
    assert computer.done == [] and computer.windows == []


def test_question_and_hints_name_the_button_that_was_pressed(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer.answer = False
    with pytest.raises(InstallationProblem) as declined:
        installation.install_missing(ask=True, button="Start")
    assert computer.questions[0].startswith("'Start' will first install")
    computer.answer, computer.fails, computer.log = True, PIP_FAILED, ["NewConnectionError"]
    with pytest.raises(InstallationProblem) as failed:
        installation.install_missing(ask=True, button="Start")
    monkeypatch.setattr(installation, "PROCESSOR_ROOM_GB", 1e9)
    with pytest.raises(InstallationProblem) as full:
        installation.install_missing(ask=True, button="Start")
    for problem in (declined, failed, full):
        assert "press 'Start' again" in problem.value.hint.replace("Press", "press")
        assert "{" not in problem.value.hint


def test_only_what_is_missing_is_installed(computer: Computer) -> None:
    computer.versions["torch"] = "2.9.1"
    installation.install_missing(ask=True)
    assert computer.done == ["util: safetensors>=0.4"]
    assert "PyTorch" not in computer.questions[0].partition("\n")[0]


def test_in_testing_mode_nothing_is_asked_or_installed(computer: Computer) -> None:
    computer.testing = True
    with pytest.raises(InstallationProblem, match="testing mode"):
        installation.install_missing(ask=True)
    assert computer.done == []


def test_without_a_window_nobody_can_be_asked(computer: Computer) -> None:
    computer.main_window = None
    with pytest.raises(InstallationProblem, match="without a window"):
        installation.install_missing(ask=True)
    assert computer.done == []


# --------------------------------------------------------------------------------- Slicer's own packages stay


def test_every_pip_is_held_to_the_installed_numpy_and_simpleitk(computer: Computer) -> None:
    seen: list[set[str]] = []
    computer.constraints = SimpleNamespace(append=lambda value: seen.append(constraints_in(value)))
    computer.has_pytorch_extension()
    installation.install_missing(ask=True)
    assert seen == [{"numpy==2.0.2", "SimpleITK==2.5.0"}] * 2


def test_constraints_of_the_computer_are_kept_and_come_back_after_a_failure(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONSTRAINT", "https://hospital.example/constraints.txt")
    computer.fails = PIP_FAILED
    with pytest.raises(InstallationProblem):
        installation.install_missing(ask=True)
    assert computer.constraints[0].startswith("https://hospital.example/constraints.txt file:")
    assert os.environ["PIP_CONSTRAINT"] == "https://hospital.example/constraints.txt"


def wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    information = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        )
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")


def test_the_real_pip_refuses_to_replace_numpy_from_a_folder_with_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "Zoë Müller"
    temporary.mkdir()
    monkeypatch.setattr(installation.tempfile, "tempdir", str(temporary))
    wheel(tmp_path, "numpy", "99.0")
    wheel(tmp_path, "greedy_package", "1.0", "numpy>=99")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    command.append("greedy_package")
    free = subprocess.run(command, capture_output=True, text=True, check=False)
    with installation._slicers_own_packages_kept():
        held = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Would install greedy_package-1.0 numpy-99.0" in free.stdout.replace("greedy-package", "greedy_package")
    assert held.returncode != 0
    problem = installation.installation_problem(held.stdout + held.stderr, "Register")
    assert "would have replaced numpy or SimpleITK" in str(problem)


# -------------------------------------------------------------------------------------------------- failures

PROXY = "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('407'))'"
OFFLINE = (
    "connection broken by 'NameResolutionError(\"Failed to resolve 'pypi.org' ([Errno -2] Name or service not known)"
)
NOTHING_FOUND = "ERROR: No matching distribution found for torch>=2.4"


@pytest.mark.parametrize(
    ("log", "sentence", "hint"),
    [
        ([PROXY, NOTHING_FOUND], "proxy of your network", "config set global.proxy"),
        ([OFFLINE, NOTHING_FOUND], "does not reach the internet", "--no-index --find-links"),
        (["SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]"], "certificates", "global.cert"),
        (["ERROR: Could not install packages: [Errno 28] No space left on device"], "disk is full", "Free some"),
        (["OSError: [WinError 112] There is not enough space on the disk"], "disk is full", "Free some"),
        (["ERROR: [Errno 13] Permission denied: '/opt/Slicer/lib'"], "may not be written", "administrator"),
        (["PermissionError: [WinError 5] Access is denied: 'c10.dll'"], "in use", "Restart Slicer"),
        (["ERROR: ... (from versions: 1.7.1, 2.2.2)", NOTHING_FOUND], "no PyTorch for this computer", "Intel"),
        (["ERROR: something unheard of"], "something unheard of", "Python console"),
    ],
)
def test_a_failure_of_pip_becomes_a_sentence_that_says_what_to_do(
    computer: Computer, log: list[str], sentence: str, hint: str
) -> None:
    computer.log, computer.fails = log, PIP_FAILED
    with pytest.raises(InstallationProblem) as problem:
        installation.install_missing(ask=True)
    assert sentence in str(problem.value)
    assert hint in problem.value.hint


def test_a_read_only_slicer_is_told_before_the_question(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation.sysconfig, "get_paths", lambda: {"purelib": str(tmp_path / "absent")})
    with pytest.raises(InstallationProblem, match="read-only") as problem:
        installation.install_missing(ask=True)
    assert "administrator" in problem.value.hint and computer.questions == []


def test_a_full_disk_is_told_before_the_question(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.shutil, "disk_usage", lambda folder: SimpleNamespace(free=4e9))
    monkeypatch.setattr(installation, "_has_nvidia_card", lambda: True)
    computer.has_pytorch_extension()
    with pytest.raises(InstallationProblem, match=r"about 10 GB, 4\.0 GB are free"):
        installation.install_missing(ask=True)
    assert computer.questions == []


def test_an_old_torch_in_use_asks_for_a_restart(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.versions["torch"] = "2.1.0"
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    with pytest.raises(InstallationProblem, match=r"older than 2\.4 and in use") as problem:
        installation.install_missing(ask=True)
    assert "Restart Slicer" in problem.value.hint


def test_a_torch_that_does_not_start_is_told_with_the_way_out(computer: Computer) -> None:
    computer.has_pytorch_extension(error=ModuleNotFoundError("No module named 'torchgen'"))
    with pytest.raises(InstallationProblem, match="does not start: No module named 'torchgen'") as problem:
        installation.install_missing(ask=True)
    assert "uninstall PyTorch" in problem.value.hint


def test_an_extension_that_installs_nothing_is_told(computer: Computer) -> None:
    computer.has_pytorch_extension(answer=None)
    with pytest.raises(InstallationProblem, match="did not install PyTorch"):
        installation.install_missing(ask=True)


def test_success_without_a_package_is_a_failure(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "_note", lambda requirement: None)
    with pytest.raises(InstallationProblem, match="could not be installed"):
        installation.install_missing(ask=True)


# ------------------------------------------------------------------------------------------------ the window


def test_a_window_shows_what_pip_does_and_closes(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    computer.log = ["Collecting torch", "  Downloading torch-2.9.1.whl (2.9 GB)"]
    installation.install_missing(ask=True)
    (window,) = computer.windows
    assert any(text.endswith("Downloading torch-2.9.1.whl (2.9 GB)") for text in window.shown_texts)
    assert not window.open
    assert "Collecting torch" in capsys.readouterr().out, "Slicer's console shows it too"


def test_the_window_closes_after_a_failure(computer: Computer) -> None:
    computer.fails = PIP_FAILED
    screen = sys.stdout
    with pytest.raises(InstallationProblem):
        installation.install_missing(ask=True)
    assert not computer.windows[0].open and sys.stdout is screen


# ------------------------------------------------------------------------------------- nothing else is needed

BROUGHT_BY_TORCH = {"jinja2"}
"""The report needs it; PyTorch depends on it."""
ONLY_FOR_THE_SHELL = {"rich"}


def third_party_imports(folder: Path) -> dict[str, set[str]]:
    """Names of packages from outside Python and this project, with the files that import them."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"DeepRegLib"}:
                found.setdefault(top, set()).add(file.relative_to(folder).as_posix())
    return found


def test_the_library_imports_nothing_that_is_not_installed() -> None:
    imports = third_party_imports(REPOSITORY / "DeepReg" / "DeepRegLib")
    installed = {package.name for package in installation.needed_packages()} | set(installation.KEPT)
    assert set(imports) == installed | BROUGHT_BY_TORCH | ONLY_FOR_THE_SHELL
    assert all(file.startswith("command_line/") for name in ONLY_FOR_THE_SHELL for file in imports[name])


def test_what_torch_brings_is_among_its_dependencies() -> None:
    needs = {re.match(r"[\w.-]+", need)[0].lower() for need in importlib.metadata.requires("torch") or []}
    assert needs >= BROUGHT_BY_TORCH
    assert not {name.lower() for name in installation.KEPT} & needs, "PyTorch itself asks for no numpy"
