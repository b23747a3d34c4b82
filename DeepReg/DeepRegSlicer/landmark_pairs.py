"""Which landmark of one point list belongs to which of another, and where both lie when nothing is registered.

Landmarks belong together when they carry the same label. Lists without common labels are paired in their order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import slicer
from DeepRegLib.errors import BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks

from .input_nodes import landmarks_of, listed
from .nodes import to_ras
from .transform_chain import TransformNodes, chain, map_points, transforms_above


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Row i of ``fixed`` and row i of ``moving`` (LPS mm) are the same place of the anatomy.

    ``moving`` is where the landmarks lie in the original moving image, whatever result they hang under by now.
    ``places`` (n, 3), LPS mm, is where the fixed landmarks are seen in the views: that is ``fixed.points``, unless the
    fixed list and the transform both hang under yet another transform. ``by_label`` says how the pairs were found.
    ``Landmarks.rows`` are the numbers of the control points in their lists, from 1.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` when the two do not have the same number of points.
    """

    fixed: Landmarks
    moving: Landmarks
    places: np.ndarray
    by_label: bool

    def __post_init__(self) -> None:
        if len(self.fixed) != len(self.moving):
            raise BadLandmarks(
                f"There are {len(self.fixed)} fixed and {len(self.moving)} moving landmarks; they must be pairs."
            )

    def __len__(self) -> int:
        return len(self.fixed)


def landmark_pairs(
    fixed: slicer.vtkMRMLMarkupsNode,
    moving: slicer.vtkMRMLMarkupsNode,
    transform: slicer.vtkMRMLTransformNode | None = None,
    former: TransformNodes = (),
) -> LandmarkPairs:
    """The pairs of two point lists, with the transforms that they hang under.

    ``transform`` is the result of a registration if there is one. A moving list that hangs under it (directly or at the
    end of a chain) is taken as it was before: the transform, and those it hangs under itself, are passed over, not
    inverted; so are ``former`` results above the moving list. What both lists and the transform hang under together is
    passed over as well.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` for the same list twice, points that are not placed, labels that
    occur twice, landmarks without a partner, and a fixed list that hangs under ``transform``.
    """
    if fixed is moving:
        raise BadLandmarks(
            f"'{fixed.GetName()}' is chosen as the fixed and as the moving landmarks.", "Choose two different lists."
        )
    passed_over = with_parents(transform)
    common = [node for node in transforms_above(fixed) if node in passed_over]
    if transform is not None and transform in common:
        raise BadLandmarks(
            f"The fixed landmarks '{fixed.GetName()}' hang under the result '{transform.GetName()}', "
            "which is made for what belongs to the moving image.",
            "Take them out of it in the module Data.",
        )
    places = landmarks_of(fixed)
    own = landmarks_of(fixed, common) if common else places
    pairs = pair_up(own, landmarks_of(moving, [*passed_over, *former]))
    return LandmarkPairs(pairs.fixed, pairs.moving, places.points, pairs.by_label)


def map_fixed_points(
    points: np.ndarray, fixed: slicer.vtkMRMLMarkupsNode, transform: slicer.vtkMRMLTransformNode
) -> np.ndarray:
    """T(x_fixed), LPS mm (n, 3), for ``points`` of :func:`landmark_pairs` (its ``fixed``): forward through the node and
    the nodes that it hangs under, of whatever kind they are."""
    above_both = transforms_above(fixed)
    steps = [node for node in with_parents(transform) if node not in above_both]
    forward = chain(node.GetTransformFromParent() for node in reversed(steps))
    return to_ras(map_points(forward, to_ras(points)))


def seen_in_fixed_image(points: np.ndarray, transform: slicer.vtkMRMLTransformNode | None) -> np.ndarray:
    """Where landmarks of the moving image (n, 3), LPS mm, are seen when they hang under ``transform``. For display
    only: this way goes through the inverse of T, which 3D Slicer knows to 0.01 mm."""
    to_world = chain(node.GetTransformToParent() for node in with_parents(transform))
    return to_ras(map_points(to_world, to_ras(points)))


def with_parents(transform: slicer.vtkMRMLTransformNode | None) -> list[slicer.vtkMRMLTransformNode]:
    """A transform node and the nodes that it hangs under; none for None."""
    return [] if transform is None else [transform, *transforms_above(transform)]


def pair_up(fixed: Landmarks, moving: Landmarks) -> LandmarkPairs:
    """Pairs by label where both lists carry the same labels, else by order.

    >>> pairs = pair_up(Landmarks([[0, 0, 0], [1, 1, 1]], ("a", "b")), Landmarks([[2, 2, 2], [3, 3, 3]], ("b", "a")))
    >>> pairs.moving.points.tolist(), pairs.by_label
    ([[3.0, 3.0, 3.0], [2.0, 2.0, 2.0]], True)
    """
    for landmarks in (fixed, moving):
        _refuse_repeated_labels(landmarks)
    if set(fixed.labels) == set(moving.labels):
        number = {label: k for k, label in enumerate(moving.labels)}
        return LandmarkPairs(fixed, _reordered(moving, [number[label] for label in fixed.labels]), fixed.points, True)
    if len(fixed) != len(moving):
        raise BadLandmarks(
            f"'{fixed.name}' has {len(fixed)} landmarks and '{moving.name}' has {len(moving)}; each needs a partner.",
            _without_partner(fixed, moving),
        )
    common = set(fixed.labels) & set(moving.labels)
    if any(a != b and common & {a, b} for a, b in zip(fixed.labels, moving.labels, strict=True)):
        raise BadLandmarks(
            f"Some landmarks of '{fixed.name}' and '{moving.name}' carry the same labels and some do not.",
            _without_partner(fixed, moving),
        )
    return LandmarkPairs(fixed, moving, fixed.points, False)


def _reordered(landmarks: Landmarks, order: list[int]) -> Landmarks:
    labels, rows = (tuple(values[k] for k in order) for values in (landmarks.labels, landmarks.rows))
    return Landmarks(landmarks.points[order], labels, landmarks.name, rows)


def _refuse_repeated_labels(landmarks: Landmarks) -> None:
    repeated = [label for label, count in Counter(landmarks.labels).items() if count > 1]
    if repeated:
        raise BadLandmarks(
            f"More than one landmark of '{landmarks.name}' is called {_named(repeated)}.",
            "Give every landmark its own label, the same in both lists.",
        )


def _without_partner(fixed: Landmarks, moving: Landmarks) -> str:
    """Names the landmarks that only one list has; lists without any common label have nothing to name."""
    if not set(fixed.labels) & set(moving.labels):
        return "Give a landmark and its partner the same label, or bring both lists into the same order."
    one_sided = [
        f"{_named(alone)} (only in '{here.name}')"
        for here, there in ((fixed, moving), (moving, fixed))
        if (alone := [label for label in here.labels if label not in there.labels])
    ]
    return f"These have no partner of the same label: {'; '.join(one_sided)}."


def _named(labels: list[str]) -> str:
    return listed([f"'{label}'" for label in labels])
