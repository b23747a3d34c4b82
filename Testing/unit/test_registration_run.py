"""How a registration runs: progress, cancel, threads, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib import registration as module
from DeepRegLib.device import kept_memory
from DeepRegLib.errors import BadInput, Cancelled, OutOfMemory
from DeepRegLib.refinement.solver import solve
from DeepRegLib.stages import STAGES, Stages
from registration_cases import analytic_registration


def test_progress_only_grows_ends_at_the_end_and_names_every_stage() -> None:
    seen: list[tuple[float, str]] = []
    analytic_registration(progress=lambda fraction, stage: seen.append((fraction, stage)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.1
    assert 0.99 <= fractions[-1] <= 1.0
    words = list(dict.fromkeys(stage for _, stage in seen))
    assert words == [words for words, _ in STAGES.values()]
    assert len(set(fractions)) > 15


def test_a_stage_that_runs_again_does_not_turn_progress_back() -> None:
    seen: list[float] = []
    stages = Stages(lambda fraction, stage: seen.append(fraction), lambda: False)
    for key in ("read", "region", "prealign", "refine", "prealign", "refine", "evaluate"):
        with stages.stage(key):
            stages.within(0.7)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1 - STAGES["propose"][1])


def questions_in_a_whole_run() -> int:
    count = 0

    def ask() -> bool:
        nonlocal count
        count += 1
        return False

    analytic_registration(cancelled=ask)
    return count


def test_cancel_is_heeded_at_any_point() -> None:
    total = questions_in_a_whole_run()
    assert total > 30
    for answer_at in (1, 2, 4, total // 4, total // 2, total - 3, total):
        asked = 0

        def ask(stop: int = answer_at) -> bool:
            nonlocal asked
            asked += 1
            return asked >= stop

        with pytest.raises(Cancelled):
            analytic_registration(cancelled=ask)
        assert asked == answer_at  # nothing went on afterwards


def test_an_unknown_device_and_a_missing_card_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"no device 'tpu'.*auto, cpu, cuda"):
        analytic_registration(device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="CUDA") as caught:
        analytic_registration(device="cuda")
    assert "cpu" in caught.value.hint
    assert analytic_registration(device="auto").evidence["device"] == "cpu"


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads_cannot_work(threads: int) -> None:
    with pytest.raises(BadInput, match="threads"):
        analytic_registration(threads=threads)


def test_the_numbers_of_threads_are_given_back_even_after_an_error() -> None:
    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    other = 2 if before[0] == 1 else 1
    during = []

    def stop_late() -> bool:
        during.append(torch.get_num_threads())
        return len(during) > 20

    with pytest.raises(Cancelled):
        analytic_registration(threads=other, cancelled=stop_late)
    assert set(during) == {other}
    assert (torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()) == before


def test_when_the_graphics_card_is_full_the_processor_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full_at_first(problem, *arguments):
        calls.append(problem.device)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return solve(problem, *arguments)

    plain = analytic_registration()
    monkeypatch.setattr(module, "solve", full_at_first)
    seen: list[float] = []
    registration = analytic_registration(progress=lambda fraction, stage: seen.append(fraction))
    assert len(calls) == 2
    assert calls[1] == torch.device("cpu")
    assert registration.evidence["device"] == "cpu"
    assert any("graphics card" in warning for warning in registration.evidence["warnings"])
    assert np.array_equal(registration.transform.array, plain.transform.array)
    assert seen == sorted(seen)
    assert seen[-1] >= 0.99


def allocate_too_much(*_: object) -> None:
    torch.empty(10**15)


def numpy_allocates_too_much(*_: object) -> None:
    np.zeros(10**15)


@pytest.mark.parametrize("allocate", [allocate_too_much, numpy_allocates_too_much])
@pytest.mark.parametrize("card_first", [False, True])
def test_when_the_memory_runs_out_it_is_said_in_words(monkeypatch: pytest.MonkeyPatch, allocate, card_first) -> None:
    calls = []

    def fail(*arguments: object) -> None:
        calls.append(1)
        if card_first and len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        allocate()

    monkeypatch.setattr(module, "solve", fail)
    with pytest.raises(OutOfMemory, match="memory ran out") as caught:
        analytic_registration()
    assert caught.value.hint


def test_a_defect_of_ours_is_not_dressed_up_as_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")

    monkeypatch.setattr(module, "solve", fail)
    with pytest.raises(RuntimeError, match="size of tensor"):
        analytic_registration()


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_keeping_memory_lets_the_work_and_its_errors_through_on_every_system(monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(ZeroDivisionError), kept_memory():
        _ = 1 / 0
