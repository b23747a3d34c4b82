"""run.py, the one door of the repository. No test here installs anything: pip is a stand-in, or fails by itself."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("run", "test", "bench")


@pytest.fixture
def run(tmp_path: Path) -> ModuleType:
    """run.py as a module that believes to lie in an empty repository with three small lock files."""
    spec = importlib.util.spec_from_file_location("run_under_test", REPOSITORY / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path
    (tmp_path / "requirements").mkdir()
    for lock in (*LOCKS, "cuda"):
        (tmp_path / "requirements" / f"{lock}.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("")
    return module


@pytest.fixture
def pip(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip was asked for; an environment is made of an empty file, and no command is performed."""
    calls: list[list[str]] = []

    def create() -> None:
        run.environment_python().parent.mkdir(parents=True, exist_ok=True)
        run.environment_python().touch()

    monkeypatch.setattr(run, "_create_environment", create)
    monkeypatch.setattr(run, "_pip", calls.append)
    monkeypatch.setattr(run, "perform", lambda command, arguments: 0)
    monkeypatch.delenv("DEEPREG_TORCH", raising=False)
    return calls


def script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, REPOSITORY / "run.py", *words], capture_output=True, text=True)


def test_help_names_every_command(run: ModuleType) -> None:
    answer = script("--help")
    assert answer.returncode == 0
    assert all(f"  {name} " in answer.stdout for name in run.COMMANDS)


@pytest.mark.parametrize("words", [("fly",), ()])
def test_an_unknown_or_missing_command_shows_the_help_and_ends_with_2(words: tuple[str, ...]) -> None:
    answer = script(*words)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "Usage: python3 run.py" in answer.stderr


def test_an_old_python_is_refused_in_one_sentence(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 2, "final", 0))
    assert run.main(["demo"]) == 2
    assert capsys.readouterr().err == "This needs Python 3.11 or newer; this is Python 3.9.\n"


def test_the_second_call_installs_nothing(run: ModuleType, pip: list[list[str]]) -> None:
    assert run.main(["demo"]) == 0
    assert [call[0] for call in pip] == ["install", "install"]
    pip.clear()
    assert run.main(["demo"]) == 0
    assert pip == []


@pytest.mark.parametrize("changed", ["requirements/run.txt", "requirements/test.txt", "pyproject.toml"])
def test_a_changed_lock_is_installed_again(run: ModuleType, pip: list[list[str]], changed: str) -> None:
    run.main(["test"])
    pip.clear()
    (run.ROOT / changed).write_text("numpy==2.4.7\n")
    run.main(["test"])
    assert len(pip) == 2


def test_line_ends_of_windows_do_not_count_as_a_change(run: ModuleType) -> None:
    before = run.lock_hash("test")
    for file in (run.ROOT / "requirements").iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert run.lock_hash("test") == before


def test_each_command_installs_only_its_own_lock_and_keeps_the_others(run: ModuleType, pip: list[list[str]]) -> None:
    run.main(["demo"])
    run.main(["test"])
    asked = [Path(call[-1]).name for call in pip if "--requirement" in call]
    assert asked == ["run.txt", "test.txt"]
    pip.clear()
    run.main(["demo"])
    assert pip == []


def test_a_set_up_that_was_killed_is_made_afresh(
    run: ModuleType, pip: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(arguments: list[str]) -> None:
        (run.environment() / "half-a-package").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "_pip", killed)
        assert run.main(["setup"]) == 130
    assert (run.environment() / "half-a-package").exists()
    assert run.main(["setup"]) == 0
    assert "cut short" in capsys.readouterr().err
    assert not (run.environment() / "half-a-package").exists()
    assert run.is_ready("run", "cpu")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"torch": "cpu"}', '{"torch": "tpu", "locks": {}}'])
def test_a_damaged_stamp_leads_to_a_new_set_up(run: ModuleType, pip: list[list[str]], content: str) -> None:
    run.main(["setup"])
    pip.clear()
    (run.environment() / "setup.json").write_text(content)
    assert run.main(["setup"]) == 0
    assert len(pip) == 2


def test_the_build_of_torch_is_remembered(run: ModuleType, pip: list[list[str]]) -> None:
    run.main(["setup", "--torch", "cuda"])
    assert "--constraint" in pip[0]
    pip.clear()
    run.main(["demo"])
    assert pip == []


def test_another_build_of_torch_never_lands_in_the_old_environment(run: ModuleType, pip: list[list[str]]) -> None:
    run.main(["--torch=cuda", "demo"])
    (run.environment() / "torch").touch()
    run.main(["--torch", "cpu", "demo"])
    assert not (run.environment() / "torch").exists()
    assert json.loads((run.environment() / "setup.json").read_text())["torch"] == "cpu"


def test_a_build_of_torch_that_does_not_exist_is_refused(
    run: ModuleType, pip: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--torch", "tpu", "demo"]) == 1
    assert "Choose cpu or cuda" in capsys.readouterr().err
    assert pip == []


def test_words_after_the_command_are_passed_on_untouched(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPREG_TORCH", raising=False)
    assert run.parse(["test", "-k", "floors", "--torch", "x"]) == (None, "test", ["-k", "floors", "--torch", "x"])
    monkeypatch.setenv("DEEPREG_TORCH", "cuda")
    assert run.parse(["demo"]) == ("cuda", "demo", [])
    assert run.parse(["--torch", "cpu", "demo"])[0] == "cpu"


def test_a_failing_program_ends_the_command_with_its_status(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "environment_python", lambda: sys.executable)
    fails = ("-c", "import sys; sys.exit(5)")
    leaves_a_trace = ("-c", "open('reached', 'w')")
    assert run.perform(run.Command("", "run", (fails, leaves_a_trace), run.ROOT), []) == 5
    assert not (run.ROOT / "reached").exists()
    assert run.perform(run.Command("", "run", (leaves_a_trace,), run.ROOT), []) == 0
    assert (run.ROOT / "reached").exists()


def test_when_pip_fails_one_sentence_and_its_last_lines_are_shown(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only test with a real environment: pip may ask no index here, so it cannot find the package."""
    (run.ROOT / "requirements" / "run.txt").write_text("a-package-that-is-nowhere==1.0\n")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DEEPREG_TORCH", raising=False)
    assert run.main(["setup"]) == 1
    said = capsys.readouterr().err
    assert "The packages could not be installed." in said
    assert "a-package-that-is-nowhere" in said
    assert not run.is_ready("run", "cpu")
    assert not (run.environment() / "setup.unfinished").exists()


def pins(lock: str) -> dict[str, Requirement]:
    lines = (REPOSITORY / "requirements" / f"{lock}.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {canonical(r.name): r for r in found}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_names_one_version(lock: str) -> None:
    for requirement in pins(lock).values():
        (version,) = requirement.specifier
        assert version.operator == "==" and "*" not in version.version, requirement


def test_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, requirement in pins(lock).items():
            versions.setdefault(name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("run", ("report", "scene")), ("test", ("report", "scene", "test", "lint")), ("bench", ("report", "peers"))],
)
def test_a_lock_holds_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    wanted += [Requirement(line) for extra in extras for line in project["optional-dependencies"][extra]]
    locked = {**pins("run"), **pins(lock)}
    for requirement in wanted:
        name = canonical(requirement.name)
        if name == project["name"]:
            continue
        (version,) = locked[name].specifier
        assert requirement.specifier.contains(version.version), f"{requirement} is locked to {version}"


def test_locks_name_no_place_to_download_from() -> None:
    for file in (REPOSITORY / "requirements").iterdir():
        assert "://" not in file.read_text() and "-url" not in file.read_text(), file.name
