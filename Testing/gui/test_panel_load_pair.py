"""*Load pair...*: what a folder holds is in the scene and chosen in the panel."""

from __future__ import annotations

from pathlib import Path

import pytest
from DeepRegLib.phantom import make_phantom, write_pair

LOADED_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair(make_phantom((40, 32, 36), seed=1), tmp_path_factory.mktemp("pair"))


def chosen_names(parameters) -> list[str]:
    nodes = (parameters.fixedVolume, parameters.movingVolume, parameters.fixedRegion, parameters.fixedLandmarks)
    return [node.GetName() for node in nodes]


def test_a_folder_is_loaded_under_the_names_of_its_files(widget, folder, spin) -> None:
    widget.panel.inputs.load_pair(folder)
    spin(lambda: widget._parameterNode.movingLandmarks is not None, LOADED_S)
    names = ["fixed", "moving", "fixed mask", "fixed landmarks"]
    assert chosen_names(widget._parameterNode) == names
    assert not widget.ui.optionalInputsSection.collapsed
    assert widget.ui.registerButton.enabled


def test_the_same_folder_again_gets_other_names(widget, folder, spin) -> None:
    parameters = widget._parameterNode
    widget.panel.inputs.load_pair(folder)
    spin(lambda: parameters.movingLandmarks is not None, LOADED_S)
    first = parameters.fixedVolume
    widget.panel.inputs.load_pair(folder)
    spin(lambda: parameters.fixedVolume is not first, LOADED_S)
    spin(lambda: widget.ui.loadPairButton.enabled, LOADED_S)
    assert first.GetName() == "fixed" and parameters.fixedVolume.GetName() == "fixed_1"
