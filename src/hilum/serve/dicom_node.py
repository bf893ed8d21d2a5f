"""The DICOM node: a Storage SCP that stores films, judges them, and sends results to an archive.

The node confirms a film only when it is on the disk. After a crash, judging and sending continue from the disk. Three
kinds of threads use the spool: one for each association (receives films), one that judges, one that sends. The limits
of associations and messages are in door.py and incoming.py.

Source: DICOM PS3.4 annex B (Storage), B.2.3 (statuses); PS3.7 annex C.
"""

from __future__ import annotations

import signal
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    Verification,
)

from hilum.console import Console
from hilum.errors import ConfigError, HilumError, InputError, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import read_bytes
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.film.pool import DecodersStopped, decoders_end_after
from hilum.film.unpack import TRANSFER_SYNTAXES
from hilum.run.classifier import Classifier
from hilum.serve.door import Door, open_server
from hilum.serve.incoming import IncomingFilm, Intake, association_number, is_left
from hilum.serve.limits import NodeLimits
from hilum.serve.node_health import NodeHealth, NodeState
from hilum.serve.node_log import About, NodeLog, libraries_kept_quiet
from hilum.serve.results import film_results
from hilum.serve.sending import Archive, Peer, Sender, checked_ae_title
from hilum.serve.spool import Spool, film_number, study_number
from hilum.serve.structured_report import MANUFACTURER, refuse_unidentified

__all__ = ["FILM_CLASSES", "Node", "NodeSettings", "run_node"]

FILM_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,  # film scanners send these; hilum's own captures are refused
)
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_MOST_ATTEMPTS = 30  # after so many ends of the process, the film must be the cause
_DISK_PAUSE_SECONDS = 5.0
_GRACE_SECONDS = 20.0
_MOST_REMEMBERED = 10_000
_NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class NodeSettings:
    """The addresses and limits of a node.

    Attributes:
        ae_title: The node's AE title; an association for another title is rejected.
        port: The port it listens on; 0 for any free port.
        host: The address it listens on; by default only this computer can reach it.
        archive: The archive for results; without one they stay in the spool.
        accept_from: The peers that may send films; everyone if empty.
        log_as_json: Write each line of the log as a JSON object.
        health_port: The port of /healthz, /readyz and /metrics over HTTP; 0 for any free port, None for none.
        limits: What a peer may send.
    """

    ae_title: str
    port: int
    host: str = "127.0.0.1"
    archive: Archive | None = None
    accept_from: tuple[Peer, ...] = ()
    log_as_json: bool = False
    health_port: int | None = None
    limits: NodeLimits = field(default_factory=NodeLimits)


