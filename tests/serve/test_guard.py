"""Who may ask, and what every answer carries."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.serve.guard import Access, Guard, is_loopback
from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.serve.metrics import Metrics

TOKEN = "a-token-of-the-tests"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


def test_every_answer_carries_the_headers(open_client: Callable[..., Any]) -> None:
    client = open_client()
    for path, status in (("/", 200), ("/v1/model", 200), ("/nothing", 404), ("/v1/predictions", 405)):
        answer = client.get(path)
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in answer.headers
    assert client.get("/v1/model").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8000", 403),
        ("192.168.0.7:8000", 403),
        ("", 403),
        ("]:[", 403),
        ("localhost:8000@evil.example", 403),
        ("localhost:8000@evil.example:8000", 403),
        ("localhost:8431@evil", 403),
        ("user@localhost:8000", 403),
        ("user:localhost@127.0.0.1", 403),
        ("evil.example#localhost", 403),
        ("localhost/evil.example", 403),
        ("localhost:", 403),
        ("localhost:x", 403),
        ("localhost:8000x", 403),
        ("localhost:99999", 403),
        ("localhost:8000:8000", 403),
        ("localhost.:8000", 403),
        ("127.0.0.1.", 403),
        ("127.1", 403),
        ("0x7f.0.0.1", 403),
        ("2130706433", 403),
        ("127.0.0.01", 403),
        ("%6cocalhost", 403),
        ("local host", 403),
        ("localhost\t", 403),
        ("localhost, evil.example", 403),
        ("::1", 403),
        ("[::1", 403),
        ("[::1]x", 403),
        ("[::1]:", 403),
        ("[::1]:65535", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("[::1%25lo]", 403),
        ("[::2]:8000", 403),
        ("[127.0.0.1]", 403),
        ("[localhost]", 403),
        ("127.255.255.254:1", 200),
        ("lOcAlHoSt:65535", 200),
    ],
)
def test_a_foreign_host_is_refused(open_client: Callable[..., Any], host: str, status: int) -> None:
    answer = open_client().get("/healthz", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["type"] == "ForeignHost"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_a_page_from_elsewhere_is_refused(
    open_client: Callable[..., Any], write_film: Callable[..., Path], tmp_path: Path, origin: str, status: int
) -> None:
    film = write_film(tmp_path / "film.png").read_bytes()
    answer = open_client().post("/v1/predictions", files={"files": film}, headers={"origin": origin})
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["type"] == "ForeignOrigin"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        (b"host", (b"localhost", b"localhost"), 400),
        (b"Host", (b"localhost", b"evil.example"), 400),
        (b"origin", (b"http://localhost", b"https://evil.example"), 403),
        (b"Origin", (b"http://localhost", b"http://localhost"), 403),
    ],
)
def test_two_hosts_or_two_origins_are_refused(
    name: bytes, values: tuple[bytes, bytes], status: int, token: str | None
) -> None:
    """As ASGI hands them over: whatever stands before this server."""
    headers = [] if name.lower() == b"host" else [(b"host", b"localhost")]
    headers += [(name, value) for value in values] + [(b"authorization", f"Bearer {TOKEN}".encode())]
    asked: list[str] = []

    async def app(scope: Any, _: Any, __: Any) -> None:
        asked.append(scope["path"])

    assert answer_of(app, headers, token=token)["status"] == status
    assert asked == []


def answer_of(app: Any, headers: list[tuple[bytes, bytes]], *, token: str | None = None) -> dict[str, Any]:
    """Return the beginning of a guard's answer to a GET request with these headers."""
    guard = Guard(app, Access(token), metrics=Metrics({"name": "tiny"}), limits=Limits())
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/model", "headers": headers}
    asyncio.run(guard(scope, receive, send))
    return dict(sent[0])


