"""Images that cannot be registered are refused before any work, with the reason."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from DeepRegLib.errors import BadInput
from DeepRegLib.images.check import check_pair, check_volume, padding_value
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.memory import available_memory_bytes, peak_memory_mb
from DeepRegLib.images.volume import Volume

MakeVolume = Callable[..., Volume]


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8])
def test_ordinary_images_pass(make_volume: MakeVolume, dtype: type) -> None:
    check_pair(make_volume((16, 20, 24), dtype), make_volume((30, 16, 17), dtype))


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_one_voxel_that_is_no_number_is_enough(make_volume: MakeVolume, bad: float, word: str) -> None:
    volume = make_volume((16, 20, 24), np.float32)
    volume.array[15, 19, 23] = bad
    with pytest.raises(BadInput, match=f"moving image.*{word}"):
        check_pair(make_volume((16, 16, 16)), volume)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_constant_image_is_refused_and_one_other_voxel_saves_it(dtype: type) -> None:
    volume = Volume(np.full((16, 16, 16), -1000, dtype), Geometry((16, 16, 16)), "air.nii.gz")
    with pytest.raises(BadInput, match=r"air\.nii\.gz.*same value -1000"):
        check_volume(volume)
    volume.array[15, 15, 15] = 0
    check_volume(volume)


@pytest.mark.parametrize("shape", [(15, 40, 40), (40, 15, 40), (40, 40, 15)])
def test_fewer_than_sixteen_voxels_along_an_axis_are_too_few(make_volume: MakeVolume, shape: tuple) -> None:
    with pytest.raises(BadInput, match="15"):
        check_volume(make_volume(shape))


def test_a_single_slice_is_refused_by_methods_for_volumes_alone(make_volume: MakeVolume) -> None:
    flat = make_volume((1, 32, 32))
    with pytest.raises(BadInput, match="single slice"):
        check_volume(flat, dimensions=(3,))
    check_pair(flat, flat, dimensions=(2, 3))
    with pytest.raises(BadInput, match="is a volume"):
        check_volume(make_volume((16, 16, 16)), dimensions=(2,))


def test_a_slice_and_a_volume_are_no_pair(make_volume: MakeVolume) -> None:
    with pytest.raises(BadInput, match="two of a kind"):
        check_pair(make_volume((1, 32, 32)), make_volume((32, 32, 32)), dimensions=(2, 3))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 0.0), (1.0, 1.0, -1.0), (1.0, 1e-9, 1.0), (5000.0, 1.0, 1.0)])
def test_absurd_spacing_is_refused(spacing: tuple) -> None:
    with pytest.raises(BadInput, match="spacing"):
        Geometry((16, 16, 16), spacing)


def test_a_singular_direction_is_refused() -> None:
    with pytest.raises(BadInput, match="singular"):
        Geometry((16, 16, 16), direction=(1, 1, 0, 1, 1, 0, 0, 0, 1))


def test_checks_copy_no_voxels(make_volume: MakeVolume) -> None:
    volume = make_volume((64, 128, 128), np.float32)
    tracemalloc.start()
    check_volume(volume)
    padding_value(volume)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < volume.array.nbytes / 3


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_the_corners_that_a_scanner_did_not_see_are_padding(padding: int) -> None:
    y, x = np.indices((64, 64))
    voxels = np.random.default_rng(0).normal(-1000.0, 30.0, (20, 64, 64)).astype(np.int16)
    voxels[:, np.hypot(y - 31.5, x - 31.5) > 32] = padding
    assert padding_value(Volume(voxels, Geometry((64, 64, 20)))) == padding


@pytest.mark.parametrize("lowest", [-1024, -1000, 0])
def test_air_and_empty_background_are_no_padding(lowest: int) -> None:
    voxels = np.full((20, 20, 20), lowest, np.int16)
    voxels[5:15] = 40
    assert padding_value(Volume(voxels, Geometry((20, 20, 20)))) is None


def test_noise_far_below_air_is_no_padding() -> None:
    voxels = np.random.default_rng(0).normal(-1000.0, 100.0, (40, 40, 40)).astype(np.int16)
    assert voxels.min() < -1300
    assert padding_value(Volume(voxels, Geometry((40, 40, 40)))) is None


def test_memory_is_told_in_plausible_numbers() -> None:
    available = available_memory_bytes()
    assert available is None or 2**20 < available < 2**50
    assert 10 < peak_memory_mb() < 2**20


def test_peak_memory_grows_with_an_array_and_stays_when_it_is_gone() -> None:
    # A process of its own: in this one an earlier test may have held more.
    code = (
        "import numpy as np; from DeepRegLib.images.memory import peak_memory_mb as peak; a = peak();"
        "x = np.ones(200 << 20, np.uint8); b = peak(); del x; print(b - a, peak() - b)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    grown, after = map(float, output.split())
    assert 190 < grown < 260
    assert abs(after) < 10
