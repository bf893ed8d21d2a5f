"""What every node shares: films are kept in the spool, judged, and their results are sent.

A film counts as received only when it is on the disk. After a crash, judging and sending continue from the disk. Three
kinds of threads use the spool: those that bring films, one that judges, one that sends. How films come and where
results go is the matter of dicom_node.py (DIMSE) and dicomweb.py (HTTP).
"""

from __future__ import annotations

import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pydicom.dataset import Dataset

from hilum.errors import HilumError, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import read_bytes
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.film.pool import DecodersStopped, decoders_end_after
from hilum.run.classifier import Classifier
from hilum.serve.answer_counts import AnswerCounter
from hilum.serve.arrival import Arrival
from hilum.serve.log import About, NodeLog, libraries_kept_quiet
from hilum.serve.node_health import NodeHealth, NodeState
from hilum.serve.results import film_results, refusal_report
from hilum.serve.sending import ResultSender
from hilum.serve.spool import Spool, film_number, study_number
from hilum.serve.structured_report import MANUFACTURER, refuse_unidentified

__all__ = ["FilmNode", "run_until_ended"]

_GRACE_SECONDS = 20.0
_MOST_ATTEMPTS = 30  # after so many ends of the process, the film must be the cause
_DISK_PAUSE_SECONDS = 5.0
_MOST_REMEMBERED = 10_000


