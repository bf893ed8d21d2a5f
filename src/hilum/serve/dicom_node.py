"""The DICOM node: a Storage SCP that receives films and sends results to an archive.

The node confirms a film only when it is on the disk. Each association has a thread that receives its films;
film_node.py judges them. The limits of associations and messages are in door.py and incoming.py.

Source: DICOM PS3.4 annex B (Storage), B.2.3 (statuses); PS3.7 annex C.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
from hilum.errors import ConfigError, HilumError, InputError, UndecodableFilm
from hilum.film.unpack import TRANSFER_SYNTAXES
from hilum.run.classifier import Classifier
from hilum.serve.door import Door, open_server
from hilum.serve.film_node import FilmNode, run_until_ended
from hilum.serve.incoming import IncomingFilm, Intake, association_number, is_left
from hilum.serve.limits import NodeLimits
from hilum.serve.log import About, NodeLog
from hilum.serve.peers import Archive, Peer, checked_ae_title
from hilum.serve.sending import Sender
from hilum.serve.spool import Spool
from hilum.version import NOTICE

__all__ = ["FILM_CLASSES", "Node", "NodeSettings", "run_node"]

FILM_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,  # film scanners send these; hilum's own captures are refused
)
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000


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
        report_refused: Also send a report of a film that cannot be judged.
        health_port: The port of /healthz, /readyz and /metrics over HTTP; 0 for any free port, None for none.
        limits: What a peer may send.
    """

    ae_title: str
    port: int
    host: str = "127.0.0.1"
    archive: Archive | None = None
    accept_from: tuple[Peer, ...] = ()
    log_as_json: bool = False
    report_refused: bool = False
    health_port: int | None = None
    limits: NodeLimits = field(default_factory=NodeLimits)


class Node(FilmNode):
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
        log = NodeLog((console or Console()).say, as_json=settings.log_as_json)
        title = checked_ae_title(settings.ae_title)
        sender = Sender(spool, settings.archive, title, log) if settings.archive else None
        super().__init__(classifier, spool, log, sender, report_refused=settings.report_refused)
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
        try:
            self._start(settings.host, settings.health_port)
        except InputError:
            self._server.end(0.0)
            raise

    def _end_door(self, seconds: float) -> None:
        self._server.end(seconds)

    # --- receiving --------------------------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> Dataset:
        """Keep a film and answer its C-STORE; never raises."""
        number, film = association_number(event.assoc), getattr(event.request, "DataSet", None)
        about = About(association=number)
        try:
            if self._stopping.is_set():
                return _answer(_OUT_OF_RESOURCES, "the node is shutting down")
            if isinstance(film, IncomingFilm) and film.failure is not None:
                raise film.failure
            if not isinstance(film, IncomingFilm) or film.arrival is None:
                raise UndecodableFilm("The film `film` has no data set.")
            self._take(film.arrival, str(getattr(event.request, "AffectedSOPInstanceUID", "")), number)
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

    def make(classifier: Classifier, kept: Spool) -> tuple[FilmNode, list[str]]:
        node = Node(classifier, kept, settings, console)
        lines = [f"{settings.ae_title} listens on {settings.host}, port {node.port}. {NOTICE}"]
        if node.health:
            lines.append(f"Health and metrics are on http://{settings.host}:{node.health.port}/metrics.")
        if settings.archive is None:
            lines.append(f"No --send-to: results stay in {spool / 'outgoing'}.")
        if not settings.accept_from:
            lines.append("No --accept-from: everyone who can reach the port may send films.")
        return node, lines

    run_until_ended(model, spool, NodeLog(console.say, as_json=settings.log_as_json), make)
