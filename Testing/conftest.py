"""What all tests share: where the image data lie, and small images made on the spot."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume

REPOSITORY = Path(__file__).resolve().parents[1]

_slicer = importlib.util.find_spec("slicer")
if _slicer is not None and _slicer.origin is None:
    # Without slicer-core, Python takes the folder Testing/slicer for the package; tests that need it shall skip.
    sys.modules["slicer"] = None  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither see nor change what the person who runs them has installed; nor do the processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPREG_USER_MODELS", str(tmp_path_factory.mktemp("user") / "Models"))
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The shared image pairs beside the repository; a test that asks for them is skipped where they are missing."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("shared data not found")
    return folder


@pytest.fixture
def oblique_geometry() -> Geometry:
    """An ordinary clinical grid: anisotropic, tilted, left-handed."""
    tilt, turn = np.deg2rad(12.0), np.deg2rad(-7.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    direction = about_x @ about_z @ np.diag([1.0, 1.0, -1.0])
    return Geometry((20, 18, 16), (0.9, 1.1, 2.5), (-30.0, 12.0, 200.0), tuple(direction.ravel()))


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """``make_volume(shape, dtype, geometry=None)``: noise of a fixed seed, (z, y, x)."""

    def make(shape: tuple[int, int, int], dtype: type = np.int16, geometry: Geometry | None = None) -> Volume:
        values = np.random.default_rng(0).normal(0.0, 100.0, shape).astype(dtype)
        return Volume(values, geometry or Geometry(shape[::-1]))

    return make
