"""Training pairs: two images and the exact map between them, made on the device, without end.

* :func:`preset` and :class:`Preset`: what pairs look like (``eppenhof2018``, ``eppenhof2020``, ``breathing``).
* :class:`Scans`, :class:`Phantoms`, :class:`LabelMaps`, :class:`RandomShapes`, :class:`Mixture`: the patients.
* :class:`PairGenerator`: ``draw(index)`` gives a :class:`TrainingPair`, always the same one.
* :class:`Prefetched`: the same in the background.
* :func:`pair_statistics`, :func:`field_statistics`, :func:`summarised`: how far it moves, whether it folds.
"""

from .anatomy import Anatomy, Source
from .generator import PairGenerator
from .label_maps import LabelMaps, RandomShapes
from .phantoms import Phantoms
from .prefetched import Prefetched
from .presets import PRESETS, Preset, preset
from .ranges import Range
from .sources import Mixture, Scans, scans_in
from .statistics import FieldStatistics, Summary, field_statistics, pair_statistics, summarised
from .training_pair import TrainingPair

__all__ = [
    "PRESETS",
    "Anatomy",
    "FieldStatistics",
    "LabelMaps",
    "Mixture",
    "PairGenerator",
    "Phantoms",
    "Prefetched",
    "Preset",
    "RandomShapes",
    "Range",
    "Scans",
    "Source",
    "Summary",
    "TrainingPair",
    "field_statistics",
    "pair_statistics",
    "preset",
    "scans_in",
    "summarised",
]
