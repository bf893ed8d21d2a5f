"""Sending results to an archive, with retries until the archive has them.

If the archive cannot be reached, all results wait, with longer and longer pauses. A result that the archive refuses
waits alone; the others are sent. No result is ever dropped.

Source: C-STORE, DICOM PS3.7 9.1.1; its statuses, PS3.4 B.2.3.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ComprehensiveSRStorage, SecondaryCaptureImageStorage  # type: ignore[attr-defined]

from hilum.console import count_of
from hilum.film.dicom import pydicom_kept_quiet
from hilum.serve.log import About, NodeLog
from hilum.serve.peers import Archive
from hilum.serve.spool import Spool, film_number, study_number

__all__ = ["ALREADY_THERE", "ResultSender", "Sender"]

_CONNECT_SECONDS, _ANSWER_SECONDS = 10, 60
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 120.0
_STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007})  # success, and success with a warning
ALREADY_THERE = 0x0111  # duplicate SOP instance: it was stored before, but the answer was lost


class ResultSender(threading.Thread, ABC):
    """The thread that sends the results that wait in a spool. A subclass knows how.

    Args:
        spool: The spool with the results.
        name: What the log calls the archive.
        log: The node's log.
    """

    def __init__(self, spool: Spool, name: str, log: NodeLog) -> None:
        super().__init__(name="hilum-sender", daemon=True)
        self._spool, self._archive_name, self._log = spool, name, log
        self._news, self._stopping = threading.Event(), threading.Event()
        self._refused: dict[str, tuple[float, float]] = {}  # results -> (not before, pause)

    def wake(self) -> None:
        """Wake the thread because there is a new result."""
        self._news.set()

    def stop(self) -> None:
        """Ask the thread to end after the current object; join it afterwards."""
        self._stopping.set()
        self._news.set()

    def run(self) -> None:
        """Send waiting results until `stop` is called."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            self._news.clear()
            try:
                reached = self._send_waiting()
            except Exception as error:  # noqa: BLE001 - a disk or protocol error: the thread tries again
                self._log.error(f"Results were not sent ({type(error).__name__}); they wait in the spool.")
                reached = False
            if reached:
                pause = _FIRST_PAUSE_SECONDS
                self._news.wait(self._seconds_to_next())
            else:
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _seconds_to_next(self) -> float | None:
        """Return the time until refused results are sent again; None if there are none."""
        times = [not_before for not_before, _ in self._refused.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    @abstractmethod
    def _connected(self) -> AbstractContextManager[None]:
        """Return what is open while results are sent. If the archive cannot be reached, `_is_connected` is false."""

    @abstractmethod
    def _is_connected(self) -> bool:
        """Return whether the archive can be reached."""

    @abstractmethod
    def _store(self, path: Path) -> str | None:
        """Send one file; return None if the archive has it now, else the reason."""

    def _send_waiting(self) -> bool:
        """Send all due results; return False if the archive cannot be reached."""
        now = time.monotonic()
        due = [one for one in self._spool.waiting_results() if self._refused.get(one.name, (0.0, 0.0))[0] <= now]
        if not due:
            return True
        with self._connected():
            if not self._is_connected():
                waiting = f"{count_of(len(due), 'result')} {'waits' if len(due) == 1 else 'wait'}"
                self._log.warning(f"{self._archive_name} cannot be reached; {waiting} in the spool.")
                return False
            for results in due:
                if self._stopping.is_set():
                    break
                if not self._is_connected():
                    return False
                self._send(results)
            return self._is_connected()

    def _send(self, results: Path) -> None:
        """Send the files of one film's results. If one is refused, all are sent again later."""
        for path in sorted(results.glob("*.dcm")):
            refusal = self._store(path)
            if refusal is None:
                continue
            if self._is_connected():
                pause = min(2 * self._refused.get(results.name, (0.0, 0.5))[1], _LONGEST_PAUSE_SECONDS)
                self._refused[results.name] = (time.monotonic() + pause, pause)
                text = f"{self._archive_name} refused {path.name}: {refusal}."
                self._log.warning(text, _about(results))
            return
        self._refused.pop(results.name, None)
        self._spool.finish(results)
        self._log.count("sent")
        self._log.info("Sent.", _about(results))


class Sender(ResultSender):
    """Sends results by C-STORE, all that are due over one association.

    Args:
        spool: The spool with the results.
        archive: The archive for the results.
        ae_title: The AE title of this node.
        log: The node's log.
    """

    def __init__(self, spool: Spool, archive: Archive, ae_title: str, log: NodeLog) -> None:
        super().__init__(spool, archive.ae_title, log)
        self._archive = archive
        self._association: Association | None = None
        self._ae = AE(ae_title=ae_title)
        for sop_class in (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
            self._ae.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        self._ae.connection_timeout = self._ae.acse_timeout = _CONNECT_SECONDS
        self._ae.dimse_timeout = self._ae.network_timeout = _ANSWER_SECONDS

    @contextmanager
    def _connected(self) -> Iterator[None]:
        self._association = self._ae.associate(self._archive.host, self._archive.port, ae_title=self._archive.ae_title)
        try:
            yield
        finally:
            if self._association.is_established:
                self._association.release()

    def _is_connected(self) -> bool:
        return self._association is not None and self._association.is_established

    def _store(self, path: Path) -> str | None:
        return _store(self._association, path)


def _about(results: Path) -> About:
    return About(study=study_number(results), film=film_number(results))


def _store(association: Association | None, path: Path) -> str | None:
    """Send one file; return None if the archive has it now, else the reason."""
    if association is None:
        return "no answer"
    with pydicom_kept_quiet():
        dataset = dcmread(path)
        try:
            answer: Dataset = association.send_c_store(dataset)
        except ValueError:  # no presentation context was accepted for it
            return "it does not take this kind of object"
        except RuntimeError:  # the association ended meanwhile
            return "no answer"
    status = answer.get("Status")
    if status in _STORED or status == ALREADY_THERE:
        return None
    return "no answer" if status is None else f"status 0x{status:04X}"