class Node:
    """A running node.

    Args:
        classifier: The model.
        spool: The folder for waiting films and results.
        settings: Addresses and limits.
        console: Where the log goes. It never names a patient.

    Raises:
        ConfigError: The AE title is not valid.
        InputError: The node cannot listen at this address.
    """

    def __init__(
        self, classifier: Classifier, spool: Spool, settings: NodeSettings, console: Console | None = None
    ) -> None:
        self._classifier, self._spool = classifier, spool
        self._log = NodeLog((console or Console()).say, as_json=settings.log_as_json)
        self._came_by: OrderedDict[str, int | None] = OrderedDict()  # film -> association, for the log
        self._reading = threading.Lock()
        self._stopping, self._news = threading.Event(), threading.Event()
        title = checked_ae_title(settings.ae_title)
        self._sender = Sender(spool, settings.archive, title, self._log) if settings.archive else None
        self._judge = threading.Thread(target=self._judge_films, name="hilum-judge", daemon=True)
        self._ae = AE(ae_title=title)
        self._ae.require_called_aet = True
        self._ae.add_supported_context(Verification)
        for sop_class in FILM_CLASSES:
            self._ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        door = Door(Intake(spool, settings.limits, self._log), settings.accept_from)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._note_accepted),
            (evt.EVT_REJECTED, self._note_rejected),
            (evt.EVT_ABORTED, self._note_aborted),
        ]
        try:
            self._server = open_server(self._ae, (settings.host, settings.port), door, handlers)
        except OSError as error:
            raise InputError(
                f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}.",
                fix="Choose another --port or --host.",
            ) from error
        self.port: int = self._server.server_address[1]
        self.health: NodeHealth | None = None
        if settings.health_port is not None:
            try:
                self.health = NodeHealth(settings.host, settings.health_port, self._state)
            except InputError:
                self._server.end(0.0)
                raise
        self._judge.start()
        if self._sender:
            self._sender.start()

    def stop(self) -> None:
        """Accept no more films, finish the current work, and end. Waiting films and results stay in the spool."""
        self._stopping.set()
        self._news.set()
        with decoders_end_after(_GRACE_SECONDS):
            self._server.end(_GRACE_SECONDS)
            self._judge.join()
        if self._sender:
            self._sender.stop()
            self._sender.join()
        if self.health:
            self.health.stop()
        self._spool.close()

    def _state(self) -> NodeState:
        threads = [self._judge, *([self._sender] if self._sender else [])]
        return NodeState(
            all(thread.is_alive() for thread in threads),
            self._stopping.is_set(),
            self._log.counts,
            len(self._spool.waiting_films()),
            len(self._spool.waiting_results()),
        )

    # --- receiving --------------------------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> Dataset:
        """Keep a film and answer its C-STORE; never raises."""
        number, film = association_number(event.assoc), getattr(event.request, "DataSet", None)
        about = About(association=number)
        try:
            if self._stopping.is_set():
                return _answer(_OUT_OF_RESOURCES, "the node is shutting down")
            if not isinstance(film, IncomingFilm) or (film.arrival is None and film.failure is None):
                raise UndecodableFilm("The film `film` has no data set.")
            if film.failure is not None:
                raise film.failure
            self._keep(film, str(getattr(event.request, "AffectedSOPInstanceUID", "")), number)
        except HilumError as error:
            self._log.warning(f"A film was not accepted: {error.message}", about)
            self._log.count("not_accepted")
            return _answer(error.dicom_status, error.message)
        except OSError as error:
            reason = f"the spool cannot be written to ({error.strerror})"
            self._log.error(f"A film was not accepted: {reason}.", about)
            self._log.count("not_accepted")
            return _answer(_OUT_OF_RESOURCES, f"cannot store: {error.strerror}")
        except Exception as error:  # noqa: BLE001 - broken bytes may raise anything
            self._log.warning(f"A film was not accepted ({type(error).__name__}).", about)
            self._log.count("not_accepted")
            return _answer(_CANNOT_UNDERSTAND, type(error).__name__)
        finally:
            if isinstance(film, IncomingFilm):
                film.close()
        self._news.set()
        return _answer(_SUCCESS)

    def _keep(self, film: IncomingFilm, requested_uid: str, number: int | None) -> None:
        """Put a complete film into the spool."""
        arrival = film.arrival
        if arrival is None:
            return
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

    def _note_accepted(self, event: evt.Event) -> None:
        title = "".join(letter for letter in str(event.assoc.requestor.ae_title) if letter.isprintable())
        text = f"Opened by {title.strip()[:16]} at {event.assoc.requestor.address}."
        self._log.info(text, About(association_number(event.assoc)))

    def _note_rejected(self, event: evt.Event) -> None:
        text = f"Rejected an association from {event.assoc.requestor.address}: it calls another AE title."
        self._log.warning(text, About(association_number(event.assoc)))

    def _note_aborted(self, event: evt.Event) -> None:
        if not is_left(event.assoc):
            idle = event.assoc.dul.idle_timer_expired()
            text = "Aborted: the peer sent nothing for too long." if idle else "Aborted by the peer."
            self._log.info(text, About(association_number(event.assoc)))

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
            self._spool.keep_results(film, results)
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
        self._spool.quarantine(film, {"error": error.to_dict(), "model": dict(self._classifier.identity)})
        self._log.count("quarantined")
        self._log.warning(f"Moved to quarantine: {error.message}", self._about(film))
        self._came_by.pop(film.name, None)


def _refuse_foreign(film: Dataset, requested_uid: str) -> None:
    """Refuse films with missing identifiers, films that contradict their request, and hilum's own results."""
    refuse_unidentified(film)
    if str(film.SOPInstanceUID) != requested_uid:
        raise UnsupportedFilm("The film `film` has another SOP Instance UID than the request names.")
    if str(film.get("Manufacturer") or "") == MANUFACTURER:
        raise UnsupportedFilm("The film `film` is a result made by hilum.", fix="Send only films to this node.")


def _answer(status: int, comment: str = "") -> Dataset:
    """Return the answer to a C-STORE; the comment must not hold values of the film."""
    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment.encode("ascii", "replace").decode()[:64]
    return answer


def run_node(model: Path, settings: NodeSettings, *, spool: Path, console: Console) -> None:
    """Run a node until SIGTERM or Ctrl-C; the current work is finished first.

    Args:
        model: The model file.
        settings: Addresses and limits.
        spool: The folder for waiting films and results.
        console: Where the log goes.

    Raises:
        ConfigError, InputError: A setting is wrong, the address is taken, or another node works in the spool.
        ModelFileError: The model file cannot be used.
    """
    checked_ae_title(settings.ae_title)
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"The port must be a number from 0 to 65535; received {settings.port}.")
    classifier = Classifier(model)
    ended = threading.Event()
    log = NodeLog(console.say, as_json=settings.log_as_json)

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with libraries_kept_quiet(log):
            kept = Spool(spool, classifier.identity["sha256"])
            try:
                node = Node(classifier, kept, settings, console)
            except BaseException:
                kept.close()
                raise
            log.info(f"{settings.ae_title} listens on {settings.host}, port {node.port}. {_NOTICE}")
            if node.health:
                log.info(f"Health and metrics are on http://{settings.host}:{node.health.port}/metrics.")
            if settings.archive is None:
                log.info(f"No --send-to: results stay in {spool / 'outgoing'}.")
            if not settings.accept_from:
                log.info("No --accept-from: everyone who can reach the port may send films.")
            ended.wait()
            log.info("Shutting down: finishing the current work.")
            node.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
