"""How good a field is, by what is known about the pair and not by the images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from DeepRegLib.evidence.jacobian import jacobian_statistics
from DeepRegLib.evidence.labels import MINIMUM_VOXELS, label_overlap
from DeepRegLib.evidence.landmarks import ErrorStatistics, read_landmarks, target_registration_error
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField

from .pairs import ImagePair


def measure(field: DisplacementField, pair: ImagePair) -> dict[str, float]:
    """Landmark error (mm), folding (% of the region's voxels with det J <= 0), SD of log det J, mean Dice: what the
    pair allows."""
    measures: dict[str, float] = {}
    if pair.fixed_landmarks and pair.moving_landmarks:
        fixed, moving = read_landmarks(pair.fixed_landmarks), read_landmarks(pair.moving_landmarks)
        measures |= ErrorStatistics.of(target_registration_error(field, fixed, moving)).as_dict()
    region = _region(pair)
    if region is not None:
        jacobian = jacobian_statistics(field, region)
        measures |= {"folding_percent": jacobian.folding_percent, "sd_log_jacobian": jacobian.sd_log}
    if pair.fixed_labels and pair.moving_labels:
        measures["dice"] = mean_dice(field, pair.fixed_labels, pair.moving_labels)
    return measures


def _region(pair: ImagePair) -> Volume | None:
    file = pair.region or pair.fixed_labels
    return Volume.from_sitk(sitk.ReadImage(str(file)) != 0, file.name) if file else None


def mean_dice(field: DisplacementField, fixed_labels: Path, moving_labels: Path) -> float:
    """Mean Dice over the labels that are large enough in both images as they are: the same ones for every tool."""
    fixed, moving = sitk.ReadImage(str(fixed_labels)), sitk.ReadImage(str(moving_labels))
    warped = sitk.Resample(moving, fixed, field.to_sitk_transform(), sitk.sitkNearestNeighbor, 0)
    dice = label_overlap(Volume.from_sitk(fixed), Volume.from_sitk(warped)).dice
    return float(np.mean([dice[label] for label in sorted(_large_labels(fixed) & _large_labels(moving))]))


def _large_labels(image: sitk.Image) -> set[int]:
    labels, counts = np.unique(sitk.GetArrayViewFromImage(image), return_counts=True)
    return {int(label) for label in labels[counts >= MINIMUM_VOXELS] if label > 0}


def peak_memory_gb() -> float:
    """The most memory this process ever held, in 10^9 bytes; not a number where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory too, from before the program was started
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    return float("nan")
