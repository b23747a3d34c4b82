"""Registration from Slicer's Python console: nodes, names and files in; nodes and evidence out; typed errors; real
processes."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from DeepRegLib.errors import BadInput, BadLandmarks, InstallationProblem
from DeepRegLib.images.read import write_volume
from DeepRegLib.phantom import PhantomPair, make_phantom
from panel_cases import MODULE

SAME_ERROR_MM = 0.01
"""One pair gives the same errors to this, whichever door it came in by."""


@pytest.fixture(scope="module")
def phantom() -> PhantomPair:
    return make_phantom((64, 48, 48), seed=1)


@pytest.fixture
def deepreg(host, scene):
    """The module as ``import DeepReg`` gives it."""
    host.load_module(MODULE / "DeepReg.py")
    import DeepReg

    return DeepReg


@pytest.fixture
def nodes(deepreg, scene, phantom):
    from DeepRegLib.evidence.landmarks import Landmarks
    from DeepRegSlicer.nodes import add_landmarks, add_volume

    return (
        add_volume(scene, phantom.fixed, "inhale"),
        add_volume(scene, phantom.moving, "exhale"),
        add_landmarks(scene, Landmarks(phantom.fixed_landmarks), "points in", (1, 0, 0)),
        add_landmarks(scene, Landmarks(phantom.moving_landmarks), "points ex", (0, 1, 0)),
    )


def mean_error_mm(transform, phantom: PhantomPair) -> float:
    """Of the transform node, point by point, as any other module of Slicer would use it."""
    from_parent = transform.GetTransformFromParent()
    ras = phantom.fixed_landmarks * [-1, -1, 1]
    mapped = np.array([from_parent.TransformPoint(point) for point in ras]) * [-1, -1, 1]
    return float(np.linalg.norm(mapped - phantom.moving_landmarks, axis=1).mean())


def test_names_of_nodes_give_what_the_library_gives(deepreg, nodes, phantom, tmp_path) -> None:
    from DeepRegLib.registration import register

    told = []
    result = deepreg.register(
        "inhale",
        "exhale",
        method="lucas-kanade",
        quality="fast",
        inverse=True,
        fixed_landmarks="points in",
        moving_landmarks=nodes[3],
        report_folder=tmp_path / "report",
        progress=lambda fraction, stage: told.append(fraction),
    )
    expected = register(phantom.fixed, phantom.moving, method="lucas-kanade", quality="fast")
    mapped = expected.transform.map_points(phantom.fixed_landmarks)
    truth = np.linalg.norm(mapped - phantom.moving_landmarks, axis=1).mean()
    assert mean_error_mm(result.transform, phantom) == pytest.approx(truth, abs=SAME_ERROR_MM)
    assert result.evidence["landmarks"]["after"]["mean_mm"] == pytest.approx(truth, abs=SAME_ERROR_MM)
    assert result.warped.GetName() == "exhale warped" and result.inverse is not None
    assert told == sorted(told) and told[-1] == 1.0
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "report" / "evidence.json").read_text())["method"] == "lucas-kanade"

    evaluated = deepreg.evaluate(result.transform, fixed_landmarks=nodes[2], moving_landmarks="points ex")
    assert evaluated["landmarks"]["after"]["mean_mm"] == pytest.approx(truth, abs=SAME_ERROR_MM)
    assert evaluated["folding_percent"] == result.evidence["folding_percent"]
    assert evaluated["similarity"]["after"] == pytest.approx(result.evidence["similarity"]["after"], abs=1e-3)


def test_files_are_loaded_and_registered(deepreg, scene, phantom, tmp_path) -> None:
    write_volume(phantom.fixed, tmp_path / "in.nii.gz")
    write_volume(phantom.moving, tmp_path / "ex.nii.gz")
    write_volume(phantom.fixed_mask, tmp_path / "lungs.nii.gz")
    result = deepreg.register(
        tmp_path / "in.nii.gz",
        str(tmp_path / "ex.nii.gz"),
        fixed_region=tmp_path / "lungs.nii.gz",
        method="lucas-kanade",
        quality="fast",
        warped=False,
    )
    assert result.warped is None
    assert result.evidence["region"]["kind"] == "given"
    assert mean_error_mm(result.transform, phantom) < 1.5


def test_a_segment_is_named_by_its_name(deepreg, nodes, scene, phantom) -> None:
    import slicer
    from DeepRegSlicer.console import _segment_id

    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    wanted = segmentation.GetSegmentation().AddEmptySegment("id-of-left", "left lung")
    assert _segment_id(segmentation, "left lung") == wanted == _segment_id(segmentation, "id-of-left")
    with pytest.raises(BadInput, match="no segment 'liver'"):
        deepreg.register(nodes[0], nodes[1], fixed_region=segmentation, fixed_segment="liver")
    assert slicer.mrmlScene is scene


@pytest.mark.parametrize(
    ("fixed", "moving", "options", "sentence"),
    [
        ("inhale", "inhale", {}, "two different|as fixed and as moving"),
        ("inhale", "nowhere.nii.gz", {}, "neither a node nor a file"),
        ("inhale", "points in", {}, "neither|cannot be used"),
        ("inhale", "exhale", {"method": "magic"}, "magic"),
        ("inhale", "exhale", {"quality": "superb"}, "superb"),
        ("inhale", "exhale", {"warped": False, "transform": False}, "Nothing is asked for"),
    ],
)
def test_bad_input_is_a_typed_error_with_a_sentence(deepreg, nodes, fixed, moving, options, sentence) -> None:
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(BadInput, match=sentence):
        deepreg.register(fixed, moving, **options)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_two_nodes_of_one_name_must_be_told_apart(deepreg, nodes, scene) -> None:
    nodes[1].SetName("inhale")
    with pytest.raises(BadInput, match="More than one node is called 'inhale'"):
        deepreg.register("inhale", nodes[1])


def test_landmarks_that_are_no_pairs_are_an_error_in_a_script(deepreg, nodes) -> None:
    nodes[3].SetFixedNumberOfControlPoints(False)
    nodes[3].RemoveNthControlPoint(0)
    with pytest.raises(BadLandmarks):
        deepreg.register(nodes[0], nodes[1], fixed_landmarks=nodes[2], moving_landmarks=nodes[3])


def test_without_pytorch_a_script_is_told_what_to_install(deepreg, nodes, monkeypatch) -> None:
    from DeepRegSlicer import installation

    monkeypatch.setattr(installation, "missing_packages", lambda: [installation.TORCH])
    with pytest.raises(InstallationProblem, match="PyTorch"):
        deepreg.register(nodes[0], nodes[1])


def test_the_methods_are_listed_with_a_line_each(deepreg) -> None:
    methods = deepreg.methods()
    assert {"auto", "lucas-kanade"} <= set(methods)
    assert all(len(text) > 20 and "\n" not in text for text in methods.values())


def test_the_logic_does_the_same_as_the_module(deepreg, nodes) -> None:
    logic = deepreg.DeepRegLogic()
    assert logic.methods() == deepreg.methods()
    with pytest.raises(BadInput):
        logic.register(nodes[0], nodes[0])
    assert logic.getParameterNode().fixedVolume is None


def test_the_example_in_the_help_runs(deepreg, nodes) -> None:
    """The lines of the module's docstring, on nodes of the names that it uses."""
    nodes[0].SetName("CT inhale")
    nodes[1].SetName("CT exhale")
    lines = [line.strip() for line in deepreg.__doc__.splitlines() if line.startswith("    ")]
    assert any("DeepReg.register(" in line for line in lines)
    names: dict = {}
    for line in lines:
        exec(line.replace('"accurate"', '"fast"'), names)
    assert names["result"].transform.GetName() == "CT exhale to CT inhale"
    assert doctest.testmod(deepreg).failed == 0


def test_the_test_of_the_module_itself_passes(deepreg) -> None:
    deepreg.DeepRegTest().runTest()