def test_a_token_guards_all_but_the_page_and_the_signs_of_life(open_client: Callable[..., Any]) -> None:
    client = open_client(token=TOKEN, base_url="http://hilum.example")
    for path in ("/", "/style.css", "/script.js", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200, path
    for path in ("/v1/model", "/metrics", "/openapi.json", "/nothing"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert answer.json()["error"]["message"] == "A token is needed."
    assert client.post("/v1/predictions", files={"files": b"x"}).status_code == 401
    for sent in ("Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ", "Bearer \xe9"):
        headers = {"authorization": sent.encode("latin-1")}
        assert client.get("/v1/model", headers=headers).status_code == 401, sent
    for sent in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
        assert client.get("/v1/model", headers={"authorization": sent}).status_code == 200


def test_loopback_means_this_computer() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LocalHost")))
    assert not any(
        map(is_loopback, ("[127.0.0.1", "]", "[]", "0.0.0.0", "::", "", "10.0.0.1", "localhost.evil.example", "evil"))
    )


def test_a_failure_is_answered_and_leaves_no_name_in_the_log(
    open_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = open_client()

    def fail(*_: Any) -> None:
        raise RuntimeError("Doe^Jane.png")

    monkeypatch.setattr(client.service.queue, "submit", fail)
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/v1/predictions", files={"files": ("Doe^Jane.png", b"x")})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalError"
    assert "RuntimeError at" in caplog.text
    assert "Doe" not in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    text = client.get("/metrics").text
    assert 'hilum_requests_total{method="POST",path="/v1/predictions",status="500"} 1.0' in text


def test_requests_are_counted_by_the_server_s_own_paths(open_client: Callable[..., Any]) -> None:
    client = open_client()
    client.get("/Doe^Jane")
    client.request("DOE", "/healthz")
    text = client.get("/metrics").text
    assert 'hilum_requests_total{method="GET",path="other",status="404"} 1.0' in text
    assert 'hilum_requests_total{method="other",path="/healthz",status="405"} 1.0' in text
    assert "Doe" not in text
    assert "DOE" not in text


def exchange(
    app: Any, sent_body: list[bytes], *, hang: bool = False, pause: float = 0, method: str = "POST", **limits: Any
) -> tuple[list[Any], int]:
    """Let a guard answer one request; return what it sent, and how many pieces of the body it left."""
    guard = Guard(app, Access(), metrics=Metrics({"name": "tiny"}), limits=Limits(**limits))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent_body.pop(0), "more_body": bool(sent_body)}

    async def send(message: Any) -> None:
        if hang:
            await asyncio.sleep(60)
        await asyncio.sleep(pause)
        sent.append(message)

    headers = [(b"host", b"localhost"), *([(b"content-length", b"9")] if method == "POST" else [])]
    scope = {"type": "http", "method": method, "path": "/", "headers": headers}
    asyncio.run(guard(scope, receive, send))
    return sent, len(sent_body)


async def refuse(_: Any, __: Any, ___: Any) -> None:
    raise HttpError(413, "TooLarge", "No.")


def test_the_rest_of_a_body_is_read_before_the_connection_closes() -> None:
    sent, left = exchange(refuse, [b"abc", b"def", b"ghi"])
    assert left == 0
    assert sent[0]["status"] == 413
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 131072, 1_000_000])
def test_a_long_answer_goes_out_in_pieces(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def answer(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    sent, _ = exchange(answer, [b""], method="GET")
    pieces = [message["body"] for message in sent[1:]]
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= 65536
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(pieces) - 1) + [False]


def test_a_client_that_reads_a_little_now_and_then_is_left_in_the_end() -> None:
    async def answer(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(3_000_000)})

    started = time.monotonic()
    bounds = {"write_seconds": 0.1, "write_bytes_per_second": 10_000_000}
    sent, _ = exchange(answer, [b""], pause=0.2, method="GET", **bounds)
    assert time.monotonic() - started < 5  # each piece came in time, the whole of 46 would take 9 s
    assert 2 < len(sent) < 20


def test_a_client_that_does_not_read_is_not_waited_for() -> None:
    started = time.monotonic()
    assert exchange(refuse, [b""], hang=True, write_seconds=0.05) == ([], 1)
    assert time.monotonic() - started < 10
