"""One grey scale for the images that are compared, for as long as they are."""

from __future__ import annotations

import slicer
import vtk


def copy_window(source: slicer.vtkMRMLScalarVolumeDisplayNode, target: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
    """Show one image with the grey scale of another."""
    target.SetAutoWindowLevel(False)
    target.SetWindowLevel(source.GetWindow(), source.GetLevel())


class SharedWindow:
    """Lets images follow the window of a leading one; :meth:`end` gives back what they had."""

    def __init__(self) -> None:
        self._leader: slicer.vtkMRMLScalarVolumeDisplayNode | None = None
        self._tag = 0
        self._follower: slicer.vtkMRMLScalarVolumeDisplayNode | None = None
        self._former: tuple[float, float, bool] = (0.0, 0.0, False)

    def begin(
        self,
        leader: slicer.vtkMRMLScalarVolumeDisplayNode | None,
        follower: slicer.vtkMRMLScalarVolumeDisplayNode | None,
    ) -> None:
        """Let ``follower`` have the window of ``leader``, now and whenever that changes. What followed before ends."""
        if leader is self._leader and follower is self._follower:
            return
        self.end()
        if leader is None or follower is None or leader is follower:
            return
        self._leader, self._follower = leader, follower
        self._former = follower.GetWindow(), follower.GetLevel(), bool(follower.GetAutoWindowLevel())
        self._tag = leader.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow)
        copy_window(leader, follower)

    def end(self) -> None:
        leader, follower = self._leader, self._follower
        self._leader = self._follower = None
        if leader is None:
            return
        leader.RemoveObserver(self._tag)
        if (follower.GetWindow(), follower.GetLevel()) == (leader.GetWindow(), leader.GetLevel()):
            window, level, automatic = self._former
            follower.SetWindowLevel(window, level)
            follower.SetAutoWindowLevel(automatic)

    def _follow(self, leader: slicer.vtkMRMLScalarVolumeDisplayNode, _event: str) -> None:
        follower = self._follower
        if follower is not None and (follower.GetWindow(), follower.GetLevel()) != (
            leader.GetWindow(),
            leader.GetLevel(),
        ):
            copy_window(leader, follower)
