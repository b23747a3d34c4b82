"""The host's node widgets and parameter node, held against what Slicer's sources say."""

from __future__ import annotations

import enum
import pathlib
from typing import Annotated

import numpy as np
import pytest
from slicer_host import Host


class Mode(enum.Enum):
    auto = 1
    none = 2


@pytest.fixture
def selector(scene):
    """Makes a node selector of scalar volumes on the scene; keywords are its properties."""
    import slicer

    def make(kind: str = "qMRMLNodeComboBox", **properties):
        widget = getattr(slicer, kind)()
        widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        for name, value in properties.items():
            setattr(widget, name, value)
        widget.setMRMLScene(scene)
        return widget

    return make


@pytest.fixture
def add(scene):
    return lambda name, kind="vtkMRMLScalarVolumeNode": scene.AddNewNodeByClass(kind, name)


def wrapped(scene, **hints):
    """A wrapped parameter node with these type hints; a hint may come with a default, as (hint, default)."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    pairs = {name: hint if isinstance(hint, tuple) else (hint,) for name, hint in hints.items()}
    body = {"__annotations__": {name: pair[0] for name, pair in pairs.items()}}
    body |= {name: pair[1] for name, pair in pairs.items() if len(pair) == 2}
    return parameterNodeWrapper(type("Parameters", (), body))(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def stored(parameters) -> dict[str, str]:
    node = parameters.parameterNode
    return {name: node.GetParameter(name) for name in node.GetParameterNames()}


def names(nodes) -> list[str]:
    return [node.GetName() for node in nodes]


# --- node selectors --------------------------------------------------------------------------------------------------


def test_a_label_map_is_offered_as_a_scalar_volume_unless_child_types_are_off(selector, add) -> None:
    add("CT"), add("labels", "vtkMRMLLabelMapVolumeNode")
    assert names(selector().nodes()) == ["CT", "labels"]
    assert names(selector(showChildNodeTypes=False).nodes()) == ["CT"]
    assert names(selector(hideChildNodeTypes=["vtkMRMLLabelMapVolumeNode"]).nodes()) == ["CT"]


def test_hidden_nodes_and_other_attributes_are_not_offered(selector, add) -> None:
    add("CT").SetAttribute("phase", "in")
    add("hidden").SetHideFromEditors(True)
    widget = selector()
    assert names(widget.nodes()) == ["CT"]
    widget.addAttribute("vtkMRMLScalarVolumeNode", "phase", "ex")
    assert widget.nodes() == ()


def test_a_new_node_is_chosen_only_where_nothing_else_can_be(selector, add) -> None:
    """Qt takes the first row of an empty combo box; rows such as "Create new" make it not empty."""
    with_actions, bare = selector(), selector(addEnabled=False, removeEnabled=False)
    with_none = selector(addEnabled=False, removeEnabled=False, noneEnabled=True)
    volume = add("CT")
    assert with_actions.currentNode() is None and with_none.currentNode() is None
    assert bare.currentNode() is volume


def test_when_the_chosen_node_is_deleted_the_next_one_is_chosen(selector, add, scene) -> None:
    first, second, third = add("1"), add("2"), add("3")
    widget, heard = selector(noneEnabled=True), []
    widget.setCurrentNode(second)
    widget.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    scene.RemoveNode(second)
    assert widget.currentNode() is third
    scene.RemoveNode(third)
    assert widget.currentNode() is first
    scene.RemoveNode(first)
    assert widget.currentNode() is None and heard == [third, first, None]


def test_an_unknown_id_chooses_nothing(selector, add) -> None:
    add("CT")
    widget = selector()
    widget.setCurrentNodeID("vtkMRMLScalarVolumeNode99")
    assert widget.currentNode() is None and widget.currentNodeID == ""


def test_a_node_chosen_before_the_scene_is_set_is_kept(scene, add) -> None:
    import slicer

    volume = add("CT")
    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.setCurrentNode(volume)
    assert widget.currentNode() is None and not widget.enabled
    widget.setMRMLScene(scene)
    assert widget.currentNode() is volume and widget.enabled


def test_a_new_node_gets_the_base_name_and_is_announced(selector) -> None:
    widget, added = selector(baseName="Warped"), []
    widget.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
    first, second = widget.addNode(), widget.addNode()
    assert names((first, second)) == ["Warped", "Warped_1"] and added == [first, second]
    assert widget.currentNode() is second


def test_a_base_name_needs_node_types(host: Host) -> None:
    import slicer

    with pytest.raises(RuntimeError, match="node types"):
        slicer.qMRMLNodeComboBox().baseName = "Warped"


def test_a_renamed_node_is_renamed_in_the_list(selector, add) -> None:
    volume = add("CT")
    widget = selector()
    volume.SetName("CT of 2024")
    assert widget._combo.itemText(0) == "CT of 2024"


def test_several_nodes_can_be_checked(selector, add, scene) -> None:
    volumes = [add(name) for name in "abc"]
    widget, changes = selector("qMRMLCheckableNodeComboBox"), []
    widget.connect("checkedNodesChanged()", lambda: changes.append(names(widget.checkedNodes())))
    widget.check(volumes[2])
    widget.check(volumes[0])
    widget.check(volumes[0])
    scene.RemoveNode(volumes[2])
    assert changes == [["c"], ["a", "c"], ["a"]]
    assert names(widget.uncheckedNodes()) == ["b"] and not widget.noneChecked()


def test_the_segment_selector_behaves_as_slicers(scene) -> None:
    import slicer

    widget, heard = slicer.qMRMLSegmentSelectorWidget(), []
    widget.noneEnabled = True
    widget.setMRMLScene(scene)
    widget.connect("currentSegmentChanged(QString)", heard.append)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs")
    left, right = (node.GetSegmentation().AddEmptySegment(name, name) for name in ("left", "right"))
    widget.setCurrentNode(node)
    assert widget.currentSegmentID() == ""
    widget.setCurrentSegmentID(right)
    widget.setCurrentSegmentID("no such segment")
    assert widget.currentSegmentID() == right
    node.GetSegmentation().RemoveSegment(right)
    assert widget.currentSegmentID() == left and heard == [right, left]
    widget.setCurrentNode(None)
    assert widget.currentNode() is None and widget.currentSegmentID() == left, "the old ID stays, as in Slicer"


def test_a_collapsible_button_keeps_what_its_contents_were_told(host: Host) -> None:
    import ctk
    import qt

    button = ctk.ctkCollapsibleButton("Advanced")
    layout, shown, hidden = qt.QVBoxLayout(button), qt.QLabel("a"), qt.QLabel("b")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    button.show()
    button.collapsed = True
    hidden.setVisible(False)
    shown.setVisible(True)
    assert not shown.visible and not hidden.visible
    button.collapsed = False
    assert shown.visible and not hidden.visible
    button.hide()


# --- parameter node ---------------------------------------------------------------------------------------------------


def test_parameters_are_stored_as_slicer_stores_them(scene, add) -> None:
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange

    region = slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode | None
    parameters = wrapped(
        scene,
        volume=slicer.vtkMRMLScalarVolumeNode,
        region=region,
        refine=(bool, True),
        seed=int,
        spacing=Annotated[float, WithinRange(1, 9), Default(2.5)],
        device=(Annotated[str, Choice(["auto", "cpu"])], "auto"),
        mode=Mode,
        folder=pathlib.Path,
        also=list[str],
    )
    assert stored(parameters) == {
        "volume": "",
        "region.2": "True",
        "refine": "True",
        "seed": "0",
        "spacing": "2.5",
        "device": "auto",
        "mode": "auto",
        "folder": ".",
        "also.len": "0",
    }
    labels = add("labels", "vtkMRMLLabelMapVolumeNode")
    parameters.region, parameters.mode, parameters.also = labels, Mode.none, ["a", "b"]
    parameters.also.append("c")
    text = stored(parameters)
    assert parameters.parameterNode.GetNodeReferenceID("region.1") == labels.GetID() and "region.2" not in text
    assert (text["mode"], text["also.len"], text["also.2"]) == ("none", "3", "c")


def test_wrong_values_are_refused_and_change_nothing(scene, add) -> None:
    import slicer
    from slicer.parameterNodeWrapper import Choice, WithinRange

    parameters = wrapped(
        scene,
        volume=slicer.vtkMRMLLabelMapVolumeNode,
        spacing=(Annotated[float, WithinRange(1, 9)], 5.0),
        device=(Annotated[str, Choice(["auto", "cpu"])], "auto"),
        mode=(Mode, Mode.none),
    )
    wrong = {"volume": add("CT"), "spacing": 10, "device": "tpu", "mode": "none"}
    for name, value in wrong.items():
        with pytest.raises((TypeError, ValueError)):
            setattr(parameters, name, value)
    assert (parameters.volume, parameters.spacing, parameters.device) == (None, 5.0, "auto")
    assert parameters.mode is Mode.none


@pytest.mark.parametrize("hint", [dict[str, int], tuple[int, int], complex, np.ndarray, list[list[int]]])
def test_types_outside_the_subset_are_refused(scene, hint: type) -> None:
    with pytest.raises(TypeError, match="does not know"):
        wrapped(scene, value=hint)


def test_a_default_outside_its_range_is_refused(scene) -> None:
    from slicer.parameterNodeWrapper import WithinRange

    with pytest.raises(ValueError, match="within"):
        wrapped(scene, spacing=Annotated[float, WithinRange(1, 9)])


def test_an_unknown_enum_name_in_an_old_scene_is_refused(scene) -> None:
    node = wrapped(scene, mode=Mode).parameterNode
    node.SetParameter("mode", "gone")
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(ValueError, match="gone"):
        parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"mode": Mode}}))(node)


def test_many_changes_are_told_once(scene) -> None:
    import slicer

    parameters, events = wrapped(scene, a=int, b=str), []
    parameters.AddObserver("ModifiedEvent", lambda *_: events.append((parameters.a, parameters.b)))
    with slicer.util.NodeModify(parameters):
        parameters.a, parameters.b = 1, "x"
    assert events == [(1, "x")]


def test_a_referenced_node_that_leaves_the_scene_is_gone(scene, add) -> None:
    import slicer

    parameters = wrapped(scene, volume=slicer.vtkMRMLScalarVolumeNode)
    parameters.volume = add("CT")
    scene.RemoveNode(parameters.volume)
    assert parameters.volume is None


def test_a_selector_takes_its_types_from_the_hint(scene) -> None:
    import slicer

    region = slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode | None
    widget = slicer.qMRMLNodeComboBox()
    wrapped(scene, region=region).connectParametersToGui({"region": widget})
    assert widget.nodeTypes == ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")


def test_only_the_widgets_that_slicer_connects_are_connected(scene) -> None:
    import ctk
    import qt
    import slicer
    from slicer.parameterNodeWrapper import Choice

    class MyCheckBox(qt.QCheckBox):
        pass

    parameters = wrapped(scene, flag=bool, x=float, s=str, c=(Annotated[str, Choice(["a"])], "a"), n=slicer.vtkMRMLNode)
    refused = {
        "flag": MyCheckBox(),  # the class has to be the very one
        "x": ctk.ctkSliderWidget(),  # without a range
        "s": qt.QComboBox(),  # without choices
        "c": qt.QSpinBox(),
        "n": slicer.qMRMLCheckableNodeComboBox(),
    }
    for name, widget in refused.items():
        with pytest.raises(RuntimeError):
            parameters.connectParametersToGui({name: widget})
    with pytest.raises(ValueError, match="nosuch"):
        parameters.connectParametersToGui({"nosuch": qt.QCheckBox()})
