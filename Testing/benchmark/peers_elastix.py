"""elastix (S. Klein, M. Staring): one affine and one B-spline map, normalised correlation, stochastic sampling."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField

from .pairs import ImagePair
from .preparation import read_dilated
from .run import Outcome


@dataclass(frozen=True)
class Setting:
    grid_mm: float
    iterations: int
    samples: int
    affine_iterations: int = 250
    resolutions: int = 4
    metric: str = "AdvancedNormalizedCorrelation"
    mask_mm: float = 4.0


SETTINGS = {
    "elx_ncc10": Setting(10.0, 1000, 4000),
    "elx_fast": Setting(14.0, 250, 2000, affine_iterations=150),
    "elx_ncc8m0": Setting(8.0, 1000, 8000, resolutions=5, mask_mm=0.5),
    "elx_ssd": Setting(10.0, 1000, 4000, metric="AdvancedMeanSquares"),
}
COMMON = {
    "Registration": "MultiResolutionRegistration",
    "FixedImagePyramid": "FixedSmoothingImagePyramid",
    "MovingImagePyramid": "MovingSmoothingImagePyramid",
    "Interpolator": "LinearInterpolator",
    "ResampleInterpolator": "FinalLinearInterpolator",
    "Resampler": "DefaultResampler",
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": "true",
    "ImageSampler": "RandomCoordinate",
    "NewSamplesEveryIteration": "true",
    "HowToCombineTransforms": "Compose",
    "ErodeMask": "false",
    "RequiredRatioOfValidSamples": "0.05",
    "WriteResultImage": "false",
    "DefaultPixelValue": "-1000",
}
AFFINE_RESOLUTIONS, AFFINE_SAMPLES = 3, 2000


def register(pair: ImagePair, setting_name: str, threads: int) -> Outcome:
    import itk

    setting = SETTINGS[setting_name]
    fixed, moving = (_as_itk(sitk.ReadImage(str(path), sitk.sitkFloat32)) for path in (pair.fixed, pair.moving))
    mask = read_dilated(pair.mask, setting.mask_mm)
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    if mask is not None:
        method.SetFixedMask(_as_itk(mask))
    method.SetParameterObject(_parameters(setting))
    method.SetNumberOfThreads(threads)
    method.LogToConsoleOff()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        method.SetOutputDirectory(folder)
        method.UpdateLargestPossibleRegion()
        transformix = itk.TransformixFilter.New(moving)
        transformix.SetTransformParameterObject(method.GetTransformParameterObject())
        transformix.SetComputeDeformationField(True)
        transformix.SetOutputDirectory(folder)
        transformix.LogToConsoleOff()
        transformix.UpdateLargestPossibleRegion()
        displacements = itk.array_from_image(transformix.GetOutputDeformationField()).astype(np.float32)
    seconds = time.perf_counter() - start
    return Outcome(DisplacementField(displacements, Geometry.of(sitk.ReadImage(str(pair.fixed)))), seconds)


def _parameters(setting: Setting):  # the type is made by itk at run time
    import itk

    affine = {
        **COMMON,
        "Transform": "AffineTransform",
        "AutomaticScalesEstimation": "true",
        "AutomaticTransformInitialization": "true",
        "AutomaticTransformInitializationMethod": "GeometricalCenter",
        "Metric": "AdvancedNormalizedCorrelation",
        "NumberOfResolutions": str(AFFINE_RESOLUTIONS),
        "MaximumNumberOfIterations": str(setting.affine_iterations),
        "NumberOfSpatialSamples": str(AFFINE_SAMPLES),
    }
    spline = {
        **COMMON,
        "Transform": "BSplineTransform",
        "FinalGridSpacingInPhysicalUnits": str(setting.grid_mm),
        "Metric": setting.metric,
        "NumberOfResolutions": str(setting.resolutions),
        "MaximumNumberOfIterations": str(setting.iterations),
        "NumberOfSpatialSamples": str(setting.samples),
    }
    parameters = itk.ParameterObject.New()
    for stage in (affine, spline):
        parameters.AddParameterMap({key: (value,) for key, value in stage.items()})
    return parameters


def _as_itk(image: sitk.Image):  # the type is made by itk at run time
    import itk

    converted = itk.image_from_array(sitk.GetArrayFromImage(image))
    converted.SetOrigin(image.GetOrigin())
    converted.SetSpacing(image.GetSpacing())
    converted.SetDirection(np.array(image.GetDirection()).reshape(3, 3))
    return converted
