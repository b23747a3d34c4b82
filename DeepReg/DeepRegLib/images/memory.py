"""How much memory is free, and how much this process has used.

Standard library only: inside Slicer there is no psutil.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path


def available_memory_bytes() -> int | None:
    """Memory that can be used without swapping, or None where the system does not tell."""
    if sys.platform == "win32":
        return _windows_available()
    try:
        if sys.platform.startswith("linux"):
            return _linux_field("/proc/meminfo", "MemAvailable")
        return _unix_available()
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def peak_memory_mb() -> float:
    """The most memory this process has held so far, in MB (2**20 bytes)."""
    if sys.platform == "win32":
        return _windows_peak_bytes() / 2**20
    if sys.platform.startswith("linux"):
        # getrusage counts what the parent held before it started this process; the status file does not.
        with contextlib.suppress(OSError, KeyError):
            return _linux_field("/proc/self/status", "VmHWM") / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _linux_field(path: str, name: str) -> int:
    """Bytes that a line ``name:   123 kB`` tells."""
    fields = dict(line.split(":", 1) for line in Path(path).read_text().splitlines())
    return int(fields[name].split()[0]) * 1024


def _unix_available() -> int:
    """macOS tells no more than its free pages and the size of the machine: half of it is a fair guess of what it can
    free from its caches."""
    page = os.sysconf("SC_PAGE_SIZE")
    try:
        return page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return page * os.sysconf("SC_PHYS_PAGES") // 2


def _windows_available() -> int | None:
    class MemoryStatus(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", "page_total", "page_available")),
            *((name, ctypes.c_ulonglong) for name in ("virtual_total", "virtual_available", "extended_available")),
        ]

    status = MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return None
    return int(status.available)


def _windows_peak_bytes() -> int:
    class Counters(ctypes.Structure):
        _fields_ = [
            ("size", ctypes.c_ulong),
            ("page_faults", ctypes.c_ulong),
            ("peak_working_set", ctypes.c_size_t),
            *((f"other_{k}", ctypes.c_size_t) for k in range(7)),
        ]

    counters = Counters()
    counters.size = ctypes.sizeof(counters)
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo(ctypes.c_void_p(kernel.GetCurrentProcess()), ctypes.byref(counters), counters.size)
    return int(counters.peak_working_set)