class FilmNode:
    """A node without a door. A subclass brings films with `_take` and calls `_start` when it is ready.

    Args:
        classifier: The model.
        spool: The folder for waiting films and results.
        log: The node's log.
        sender: Sends the results; None if they stay in the spool.
        report_refused: Also make a report of a film that cannot be judged, with the reason.
    """

    def __init__(
        self,
        classifier: Classifier,
        spool: Spool,
        log: NodeLog,
        sender: ResultSender | None,
        *,
        report_refused: bool = False,
    ) -> None:
        self._classifier, self._spool, self._log, self._sender = classifier, spool, log, sender
        self._report_refused = report_refused
        self._counter = AnswerCounter(classifier, spool.folder / "counts", log.warning)
        self._came_by: OrderedDict[str, int | None] = OrderedDict()  # film -> association, for the log
        self._reading = threading.Lock()
        self._stopping, self._news = threading.Event(), threading.Event()
        self._judge = threading.Thread(target=self._judge_films, name="hilum-judge", daemon=True)
        self.health: NodeHealth | None = None

    def _start(self, host: str, health_port: int | None) -> None:
        """Answer health requests, judge and send."""
        if health_port is not None:
            self.health = NodeHealth(host, health_port, self._state)
        self._judge.start()
        if self._sender:
            self._sender.start()

    def _end_door(self, seconds: float) -> None:
        """Accept no more films; what is arriving may still take so many seconds."""

    def _door_is_alive(self) -> bool:
        """Return whether films can still come."""
        return True

    def stop(self) -> None:
        """Accept no more films, finish the current work, and end. Waiting films and results stay in the spool."""
        self._stopping.set()
        self._news.set()
        with decoders_end_after(_GRACE_SECONDS):
            self._end_door(_GRACE_SECONDS)
            self._judge.join()
        self._counter.write()
        if self._sender:
            self._sender.stop()
            self._sender.join()
        if self.health:
            self.health.stop()
        self._spool.close()

    def _state(self) -> NodeState:
        threads = [self._judge, *([self._sender] if self._sender else [])]
        return NodeState(
            self._door_is_alive() and all(thread.is_alive() for thread in threads),
            self._stopping.is_set(),
            self._log.counts,
            len(self._spool.waiting_films()),
            len(self._spool.waiting_results()),
            self._counter.metrics_text(self._classifier.metadata.name),
        )

    # --- keeping ----------------------------------------------------------------------------------------------------

    def _take(self, arrival: Arrival, requested_uid: str, number: int | None = None) -> None:
        """Put a complete film into the spool.

        Args:
            arrival: The film.
            requested_uid: The SOP Instance UID that it must have.
            number: The association that it came by, for the log.

        Raises:
            HilumError: It has no valid identifiers or others than it should, or is a result of hilum.
            OSError: The spool cannot be written to.
        """
        arrival.flush()
        with self._reading, pydicom_kept_quiet():  # one at a time, as a film may have 256 MB
            elements = read_elements(read_bytes(arrival.path))
            _refuse_foreign(elements, requested_uid)
            sop_uid, study_uid = str(elements.SOPInstanceUID), str(elements.StudyInstanceUID)
        kept = self._spool.keep(arrival, sop_uid, study_uid)
        self._log.count("received")
        if kept is None:
            study, name = self._spool.number(study_uid, 8), self._spool.number(sop_uid, 12)
            self._log.info("Received a film that was judged before.", About(number, study, name))
            return
        self._remember(kept, number)
        about = self._about(kept)
        if self._spool.is_another_content(kept):
            text = "Received another film with an identifier that came before. It is judged separately."
            self._log.warning(text, about)
        else:
            self._log.info(f"Received, {arrival.num_bytes:,} bytes.", about)

    def _remember(self, film: Path, number: int | None) -> None:
        self._came_by[film.name] = number
        while len(self._came_by) > _MOST_REMEMBERED:
            self._came_by.popitem(last=False)

    def _about(self, film: Path) -> About:
        return About(self._came_by.get(film.name), study_number(film), film_number(film))

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge_films(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                for film in self._spool.waiting_films():
                    if self._stopping.is_set():
                        return
                    self._judge_one(film)
            except Exception as error:  # noqa: BLE001 - usually a full disk; the thread must continue
                reason = getattr(error, "strerror", None) or type(error).__name__
                self._log.error(f"The spool cannot be used ({reason}); films wait and will be judged later.")
                self._stopping.wait(_DISK_PAUSE_SECONDS)
            else:
                self._news.wait()

    def _judge_one(self, film: Path) -> None:
        """Judge a film, or move it to the quarantine; raise OSError if the spool cannot be written to."""
        if self._spool.is_judged(film):
            self._spool.drop_film(film)
            return
        if self._spool.begin(film) >= _MOST_ATTEMPTS:
            self._set_aside(film, UndecodableFilm(f"The process ended {_MOST_ATTEMPTS} times while judging this film."))
            return
        try:
            results = film_results(self._classifier, film)
            self._spool.keep_results(film, results.files)
            self._counter.add(results.answer)
        except HilumError as error:
            self._set_aside(film, error)
            return
        except OSError:
            raise
        except DecodersStopped:  # the next process judges it
            return
        except Exception as error:  # noqa: BLE001 - one film must not stop the others
            self._set_aside(film, UndecodableFilm(f"The film cannot be judged ({type(error).__name__})."))
            return
        finally:
            self._spool.end(film)
        self._spool.drop_film(film)
        self._log.count("judged")
        self._log.info("Judged.", self._about(film))
        self._came_by.pop(film.name, None)
        if self._sender:
            self._sender.wake()

    def _set_aside(self, film: Path, error: HilumError) -> None:
        if self._report_refused:
            self._tell_archive(film, error)
        self._spool.quarantine(film, {"error": error.to_dict(), "model": dict(self._classifier.identity)})
        self._log.count("quarantined")
        self._log.warning(f"Moved to quarantine: {error.message}", self._about(film))
        self._came_by.pop(film.name, None)

    def _tell_archive(self, film: Path, error: HilumError) -> None:
        try:
            self._spool.keep_results(film, refusal_report(self._classifier, film, error))
        except OSError:
            raise
        except Exception as failure:  # noqa: BLE001 - a damaged header may raise anything
            self._log.warning(f"No report can be made of it ({type(failure).__name__}).", self._about(film))
            return
        if self._sender:
            self._sender.wake()


def _refuse_foreign(film: Dataset, requested_uid: str) -> None:
    """Refuse films with missing identifiers, films that contradict their request, and hilum's own results."""
    refuse_unidentified(film)
    if str(film.SOPInstanceUID) != requested_uid:
        raise UnsupportedFilm("The film `film` has another SOP Instance UID than the request names.")
    if str(film.get("Manufacturer") or "") == MANUFACTURER:
        raise UnsupportedFilm("The film `film` is a result made by hilum.", fix="Send only films to this node.")


def run_until_ended(
    model: Path, spool: Path, log: NodeLog, make: Callable[[Classifier, Spool], tuple[FilmNode, list[str]]]
) -> None:
    """Run a node until SIGTERM or Ctrl-C; the current work is finished first.

    Args:
        model: The model file.
        spool: The folder for waiting films and results.
        log: The node's log.
        make: Starts the node; returns it and the lines that it says first.

    Raises:
        InputError: Another node works in the spool, or the node cannot start.
        ModelFileError: The model file cannot be used.
    """
    classifier = Classifier(model)
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with libraries_kept_quiet(log):
            kept = Spool(spool, classifier.identity["sha256"])
            try:
                node, lines = make(classifier, kept)
            except BaseException:
                kept.close()
                raise
            for line in lines:
                log.info(line)
            ended.wait()
            log.info("Shutting down: finishing the current work.")
            node.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
