"""Words that are too long for a line of the panel."""

from __future__ import annotations

import doctest

from DeepRegSlicer import long_words
from DeepRegSlicer.long_words import BREAK, LONGEST, breakable


def test_a_sentence_of_short_words_stays_as_it_is() -> None:
    assert breakable("The scan 'a/b.nii.gz' is not what it was.\nBring it back.") == (
        "The scan 'a/b.nii.gz' is not what it was.\nBring it back."
    )


def test_a_path_may_break_after_each_separator_and_nothing_is_lost() -> None:
    path = "/archive/scanner2/lung_CT/1.3.6.1/person-7.nii.gz"
    parts = breakable(f"In {path}").removeprefix("In ").split(BREAK)
    assert "".join(parts) == path
    assert parts[:4] == ["/", "archive/", "scanner2/", "lung_"] and parts[-1] == "gz"


def test_no_part_is_longer_than_a_line_can_be() -> None:
    broken = breakable(f"C:\\scans\\{'8' * 100}\\case.mha")
    assert max(map(len, broken.split(BREAK))) <= LONGEST
    assert broken.replace(BREAK, "") == f"C:\\scans\\{'8' * 100}\\case.mha"


def test_the_example_is_true() -> None:
    failed, tried = doctest.testmod(long_words)
    assert tried and not failed
