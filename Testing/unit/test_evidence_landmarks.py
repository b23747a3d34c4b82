"""Landmark files, their checks and the errors they measure, against 3D Slicer itself, SimpleITK and arithmetic."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.errors import BadLandmarks, OutputProblem
from DeepRegLib.evidence.landmarks import (
    ErrorStatistics,
    Landmarks,
    check_landmark_pair,
    read_landmarks,
    snapped_errors,
    target_registration_error,
    write_landmarks,
)
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

LUNG = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "lung_followup"
GRID = Geometry((20, 30, 40), (1.0, 1.0, 2.0), (100.0, 200.0, -50.0))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scene():
    slicer = pytest.importorskip("slicer", reason="the MRML library (slicer-core) is not installed")
    if not hasattr(slicer, "vtkMRMLMarkupsFiducialNode"):
        pytest.skip("this slicer module has no markups nodes")
    scene = slicer.vtkMRMLScene()
    scene.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())
    return scene


def test_a_csv_table_in_lps_is_read_as_it_stands(tmp_path):
    found = read_landmarks(written(tmp_path, "a.csv", "Name,X,Y,Z\napex,1,-2.5,3e1\n\nbase,4,5,6\n"))
    assert found.points.tolist() == [[1, -2.5, 30], [4, 5, 6]]
    assert found.labels == ("apex", "base")
    assert found.points.dtype == np.float64


@pytest.mark.parametrize("header", ["x_ras_mm,y_ras_mm,z_ras_mm", "r,a,s", "X_RAS,Y_RAS,Z_RAS"])
def test_a_csv_table_in_ras_becomes_lps(tmp_path, header):
    found = read_landmarks(written(tmp_path, "a.csv", f"{header}\n1,2,3\n"))
    assert found.points.tolist() == [[-1, -2, 3]]
    assert found.labels == ("1",)


def test_tables_from_spreadsheets_may_use_semicolons_and_a_byte_order_mark(tmp_path):
    found = read_landmarks(written(tmp_path, "a.csv", "\ufeffid;x_lps_mm;y_lps_mm;z_lps_mm\n7;1;2;3\n"))
    assert found.points.tolist() == [[1, 2, 3]] and found.labels == ("7",)


def test_points_that_slicers_table_calls_undefined_are_left_out(tmp_path):
    text = "label,l,p,s,defined,selected\nF-1,1,2,3,1,1\nF-2,0,0,0,0,1\nF-3,7,8,9,1,1\n"
    found = read_landmarks(written(tmp_path, "a.csv", text))
    assert found.labels == ("F-1", "F-3") and found.rows == (1, 3)


@pytest.mark.parametrize("ending", ["fcsv", "mrk.json"])
def test_files_that_slicer_saved_give_the_same_places_in_lps(tmp_path, scene, ending):
    import slicer
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    for place, label in (((1, 2, 3), 'apex, left "x"'), ((4, 5, 6), "unplaced"), ((7.5, -8, 9), "b\\c")):
        node.AddControlPoint(vtk.vtkVector3d(*place), label)
    node.UnsetNthControlPointPosition(1)
    kind = {"fcsv": slicer.vtkMRMLMarkupsFiducialStorageNode, "mrk.json": slicer.vtkMRMLMarkupsJsonStorageNode}[ending]
    storage = scene.AddNode(kind())
    storage.SetFileName(str(tmp_path / f"F.{ending}"))
    assert storage.WriteData(node)

    found = read_landmarks(tmp_path / f"F.{ending}")
    assert np.allclose(found.points, [[-1, -2, 3], [-7.5, 8, 9]], atol=1e-6)  # the scene is RAS
    assert found.labels == ('apex, left "x"', "b\\c")
    assert found.rows == (1, 3)


@pytest.mark.parametrize("frame", ["LPS", "RAS", "0", "1", None])
def test_the_frame_of_an_fcsv_file_is_understood_as_slicer_does(tmp_path, scene, frame):
    line = "" if frame is None else f"# CoordinateSystem = {frame}\n"
    text = f"# Markups fiducial file version = 4.11\n{line}n1,1,2,3,0,0,0,1,1,1,0,L,,\n"
    assert_as_slicer_reads(scene, written(tmp_path, "F.fcsv", text))


def test_an_fcsv_file_of_slicer_3_is_understood_as_slicer_does(tmp_path, scene):
    assert_as_slicer_reads(scene, written(tmp_path, "F.fcsv", "# name = L\n# columns = label,x,y,z\nP1,1,2,3,1,1\n"))


def assert_as_slicer_reads(scene, path):
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    storage = scene.AddNode(slicer.vtkMRMLMarkupsFiducialStorageNode())
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    r, a, s = node.GetNthControlPointPosition(0)
    found = read_landmarks(path)
    assert found.points.tolist() == [[-r, -a, s]]
    assert found.labels == (node.GetNthControlPointLabel(0),)


@pytest.mark.parametrize(("frame", "expected"), [("LPS", [1, 2, 3]), ("RAS", [-1, -2, 3]), (None, [1, 2, 3])])
def test_markups_files_say_their_frame(tmp_path, frame, expected):
    markups = {"type": "Fiducial", "controlPoints": [{"label": "a", "position": [1, 2, 3]}]}
    if frame:
        markups["coordinateSystem"] = frame
    path = written(tmp_path, "F.mrk.json", json.dumps({"markups": [markups]}))
    assert read_landmarks(path).points.tolist() == [expected]


def test_slicer_reads_what_is_written_at_the_same_place(tmp_path, scene):
    import slicer

    path = write_landmarks(tmp_path / "L.mrk.json", Landmarks(np.array([[1.25, -2, 3]]), ('a "b", c',)))
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    storage = scene.AddNode(slicer.vtkMRMLMarkupsJsonStorageNode())
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    assert node.GetNthControlPointPosition(0) == (-1.25, 2, 3)
    assert node.GetNthControlPointLabel(0) == 'a "b", c'


@pytest.mark.parametrize("name", ["L.csv", "L.mrk.json"])
def test_written_landmarks_come_back_exactly(tmp_path, name):
    points = np.random.default_rng(3).normal(size=(5, 3)) * 100
    labels = ("a,b", 'c"d', "é", "4", "e")
    back = read_landmarks(write_landmarks(tmp_path / name, Landmarks(points, labels)))
    assert np.array_equal(back.points, points) and back.labels == labels
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_writing_into_a_missing_folder_is_explained(tmp_path):
    with pytest.raises(OutputProblem, match="cannot be written"):
        write_landmarks(tmp_path / "no" / "L.csv", Landmarks(np.zeros((1, 3))))
    with pytest.raises(OutputProblem, match=r"L\.txt"):
        write_landmarks(tmp_path / "L.txt", Landmarks(np.zeros((1, 3))))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "1,2,3\n4,5,6\n", r"'a\.csv' has no columns x, y, z; its first line is: 1, 2, 3"),
        ("a.csv", "", r"no columns x, y, z.*\(empty\)"),
        ("a.csv", "x,y,z\n1,2,3\n1,two,3\n", r"Row 2 of the landmark file 'a\.csv'.*1, two, 3"),
        ("a.csv", "x,y,z\n1,2\n", r"Row 1 .*'a\.csv'"),
        ("a.csv", "x,y,z\n1,nan,3\n", "Row 1"),
        ("a.csv", "x,y,z\n", r"'a\.csv' holds no landmarks"),
        ("a.dat", "x,y,z\n1,2,3\n", r"'a\.dat' ends in '\.dat'"),
        ("a.txt", "x,y,z\n1,2,3\n", r"Row 1 of the landmark file 'a\.txt' does not hold three numbers"),
        ("a.mrk.json", "{}", "not a markups file"),
        ("a.mrk.json", "nonsense", "not a markups file"),
        ("a.mrk.json", '{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}', "Row 1 .*no position"),
        ("a.mrk.json", '{"markups": [{"coordinateSystem": "IJK", "controlPoints": []}]}', "frame 'IJK'"),
        ("a.mrk.json", '{"markups": [{"coordinateUnits": "cm", "controlPoints": []}]}', "'cm'.*millimetres"),
        ("a.fcsv", "# Markups fiducial file version = 4\n# CoordinateSystem = 5\n1,2,3,4\n", "frame '5'"),
        ("a.fcsv", "# Markups fiducial file version = 4\n1,2,3\n", "Row 1"),
    ],
)
def test_files_that_cannot_be_used_are_refused_by_name_and_row(tmp_path, name, text, words):
    with pytest.raises(BadLandmarks, match=words):
        read_landmarks(written(tmp_path, name, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadLandmarks, match=r"There is no landmark file .*gone\.csv"):
        read_landmarks(tmp_path / "gone.csv")


def test_points_must_be_numbers_with_a_label_each():
    with pytest.raises(BadLandmarks):
        Landmarks(np.array([[1, 2, np.inf]]))
    with pytest.raises(BadLandmarks):
        Landmarks(np.zeros((2, 2)))
    with pytest.raises(BadLandmarks, match="2 points but 1 labels"):
        Landmarks(np.zeros((2, 3)), ("a",))


def test_lists_of_unequal_length_are_refused():
    fixed, moving = Landmarks(GRID.corners()[:3], name="f.csv"), Landmarks(GRID.corners()[:2], name="m.csv")
    with pytest.raises(BadLandmarks, match=r"'f\.csv' has 3 landmarks, .*'m\.csv' has 2") as caught:
        check_landmark_pair(fixed, moving, GRID, GRID)
    assert "row 3" in caught.value.hint


def test_lists_that_leave_out_different_points_are_not_matched_by_accident():
    points = GRID.corners()[:2]
    fixed, moving = Landmarks(points, name="f.csv", rows=(1, 3)), Landmarks(points, name="m.csv", rows=(1, 2))
    with pytest.raises(BadLandmarks, match=r"Row 2 is placed in .*'m\.csv' but not"):
        check_landmark_pair(fixed, moving, GRID, GRID)


def test_a_landmark_may_lie_one_voxel_beyond_the_border_but_not_further():
    inside = Landmarks(GRID.to_physical(np.array([[-1.49, 10, 10], [5, 5, 40.49]])))
    check_landmark_pair(inside, inside, GRID, GRID)
    outside = Landmarks(GRID.to_physical(np.array([[5, 5, 5], [-1.6, 10, 10]])), name="f.csv")
    with pytest.raises(BadLandmarks, match=r"'f\.csv': row 2 .* outside the fixed image\.") as caught:
        check_landmark_pair(outside, inside, GRID, GRID)
    assert "RAS" not in caught.value.hint


def test_landmarks_in_the_wrong_frame_are_recognised():
    inside = Landmarks(GRID.corners())
    swapped = Landmarks(GRID.corners() * (-1, -1, 1), tuple("abcdefgh"), name="m.csv")
    with pytest.raises(BadLandmarks, match=r"'m\.csv': row 1 \('a'\).*moving image \(and 7 more\)") as caught:
        check_landmark_pair(inside, swapped, GRID, GRID)
    assert "RAS" in caught.value.hint


def test_the_error_is_measured_forward_through_the_map():
    # T(x) = 2 x + (1, 0, 0): 3 -> 7. Through the inverse the distances would be half as large.
    forward = LinearTransform(2 * np.eye(3), np.array([1.0, 0, 0]))
    fixed, moving = Landmarks(np.array([[3.0, 0, 0], [0, 1, 0]])), Landmarks(np.array([[7.0, 3, 4], [1, 2, 0]]))
    assert target_registration_error(forward, fixed, moving).tolist() == [5, 0]


def test_a_field_and_the_same_linear_map_measure_the_same():
    rng = np.random.default_rng(0)
    linear = LinearTransform(np.eye(3) + 0.05 * rng.normal(size=(3, 3)), rng.normal(size=3))
    fixed = Landmarks(GRID.to_physical(rng.uniform(0, 1, (20, 3)) * (np.array(GRID.size) - 1)))
    moving = Landmarks(fixed.points + rng.normal(size=(20, 3)))
    by_field = target_registration_error(linear.to_field(GRID), fixed, moving)
    assert np.allclose(by_field, target_registration_error(linear, fixed, moving), atol=1e-4)


def test_snapping_goes_to_the_nearest_voxel_of_the_moving_image():
    sitk = pytest.importorskip("SimpleITK")
    axes = np.array([[0.0, 0.6, 0.8], [-1, 0, 0], [0, -0.8, 0.6]])
    grid = Geometry((20, 30, 40), (0.7, 1.1, 2.5), (5, -6, 7), tuple(axes.ravel()))
    image = grid.apply_to(sitk.Image(grid.size, sitk.sitkUInt8))
    rng = np.random.default_rng(1)
    mapped = grid.to_physical(rng.uniform(0, 1, (30, 3)) * (np.array(grid.size) - 1))
    moving = Landmarks(mapped + rng.normal(size=(30, 3)))
    centres = [image.TransformIndexToPhysicalPoint(image.TransformPhysicalPointToIndex(p)) for p in mapped.tolist()]
    expected = np.linalg.norm(np.array(centres) - moving.points, axis=1)
    assert np.allclose(snapped_errors(mapped, moving, grid), expected, atol=1e-9)


def test_statistics_are_those_of_a_sample():
    errors = np.random.default_rng(2).gamma(2, 1, 41)
    found = ErrorStatistics.of(errors).as_dict()
    ranked = sorted(errors)
    assert found["count"] == 41
    assert found["mean_mm"] == pytest.approx(statistics.fmean(errors))
    assert found["sd_mm"] == pytest.approx(statistics.stdev(errors))
    assert found["median_mm"] == pytest.approx(ranked[20])
    assert found["p95_mm"] == pytest.approx(ranked[38])  # 0.95 * 40 = 38: no interpolation needed
    assert found["max_mm"] == pytest.approx(ranked[40])
    assert json.loads(json.dumps(found)) == found


def test_one_landmark_has_no_spread_and_none_no_statistics():
    assert ErrorStatistics.of(np.array([2.0])).sd_mm == 0
    with pytest.raises(BadLandmarks):
        ErrorStatistics.of(np.array([]))


@pytest.mark.data
def test_the_follow_up_pair_starts_35_mm_apart():
    sitk = pytest.importorskip("SimpleITK")
    if not LUNG.exists():
        pytest.skip("the shared image pairs are not here")
    fixed, moving = (read_landmarks(LUNG / f"landmarks_{role}.csv") for role in ("fixed", "moving"))
    grids = [Geometry.of(sitk.ReadImage(str(LUNG / f"{role}.mha"))) for role in ("fixed", "moving")]
    check_landmark_pair(fixed, moving, *grids)
    identity = DisplacementField.zero(grids[0])
    assert ErrorStatistics.of(target_registration_error(identity, fixed, moving)).mean_mm == pytest.approx(
        35.3, abs=0.05
    )
