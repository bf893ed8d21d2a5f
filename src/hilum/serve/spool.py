"""The spool: the folder in which films and results wait, so that a node may end at any moment and lose nothing.

    SPOOL/incoming/FILM.dcm          received, not yet judged
    SPOOL/outgoing/RESULT/*.dcm      judged, not yet sent
    SPOOL/sent/RESULT                an empty file: judged and sent
    SPOOL/quarantine/FILM.dcm, .json what cannot be judged, and why
    SPOOL/seen/FILM                  which content came first under an identifier
    SPOOL/key                        made once: what identifiers are hashed with
    SPOOL/lock                       held by the one node that works here

A film's name is FILM-CONTENT-STUDY: keyed hashes of its SOP Instance UID and its Study Instance UID, a hash of its data
set between. A result's has the model's behind. So the same bytes are one film, however often they come, and other
bytes under the same identifier are another. A film that comes in lies in a hidden file of `incoming`, not in memory.
Every step is one rename after all that it brings is safe on disk, and what the step makes needless is removed after it.
So a step that was cut off is taken again, with the same outcome.
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

__all__ = ["PARTIAL", "Arrival", "Spool", "content_key", "data_set_start", "film_number", "study_number"]

# A film on its way into the spool: a hidden file that is there whole or not at all.

PARTIAL = ".part-"  # how names of files begin that are not whole yet


class Arrival:
    """A film on its way in: a hidden file that is removed unless it is kept.

    Attributes:
        path: The file.
        num_bytes: How long the data set is so far.
    """

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=PARTIAL)
        self.path = Path(name)
        self.num_bytes = 0
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()

    def begin(self, meta: bytes) -> None:
        """Write what stands before the data set, which is no part of the film's content."""
        self._file.write(meta)

    def write(self, data: bytes) -> None:
        """Write a piece of the data set."""
        self._file.write(data)
        self._hash.update(data)
        self.num_bytes += len(data)

    def flush(self) -> None:
        """Let others read what is written."""
        self._file.flush()

    def finish(self) -> str:
        """Wait until the film is on the disk, and return the hash of its data set."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove the file where it was not kept."""
        with contextlib.suppress(OSError):  # a full disk: what waits to be written goes, too
            self._file.close()
        self.path.unlink(missing_ok=True)


# What tells a film's content from another's: its data set, whichever program wrote the file around it.


def data_set_start(data: bytes) -> int:
    """Return where the data set of a DICOM file starts: behind the preamble and the file meta information (PS3.10 7.1).

    What stands before it names the program that wrote the file, and is no part of the film. 0 where there is none.
    """
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return 0
    return min(144 + int.from_bytes(data[140:144], "little"), len(data))


def content_key(data: bytes) -> str:
    """Return what tells the content of a DICOM file from others: a hash of its data set."""
    return hashlib.sha256(memoryview(data)[data_set_start(data) :]).hexdigest()


_FOLDERS = ("incoming", "outgoing", "sent", "quarantine", "seen")


def film_number(path: Path) -> str:
    """Return what stands for a film in the log: the first 12 digits of the name of its file or of its results."""
    return path.name[:12]


def study_number(path: Path) -> str:
    """Return what stands for a study in the log; "" for names of an earlier version."""
    parts = path.name.partition(".")[0].split("-")
    return parts[2] if len(parts) > 2 else ""


