"""Long words, such as paths, in labels: a line of a label ends only between words, and a word that is wider than the
panel would widen it."""

from __future__ import annotations

import re

LONGEST = 24
"""Letters that stay together; the narrowest panel has some 50 in a line."""
BREAK = "\u200b"
"""Nobody sees it, and a line may end there."""
SEPARATORS = r"[/\\_.\-]"


def breakable(text: str) -> str:
    """``text`` with places to break in words that are longer than :data:`LONGEST`: after separators, else anywhere.

    >>> breakable("a short/word").count(BREAK), breakable("archive/somebody/scan.nii.gz").count(BREAK)
    (0, 4)
    """
    return re.sub(rf"\S{{{LONGEST + 1},}}", lambda word: _broken(word[0]), text)


def _broken(word: str) -> str:
    parts = re.split(rf"(?<={SEPARATORS})(?!$)", word)
    return BREAK.join(BREAK.join(re.findall(rf".{{1,{LONGEST}}}", part)) for part in parts)
