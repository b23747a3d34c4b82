"""What goes into the networks, against scipy, and what their numbers mean, against SimpleITK."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from DeepRegLib.networks.inference import gradient_magnitude, voxels_to_mm, window_intensity
from scipy import ndimage


def test_the_window_reaches_from_air_to_bone():
    hu = torch.tensor([-2000.0, -1024.0, -212.0, 600.0, 3000.0])
    assert window_intensity(hu).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_whole_numbers_become_real_ones():
    hu = torch.tensor([-1024, 600], dtype=torch.int16)
    assert window_intensity(hu.float()).dtype == torch.float32
    assert gradient_magnitude(torch.zeros(1, 1, 4, 4, 4, dtype=torch.int16)).dtype == torch.float32


def test_the_gradient_magnitude_is_that_of_scipy():
    hu = np.random.default_rng(0).normal(-500, 600, (9, 11, 13))
    expected = ndimage.gaussian_gradient_magnitude(np.clip(hu / 1000, -1, 1), sigma=0.5, mode="nearest")
    ours = gradient_magnitude(torch.from_numpy(hu)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_two_images_of_a_pair_do_not_mix():
    pair = torch.zeros(1, 2, 8, 8, 8)
    pair[0, 1, 4:] = 1000
    magnitude = gradient_magnitude(pair)
    assert not magnitude[0, 0].any() and magnitude[0, 1].max() > 0.3
    assert pair.max() == 1000  # the input is as it was


def test_voxels_become_millimetres_along_the_axes_of_the_patient():
    """A left-handed, oblique, anisotropic grid: a displacement moves a voxel to where SimpleITK says it lies."""
    spacing = (1.6, 1.2, 2.5)
    rotation = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.4, 1.1).GetMatrix()
    axes = np.array(rotation).reshape(3, 3) @ np.diag([1.0, 1.0, -1.0])
    image = sitk.Image(4, 5, 6, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetDirection(axes.ravel().tolist())
    image.SetOrigin((10, -20, 30))
    field = torch.from_numpy(np.random.default_rng(1).normal(0, 5, (1, 3, 6, 5, 4)))
    displacements = voxels_to_mm(field, spacing, axes).numpy()
    assert displacements.shape == (1, 6, 5, 4, 3)
    for index in [(0, 0, 0), (3, 1, 5), (2, 4, 0)]:
        x, y, z = index
        moved = np.array(index) + field[0, :, z, y, x].numpy()
        there = np.array(image.TransformContinuousIndexToPhysicalPoint(moved.tolist()))
        here = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(displacements[0, z, y, x], there - here, atol=1e-9)
