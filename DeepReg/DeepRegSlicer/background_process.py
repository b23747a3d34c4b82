"""A process beside the application: lines in, lines out, and an end that takes everything with it.

:class:`QtProcess` belongs to the event loop of the application; :class:`PipeProcess` needs no Qt and delivers its news
when it is asked to. Both are a :class:`BackgroundProcess`, and so is the fake one of the tests.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from .event_loop import call_after
from .process_tree import NO_WINDOW, kill_process_tree

LIBRARY_FOLDER = Path(__file__).resolve().parents[1]
"""Where DeepRegLib and DeepRegSlicer lie."""
LAST_WORDS_SECONDS = 0.2
"""What a process has written is there when it ends; only a child that outlives it keeps the pipe open longer."""


class BackgroundProcess(Protocol):
    """Only what is listed here is used. Set the three functions before :meth:`start`; none is called from within it.

    ``on_line`` gets each line of standard output, without its end; ``on_log`` pieces of standard error. ``on_end`` is
    called once, last: with the exit code and whether a crash ended the process (then the code is that of the signal,
    where there is one), or with None when the process could not be started.
    """

    on_line: Callable[[str], None]
    on_log: Callable[[str], None]
    on_end: Callable[[int | None, bool], None]

    @property
    def running(self) -> bool:
        """Started and not ended."""

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the program ``arguments[0]``; ``environment`` is added to that of the application."""

    def send(self, line: str) -> None:
        """Write a line to its standard input; nothing happens when it has ended."""

    def kill_tree(self) -> None:
        """End it and everything that it started, now; ``on_end`` follows."""


def slicer_python() -> str:
    """The Python that has the packages of the application: Slicer's own launcher, or the one that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def worker_environment() -> dict[str, str]:
    """What is set for a process that runs DeepRegLib, in addition to the application's environment."""
    path = [str(LIBRARY_FOLDER), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONSAFEPATH": "1",  # a file called torch.py in the current folder is not torch
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "ITK_AUTOLOAD_PATH": "",  # file readers of the application, which fit its own build of ITK only
    }


class LineSplitter:
    """Makes lines of bytes that come in pieces; not every piece ends where a line or a letter does.

    >>> lines = LineSplitter()
    >>> lines.add(b"one\\ntw"), lines.add(b"o\\n"), lines.rest()
    (['one'], ['two'], [])
    """

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """What came after the last end of a line."""
        line, self._rest = self._rest, b""
        return [_text(line)] if line else []


class QtProcess:
    """On QProcess: its news come from the event loop. One object runs one process."""

    def __init__(self) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_log: Callable[[str], None] = lambda text: None
        self.on_end: Callable[[int | None, bool], None] = lambda exit_code, crashed: None
        self._process: Any = None
        self._pid = 0
        self._lines = LineSplitter()

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        import qt

        process = qt.QProcess()
        variables = qt.QProcessEnvironment.systemEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        process.setProcessEnvironment(variables)
        process.connect("readyReadStandardOutput()", self._read_lines)
        process.connect("readyReadStandardError()", self._read_log)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        self._process = process
        # Later, because a program that is not there is told from within QProcess.start().
        call_after(0, lambda: self._start(list(arguments)))

    def send(self, line: str) -> None:
        if self._pid and self._process is not None:
            self._process.write(line.encode("utf-8") + b"\n")

    def kill_tree(self) -> None:
        if self._pid:
            kill_process_tree(self._pid)
        if self._process is not None:
            self._process.kill()
            if not self._pid:
                self._ended(None, False)

    def _start(self, arguments: list[str]) -> None:
        if self._process is not None:
            self._process.start(arguments[0], arguments[1:])
        if self._process is not None:
            self._pid = int(self._process.processId())

    def _read_lines(self) -> None:
        if self._process is not None:
            for line in self._lines.add(_bytes(self._process.readAllStandardOutput())):
                self.on_line(line)

    def _read_log(self) -> None:
        if self._process is not None:
            text = _text(_bytes(self._process.readAllStandardError()))
            if text:
                self.on_log(text)

    def _failed(self, error: Any) -> None:
        import qt

        if error == qt.QProcess.FailedToStart:
            self._ended(None, False)

    def _finished(self, exit_code: int, _status: Any) -> None:
        import qt

        if self._process is None:
            return
        self._read_log()
        self._read_lines()
        for line in self._lines.rest():
            self.on_line(line)
        crashed = self._process is not None and self._process.exitStatus() == qt.QProcess.CrashExit
        self._ended(int(exit_code), crashed)

    def _ended(self, exit_code: int | None, crashed: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()  # not at once: we may have been called by it
            self.on_end(exit_code, crashed)


class PipeProcess:
    """On subprocess, for scripts without an event loop: two threads read, :meth:`deliver` passes the news on."""

    def __init__(self) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_log: Callable[[str], None] = lambda text: None
        self.on_end: Callable[[int | None, bool], None] = lambda exit_code, crashed: None
        self._process: subprocess.Popen[bytes] | None = None
        self._running = False
        self._news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    @property
    def running(self) -> bool:
        return self._running

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._running = True
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            process = subprocess.Popen(
                list(arguments), env={**os.environ, **environment}, bufsize=0, **pipes, creationflags=NO_WINDOW
            )
        except OSError:
            self._news.put(lambda: self._ended(None))
            return
        self._process = process
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def send(self, line: str) -> None:
        if self._running and self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.write(line.encode("utf-8") + b"\n")
            except OSError:
                return  # it has ended; on_end follows

    def kill_tree(self) -> None:
        if self._process is not None:
            kill_process_tree(self._process.pid)
            self._process.kill()

    def deliver(self, seconds: float) -> None:
        """Pass on what has come, waiting ``seconds`` at most for the first news."""
        wait = seconds
        while True:
            try:
                news = self._news.get(timeout=wait) if wait else self._news.get_nowait()
            except queue.Empty:
                return
            news()
            wait = 0.0

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        readers = [
            threading.Thread(target=read, args=(stream,), daemon=True)
            for read, stream in ((self._read_lines, process.stdout), (self._read_log, process.stderr))
        ]
        for reader in readers:
            reader.start()
        exit_code = process.wait()
        for reader in readers:
            reader.join(LAST_WORDS_SECONDS)
        self._news.put(lambda: self._ended(exit_code))

    def _read_lines(self, stream: IO[bytes]) -> None:
        lines = LineSplitter()
        with stream:
            while data := stream.read(1 << 16):
                self._put_lines(lines.add(data))
        self._put_lines(lines.rest())

    def _put_lines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._news.put(partial(self._tell_line, line))

    def _read_log(self, stream: IO[bytes]) -> None:
        with stream:
            while data := stream.read(1 << 16):
                self._news.put(partial(self._tell_log, _text(data)))

    def _tell_line(self, line: str) -> None:
        self.on_line(line)

    def _tell_log(self, text: str) -> None:
        self.on_log(text)

    def _ended(self, exit_code: int | None) -> None:
        self._running = False
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self.on_end(exit_code, exit_code is not None and exit_code < 0)


def _bytes(array: Any) -> bytes:
    """The content of a QByteArray: whatever the binding makes of it, nothing is lost but letters that are none."""
    data = array.data() if hasattr(array, "data") else array
    return data.encode("utf-8") if isinstance(data, str) else bytes(data or b"")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\r")
