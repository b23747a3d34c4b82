"""A job and its result as folders of arrays and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from DeepRegLib import array_files
from DeepRegLib.array_files import PIECE_BYTES
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.region import Region
from DeepRegLib.images.volume import Volume
from DeepRegLib.job_folder import (
    JOB_FILE,
    LOG_FILE,
    REPORT_FOLDER,
    RESULT_FILE,
    Job,
    JobOptions,
    read_job,
    read_result_in_steps,
    remove_job_in_steps,
    write_job_in_steps,
    write_result,
)
from DeepRegLib.result import Registration
from DeepRegLib.steps import finish
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

FOLDER = "Prüfung mit Leerzeichen ÄÖ"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


@pytest.fixture
def job(make_volume, oblique_geometry):
    points = np.array([[0.1, 1 / 3, -2e-7], [1e6, np.pi, 5.0]])
    landmarks = Landmarks(points, ("Ä 1", "carina"), "punkte.csv", (2, 5))
    fixed = make_volume(oblique_geometry.shape, np.int16, oblique_geometry)
    return Job(
        fixed=Volume(fixed.array, fixed.geometry, "fixe Aufnahme"),
        moving=make_volume((17, 19, 23), np.float32),
        fixed_mask=Volume(fixed.array > 0, fixed.geometry),
        fixed_landmarks=landmarks,
        moving_landmarks=Landmarks(points + 1),
        options=JobOptions(quality="accurate", field_spacing_mm=2.5, refine=False, wants_inverse=True),
    )


@pytest.fixture
def registration(job):
    values = np.random.default_rng(1).normal(0, 2, (*job.fixed.geometry.shape, 3)).astype(np.float32)
    coarse = Geometry((3, 3, 3), (20.0, 20.0, 20.0))
    made = Registration(
        fixed=job.fixed,
        moving=job.moving,
        field=DisplacementField(values, job.fixed.geometry),
        prealignment=LinearTransform(np.diag([1.0, 0.99, 1.01]), [1 / 3, 0, 2]),
        transform=DisplacementField(values, job.fixed.geometry),
        region=Region.given(job.fixed_mask),
        fixed_landmarks=job.fixed_landmarks,
        moving_landmarks=job.moving_landmarks,
        evidence={"method": "tps-grid", "warnings": ["Grüße"]},
        control_displacements=DisplacementField.zero(coarse),
    )
    made._inverse = DisplacementField(values[:5, :6, :7].copy(), Geometry((7, 6, 5)))
    return made


def assert_same_volume(one, other):
    np.testing.assert_array_equal(one.array, other.array)
    assert one.array.dtype == other.array.dtype
    assert (one.geometry, one.name) == (other.geometry, other.name)


def assert_same_landmarks(one, other):
    np.testing.assert_array_equal(one.points, other.points)
    assert (one.labels, one.name, one.rows) == (other.labels, other.name, other.rows)


def test_a_job_is_read_as_it_was_written_to_the_last_bit(folder, job):
    finish(write_job_in_steps(folder, job))
    back = read_job(folder)
    for role in ("fixed", "moving", "fixed_mask"):
        assert_same_volume(getattr(back, role), getattr(job, role))
    for role in ("fixed_landmarks", "moving_landmarks"):
        assert_same_landmarks(getattr(back, role), getattr(job, role))
    assert back.moving_mask is None
    assert back.options == job.options


def test_numpy_alone_reads_the_voxels(folder, job):
    finish(write_job_in_steps(folder, job))
    np.testing.assert_array_equal(np.load(folder / "moving.npy"), job.moving.array)


@pytest.mark.parametrize("kind", [np.uint8, ">i2", np.float64, bool])
@pytest.mark.parametrize("view", [lambda a: a[::-1, :, ::2], lambda a: a.transpose(2, 1, 0), lambda a: a])
def test_views_on_the_memory_of_others_are_written_in_the_order_of_their_axes(folder, kind, view):
    array = view((np.random.default_rng(2).random((6, 7, 8)) * 3).astype(kind))
    finish(array_files.write_array_in_steps(folder / "a.npy", array))
    np.testing.assert_array_equal(finish(array_files.read_array_in_steps(folder / "a.npy")), array)


def test_no_step_writes_or_reads_more_than_a_piece(folder):
    image = np.zeros((11, 1024, 1024), np.int16)  # 22 MB, planes of 2 MB
    field = np.zeros((2, 1024, 1024, 3), np.float32)  # planes larger than a piece
    for array in (image, field):
        path = folder / "a.npy"
        written = [0]
        for _ in array_files.write_array_in_steps(path, array):
            partial = next(p for p in folder.iterdir() if p.name.startswith(array_files.PARTIAL))
            written.append(partial.stat().st_size)
        assert max(np.diff(written)) <= PIECE_BYTES + 4096
        assert len(written) - 1 >= array.nbytes / PIECE_BYTES
        assert sum(1 for _ in array_files.read_array_in_steps(path)) >= array.nbytes / PIECE_BYTES


def test_the_worker_may_change_the_voxels_without_changing_the_file(folder, job):
    finish(write_job_in_steps(folder, job))
    read_job(folder).fixed.array[:] = 0
    np.testing.assert_array_equal(read_job(folder).fixed.array, job.fixed.array)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_job_that_is_not_written_to_its_end_is_no_job(folder, job, steps):
    writing = write_job_in_steps(folder, job)
    for _ in range(steps):
        next(writing)
    writing.close()
    with pytest.raises(BadInput, match=r"job\.json"):
        read_job(folder)
    assert not [p for p in folder.iterdir() if p.name.startswith(array_files.PARTIAL)]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def claim_a_terabyte(path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 14, 1 << 12, 1 << 12)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


def pickle_inside(path):
    np.save(path, np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    "harm", [truncate, claim_a_terabyte, pickle_inside, lambda p: p.unlink(), lambda p: p.write_bytes(b"")]
)
def test_a_damaged_array_is_refused_by_its_name(folder, job, harm):
    finish(write_job_in_steps(folder, job))
    harm(folder / "moving.npy")
    with pytest.raises(BadInput, match=r"moving\.npy"):
        read_job(folder)
    with pytest.raises(BadInput, match=r"moving\.npy"):
        finish(array_files.read_array_in_steps(folder / "moving.npy"))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(format=2),
        lambda record: record.pop("volumes"),
        lambda record: record["volumes"].pop("fixed"),
        lambda record: record["options"].update(colour="blue"),
        lambda record: record["volumes"]["fixed"]["geometry"].update(size=[1, 2]),
        lambda record: record["volumes"]["fixed"]["geometry"].update(size=[1, 2, 3]),
        lambda record: record["landmarks"]["fixed_landmarks"].update(points=[[1, 2]]),
    ],
)
def test_a_job_whose_description_is_wrong_is_refused(folder, job, change):
    finish(write_job_in_steps(folder, job))
    record = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    change(record)
    (folder / JOB_FILE).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(BadInput):
        read_job(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_job_file_that_is_no_description_is_refused(folder, text):
    (folder / JOB_FILE).write_text(text)
    with pytest.raises(BadInput, match=r"job\.json"):
        read_job(folder)


def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path, job):
    with pytest.raises(OutputProblem, match=r"fixed\.npy.*cannot be written"):
        finish(write_job_in_steps(tmp_path / "gone", job))


def test_a_full_disk_is_told_before_anything_is_written(folder, job, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OutputProblem, match="are free"):
        finish(write_job_in_steps(folder, job))
    assert not list(folder.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_disk_that_fills_up_while_writing_is_told_and_nothing_stays(folder, job, monkeypatch):
    (folder / f"{array_files.PARTIAL}moving.npy").symlink_to("/dev/full")
    with pytest.raises(OutputProblem, match=r"moving\.npy.*No space left"):
        finish(write_job_in_steps(folder, job))
    assert [p.name for p in folder.iterdir()] == ["fixed.npy"]


def test_a_result_is_read_as_it_was_written(folder, job, registration):
    write_result(folder / "result", registration, job.options)
    result = finish(read_result_in_steps(folder / "result"))
    for role in ("transform", "control_displacements"):
        np.testing.assert_array_equal(getattr(result, role).array, getattr(registration, role).array)
        assert getattr(result, role).geometry == getattr(registration, role).geometry
    np.testing.assert_array_equal(result.inverse.array, registration.inverse().array)
    assert_same_volume(result.warped, registration.warped)
    assert result.warped.array.dtype == job.moving.array.dtype
    np.testing.assert_array_equal(result.prealignment.matrix, registration.prealignment.matrix)
    np.testing.assert_array_equal(result.prealignment.translation, registration.prealignment.translation)
    np.testing.assert_array_equal(result.landmark_errors_mm, registration.landmark_errors())
    assert result.evidence == registration.evidence
    assert result.report_folder is None


def test_a_result_stays_when_its_folder_goes(folder, job, registration):
    write_result(folder / "result", registration, job.options)
    result = finish(read_result_in_steps(folder / "result"))
    shutil.rmtree(folder)
    np.testing.assert_array_equal(result.transform.array, registration.transform.array)
    result.transform.array[:] = 0  # memory of its own, to be handed to the scene


def test_what_nobody_wants_is_neither_computed_nor_written(folder, registration):
    del registration._inverse
    registration.fixed_landmarks = registration.moving_landmarks = registration.control_displacements = None
    write_result(folder / "result", registration, JobOptions(wants_warped=False))
    result = finish(read_result_in_steps(folder / "result"))
    assert result.warped is result.inverse is result.control_displacements is result.landmark_errors_mm is None
    assert {path.name for path in (folder / "result").iterdir()} == {RESULT_FILE, "transform.npy"}
    assert not {"warped", "_inverse"} & set(vars(registration))


def test_a_result_without_its_last_file_is_none(folder, job, registration):
    write_result(folder, registration, job.options)
    (folder / RESULT_FILE).unlink()
    with pytest.raises(BadInput, match=r"result\.json"):
        finish(read_result_in_steps(folder))


@pytest.mark.parametrize(
    ("keep", "left"), [((), set()), ((LOG_FILE,), {LOG_FILE}), ((REPORT_FOLDER,), {"report.html"})]
)
def test_a_job_that_is_removed_leaves_what_is_kept(folder, job, registration, keep, left):
    finish(write_job_in_steps(folder, job))
    write_result(folder / "result", registration, job.options)
    (folder / LOG_FILE).write_text("log")
    (folder / "result" / REPORT_FOLDER).mkdir()
    (folder / "result" / REPORT_FOLDER / "report.html").write_text("report")
    finish(remove_job_in_steps(folder, keep))
    assert {path.name for path in folder.rglob("*") if path.is_file()} == left
    assert folder.exists() == bool(left)


def test_files_of_others_in_the_folder_stay(folder, job):
    finish(write_job_in_steps(folder, job))
    (folder / "thesis.docx").write_text("mine")
    finish(remove_job_in_steps(folder))
    assert [path.name for path in folder.iterdir()] == ["thesis.docx"]
