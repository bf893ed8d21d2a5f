"""The client gives the answers of the classifier, and waits for a server that is busy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
from PIL import Image

import hilum
from hilum.errors import ConfigError, InputError, UndecodableFilm
from hilum.run.answer import UnreadFilm
from hilum.serve.httperror import HttpError

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def url(tiny_model: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "hilum", "serve", "--model", str(tiny_model), "--port", "0", "--token", TOKEN]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    found = None
    while found is None:
        line = process.stderr.readline()
        assert line, "the server did not start"
        found = re.search(r"on (http://\S+)\n", line)
    yield found[1]
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def films(tmp_path: Path, write_film: Callable[..., Path]) -> list[Path]:
    paths = [write_film(tmp_path / f"{number}.png", seed=number, size_px=90 + number) for number in range(3)]
    (tmp_path / 'ä "notes".png').write_text("no film", encoding="utf-8")
    return [*paths, write_film(tmp_path / "small.png", size_px=40), tmp_path / 'ä "notes".png', tmp_path / "gone.png"]


def test_the_answers_are_those_of_the_classifier(url: str, films: list[Path], tiny_model: Path) -> None:
    client, model = hilum.Client(url, TOKEN), hilum.load(tiny_model)
    for given in (films, films[0].parent):
        for ours, theirs in zip(client.predict(given), model.predict(given), strict=True):
            if isinstance(theirs, UnreadFilm):
                assert (ours.file, type(ours.error)) == (theirs.file, type(theirs.error))
            else:
                assert ours.to_dict() == {**theirs.to_dict(), "probabilities": pytest.approx(theirs.probabilities)}
    assert client.predict(iter(films * 3))[7].to_dict() == client.predict(films[1]).to_dict()  # two requests
    one = client.predict(str(films[0]))
    assert one.probabilities == pytest.approx(model.predict(films[0]).probabilities)
    assert one.finding in one._repr_html_()


def test_one_film_may_have_any_form(url: str, films: list[Path]) -> None:
    client = hilum.Client(f"{url}/", TOKEN)
    expected = client.predict(films[0]).probabilities
    pixels = cv2.imread(str(films[0]), cv2.IMREAD_UNCHANGED)
    for form in (films[0].read_bytes(), pixels, Image.open(films[0])):
        assert client.predict(form).probabilities == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="uint8 or uint16"):
        client.predict(pixels / 255)


def test_a_film_that_cannot_be_read_is_an_error_alone_and_an_entry_among_others(url: str, films: list[Path]) -> None:
    client = hilum.Client(url, TOKEN)
    with pytest.raises(UndecodableFilm, match="notes"):
        client.predict(films[4])
    with pytest.raises(UndecodableFilm, match="gone"):
        client.predict(films[5])
    assert [isinstance(one, UnreadFilm) for one in client.predict(films[3:])] == [False, True, True]
    with pytest.raises(HttpError, match="token") as caught:
        hilum.Client(url, "wrong-wrong-wrong-wrong").predict(films[0])
    assert caught.value.kind == "Unauthorized"


def test_an_address_that_is_none_is_said() -> None:
    for wrong in ("file:///etc/passwd", "127.0.0.1:8000", "http://"):
        with pytest.raises(ConfigError, match="not the address"):
            hilum.Client(wrong)
    with pytest.raises(InputError, match="cannot be reached"):
        hilum.Client("http://127.0.0.1:1").predict(b"film")


# --- a server that is made up ---------------------------------------------------------------------------------------


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[str, list[bytes]]]]:
    """Start a server that answers with these statuses in turn; a 200 has one answer for each film."""
    servers = []

    def start(*statuses: int) -> tuple[str, list[bytes]]:
        left, bodies = list(statuses), []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                bodies.append(body)
                status = left.pop(0)
                said: dict[str, Any] = {"error": {"type": f"Made{status}", "message": "Made up.", "fix": ""}}
                if status == 200:
                    error = {"type": "UndecodableFilm", "message": "Made up.", "fix": ""}
                    said = {"predictions": [{"file": "film", "error": error}] * body.count(b'name="files"')}
                if status != 0:
                    content = json.dumps(said).encode() if status != 502 else b"<html>"
                    self.send_response(status)
                    self.send_header("Retry-After", "7")
                    self.send_header("Location", "http://127.0.0.1:1/")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", bodies

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_busy_server_is_asked_again_when_it_says(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("hilum.api.client.time.sleep", waits.append)
    url, bodies = scripted(503, 503, 0, 200)  # 0: it hangs up
    assert len(hilum.Client(url).predict([b"one", b"two"])) == 2
    assert waits == [7, 7, 2]
    assert len(set(bodies)) == 1
    url, bodies = scripted(503)
    with pytest.raises(HttpError) as caught:
        hilum.Client(url, patience_seconds=5).predict(b"one")
    assert (caught.value.kind, caught.value.status, len(bodies)) == ("Made503", 503, 1)


def test_a_request_that_is_too_large_is_halved(scripted: Any) -> None:
    url, bodies = scripted(413, 413, 200)  # of three films the first is too large alone
    answers = hilum.Client(url).predict([b"first", b"second", b"third"])
    assert [one.error.to_dict()["type"] for one in answers] == ["Made413", *["UndecodableFilm"] * 2]
    assert [body.count(b"filename*") for body in bodies] == [3, 1, 2]


@pytest.mark.parametrize(("status", "kind"), [(302, "Made302"), (502, "NotHilum")])
def test_a_redirect_is_not_followed_and_a_page_of_a_proxy_is_an_error(scripted: Any, status: int, kind: str) -> None:
    url, bodies = scripted(status)
    with pytest.raises(HttpError) as caught:
        hilum.Client(url, TOKEN).predict(b"film")
    assert (caught.value.kind, len(bodies)) == (kind, 1)
