"""The journal of a run: its answers so far, so that a stopped run can be continued.

The journal lies beside the output file as `.NAME.partial`. Its first line names the model and the films; each further
line is the JSON object of a film. The output is written from it when all films are done, so an output file is always
complete, and a kill costs only the films in work.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

from hilum.errors import InputError
from hilum.run.answer import outcome

__all__ = ["Journal", "journal_path", "num_answers"]

_FORMAT = 1
_STARTS = (b'{"journal":', b'{"file":')  # start of the first line; of a journal whose first line is lost


def journal_path(out: Path) -> Path:
    """Return where the journal of an output file lies."""
    return out.with_name(f".{out.name}.partial")


def num_answers(out: Path, *, most: int = 2**62) -> int:
    """Return how many answers are in the journal of an unfinished run; counting stops at ``most``.

    Raises:
        InputError: The file in the journal's place is not a journal.
    """
    if not os.path.lexists(journal_path(out)):
        return 0
    with _opened(journal_path(out)) as file:
        return sum(1 for line in islice(file, 1, most + 1) if line.endswith(b"\n"))


class Journal:
    """The answers of one run. The journal is locked while it is open.

    Args:
        out: The output file.
        run: What must be the same to continue a run: ``model`` and ``films`` are SHA-256 sums, ``heatmaps`` and
            ``lungs`` a folder or None, ``hilum`` the version.
        films: The paths of all films, in order.
        resume: Keep the answers of an earlier run; otherwise they are deleted.
        pass_by: Called with the JSON object of each film that is kept.

    Attributes:
        num_done: How many films are in it.
        outcomes: How many of them were ``answered``, ``refused`` or ``unread``.

    Raises:
        InputError: The earlier run had another model or other films, or is still running; or the file cannot be
            written.
    """

    def __init__(
        self,
        out: Path,
        run: Mapping[str, Any],
        films: Iterable[Path],
        *,
        resume: bool,
        pass_by: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.path = journal_path(out)
        self.num_done, self.outcomes = 0, Counter[str]()
        self._file = _opened(self.path)
        try:
            _lock(self._file.fileno(), out)
            self._start = self._read_header(out, run) if resume else 0
            if self._start:
                self._file.truncate(self._read_answers(films, pass_by))
            else:
                self._file.truncate(0)
                self._append({"journal": _FORMAT, **run})
                self._start = self._file.tell()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add the JSON object of the next film. It survives the end of this process."""
        self._append(answer)
        self.num_done += 1
        self.outcomes[outcome(answer)] += 1

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of all films. Do not call `add` meanwhile."""
        self._file.seek(self._start)
        for line in self._file:
            yield json.loads(line)

    def close(self) -> None:
        """Close the journal; its file stays."""
        self._file.close()

    def remove(self) -> None:
        """Close the journal and remove its file."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _append(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(content).encode("ascii") + b"\n")
        self._file.flush()

    def _read_header(self, out: Path, run: Mapping[str, Any]) -> int:
        """Return where the answers begin; 0 if there is no earlier run."""
        self._file.seek(0)
        earlier = _object(self._file.readline())
        if earlier is None or earlier.get("journal") != _FORMAT:
            return 0
        words = {
            "model": "another model file",
            "films": "another list of films",
            "heatmaps": "another folder for heat maps",
            "lungs": "another folder for lungs",
            "hilum": "another version of hilum",
        }
        for key, other in words.items():
            if earlier.get(key) != run[key]:
                raise InputError(
                    f"Cannot continue `{out}`: the earlier run had {other} ({key}: earlier "
                    f"{_shown(earlier.get(key))}, now {_shown(run[key])}).",
                    fix="Repeat the earlier command, or replace --resume by --overwrite to start again.",
                )
        return self._file.tell()

    def _read_answers(self, films: Iterable[Path], pass_by: Callable[[dict[str, Any]], None]) -> int:
        """Count the films that are done; return where their complete lines end."""
        end = self._start
        for path, line in zip(films, self._file, strict=False):
            answer = _object(line)
            if answer is None or answer.get("file") != str(path):
                break
            self.num_done += 1
            self.outcomes[outcome(answer)] += 1
            pass_by(answer)
            end += len(line)
        return end


def _opened(path: Path) -> IO[bytes]:
    """Open a journal, or make an empty one. Another file in its place is refused, and no link is followed."""
    refusal = f"Cannot keep the answers in `{path}` during the run: this file is not a journal of hilum."
    fix = "Move it away, or give another --out."
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise InputError(refusal, fix=fix)
    file = os.fdopen(os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666), "a+b")
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise InputError(refusal, fix=fix)
        file.seek(0)
        start = file.read(len(_STARTS[0]))
        if not any(one.startswith(start) or start.startswith(one) for one in _STARTS):
            raise InputError(refusal, fix=fix)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a line; None if the line is incomplete or damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _shown(value: Any) -> str:
    return "none" if value is None else f"`{str(value)[:12]}`"


def _lock(handle: int, out: Path) -> None:
    """Lock the journal against a second run until this process ends; does nothing on systems without flock."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"Another run is writing `{out}`.", fix="Wait until it ends, or give another --out."
        ) from error
    except OSError:  # a network folder that has no locks
        return
