"""The node over DICOMweb: asks an archive for new films, judges them, and stores the results there.

QIDO-RS finds films, WADO-RS fetches them, STOW-RS stores the results. Films lie in the same spool as those of the DICOM
node, and are judged in the same way. A film is noted as seen when it is on the disk, so after a crash it is at worst
fetched again, and the same bytes are the same film.

Source: DICOM PS3.18, 10.4 (retrieve), 10.5 (store), 10.6 (search).
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import requests
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from hilum.console import Console
from hilum.errors import HilumError
from hilum.film.dicom import pydicom_kept_quiet
from hilum.run.classifier import Classifier
from hilum.serve.dicom_node import FILM_CLASSES
from hilum.serve.film_node import FilmNode, run_until_ended
from hilum.serve.log import About, NodeLog
from hilum.serve.sending import ALREADY_THERE, ResultSender
from hilum.serve.spool import Spool
from hilum.serve.web_archive import WebSettings, archive_client, is_of_one_film, what_failed
from hilum.version import NOTICE

__all__ = ["WebNode", "WebSender", "run_web_node"]

_MODALITIES = ("CR", "DX")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 600.0
_MOST_WAITING = 32  # films in the spool; more are fetched when these are judged
_PAGE = 200
_LOOK_AGAIN_SECONDS = 3600.0  # for a study whose number of objects has not changed


class WebSender(ResultSender):
    """Sends results by STOW-RS.

    Args:
        spool: The spool with the results.
        settings: The archive.
        log: The node's log.
    """

    def __init__(self, spool: Spool, settings: WebSettings, log: NodeLog) -> None:
        super().__init__(spool, "The archive", log)
        self._client = archive_client(settings)
        self._reached = True

    def _connected(self) -> AbstractContextManager[None]:
        self._reached = True
        return nullcontext()

    def _is_connected(self) -> bool:
        return self._reached

    def _store(self, path: Path) -> str | None:
        with pydicom_kept_quiet():
            try:
                answer: Dataset = self._client.store_instances([dcmread(path)])
            except (requests.RequestException, ValueError, KeyError) as error:
                response = getattr(error, "response", None)
                reason = _failure_reason(_as_dataset(response)) if response is not None else None
                if reason == ALREADY_THERE:
                    return None
                if not is_of_one_film(error):
                    self._reached = False
                    self._log.warning(f"A result was not stored: {what_failed(error)}. It waits and is tried again.")
                return what_failed(error) if reason is None else f"status 0x{reason:04X}"
            reason = _failure_reason(answer)
        return None if reason in {None, ALREADY_THERE} else f"status 0x{reason:04X}"


def _as_dataset(response: requests.Response) -> Dataset:
    try:
        return Dataset.from_json(json.loads(response.content))
    except Exception:  # noqa: BLE001 - an error page may be anything
        return Dataset()


def _failure_reason(answer: Dataset) -> int | None:
    """Return why a stored object failed; None if the answer names no failure."""
    failed = answer.get("FailedSOPSequence")
    return int(failed[0].get("FailureReason") or 0x0110) if failed else None


class WebNode(FilmNode):
    """A running node over DICOMweb.

    Args:
        classifier: The model.
        spool: The folder for waiting films and results.
        settings: The archive.
        console: Where the log goes. It never names a patient.

    Raises:
        InputError: The address for health requests is taken.
    """

    def __init__(
        self, classifier: Classifier, spool: Spool, settings: WebSettings, console: Console | None = None
    ) -> None:
        log = NodeLog((console or Console()).say, as_json=settings.log_as_json)
        sender = WebSender(spool, settings, log)
        super().__init__(classifier, spool, log, sender, report_refused=settings.report_refused)
        self._settings, self._client = settings, archive_client(settings)
        self._looked_at: dict[str, tuple[int, float]] = {}  # study -> number of its objects, when
        self._failed: dict[str, tuple[float, float]] = {}  # film -> (not before, pause)
        self._poller = threading.Thread(target=self._poll, name="hilum-poller", daemon=True)
        self._start(settings.host, settings.health_port)
        self._poller.start()

    def _end_door(self, seconds: float) -> None:
        self._poller.join(seconds)

    def _door_is_alive(self) -> bool:
        return self._poller.is_alive()

    def _poll(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - whatever the archive answers, the thread must continue
                what = what_failed(error)
                self._log.warning(f"No films can be fetched: {what}. The next try is in {pause:g} s.")
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                pause = _FIRST_PAUSE_SECONDS
                self._stopping.wait(self._settings.every_seconds)

    def _look(self) -> None:
        """Fetch all new films."""
        studies: dict[str, int] = {}
        for modality in _MODALITIES:
            filters = {"ModalitiesInStudy": modality}
            if self._settings.days:
                filters["StudyDate"] = f"{date.today() - timedelta(days=self._settings.days):%Y%m%d}-"
            for match in self._pages("0020000D", search_filters=filters, fields=["00201208"]):
                studies[_text(match, "0020000D")] = int(_text(match, "00201208") or 0)
        self._looked_at = {study: seen for study, seen in self._looked_at.items() if study in studies}
        for study, num_objects in studies.items():
            num_before, looked = self._looked_at.get(study, (0, 0.0))
            if num_objects and num_objects == num_before and time.monotonic() - looked < _LOOK_AGAIN_SECONDS:
                continue
            if self._look_into(study):
                self._looked_at[study] = num_objects, time.monotonic()
            if self._stopping.is_set():
                return

    def _look_into(self, study: str) -> bool:
        """Fetch the new films of a study; return whether nothing in it is left to do."""
        is_done = True
        for film in self._pages("00080018", study_instance_uid=study, fields=["00080060", "0020000E"]):
            uid = _text(film, "00080018")
            if not uid or not _may_be_film(film) or self._spool.is_seen(uid):
                continue
            while len(self._spool.waiting_films()) >= _MOST_WAITING and not self._stopping.is_set():
                self._stopping.wait(0.2)
            if self._stopping.is_set():
                return False
            if self._failed.get(uid, (0.0, 0.0))[0] > time.monotonic() or not self._fetch(study, film):
                is_done = False
        return is_done

    def _fetch(self, study: str, film: Mapping[str, Any]) -> bool:
        """Fetch a film into the spool; return False if it must be tried again."""
        uid = _text(film, "00080018")
        about = About(None, self._spool.number(study, 8), self._spool.number(uid, 12))
        try:
            with pydicom_kept_quiet():
                found = self._client.retrieve_instance(study, _text(film, "0020000E"), uid)
                self._keep(found, uid)
        except HilumError as error:
            self._log.warning(f"A film was not accepted: {error.message}", about)
            self._log.count("not_accepted")
        except Exception as error:
            pause = self._failed.get(uid, (0.0, self._settings.every_seconds / 2))[1]
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self._failed[uid] = time.monotonic() + pause, pause  # the next round begins with the other films
            if not is_of_one_film(error):
                raise
            text = f"A film cannot be fetched: {what_failed(error)}. The next try is in {pause:g} s."
            self._log.warning(text, about)
            return False
        self._failed.pop(uid, None)
        self._news.set()
        if not self._spool.is_seen(uid):
            self._spool.note_seen(uid)
        return True

    def _keep(self, film: Dataset, uid: str) -> None:
        """Write a film into the spool."""
        written = io.BytesIO()
        dcmwrite(written, film)
        arrival = self._spool.receive()
        try:
            arrival.write_file(written.getvalue())
            self._take(arrival, uid)
        finally:
            arrival.discard()

    def _pages(self, key: str, *, fields: Sequence[str], **words: Any) -> Iterator[Mapping[str, Any]]:
        """Search, and yield every match once, whatever length the archive's pages have."""
        search = self._client.search_for_instances if key == "00080018" else self._client.search_for_studies
        seen: set[str] = set()
        offset = 0
        while True:
            page = search(fields=list(fields), limit=_PAGE, offset=offset, **words)
            new = [one for one in page if _text(one, key) not in seen]
            if not new:
                return
            seen.update(_text(one, key) for one in new)
            offset += len(page)
            yield from new


