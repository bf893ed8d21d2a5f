"""The database of a search: Optuna's storage on SQLite, and the lock that its processes share.

The storage is RDBStorage on SQLite. It is the only storage of Optuna that needs no server and has heartbeats:
JournalStorage has none (Optuna 5.0), and a process that is killed while it writes leaves half a line, after which no
process can read the journal. SQLite needs a file system with locks, and machines that share it need clocks that agree.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hilum.errors import InputError, MissingExtra

try:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("A search for settings", "train") from error

__all__ = ["close_storage", "locked", "open_storage", "without_experimental_warnings"]

_PATIENCE_SECONDS = 120.0  # for a lock that is held for moments
_HEARTBEAT_SECONDS, _DEAD_AFTER_SECONDS = 10, 60


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock `claims` of a search's folder; SQLite's own locks hold wherever the database does.

    Raises:
        InputError: Another process holds it for long, or the folder has no locks.
    """
    path = folder / "claims"
    try:
        connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise InputError(
                f"Another process uses `{path}`.", fix="Wait until it has finished. If it hangs, end it."
            ) from error
        raise InputError(
            f"Cannot lock `{path}`: {error}.",
            fix="Choose a folder on a local disk with free space.",
        ) from error
    try:
        yield
    finally:
        connection.close()


def open_storage(path: Path) -> RDBStorage:
    """Return the storage in a database file, which is made where it does not exist."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=_PATIENCE_SECONDS, check_same_thread=False)

    with without_experimental_warnings():
        return RDBStorage(
            "sqlite://",  # the path cannot stand in the URL: it may have a question mark
            engine_kwargs={"creator": connect, "poolclass": NullPool},
            heartbeat_interval=_HEARTBEAT_SECONDS,
            grace_period=_DEAD_AFTER_SECONDS,
        )


def close_storage(storage: RDBStorage) -> None:
    """Close the database."""
    storage.remove_session()
    storage.engine.dispose()


@contextmanager
def without_experimental_warnings() -> Iterator[None]:
    """Ignore that Optuna calls its heartbeats experimental; it has had them since 2.9."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
