"""``slicer.parameterNodeWrapper``: typed access to the parameters of a module, kept in the scene.

A subset, which stores what it knows exactly as Slicer does (Base/Python/slicer/parameterNodeWrapper): bool, int, float,
str, pathlib.Path, Enum (by name), node classes, ``list[T]`` of these, ``Optional`` and ``Union``; with the annotations
of :mod:`slicer_host.parameter_node.annotations`. Every other type raises.
"""

from __future__ import annotations

from slicer_host.parameter_node.annotations import (
    Choice,
    Decimals,
    Default,
    Exclude,
    Maximum,
    Minimum,
    SingleStep,
    Validator,
    WithinRange,
)
from slicer_host.parameter_node.wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "Maximum",
    "Minimum",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]
