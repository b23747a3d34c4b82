"""Pairs made in the background while the network learns from the one before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol

import torch

from .training_pair import TrainingPair

WAIT_S = 0.2
"""How long a thread waits for room, or for a pair, before it looks whether it should stop."""


class NumberedPairs(Protocol):
    """Anything with numbered pairs, such as :class:`~.generator.PairGenerator`."""

    device: torch.device

    def draw(self, index: int) -> TrainingPair: ...


class Prefetched:
    """The pairs of ``generator`` in order, ``first`` and on, up to ``depth`` of them made ahead by one thread.

    The order and the pairs are those of ``generator.draw(first)``, ``draw(first + 1)`` ...: a run that is resumed at a
    step goes on with the pair of that step. An error of the generator is raised by the next call. To be closed, or used
    with ``with``.
    """

    def __init__(self, generator: NumberedPairs, depth: int = 4, first: int = 0) -> None:
        self._generator = generator
        self._made: queue.Queue[TrainingPair | BaseException] = queue.Queue(max(1, depth))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(first,), name="training pairs", daemon=True)
        self._thread.start()

    def next(self) -> TrainingPair:
        """The next pair; waits for it. Raises what the generator raised, and RuntimeError after :meth:`close`."""
        while not self._stop.is_set():
            try:
                made = self._made.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            if isinstance(made, BaseException):
                self.close()
                raise made
            self._hand_over(made)
            return made
        raise RuntimeError("No more pairs are made: the queue was closed.")

    def __iter__(self) -> Iterator[TrainingPair]:
        while True:
            yield self.next()

    def close(self) -> None:
        """Stop the thread; pairs that nobody took are dropped."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Prefetched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, index: int) -> None:
        try:
            while not self._stop.is_set():
                self._put(self._drawn(index))
                index += 1
        except BaseException as error:  # handed to whoever waits for the pair
            self._put(error)

    def _drawn(self, index: int) -> TrainingPair:
        if self._generator.device.type != "cuda":
            return self._generator.draw(index)
        # A stream of its own: the card makes pairs between the operations of the training step.
        stream = torch.cuda.Stream(self._generator.device)
        with torch.cuda.stream(stream):
            pair = self._generator.draw(index)
        stream.synchronize()
        return pair

    def _hand_over(self, pair: TrainingPair) -> None:
        """The memory of a pair must not be used again before the training step is done with it."""
        if self._generator.device.type == "cuda":
            for tensor in pair.tensors().values():
                tensor.record_stream(torch.cuda.current_stream(self._generator.device))

    def _put(self, item: TrainingPair | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._made.put(item, timeout=WAIT_S)
                return
            except queue.Full:
                continue
