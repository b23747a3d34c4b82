"""What one types: the help, wrong words, input that cannot be used. Nobody sees a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import __version__, cli
from DeepRegLib.command_line import samples, values
from DeepRegLib.command_line.answer import Answer, as_json
from DeepRegLib.phantom import DIFFICULTIES, make_phantom

COMMANDS = ("register", "evaluate", "warp", "invert", "methods", "phantom", "demo")
HEAVY = ("torch", "numpy", "SimpleITK", "matplotlib", "rich")


@pytest.fixture
def scan(tmp_path):
    """A small image file of noise."""
    path = tmp_path / "scan.nii.gz"
    noise = np.random.default_rng(0).normal(0, 100, (20, 20, 20)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path))
    return path


def assert_refused(answer, *words):
    """Exit status 2, nothing on standard output, a sentence with these words and no traceback."""
    assert answer.returncode == 2, answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_appears_without_loading_anything_heavy(words):
    code = (
        "import sys\n"
        "from DeepRegLib import cli\n"
        f"status = cli.main({words})\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else status)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "usage: slicer-deepreg" in answer.stdout


def test_idle_threads_sleep_unless_the_user_wants_otherwise(monkeypatch, capsys):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    cli.main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    cli.main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_the_version_is_that_of_the_library(command):
    assert command("--version").stdout.split() == ["slicer-deepreg", __version__]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("bogus",),
        ("register", "fixed.nii.gz"),
        ("register", "a", "b", "--output", "o", "--quality", "best"),
        ("register", "a", "b", "--output", "o", "--threads", "0"),
        ("register", "a", "b", "--output", "o", "--seed", "-1"),
        ("register", "a", "b", "--out", "o"),
        ("warp", "a", "b", "--output", "o", "--points", "--labels"),
        ("phantom", "--output", "o", "--size", "3", "4"),
    ],
)
def test_wrong_words_are_refused_with_the_usage(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(words)) == 2
    printed = capsys.readouterr()
    assert "usage: slicer-deepreg" in printed.err
    assert printed.out == ""
    assert not list(tmp_path.iterdir())


def test_words_that_the_help_lists_are_those_that_the_library_knows():
    assert set(values.DIFFICULTIES) == set(DIFFICULTIES)
    assert make_phantom.__defaults__[0] == samples.SIZE


def test_a_missing_image_is_named_in_one_sentence(command, tmp_path, scan):
    answer = command("register", scan, tmp_path / "absent.nii.gz", "--output", tmp_path / "out", "--json")
    assert_refused(answer, "There is no file", "absent.nii.gz")
    assert not (tmp_path / "out").exists()


def test_an_unknown_method_is_refused_with_the_list(command, tmp_path, scan):
    answer = command("register", scan, scan, "--output", tmp_path / "out", "--method", "magic")
    assert_refused(answer, "There is no method 'magic'", "auto")


def test_a_file_that_is_no_image_is_refused(command, tmp_path, scan):
    text = tmp_path / "notes.nii.gz"
    text.write_text("not an image")
    assert_refused(command("warp", text, scan, "--output", tmp_path / "w.nii.gz"), "notes.nii.gz")


def test_a_mask_that_is_empty_is_refused(command, tmp_path, scan):
    mask = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.Image(20, 20, 20, sitk.sitkUInt8), str(mask))
    words = ("register", scan, scan, "--output", tmp_path / "out", "--fixed-mask", mask)
    assert_refused(command(*words), "mask.nii.gz", "empty")


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path, scan, capsys):
    missing = str(tmp_path / "absent" / "w.nii.gz")
    cases = {
        "is a file": ["register", "a", "b", "--output", str(scan / "deeper")],
        "the name must end in": ["warp", "a", "b", "--output", str(tmp_path / "w.jpg")],
        "There is no folder": ["warp", "a", "b", "--output", missing],
        "is a folder": ["invert", "a", "--output", str(_folder_called(tmp_path / "x.h5"))],
    }
    for sentence, words in cases.items():
        assert cli.main(words) == 2
        assert sentence in capsys.readouterr().err


def _folder_called(path):
    path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["landmarks", "labels"])
def test_half_a_pair_of_files_is_refused(kind, capsys):
    words = ["evaluate", "t.h5", "--fixed", "f", "--moving", "m", f"--fixed-{kind}", "x.csv"]
    assert cli.main(words) == 2
    assert f"--moving-{kind} is missing" in capsys.readouterr().err


def test_a_defect_is_an_apology_and_a_traceback_only_on_request(monkeypatch, capsys):
    def broken():
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("DeepRegLib.methods.interface.available_methods", broken)
    assert cli.main(["methods", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Sorry" in printed.err and "ZeroDivisionError" in printed.err and "Traceback" not in printed.err
    assert cli.main(["methods", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_libraries_print_stays_out_of_the_answer(monkeypatch, capsys):
    def talkative():
        print("loading ...")
        return {}

    monkeypatch.setattr("DeepRegLib.methods.interface.available_methods", talkative)
    assert cli.main(["methods", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.out == '{"methods": [], "warnings": []}\n'
    assert "loading" in printed.err


def test_memory_that_runs_out_is_a_sentence(monkeypatch, capsys):
    def greedy():
        raise MemoryError

    monkeypatch.setattr("DeepRegLib.methods.interface.available_methods", greedy)
    assert cli.main(["methods"]) == 1
    assert "not enough free memory" in capsys.readouterr().err


def test_json_has_no_words_that_json_does_not_know():
    assert (
        as_json(Answer("", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}}))
        == '{"a": [null, 1.5], "b": {"c": null}}'
    )


def test_a_reader_that_leaves_early_is_no_defect(start_command):
    process = start_command("methods", "--json")
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
