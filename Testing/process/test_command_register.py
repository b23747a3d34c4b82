"""register, from the files of two scans to the folder of results."""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np
import pytest
import SimpleITK as sitk

RESULTS = {"transform.h5", "inverse.h5", "warped.nii.gz", "report.html", "evidence.json"}
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


def words_for(pair_folder, output, *more):
    return (
        *("register", pair_folder / "fixed.nii.gz", pair_folder / "moving.nii.gz", "--output", output),
        *("--threads", "1", *more),
    )


def landmark_words(pair_folder):
    return [w for role in ("fixed", "moving") for w in (f"--{role}-landmarks", pair_folder / f"{role}_landmarks.csv")]


@pytest.fixture(scope="module")
def registered(command, pair_folder, tmp_path_factory):
    """The finished process and the folder of one registration with landmarks, for several tests to look at."""
    output = tmp_path_factory.mktemp("registered") / "made" / "by the command"
    answer = command(
        *words_for(pair_folder, output, *landmark_words(pair_folder), "--quality", "fast", "--seed", "7", "--json")
    )
    assert answer.returncode == 0, answer.stderr
    return answer, output


def test_the_folder_holds_the_promised_files_and_nothing_else(registered):
    _, output = registered
    assert {path.name for path in output.iterdir()} == RESULTS | {"landmark_errors.csv"}


def test_standard_output_is_the_evidence_alone(registered):
    answer, output = registered
    printed = json.loads(answer.stdout)
    assert len(answer.stdout.splitlines()) == 1
    assert printed == json.loads((output / "evidence.json").read_text())
    assert "100 %" in answer.stderr


def test_the_landmark_error_is_what_simpleitk_measures_on_the_written_transform(registered, pair_folder):
    answer, output = registered
    transform = sitk.ReadTransform(str(output / "transform.h5"))
    fixed, moving = (
        np.loadtxt(pair_folder / f"{role}_landmarks.csv", delimiter=",", skiprows=1) for role in ("fixed", "moving")
    )
    mapped = np.array([transform.TransformPoint(p) for p in fixed.tolist()])
    error = np.linalg.norm(mapped - moving, axis=1)
    statistics = json.loads(answer.stdout)["landmarks"]
    assert statistics["after"]["mean_mm"] == pytest.approx(error.mean(), abs=0.01)
    assert error.mean() < 0.3 * np.linalg.norm(fixed - moving, axis=1).mean()


def test_people_get_a_summary_that_says_where_the_files_are(command, pair_folder, tmp_path):
    mask = ("--fixed-mask", pair_folder / "fixed_mask.nii.gz", "--moving-mask", pair_folder / "moving_mask.nii.gz")
    answer = command(*words_for(pair_folder, tmp_path / "out", "--quality", "fast", *mask))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Registered moving.nii.gz to fixed.nii.gz")
    for words in ("Folding", "Best start", str(tmp_path / "out"), "report.html"):
        assert words in answer.stdout
    assert answer.stdout.isascii()
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULTS


def test_the_words_of_the_command_are_in_the_evidence(registered):
    evidence = json.loads(registered[0].stdout)
    assert (evidence["seed"], evidence["quality"], evidence["threads"]) == (7, "fast", 1)
    assert evidence["requested_method"] == "auto"


def test_unequal_landmark_lists_are_refused(command, pair_folder, tmp_path):
    lines = (pair_folder / "moving_landmarks.csv").read_text().splitlines(keepends=True)
    (tmp_path / "short.csv").write_text("".join(lines[:-1]))
    fixed = ("--fixed-landmarks", pair_folder / "fixed_landmarks.csv")
    answer = command(*words_for(pair_folder, tmp_path / "out", *fixed, "--moving-landmarks", tmp_path / "short.csv"))
    assert answer.returncode == 2
    assert "short.csv" in answer.stderr and "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("percent", [0, 20])
def test_a_signal_ends_the_run_and_leaves_nothing(start_command, pair_folder, tmp_path, number, percent):
    """At 0 % the libraries are still being loaded; later the registration itself is asked to stop."""
    output = tmp_path / "out"
    process = start_command(*words_for(pair_folder, output, "--quality", "accurate", "--json"))
    with process:
        for line in process.stderr:
            if int(line.split("%")[0]) >= percent:
                break
        process.send_signal(number)
        printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert printed == ""
    assert "Traceback" not in complaint
    assert not output.exists() or not list(output.iterdir())


@posix_only
def test_a_second_signal_does_not_wait_for_the_work(start_command, tmp_path):
    """A stand-in for work that never asks whether it should stop."""
    code = (
        "import sys, time\n"
        "from DeepRegLib import cli\n"
        "from DeepRegLib.command_line import listing\n"
        "from DeepRegLib.command_line.stopping import first_signal_asks\n"
        "def deaf(arguments):\n"
        "    with first_signal_asks() as asked:\n"
        "        print('working', file=sys.stderr, flush=True)\n"
        "        while not asked():\n"
        "            time.sleep(0.01)\n"
        "        print('asked', file=sys.stderr, flush=True)\n"
        "        time.sleep(60)\n"
        "listing.run_methods = deaf\n"
        "sys.exit(cli.main(['methods']))\n"
    )
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    with process:
        for word in ("working", "asked"):
            while word not in process.stderr.readline():
                pass
            process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Stopped" in complaint and "Traceback" not in complaint


@posix_only
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_protected_folder_is_refused_before_the_work(command, pair_folder, tmp_path):
    tmp_path.chmod(0o500)
    answer = command(*words_for(pair_folder, tmp_path / "out"))
    assert answer.returncode == 1
    assert "protected" in answer.stderr


def test_the_options_for_experts_reach_the_registration(command, pair_folder, tmp_path):
    words = ("--prealignment", "none", "--similarity", "intensity", "--no-refinement", "--field-spacing", "8", "--json")
    fixed, moving = pair_folder / "fixed.nii.gz", pair_folder / "moving.nii.gz"
    done = command("register", fixed, moving, "--output", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    evidence = json.loads(done.stdout)
    assert evidence["prealignment"]["translation"] == [0.0, 0.0, 0.0]
    assert evidence["contrast"] == "same" and evidence["refined"] is False
    field = sitk.ReadTransform(str(tmp_path / "transform.h5"))
    assert min(sitk.DisplacementFieldTransform(field).GetFixedParameters()[6:9]) > 7.0


def test_a_field_spacing_of_nothing_is_a_wrong_word(command, tmp_path):
    done = command("register", "a.nii", "b.nii", "--output", tmp_path, "--field-spacing", "0")
    assert done.returncode == 2 and "not a length above 0" in done.stderr
