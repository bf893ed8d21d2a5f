"""The node over DICOMweb: what it fetches, what it says of an archive that fails, and a real archive at its end."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest

from hilum.run.classifier import Classifier
from hilum.serve import dicomweb, sending, web_archive
from hilum.serve.dicomweb import WebNode
from hilum.serve.spool import Spool
from hilum.serve.web_archive import Login, WebSettings

from .nodes import Heard

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WriteDicom = Callable[..., Path]
Until = Callable[..., Any]


# --- an archive that answers as it is told --------------------------------------------------------------------------


class FakeArchive:
    """Holds films as files; `failures` maps the start of a path to statuses that it answers first, in order."""

    def __init__(self, *films: Path) -> None:
        self.films = {str(pydicom.dcmread(film).SOPInstanceUID): film.read_bytes() for film in films}
        self.failures: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.logins: set[str | None] = set()
        self.stored: list[str] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.answer(self)

            def do_POST(self) -> None:
                archive.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        kind = self._kind(request)
        self.asked.append(kind)
        self.logins.add(request.headers["Authorization"])
        length = int(request.headers["Content-Length"] or 0)
        body = request.rfile.read(length) if length else b""
        if self.failures.get(kind):
            self._send(request, self.failures[kind].pop(0), b"", "text/html")
            return
        if kind == "store":
            head = body.index(b"\r\n\r\n") + 4
            stored = pydicom.dcmread(io.BytesIO(body[head:]), stop_before_pixels=True)
            self.stored.append(str(stored.SOPInstanceUID))
            self._send(request, 200, b"{}", "application/dicom+json")
        elif kind == "film":
            film = self.films[request.path.rsplit("/", 1)[1]]
            body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + film + b"\r\n--x--"
            self._send(request, 200, body, 'multipart/related; type="application/dicom"; boundary=x')
        else:
            tag = "0020000D" if kind == "studies" else "00080018"
            uids = ["1.2.3"] if kind == "studies" else list(self.films)
            is_first = "offset=0" in request.path and "=DX" not in request.path
            found = [_match(tag, uid) for uid in uids] if is_first else []
            self._send(request, 200, json.dumps(found).encode(), "application/dicom+json")

    @staticmethod
    def _kind(request: BaseHTTPRequestHandler) -> str:
        path = request.path.partition("?")[0]
        if request.command == "POST":
            return "store"
        return path.rsplit("/", 1)[1] if path.endswith(("/studies", "/instances")) else "film"

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def _match(tag: str, uid: str) -> dict[str, Any]:
    found = {tag: {"vr": "UI", "Value": [uid]}, "0020000E": {"vr": "UI", "Value": ["1.2.4"]}}
    return found | {"00080060": {"vr": "CS", "Value": ["SR" if uid.endswith(".999") else "CR"]}}


class Running:
    """A node over DICOMweb in this process, and what it said."""

    def __init__(self, model: Path, folder: Path, url: str, **words: Any) -> None:
        classifier = Classifier(model)
        self.heard = Heard()
        self.spool = Spool(folder, classifier.identity["sha256"])
        self.node = WebNode(classifier, self.spool, WebSettings(url, every_seconds=0.1, **words), self.heard)

    def has_sent(self, number: int) -> bool:
        return len(list((self.spool.folder / "sent").iterdir())) >= number

    def says(self, text: str) -> bool:
        return any(text in line for line in self.heard.lines)


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Start a node over DICOMweb; it is stopped at the end."""
    monkeypatch.setattr(dicomweb, "_FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(sending, "_FIRST_PAUSE_SECONDS", 0.05)
    made: list[Running] = []

    def start(url: str, **words: Any) -> Running:
        made.append(Running(tiny_model, tmp_path / "spool", url, **words))
        return made[-1]

    yield start
    for one in made:
        one.node.stop()


@pytest.fixture
def archive(tmp_path: Path, write_dicom: WriteDicom) -> Iterator[FakeArchive]:
    """An archive with two films."""
    made = FakeArchive(
        *(write_dicom(tmp_path / f"{seed}.dcm", seed=seed, SOPInstanceUID=f"1.2.{seed}") for seed in (1, 2))
    )
    yield made
    made.stop()


def test_films_are_fetched_once_and_results_are_stored_once(
    archive: FakeArchive, run: Callable[..., Running], until: Until
) -> None:
    running = run(archive.url, login=Login(token="word"))
    until(lambda: running.has_sent(2))
    num_asked = len(archive.asked)
    until(lambda: len(archive.asked) > num_asked + 6)
    assert archive.asked.count("film") == 2
    assert len(set(archive.stored)) == len(archive.stored) == 4
    assert archive.logins == {"Bearer word"}
    assert not running.says("1.2.1")


def test_own_results_and_other_objects_are_not_judged(
    archive: FakeArchive, run: Callable[..., Running], until: Until, tmp_path: Path, write_dicom: WriteDicom
) -> None:
    own = write_dicom(tmp_path / "own.dcm", SOPInstanceUID="1.2.7", Manufacturer="hilum")
    archive.films |= {"1.2.999": b"no film", "1.2.7": own.read_bytes()}
    running = run(archive.url)
    until(lambda: running.has_sent(2) and running.says("is a result made by hilum"))
    num_asked = len(archive.asked)
    until(lambda: len(archive.asked) > num_asked + 6)
    assert archive.asked.count("film") == 3
    assert len(archive.stored) == 4


@pytest.mark.parametrize("kind", ["studies", "instances", "film", "store"])
@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_an_archive_that_fails_is_asked_again(
    archive: FakeArchive, run: Callable[..., Running], until: Until, kind: str, status: int
) -> None:
    archive.failures[kind] = [status] * 2
    running = run(archive.url)
    until(lambda: running.has_sent(2))
    assert running.says(f"status {status}")
    assert sorted(set(archive.stored)) == sorted(archive.stored)


def test_an_archive_that_is_away_is_waited_for(run: Callable[..., Running], until: Until) -> None:
    running = run("http://127.0.0.1:9")
    until(lambda: len(running.heard.lines) >= 3)
    assert "No films can be fetched: no connection. The next try is in 0.05 s." in running.heard.lines[0]
    assert "The next try is in 0.2 s." in running.heard.lines[2]


def test_an_archive_that_does_not_answer_is_left(
    archive: FakeArchive, run: Callable[..., Running], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_archive, "_ANSWER_SECONDS", 0.2)
    answer, hold = archive.answer, threading.Event()
    monkeypatch.setattr(archive, "answer", lambda request: hold.wait(30) and answer(request))
    running = run(archive.url)
    until(lambda: running.says("no answer in time"))
    hold.set()
    until(lambda: running.has_sent(1))


# --- a real archive -------------------------------------------------------------------------------------------------


def test_a_real_archive_gets_everything_once_though_the_node_is_killed(
    make_orthanc: Callable[..., Any], tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, until: Until
) -> None:
    if not PLUGIN.exists():
        pytest.skip("the DICOMweb plug-in is not installed (Debian: apt-get install orthanc-dicomweb)")
    orthanc = make_orthanc(Plugins=[str(PLUGIN)])
    films = [write_dicom(tmp_path / f"{seed}.dcm", seed=seed) for seed in range(6)]
    url = f"http://127.0.0.1:{orthanc.http_port}"
    words = ["--dicomweb", f"{url}/dicom-web", "--every", "1", "--days", "0", "--spool", str(tmp_path / "spool")]
    command = [sys.executable, "-m", "hilum", "node", "--model", str(tiny_model), *words]
    for film in films:
        node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert node.stderr is not None
        assert "are looked for every 1 s" in node.stderr.readline()
        urllib.request.urlopen(f"{url}/instances", data=film.read_bytes(), timeout=30).close()
        node.stderr.readline()
        node.kill()
        node.communicate()
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    sent = tmp_path / "spool" / "sent"
    until(lambda: len(list(sent.iterdir())) == len(films))
    node.send_signal(signal.SIGTERM)
    assert "Traceback" not in node.communicate(timeout=60)[1]
    assert node.returncode == 0
    for film in films:
        objects = orthanc.objects(str(pydicom.dcmread(film).StudyInstanceUID))
        assert sorted(one.Modality for one in objects) == ["CR", "OT", "SR"]
