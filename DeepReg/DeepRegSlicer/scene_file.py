"""A registration result as one file that opens in 3D Slicer: a scene bundle (.mrb)."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import slicer
from DeepRegLib.errors import OutputProblem
from DeepRegLib.files import whole_file

from .result import RegistrationResult, add_result
from .scene import StandaloneScene
from .views import show_pair

MOVING_OPACITY = 0.5
"""Both images are seen equally."""
ZIP_LEVEL = 1
"""Fastest compression; higher levels take several times as long to save a few percent."""
COMPRESSED_ALREADY = ".nrrd"
SCENE_VERSION = "Slicer 5.10.0 0"
"""The oldest reader that the scene is meant for; 3D Slicer warns of scenes of other programs and later versions."""


def write_scene(path: Path | str, registration: RegistrationResult) -> None:
    """Write a scene bundle (.mrb) that opens in 3D Slicer 5.10 or later: four views centred on the image, the moving
    image under the transform half transparent over the fixed one, the deformed grid, landmarks and their errors
    (:func:`~DeepRegSlicer.result.add_result` says what exactly).

    The file appears whole or not at all. Raises :class:`OutputProblem` when it cannot be written.
    """
    path = Path(path)
    with whole_file(path) as temporary, tempfile.TemporaryDirectory(prefix="mrml_bundle_") as folder:
        bundle = Path(folder) / path.stem  # Slicer shows this name when somebody unpacks the bundle
        with StandaloneScene() as standalone:
            added = add_result(standalone.scene, registration)
            show_pair(standalone, added.fixed, added.moving, MOVING_OPACITY)
            _save_unpacked(standalone.scene, bundle)
        _zip(bundle, temporary)


def _save_unpacked(scene: slicer.vtkMRMLScene, folder: Path) -> None:
    """Write the scene and its data into ``folder``, as MRML lays out a bundle."""
    folder.mkdir()
    scene.SetVersion(SCENE_VERSION)
    messages = slicer.vtkMRMLMessageCollection()
    if not scene.SaveSceneToSlicerDataBundleDirectory(str(folder), None, messages):
        raise OutputProblem(
            f"The Slicer scene could not be written. {messages.GetAllMessagesAsString()}".rstrip(),
            hint="Check that the disk of the temporary folder is not full.",
        )


def _zip(folder: Path, target: Path) -> None:
    """Pack ``folder``, itself included, into the zip file ``target``.

    Not MRML's own writer: that one names the inner folder after the file it writes, which is a temporary one here, and
    takes several times as long to compress the transform.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=ZIP_LEVEL) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            method = zipfile.ZIP_STORED if file.suffix == COMPRESSED_ALREADY else zipfile.ZIP_DEFLATED
            archive.write(file, file.relative_to(folder.parent), method)
