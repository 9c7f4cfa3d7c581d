"""Kill the process, or make a call fail, at the n-th access to disk or database.

`Faults` wraps the functions of `os`: it counts every call that changes or reads the
disk, and every commit; at the chosen one it kills the process or makes the call fail.
A run without a fault records the calls; the driver then makes one run for each.
"""

import ctypes
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection

from publishing.storage import file_store

CALLS = (
    "open",
    "write",
    "fsync",
    "close",
    "rename",
    "replace",
    "link",
    "symlink",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
)
READS = ("listdir", "scandir", "readlink", "stat", "lstat", "read")
"""``read`` is a file opened for reading. A kill at one of these calls equals a kill
before the next change, so they are only made to fail."""
_AUDITED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
COMMIT = "commit"


class Kind(StrEnum):
    """The effect of a fault at the chosen call."""

    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    ENOSPC = "disk full"
    EIO = "I/O error"
    EACCES = "no permission"
    LOST_BEFORE = "database gone before"
    LOST_AFTER = "database gone after"

    @property
    def kills(self) -> bool:
        return self in (Kind.KILL_BEFORE, Kind.KILL_AFTER)


_ERRNO = {
    Kind.ENOSPC: errno.ENOSPC,
    Kind.EIO: errno.EIO,
    Kind.EACCES: errno.EACCES,
}
_NEVER_DENIED = {"write", "fsync", "close", "syncfs"}
_NEVER_FULL = {"unlink", "remove", "rmdir"}


def kinds_at(call: str) -> list[Kind]:
    """The faults possible at a call; for example, `write` never fails with EACCES."""
    if call in READS:
        return [Kind.EIO, Kind.EACCES]
    kinds = [Kind.KILL_BEFORE, Kind.KILL_AFTER]
    if call == COMMIT:
        return [*kinds, Kind.LOST_BEFORE, Kind.LOST_AFTER]
    if call not in _NEVER_FULL:
        kinds.append(Kind.ENOSPC)
    kinds.append(Kind.EIO)
    if call not in _NEVER_DENIED:
        kinds.append(Kind.EACCES)
    return kinds


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault and the number of the call, counted from 0."""

    kind: Kind
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a build: its name and its paths."""

    name: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([self.name, *self.paths])


