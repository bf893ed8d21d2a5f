"""The DICOM node: a Storage SCP that keeps films, judges them, and sends what it found to an archive.

A film is on the disk before its sender is told so; what comes after (judging, sending) goes on from the disk after any
end of the process. Three kinds of threads share the spool: one an association that keeps films, one that judges them,
one that sends results. door.py and incoming.py hold the bounds of
associations and messages.

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
    SecondaryCaptureImageStorage,  # film scanners send these; hilum's own are told apart
)
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_MOST_ATTEMPTS = 30  # by then it is the film that ends the process, and not somebody who restarts it
_DISK_PAUSE_SECONDS = 5.0
_GRACE_SECONDS = 20.0
_MOST_REMEMBERED = 10_000
_NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class NodeSettings:
    """How a node is reached and where it sends to.

    Attributes:
        ae_title: Its own title; an association that calls another is rejected.
        port: Where it listens; 0 for any free one.
        host: The address it listens on; this machine alone by default.
        archive: Where results go; they stay in the spool where it is None.
        accept_from: Who may send films; everybody who reaches the port where it is empty.
        log_as_json: One JSON object a line of the log, for programs.
        limits: What a peer may send.
    """

    ae_title: str
    port: int
    host: str = "127.0.0.1"
    archive: Archive | None = None
    accept_from: tuple[Peer, ...] = ()
    log_as_json: bool = False
    limits: NodeLimits = field(default_factory=NodeLimits)


class Node:
    """A running node.

    Args:
        classifier: The model.
        spool: Where films and results wait.
        settings: Titles and addresses.
        console: Where the log goes; no word of it is about a patient.

    Raises:
        ConfigError: The title is none.
        InputError: Nobody can listen at this address.
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
        self._judge.start()
        if self._sender:
            self._sender.start()

    def stop(self) -> None:
        """Take no more films, finish what is under way, and end; what waits stays in the spool."""
        self._stopping.set()
        self._news.set()
        with decoders_end_after(_GRACE_SECONDS):
            self._server.end(_GRACE_SECONDS)
            self._judge.join()
        if self._sender:
            self._sender.stop()
            self._sender.join()
        self._spool.close()

    # --- receiving --------------------------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> Dataset:
        """Keep a film and answer its C-STORE; never raises."""
        number, film = association_number(event.assoc), getattr(event.request, "DataSet", None)
        about = About(association=number)
        try:
            if self._stopping.is_set():
                return _answer(_OUT_OF_RESOURCES, "the node is ending")
            if not isinstance(film, IncomingFilm) or (film.arrival is None and film.failure is None):
                raise UndecodableFilm("The film `film` has no data set.")
            if film.failure is not None:
                raise film.failure
            self._keep(film, str(getattr(event.request, "AffectedSOPInstanceUID", "")), number)
        except HilumError as error:
            self._log.warning(f"A film was not taken: {error.message}", about)
            return _answer(error.dicom_status, error.message)
        except OSError as error:
            reason = f"the spool cannot be written to ({error.strerror})"
            self._log.error(f"A film was not taken: {reason}.", about)
            return _answer(_OUT_OF_RESOURCES, f"cannot store: {error.strerror}")
        except Exception as error:  # noqa: BLE001 - whatever broken bytes bring about
            self._log.warning(f"A film was not taken ({type(error).__name__}).", about)
            return _answer(_CANNOT_UNDERSTAND, type(error).__name__)
        finally:
            if isinstance(film, IncomingFilm):
                film.close()
        self._news.set()
        return _answer(_SUCCESS)

    def _keep(self, film: IncomingFilm, requested_uid: str, number: int | None) -> None:
        """Put a film that came in whole into the spool."""
        arrival = film.arrival
        if arrival is None:
            return
        arrival.flush()
        with self._reading, pydicom_kept_quiet():  # one at a time: a film is 256 MB at most
            elements = read_elements(read_bytes(arrival.path))
            _refuse_foreign(elements, requested_uid)
            sop_uid, study_uid = str(elements.SOPInstanceUID), str(elements.StudyInstanceUID)
        kept = self._spool.keep(arrival, sop_uid, study_uid)
        if kept is None:
            study, name = self._spool.number(study_uid, 8), self._spool.number(sop_uid, 12)
            self._log.info("Taken; it was judged before.", About(number, study, name))
            return
        self._remember(kept, number)
        about = self._about(kept)
        if self._spool.is_another_content(kept):
            text = "Taken: another content under an identifier that came before. It is judged by itself."
            self._log.warning(text, about)
        else:
            self._log.info(f"Taken, {arrival.num_bytes:,} bytes.", about)

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
            text = "Aborted: nothing came for too long." if idle else "Aborted by the peer."
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
            except Exception as error:  # noqa: BLE001 - a full disk above all; the thread goes on
                reason = getattr(error, "strerror", None) or type(error).__name__
                self._log.error(f"The spool cannot be used ({reason}); films wait and will be judged later.")
                self._stopping.wait(_DISK_PAUSE_SECONDS)
            else:
                self._news.wait()

    def _judge_one(self, film: Path) -> None:
        """Judge a film, or set it aside with the reason; OSError where the spool cannot be written to."""
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
        except DecodersStopped:  # it stays where it is, and is judged by the next process
            return
        except Exception as error:  # noqa: BLE001 - a film that no test foresaw must not hold up the others
            self._set_aside(film, UndecodableFilm(f"The film cannot be judged ({type(error).__name__})."))
            return
        finally:
            self._spool.end(film)
        self._spool.drop_film(film)
        self._log.info("Judged.", self._about(film))
        self._came_by.pop(film.name, None)
        if self._sender:
            self._sender.wake()

    def _set_aside(self, film: Path, error: HilumError) -> None:
        self._spool.quarantine(film, {"error": error.to_dict(), "model": dict(self._classifier.identity)})
        self._log.warning(f"Set aside: {error.message}", self._about(film))
        self._came_by.pop(film.name, None)


def _refuse_foreign(film: Dataset, requested_uid: str) -> None:
    """Refuse what cannot be filed, what contradicts its request, and hilum's own results."""
    refuse_unidentified(film)
    if str(film.SOPInstanceUID) != requested_uid:
        raise UnsupportedFilm("The film `film` has another SOP Instance UID than the request names.")
    if str(film.get("Manufacturer") or "") == MANUFACTURER:
        raise UnsupportedFilm("The film `film` is a result of hilum's own.", fix="Send only films to this node.")


def _answer(status: int, comment: str = "") -> Dataset:
    """Return the answer to a C-STORE; the comment holds no word of the film's own."""
    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment.encode("ascii", "replace").decode()[:64]
    return answer


# The process behind `hilum node`: it runs a node until it is told to end.


def run_node(model: Path, settings: NodeSettings, *, spool: Path, console: Console) -> None:
    """Run a node until SIGTERM or Ctrl-C; what is under way is finished first.

    Args:
        model: The model file.
        settings: Titles and addresses.
        spool: The folder in which films and results wait.
        console: Where messages go.

    Raises:
        ConfigError, InputError: A setting is wrong, the address is taken, or another node works in the spool.
        ModelFileError: The model file cannot be used.
    """
    checked_ae_title(settings.ae_title)
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"{settings.port} is no port; expected 0 to 65535.")
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
            if settings.archive is None:
                log.info(f"No --send-to: results stay in {spool / 'outgoing'}.")
            if not settings.accept_from:
                log.info("No --accept-from: whoever reaches the port may send films.")
            ended.wait()
            log.info("Ending: finishing what is under way.")
            node.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
