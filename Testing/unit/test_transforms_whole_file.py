"""Files appear as a whole or not at all."""

import pytest
from DeepRegLib.errors import OutputProblem
from DeepRegLib.files import whole_file


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    with whole_file(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_any_interruption_the_old_file_stays_and_nothing_else(tmp_path, error):
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(error), whole_file(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["field.nii.gz", "a.b.h5", "report.html"])
def test_the_temporary_name_lies_beside_the_target_and_ends_like_it(tmp_path, name):
    with whole_file(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("." + name)
        temporary.write_text("x")


def test_a_missing_folder_is_an_output_problem_with_advice(tmp_path):
    with (
        pytest.raises(OutputProblem, match=r"result\.json") as caught,
        whole_file(tmp_path / "no" / "result.json") as file,
    ):
        file.write_text("x")
    assert "folder exists" in caught.value.hint


def test_a_folder_in_the_place_of_the_file_is_an_output_problem(tmp_path):
    (tmp_path / "result.json").mkdir()
    with pytest.raises(OutputProblem), whole_file(tmp_path / "result.json") as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == [tmp_path / "result.json"]


def test_too_little_room_is_noticed_before_anything_is_written(tmp_path):
    with pytest.raises(OutputProblem, match="MB are free"), whole_file(tmp_path / "x.h5", expected_bytes=10**18):
        pytest.fail("nothing may be written")