class Spool:
    """One node's spool, locked as long as this process lives. POSIX only.

    Methods raise OSError where the disk is full or fails; nothing is lost then, and the step can be taken again.

    Args:
        folder: Made where it does not exist, for this user's eyes only: it holds films of patients.
        model_sha256: The model that judges; another model's results are not this one's.

    Raises:
        InputError: Another node works in the folder, or it cannot be written to.
    """

    def __init__(self, folder: Path, model_sha256: str) -> None:
        self.folder = folder
        self._model = model_sha256[:12]
        _check_folder(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FOLDERS:
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InputError(
                f"Cannot use the spool folder `{folder}`: {error.strerror}.", fix="Give another --spool."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise InputError(
                f"Another node works in the spool folder `{folder}`.", fix="Give each node a --spool of its own."
            ) from error
        try:
            self._sweep()
            self._key = self._read_key()
        except OSError as error:
            os.close(self._lock)
            raise InputError(
                f"Cannot use the spool folder `{folder}`: {error.strerror}.", fix="Give another --spool."
            ) from error

    def close(self) -> None:
        """Give the folder free for another node."""
        os.close(self._lock)

    def receive(self) -> Arrival:
        """Begin to take a film; `keep` it or discard it afterwards."""
        return Arrival(self.folder / "incoming")

    def keep(self, arrival: Arrival, sop_instance_uid: str, study_instance_uid: str = "") -> Path | None:
        """Keep a film so that it outlives a loss of power; None where this model has judged these bytes before.

        Args:
            arrival: The whole film; it is discarded where it is not kept.
            sop_instance_uid: The film's identifier. The same film once more replaces itself.
            study_instance_uid: The study's.
        """
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

    def keep_film(self, data: bytes, sop_instance_uid: str, study_instance_uid: str = "") -> Path | None:
        """Keep a film whose file is in memory; see `keep`."""
        arrival, start = self.receive(), data_set_start(data)
        try:
            arrival.begin(data[:start])
            arrival.write(data[start:])
            return self.keep(arrival, sop_instance_uid, study_instance_uid)
        finally:
            arrival.discard()

    def number(self, identifier: str, num_digits: int) -> str:
        """Return what stands for an identifier: a hash that nobody can repeat without the spool's key."""
        return hmac.new(self._key, identifier.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:num_digits]

    def is_another_content(self, film: Path) -> bool:
        """Return whether other bytes came under this film's identifier before; for the log alone."""
        identifier, content = film.name.split("-")[:2]
        note = self.folder / "seen" / identifier
        try:
            return note.read_text(encoding="ascii") != content
        except OSError:
            with contextlib.suppress(OSError):
                note.write_text(content, encoding="ascii")
            return False

    def waiting_films(self) -> list[Path]:
        """Return the films to be judged: those that no process has ended on first, then in order of arrival."""
        films = [path for path in (self.folder / "incoming").glob("*.dcm") if not path.name.startswith(".")]
        return sorted(films, key=lambda film: (_num_attempts(film), film.stat().st_mtime_ns))

    def begin(self, film: Path) -> int:
        """Note that a film is being judged, and return how often the process ended before `end` was called."""
        num_attempts = _num_attempts(film)
        _attempts_of(film).write_text(str(num_attempts + 1), encoding="ascii")
        return num_attempts

    def end(self, film: Path) -> None:
        """Note that a film is no longer being judged, whatever came of it."""
        _attempts_of(film).unlink(missing_ok=True)

    def is_judged(self, film: Path) -> bool:
        """Return whether the results of a film are there or were sent."""
        name = self._result_name(
            film
        )  # looked for in this order: `finish` makes the second before it removes the first
        return (self.folder / "outgoing" / name).exists() or (self.folder / "sent" / name).exists()

    def keep_results(self, film: Path, results: Mapping[str, bytes]) -> Path:
        """Write the results of a film, all of them or none, and return their folder.

        Args:
            film: A path of `waiting_films`.
            results: File name to the file's bytes.
        """
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
        """Set a film aside that cannot be judged, with the reason beside it as JSON."""
        folder = self.folder / "quarantine"
        _write(folder / f"{film.stem}.json", json.dumps(reason, ensure_ascii=False, indent=1).encode())
        film.rename(folder / film.name)
        _sync(folder)
        self.end(film)

    def waiting_results(self) -> list[Path]:
        """Return the folders of results to be sent, in the order they were made."""
        folders = [path for path in (self.folder / "outgoing").iterdir() if not path.name.startswith(".")]
        return sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)

    def finish(self, results: Path) -> None:
        """Note that results were sent, then remove them."""
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
        """Remove what steps that were cut off left behind."""
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
    """Refuse a folder of anybody else's: what lies in a spool is judged and removed."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:  # there is none yet, or making its folders says what is wrong
        return
    spool = {*_FOLDERS, "lock"}
    if any((folder / name).is_symlink() for name in spool) or (names and not spool <= names and not names < spool):
        raise InputError(
            f"`{folder}` is not empty and is no spool of hilum's; nothing in it was touched.",
            fix="Give an empty folder, or none that is there: --spool DIR",
        )
    for name in names.intersection(_FOLDERS) if not spool <= names else ():
        if any((folder / name).iterdir()):  # a spool that was cut off while it was made has empty folders
            raise InputError(
                f"`{folder / name}` holds files, and `{folder}` is no spool of hilum's; nothing in it was touched.",
                fix="Give an empty folder, or none that is there: --spool DIR",
            )


def _attempts_of(film: Path) -> Path:
    return film.with_suffix(".attempts")


def _num_attempts(film: Path) -> int:
    try:
        return int(_attempts_of(film).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _write(path: Path, data: bytes) -> Path:
    """Write a file in one step and wait until file and folder are on the disk."""
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
    return path


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
