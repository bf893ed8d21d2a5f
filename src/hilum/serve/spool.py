"""The spool: the folder for waiting films and results. The node may end at any moment without losing any.

    SPOOL/incoming/FILM.dcm          received, not yet judged
    SPOOL/outgoing/RESULT/*.dcm      judged, not yet sent
    SPOOL/sent/RESULT                an empty file: judged and sent
    SPOOL/quarantine/FILM.dcm, .json a film that cannot be judged, and the reason
    SPOOL/seen/FILM                  the first content with an identifier
    SPOOL/key                        the key for hashing identifiers
    SPOOL/lock                       locked by the node that uses the spool

A film's name is FILM-CONTENT-STUDY: a keyed hash of its SOP Instance UID, a hash of its data set, and a keyed hash of
its Study Instance UID. A result's name adds the model's hash. So the same bytes are always the same film, and other
bytes with the same identifier are another film. Each step writes its files to disk, then renames once, then removes old
files. A step that was interrupted is repeated with the same result.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilum.errors import InputError
from hilum.serve.arrival import PARTIAL, Arrival

__all__ = ["Spool", "film_number", "study_number"]

_FOLDERS = ("incoming", "outgoing", "sent", "quarantine", "seen")


def film_number(path: Path) -> str:
    """Return a film's number in the log: the first 12 digits of the name of its file or results."""
    return path.name[:12]


def study_number(path: Path) -> str:
    """Return a study's number in the log; "" for names of an earlier version."""
    parts = path.name.partition(".")[0].split("-")
    return parts[2] if len(parts) > 2 else ""