class Faults:
    """Count the calls of this thread while active; apply ``fault`` at its call."""

    def __init__(self, root: Path, fault: Fault | None = None) -> None:
        self.root = str(root)
        self.fault = fault
        self.calls: list[Call] = []
        self.done: list[Call] = []
        self.unwatched: list[str] = []
        self._thread = threading.get_ident()
        self._inside = False
        self._files: dict[int, str] = {}

    @property
    def fired(self) -> bool:
        return self.fault is not None and self.fault.at < len(self.calls)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Wrap the functions; use it once, because the process ends afterwards."""
        watched = [name for name in (*CALLS, *READS) if hasattr(os, name)]
        watched.remove("read")  # reads of an open file are not faulted
        real = {name: getattr(os, name) for name in watched}
        real_open = io.open
        io.open = self._watch_reading(real_open)
        libc = file_store._libc
        for name, function in real.items():
            setattr(os, name, self._watch(name, function))
        file_store._libc = _Libc(self, libc)
        real_commit = connection._commit
        connection._commit = self._watch(COMMIT, real_commit)
        sys.addaudithook(self._audit)
        try:
            with connection.execute_wrapper(self._statement):
                yield
        finally:
            self._thread = 0
            for name, function in real.items():
                setattr(os, name, function)
            io.open = real_open
            file_store._libc = libc
            connection._commit = real_commit

    def _watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._inside or threading.get_ident() != self._thread:
                return function(*args, **kwargs)
            paths = self._paths(name, args, kwargs)
            if any(path.startswith("/") for path in paths):
                return function(*args, **kwargs)  # not in the content root
            call = Call(name, paths)
            return self.pass_through(call, lambda: function(*args, **kwargs), args)

        return watched

    def _watch_reading(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `io.open` as `pathlib` calls it; writes go through `os.open`."""
        watched = self._watch("read", function)

        def opened(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            is_path = isinstance(path, str | os.PathLike)
            chosen = watched if is_path and "r" in mode else function
            return chosen(path, mode, *args, **kwargs)

        return opened

    def pass_through(
        self, call: Call, act: Callable[[], Any], args: tuple[Any, ...] = ()
    ) -> Any:
        """Make the call, unless the fault replaces it."""
        is_faulty_call = self.fault is not None and self.fault.at == len(self.calls)
        kind = self.fault.kind if self.fault and is_faulty_call else None
        self.calls.append(call)
        if kind is Kind.KILL_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind is Kind.LOST_BEFORE:
            raise OperationalError("(2013, 'Lost connection to server during query')")
        if kind in _ERRNO and call.name != "close":
            self._fail(kind, call)
        self._inside = True
        try:
            result = act()
        except OSError:
            if kind is Kind.KILL_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            raise
        finally:
            self._inside = False
        self.done.append(call)
        if call.name == "open":
            self._files[result] = call.paths[0]
        elif call.name == "close":
            self._files.pop(args[0], None)
        if kind is Kind.KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind is Kind.LOST_AFTER:
            raise OperationalError("(2013, 'Lost connection to server during query')")
        if kind in _ERRNO:  # Linux closes the file even when close() fails
            self._fail(kind, call)
        return result

    @staticmethod
    def _fail(kind: Kind, call: Call) -> None:
        code = _ERRNO[kind]
        raise OSError(code, os.strerror(code), *call.paths[:1])

    def _paths(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, ...]:
        if name == COMMIT:
            return ()
        if name in ("write", "fsync", "close"):
            return (self._files.get(args[0], "/elsewhere"),)
        folder = self._files.get(kwargs.get("dir_fd") or -1, "")
        count = 2 if name in ("rename", "replace", "link", "symlink") else 1
        return tuple(self._short(folder, path) for path in args[:count])

    def _short(self, folder: str, path: Any) -> str:
        if isinstance(path, int):
            return self._files.get(path, "/elsewhere")
        text = os.fspath(path)
        if folder:
            return f"{folder}/{text}"
        if text == self.root:
            return "."
        return text.removeprefix(f"{self.root}/")

    def _statement(
        self, execute: Any, sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Treat a write outside a transaction as a commit of its own."""
        verb = sql.lstrip().split(" ", 1)[0].upper()
        writes = verb in ("INSERT", "UPDATE", "DELETE", "REPLACE")
        if not writes or connection.in_atomic_block:
            return execute(sql, params, many, context)
        return self.pass_through(
            Call(COMMIT, (" ".join(sql.split()[:3]),)),
            lambda: execute(sql, params, many, context),
        )

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Fail when a change of the disk bypasses the wrappers: one is missing."""
        if self._inside or threading.get_ident() != self._thread:
            return
        if event in _AUDITED or (event == "open" and (args[2] or 0) & _WRITING):
            path = str(args[0])
            if path.startswith(self.root):
                self.unwatched.append(f"{event} {path}")


class _Libc:
    """The C library as `publishing.storage.file_store` uses it: one call."""

    def __init__(self, faults: Faults, libc: ctypes.CDLL) -> None:
        self._faults = faults
        self._libc = libc

    def syncfs(self, handle: int) -> int:
        try:
            return int(
                self._faults.pass_through(
                    Call("syncfs", ()), lambda: self._libc.syncfs(handle)
                )
            )
        except OSError as error:
            ctypes.set_errno(error.errno or errno.EIO)
            return -1


def undurable(calls: list[Call]) -> list[str]:
    """Return what a power cut could lose although a commit or a rename relies on it.

    A file's bytes must be on the disk before the file gets its public name, and a
    renamed name before the tables record it.
    """
    faults = []
    bytes_at_risk: set[str] = set()
    names_at_risk: set[str] = set()
    for call in calls:
        match call.name:
            case "write":
                bytes_at_risk.add(call.paths[0])
            case "fsync":
                bytes_at_risk.discard(call.paths[0])
                names_at_risk.discard(call.paths[0])
            case "syncfs":
                bytes_at_risk.clear()
                names_at_risk.clear()
            case "rename" | "replace":
                source, target = call.paths
                faults += [
                    f"renamed before its bytes were safe: {path}"
                    for path in sorted(bytes_at_risk)
                    if path == source or path.startswith(f"{source}/")
                ]
                names_at_risk.add(_folder(target))
            case "mkdir" if call.paths == (".",):
                pass  # its name is in a folder outside the content root
            case "mkdir" | "link":
                names_at_risk.add(_folder(call.paths[-1]))
            case "commit":
                faults += [
                    f"committed before its names were safe: {folder}"
                    for folder in sorted(names_at_risk)
                ]
                names_at_risk.clear()
    return faults


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."
