"""The breathing thorax phantom: two scans of a made-up patient, and the exact map between them.

Scans of patients cannot be shipped, so the built-in sample, the tests and the training use this one.

>>> from DeepRegLib.phantom import make_phantom
>>> pair = make_phantom(size=(40, 32, 36), seed=1)
>>> moved = pair.motion.map_points(pair.fixed_landmarks)
>>> bool(abs(moved - pair.moving_landmarks).max() < 1e-9)
True
"""

from .files import write_pair
from .motion import BreathingMap
from .pair import DIFFICULTIES, PhantomPair, make_phantom

__all__ = ["DIFFICULTIES", "BreathingMap", "PhantomPair", "make_phantom", "write_pair"]