class Spool:
    """The spool of one node, locked until `close`. POSIX only.

    Methods raise OSError if the disk is full or fails. Nothing is lost then, and the step can be repeated.

    Args:
        folder: The folder; it is made if it does not exist. Only this user may read it, as it holds patients' films.
        model_sha256: SHA-256 of the model; results of another model do not count.

    Raises:
        InputError: Another node uses the folder, or it cannot be written to.
    """

    def __init__(self, folder: Path, model_sha256: str) -> None:
        self.folder = folder
        self._model = model_sha256[:12]
        _check_folder(folder)
        self._lock = -1
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FOLDERS:
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sweep()
            self._key = self._read_key()
        except OSError as error:
            if self._lock >= 0:
                os.close(self._lock)
            if isinstance(error, BlockingIOError):
                raise InputError(
                    f"Another node uses the spool folder `{folder}`.", fix="Give each node its own --spool."
                ) from error
            raise InputError(
                f"Cannot use the spool folder `{folder}`: {error.strerror}.", fix="Give another --spool."
            ) from error

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)

    def receive(self) -> Arrival:
        """Start to receive a film; `keep` it or discard it afterwards."""
        return Arrival(self.folder / "incoming")

    def keep(self, arrival: Arrival, sop_instance_uid: str, study_instance_uid: str = "") -> Path | None:
        """Keep a complete film safely on disk; return None if this model has judged the same bytes before."""
        try:
            content = arrival.finish()[:16]
            name = f"{self.number(sop_instance_uid, 24)}-{content}-{self.number(study_instance_uid, 8)}"
            film = self.folder / "incoming" / f"{name}.dcm"
            if self.is_judged(film):
                return None
            arrival.path.rename(film)
            _sync(film.parent)
        finally:
            arrival.discard()
        return film

    def number(self, identifier: str, num_digits: int) -> str:
        """Return a hash of an identifier, made with the spool's key."""
        return hmac.new(self._key, identifier.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:num_digits]

    def is_another_content(self, film: Path) -> bool:
        """Return whether other bytes came with this film's identifier before; only for the log."""
        identifier, content = film.name.split("-")[:2]
        note = self.folder / "seen" / identifier
        try:
            return note.read_text(encoding="ascii") != content
        except OSError:
            with contextlib.suppress(OSError):
                note.write_text(content, encoding="ascii")
            return False

    def is_seen(self, sop_instance_uid: str) -> bool:
        """Return whether a film with this identifier came before, or `note_seen` was called for it."""
        return (self.folder / "seen" / self.number(sop_instance_uid, 24)).exists()

    def note_seen(self, sop_instance_uid: str) -> None:
        """Record that this is no film to be judged, so that it is not fetched again."""
        _write(self.folder / "seen" / self.number(sop_instance_uid, 24), b"")

    def waiting_films(self) -> list[Path]:
        """Return the films to be judged, in order of arrival; films during which a process ended come last."""
        films = [path for path in (self.folder / "incoming").glob("*.dcm") if not path.name.startswith(".")]
        return sorted(films, key=lambda film: (_num_attempts(film), _changed(film)))

    def begin(self, film: Path) -> int:
        """Record that a film is being judged; return how often the process ended before `end` was called."""
        num_attempts = _num_attempts(film)
        _attempts_of(film).write_text(str(num_attempts + 1), encoding="ascii")
        return num_attempts

    def end(self, film: Path) -> None:
        """Record that a film is no longer being judged."""
        _attempts_of(film).unlink(missing_ok=True)

    def is_judged(self, film: Path) -> bool:
        """Return whether a film has results, waiting or sent."""
        name = self._result_name(film)  # in this order, as `finish` makes `sent` before it removes `outgoing`
        return (self.folder / "outgoing" / name).exists() or (self.folder / "sent" / name).exists()

    def keep_results(self, film: Path, results: Mapping[str, bytes]) -> Path:
        """Write all results of a film (file name to bytes) in one step, and return their folder."""
        folder = self.folder / "outgoing" / self._result_name(film)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=PARTIAL))
        try:
            for name, data in results.items():
                _write(partial / name, data)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _sync(folder.parent)
        return folder

    def drop_film(self, film: Path) -> None:
        """Remove a film that has been judged."""
        film.unlink(missing_ok=True)
        self.end(film)

    def quarantine(self, film: Path, reason: Mapping[str, Any]) -> None:
        """Move a film that cannot be judged to the quarantine, with the reason as JSON."""
        folder = self.folder / "quarantine"
        _write(folder / f"{film.stem}.json", json.dumps(reason, ensure_ascii=False, indent=1).encode())
        film.rename(folder / film.name)
        _sync(folder)
        self.end(film)

    def waiting_results(self) -> list[Path]:
        """Return the folders of results to be sent, oldest first."""
        folders = [path for path in (self.folder / "outgoing").iterdir() if not path.name.startswith(".")]
        return sorted(folders, key=_changed)

    def finish(self, results: Path) -> None:
        """Record that results were sent, then remove them."""
        _write(self.folder / "sent" / results.name, b"")
        shutil.rmtree(results)

    def _result_name(self, film: Path) -> str:
        return f"{film.stem}-{self._model}"

    def _read_key(self) -> bytes:
        path = self.folder / "key"
        if not path.exists():
            _write(path, os.urandom(32))
        return path.read_bytes()

    def _sweep(self) -> None:
        """Remove the files of interrupted steps."""
        for folder in (self.folder, *(self.folder / name for name in _FOLDERS)):
            for path in folder.glob(f"{PARTIAL}*"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        for results in self.waiting_results():
            if (self.folder / "sent" / results.name).exists():
                shutil.rmtree(results)


def _check_folder(folder: Path) -> None:
    """Refuse a folder with other files, because the node removes films from its spool."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:  # it does not exist yet, or making its folders reports the error
        return
    spool = {*_FOLDERS, "lock"}
    if any((folder / name).is_symlink() for name in spool) or (names and not spool <= names and not names < spool):
        raise InputError(
            f"`{folder}` is not empty and is not a spool made by hilum. Nothing in it was changed.",
            fix="Give an empty or new folder: --spool DIR",
        )
    for name in names.intersection(_FOLDERS) if not spool <= names else ():
        if any((folder / name).iterdir()):  # a spool whose making was interrupted has empty folders
            raise InputError(
                f"`{folder / name}` holds files, but `{folder}` is not a spool made by hilum. Nothing was changed.",
                fix="Give an empty or new folder: --spool DIR",
            )


def _attempts_of(film: Path) -> Path:
    return film.with_suffix(".attempts")


def _changed(path: Path) -> int:
    """Return when a path was changed, in nanoseconds; 0 if another thread has removed it."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _num_attempts(film: Path) -> int:
    try:
        return int(_attempts_of(film).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, safely on disk."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).rename(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
