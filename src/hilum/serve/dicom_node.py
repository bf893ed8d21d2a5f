"""The DICOM node: a Storage SCP that keeps films, judges them, and sends what it found to an archive.

A film is on the disk before its sender is told so; what comes after (judging, sending) goes on from the disk after any
end of the process. Three kinds of threads share the spool: one an association that keeps films, one that judges them,
one that sends results.

Source: DICOM PS3.4 annex B (Storage), B.2.3 (statuses); PS3.7 annex C.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
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
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.film.pool import DecodersStopped, decoders_end_after
from hilum.film.unpack import TRANSFER_SYNTAXES
from hilum.run.classifier import Classifier
from hilum.serve.origin import refuse_unidentified
from hilum.serve.results import film_results
from hilum.serve.sending import Archive, Sender, checked_ae_title
from hilum.serve.spool import Spool
from hilum.serve.structured_report import MANUFACTURER

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
_NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class NodeSettings:
    """How a node is reached and where it sends to.

    Attributes:
        ae_title: Its own title; an association that calls another is rejected.
        port: Where it listens; 0 for any free one.
        host: The address it listens on; this machine alone by default.
        archive: Where results go; they stay in the spool where it is None.
    """

    ae_title: str
    port: int
    host: str = "127.0.0.1"
    archive: Archive | None = None


class Node:
    """A running node.

    Args:
        classifier: The model.
        spool: Where films and results wait.
        settings: Titles and addresses.
        console: Where messages go; no word of them is about a patient.

    Raises:
        ConfigError: The title is none.
        InputError: Nobody can listen at this address.
    """

    def __init__(
        self, classifier: Classifier, spool: Spool, settings: NodeSettings, console: Console | None = None
    ) -> None:
        self._classifier, self._spool = classifier, spool
        self._say: Callable[[str], None] = (console or Console()).say
        self._stopping, self._news = threading.Event(), threading.Event()
        title = checked_ae_title(settings.ae_title)
        self._sender = Sender(spool, settings.archive, title, self._say) if settings.archive else None
        self._judge = threading.Thread(target=self._judge_films, name="hilum-judge", daemon=True)
        self._ae = AE(ae_title=title)
        self._ae.require_called_aet = True
        self._ae.add_supported_context(Verification)
        for sop_class in FILM_CLASSES:
            self._ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        try:
            server = self._ae.start_server(
                (settings.host, settings.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
            )
        except OSError as error:
            raise InputError(
                f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}.",
                fix="Choose another --port or --host.",
            ) from error
        if server is None:
            raise InputError(f"Cannot listen on {settings.host}, port {settings.port}.")
        self._server = server
        self.port: int = server.server_address[1]
        self._judge.start()
        if self._sender:
            self._sender.start()

    def stop(self) -> None:
        """Take no more films, finish what is under way, and end; what waits stays in the spool."""
        self._stopping.set()
        self._news.set()
        with decoders_end_after(_GRACE_SECONDS):
            self._server.shutdown()
            for association in self._ae.active_associations:
                association.join(_GRACE_SECONDS)
                if association.is_alive():
                    association.abort()
            self._judge.join()
        if self._sender:
            self._sender.stop()
            self._sender.join()
        self._spool.close()

    # --- receiving --------------------------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> Dataset:
        """Keep a film and answer its C-STORE; never raises."""
        try:
            if self._stopping.is_set():
                return _answer(_OUT_OF_RESOURCES, "the node is ending")
            data = event.encoded_dataset()
            with pydicom_kept_quiet():
                film = read_elements(data)
                _refuse_foreign(film, str(getattr(event.request, "AffectedSOPInstanceUID", "")))
                uid = str(film.SOPInstanceUID)
            self._spool.keep_film(data, uid)
        except HilumError as error:
            self._say(f"A film was not taken: {error.message}")
            return _answer(error.dicom_status, error.message)
        except OSError as error:
            self._say(f"A film was not taken: the spool cannot be written to ({error.strerror}).")
            return _answer(_OUT_OF_RESOURCES, f"cannot store: {error.strerror}")
        except Exception as error:  # noqa: BLE001 - whatever broken bytes bring about
            self._say(f"A film was not taken ({type(error).__name__}).")
            return _answer(_CANNOT_UNDERSTAND, type(error).__name__)
        self._news.set()
        return _answer(_SUCCESS)

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
                self._say(f"The spool cannot be used ({reason}); films wait and will be judged later.")
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
        self._say(f"Judged {film.stem[:12]}.")
        if self._sender:
            self._sender.wake()

    def _set_aside(self, film: Path, error: HilumError) -> None:
        self._spool.quarantine(film, {"error": error.to_dict(), "model": dict(self._classifier.identity)})
        self._say(f"Set aside {film.stem[:12]}: {error.message}")


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

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        kept = Spool(spool, classifier.identity["sha256"])
        try:
            node = Node(classifier, kept, settings, console)
        except BaseException:
            kept.close()
            raise
        console.say(f"{settings.ae_title} listens on {settings.host}, port {node.port}. {_NOTICE}")
        if settings.archive is None:
            console.say(f"No --send-to: results stay in {spool / 'outgoing'}.")
        ended.wait()
        console.say("Ending: finishing what is under way.")
        node.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


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
