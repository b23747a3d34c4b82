"""Nodes that exist only for looking: hidden from lists, left out of saved scenes, found again by their role."""

from __future__ import annotations

import slicer

ROLE_ATTRIBUTE = "DeepReg.review"
"""Name of the attribute that marks a node of ours and says what it is for."""


def find_review_node(scene: slicer.vtkMRMLScene, role: str) -> slicer.vtkMRMLNode | None:
    """The node with this role, if there is one."""
    found = scene.GetNodes()
    for index in range(found.GetNumberOfItems()):
        node = found.GetItemAsObject(index)
        if node.GetAttribute(ROLE_ATTRIBUTE) == role:
            return node
    return None


def review_node(scene: slicer.vtkMRMLScene, class_name: str, role: str, name: str) -> slicer.vtkMRMLNode:
    """The node with this role, made when there is none yet."""
    node = find_review_node(scene, role)
    if node is None:
        node = hidden(getattr(slicer, class_name)())
        node.SetName(name)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        node = scene.AddNode(node)
    return node


def hidden(node: slicer.vtkMRMLNode) -> slicer.vtkMRMLNode:
    """Keep a node out of lists, of the data tree and of saved scenes; returns it."""
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node


def hide_display_nodes(node: slicer.vtkMRMLDisplayableNode) -> None:
    """A hidden node's display nodes are hidden too."""
    for index in range(node.GetNumberOfDisplayNodes()):
        hidden(node.GetNthDisplayNode(index))


def give_display(volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """A hidden display node that never looks for a window by itself: that would count all voxels at once. To be called
    before the volume gets its voxels."""
    if volume.GetDisplayNode() is None:
        volume.CreateDefaultDisplayNodes()
        hide_display_nodes(volume)
        volume.GetDisplayNode().SetAutoWindowLevel(False)


def remove_review_nodes(scene: slicer.vtkMRMLScene, *roles: str) -> None:
    """Remove the nodes of these roles and their display nodes."""
    for role in roles:
        node = find_review_node(scene, role)
        if node is None:
            continue
        displays = []
        if isinstance(node, slicer.vtkMRMLDisplayableNode):
            displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        scene.RemoveNode(node)  # first: a view that still shows a volume would give it a new display node
        for display in displays:
            scene.RemoveNode(display)
