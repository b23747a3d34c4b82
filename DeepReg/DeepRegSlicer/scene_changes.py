"""Changes to a scene that are taken back when something goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

import slicer
import vtk


class SceneChanges:
    """Use it in a ``with`` block: an error inside undoes the changes made through it, the latest first."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> SceneChanges:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for undo in reversed(self._undo):
                undo()

    def new_node(self, class_name: str, name: str) -> slicer.vtkMRMLNode:
        """A new node with ``name``, or that name and a number where it is taken."""
        node = self.scene.AddNewNodeByClass(class_name, self.scene.GenerateUniqueName(name))
        return self.adopt(node)

    def adopt(self, node: slicer.vtkMRMLNode) -> slicer.vtkMRMLNode:
        """Take responsibility for a node that somebody else just added."""
        self._undo.append(lambda: self._remove(node))
        return node

    def transform(self, wanted: slicer.vtkMRMLTransformNode | str, name: str) -> slicer.vtkMRMLTransformNode:
        """``wanted`` itself if it is a node of the scene, else a new grid transform. It hangs under no other node: what
        is put into it is in world coordinates."""
        if not self._is_here(wanted):
            return self.new_node("vtkMRMLGridTransformNode", name)
        before = wanted.GetTransformFromParent()
        attributes = {key: wanted.GetAttribute(key) for key in wanted.GetAttributeNames()}

        def restore() -> None:
            wanted.SetAndObserveTransformFromParent(before)
            for key in wanted.GetAttributeNames():
                wanted.SetAttribute(key, attributes.get(key))

        self._undo.append(restore)
        self.put_under(wanted, None)
        return wanted

    def volume(
        self, wanted: slicer.vtkMRMLScalarVolumeNode | str, name: str, like: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """``wanted`` itself if it is a node of the scene, else a new volume of the class of ``like``; it hangs under no
        transform. A volume that is not displayed yet gets the colours and the grey scale of ``like``."""
        if self._is_here(wanted):
            node, matrix, image = wanted, vtk.vtkMatrix4x4(), wanted.GetImageData()
            node.GetIJKToRASMatrix(matrix)
            self._undo.append(lambda: node.SetIJKToRASMatrix(matrix))
            self._undo.append(lambda: node.SetAndObserveImageData(image))
            self.put_under(node, None)
        else:
            node = self.new_node(like.GetClassName(), name)
        if node.GetDisplayNode() is None:
            self.copy_display(like, node)
        return node

    def copy_display(self, like: slicer.vtkMRMLDisplayableNode, node: slicer.vtkMRMLDisplayableNode) -> None:
        """Show ``node`` as ``like`` is shown; not at all if ``like`` is not.

        A volume needs this before it gets its voxels: a display node without a fixed grey scale looks through all of
        them for a good one, a quarter of a second for a chest CT.
        """
        shown = like.GetDisplayNode()
        if shown is None:
            return
        # Some kinds of nodes are given a display node when they enter the scene.
        display = node.GetDisplayNode() or self.new_node(shown.GetClassName(), f"{node.GetName()} display")
        display.CopyContent(shown)
        if isinstance(display, slicer.vtkMRMLScalarVolumeDisplayNode):
            display.SetAutoWindowLevel(False)
        node.SetAndObserveDisplayNodeID(display.GetID())

    def put_under(self, node: slicer.vtkMRMLTransformableNode, transform: slicer.vtkMRMLTransformNode | None) -> None:
        """Hang ``node`` under ``transform``, or under none."""
        before = node.GetTransformNodeID()
        self._undo.append(lambda: node.SetAndObserveTransformNodeID(before))
        node.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())

    def put_into_folder(self, added: Sequence[slicer.vtkMRMLNode], name: str) -> int:
        """The subject hierarchy item of the folder that holds all ``added`` nodes: the folder where one of them is
        already, else a new one with ``name``."""
        hierarchy = self._hierarchy()
        folder = next((found for node in added if (found := self.folder_of(node)) is not None), None)
        if folder is None:
            folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
            self._undo.append(lambda: hierarchy.RemoveItem(folder, False, False))
        for node in added:
            self.put_into(folder, node)
        return int(folder)

    def put_into(self, folder: int, node: slicer.vtkMRMLNode) -> None:
        """Move the subject hierarchy item of ``node`` into a folder; it may have none yet."""
        hierarchy = self._hierarchy()
        if hierarchy.GetItemByDataNode(node) == hierarchy.GetInvalidItemID():
            item = hierarchy.CreateItem(folder, node)
            self._undo.append(lambda: hierarchy.RemoveItem(item, False, False))
        else:
            self._move_item(hierarchy, hierarchy.GetItemByDataNode(node), folder)

    def folder_of(self, node: slicer.vtkMRMLNode) -> int | None:
        """The subject hierarchy item that ``node`` lies in; None for the root of the scene."""
        hierarchy = self._hierarchy()
        item = hierarchy.GetItemByDataNode(node)
        if item == hierarchy.GetInvalidItemID():
            return None
        above = hierarchy.GetItemParent(item)
        return None if above in (hierarchy.GetInvalidItemID(), hierarchy.GetSceneItemID()) else int(above)

    def _hierarchy(self) -> slicer.vtkMRMLSubjectHierarchyNode:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)

    def _move_item(self, hierarchy: slicer.vtkMRMLSubjectHierarchyNode, item: int, folder: int) -> None:
        before = hierarchy.GetItemParent(item)
        self._undo.append(lambda: hierarchy.SetItemParent(item, before))
        hierarchy.SetItemParent(item, folder)

    def _remove(self, node: slicer.vtkMRMLNode) -> None:
        displays = []
        if isinstance(node, slicer.vtkMRMLDisplayableNode):
            displays = [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
        for gone in (node, *displays):
            if gone is not None:
                self.scene.RemoveNode(gone)

    def _is_here(self, wanted: slicer.vtkMRMLNode | str) -> bool:
        return not isinstance(wanted, str) and bool(self.scene.IsNodePresent(wanted))