def _text(match: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element of a match; "" if it has none."""
    values = match.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _may_be_film(match: Mapping[str, Any]) -> bool:
    """Return whether a match is a radiograph, as far as it says; hilum's own results are not."""
    modality, sop_class = _text(match, "00080060"), _text(match, "00080016")
    return modality in {"", *_MODALITIES} and sop_class in {"", *FILM_CLASSES}


def run_web_node(model: Path, settings: WebSettings, *, spool: Path, console: Console) -> None:
    """Run a node over DICOMweb until SIGTERM or Ctrl-C; the current work is finished first.

    Args:
        model: The model file.
        settings: The archive.
        spool: The folder for waiting films and results.
        console: Where the log goes.

    Raises:
        InputError: Another node works in the spool, or the address for health requests is taken.
        ModelFileError: The model file cannot be used.
    """

    def make(classifier: Classifier, kept: Spool) -> tuple[FilmNode, list[str]]:
        node = WebNode(classifier, kept, settings, console)
        lines = [f"Films of {settings.url} are looked for every {settings.every_seconds:g} s. {NOTICE}"]
        if node.health:
            lines.append(f"Health and metrics are on http://{settings.host}:{node.health.port}/metrics.")
        if settings.login and settings.url.startswith("http:"):
            lines.append("The URL is not https: the login goes over the network unencrypted.")
        return node, lines

    run_until_ended(model, spool, NodeLog(console.say, as_json=settings.log_as_json), make)
