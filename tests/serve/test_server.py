"""The server as a process: how it starts, what abuse does to it, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import hilum.serve
from hilum.errors import ConfigError
from hilum.extras import install_line
from hilum.serve.server import check_token

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def film(write_film: Callable[..., Path], tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.png")


def post(url: str, *films: bytes, **words: Any) -> httpx.Response:
    """Send films to a server."""
    return httpx.post(
        f"{url}/v1/predictions", files=[("files", ("f.png", data)) for data in films], timeout=60, **words
    )


def is_alive(url: str, film: Path) -> bool:
    """Return whether a server still answers a film."""
    return post(url, film.read_bytes()).status_code == 200


# --- starting -------------------------------------------------------------------------------------------------------


def test_other_addresses_need_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"):
        with pytest.raises(ConfigError, match="no token is set"):
            check_token(host, None)
        check_token(host, TOKEN)
    check_token("127.0.0.1", None)


@pytest.mark.parametrize(
    "token", ["short", "with spaces in the token", "t\u00f6ken-of-some-length", "line\nbreak-in-token"]
)
def test_a_token_of_no_use_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_token("127.0.0.1", token)
    assert token not in str(refused.value)


def test_the_command_says_what_is_wrong(
    command: Callable[..., Any], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HILUM_TOKEN", raising=False)
    assert "no token is set" in command("serve", "--model", tiny_model, "--host", "0.0.0.0").err
    assert command("serve", "--model", tmp_path / "none.onnx", "--port", "0").code == 3
    assert command("serve", "--model", tiny_model, "--host", "nowhere.invalid", "--token", TOKEN).code == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("serve", "--model", tiny_model, "--port", taken.getsockname()[1])
    assert done.code == 2
    assert "in use" in done.err
    assert command("serve", "--model", tiny_model, "--port", 70_000).code == 2


def test_serving_needs_its_extra(
    command: Callable[..., Any], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(hilum, "serve", hilum.serve)  # the package made anew below does not stay
    for name in [name for name in sys.modules if name.startswith("hilum.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = command("serve", "--model", tiny_model)
    assert done.code == 4
    assert install_line("serve") in done.err


def test_the_token_comes_from_the_environment(start_server: Callable[..., Any], film: Path) -> None:
    server = start_server(environment={"HILUM_TOKEN": TOKEN})
    assert post(server.url, film.read_bytes()).status_code == 401
    assert post(server.url, film.read_bytes(), headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


# --- ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_finished(start_server: Callable[..., Any], film: Path, number: int) -> None:
    server = start_server()
    data = film.read_bytes()
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n' + data + b"\r\n--b--\r\n"
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address) as slow, socket.create_connection(address) as silent:
        slow.sendall(head.encode() + body[:100])
        assert is_alive(server.url, film)
        server.process.send_signal(number)
        time.sleep(0.2)
        silent.sendall(head.encode() + body)  # connected before the signal, heard after it
        time.sleep(0.5)
        slow.sendall(body[100:])
        for connection in (silent, slow):
            connection.settimeout(20)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
    assert server.process.wait(20) == 0
    assert server.stop() == 0
    assert "Traceback" not in server.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_the_log_holds_nothing_of_a_film(start_server: Callable[..., Any], film: Path) -> None:
    server = start_server()
    for data in (film.read_bytes(), b"no film"):
        files = {"files": ("Doe^Jane.dcm", data)}
        assert httpx.post(f"{server.url}/v1/predictions?display=true", files=files).json()
    httpx.get(f"{server.url}/Doe^Jane")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert httpx.post(f"{server.url}/v1/predictions", content=b"--b-Doe^Jane", headers=kind).status_code == 400
    assert server.stop() == 0
    assert "Doe" not in server.log
    assert len(server.log.splitlines()) <= 3


# --- abuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_at_once_get_their_own_answers(server: Any, write_film: Callable[..., Path], tmp_path: Path) -> None:
    paths = [write_film(tmp_path / f"{seed}.png", seed=seed) for seed in range(6)]
    expected = [post(server.url, path.read_bytes()).json() for path in paths]

    def ask(number: int) -> None:
        answer = post(server.url, paths[number % 6].read_bytes())
        while answer.status_code == 503:
            time.sleep(0.05 * int(answer.headers["retry-after"]))
            answer = post(server.url, paths[number % 6].read_bytes())
        assert answer.status_code == 200
        assert answer.json() == expected[number % 6]

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(120)))


def test_a_slow_client_holds_up_nobody(server: Any, film: Path) -> None:
    head = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(head)
        for connection in slow[:20]:
            connection.sendall(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")
        started = time.perf_counter()
        assert is_alive(server.url, film)
        assert time.perf_counter() - started < 10
    finally:
        for connection in slow:
            connection.close()
    assert is_alive(server.url, film)


def test_a_body_that_is_too_large_is_refused_and_the_answer_arrives(server: Any, film: Path) -> None:
    answer = httpx.post(
        f"{server.url}/v1/predictions",
        content=(b"x" * 1_000_000 for _ in range(140)),  # no length is stated
        headers={"content-type": "multipart/form-data; boundary=b"},
        timeout=60,
    )
    assert answer.status_code in {400, 413}
    head = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + b"Content-Length: 99999999999\r\n\r\n")
        connection.settimeout(20)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    assert is_alive(server.url, film)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"GET /%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:30]),
)
def test_nonsense_is_answered_or_left(server: Any, film: Path, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)  # half closed
            connection.settimeout(20)
            answer = connection.recv(65536)
        except ConnectionError:
            answer = b""
    if answer.startswith(b"HTTP/1.1 400"):
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "InvalidRequest"
    assert is_alive(server.url, film)


def test_clients_that_leave_cost_nothing(server: Any, film: Path) -> None:
    data = film.read_bytes()
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n' + data + b"\r\n--b--\r\n"
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    def leave(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall((head + body)[: len(head) + (len(body) * number) // 30])

    threads = [threading.Thread(target=leave, args=(number,)) for number in range(31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end = time.monotonic() + 20
    while "hilum_queue_films 0.0" not in (text := httpx.get(f"{server.url}/metrics").text):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "hilum_bodies_bytes 0.0" in text
    assert is_alive(server.url, film)


def test_headers_that_do_not_come_are_not_waited_for(tiny_model: Path) -> None:
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

    from hilum.serve import server as module

    async def run() -> bytes:
        config = Config(app=lambda *_: None, http="h11", lifespan="off", log_config=None)
        config.load()
        protocol: Any = module._protocol(0.2, lambda: False)
        state = ServerState()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}, _loop=loop), "127.0.0.1", 0
        )
        async with listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\n")
            left = await asyncio.wait_for(reader.read(), 10)
            writer.close()
        return left

    assert asyncio.run(run()) == b""


def test_answers_that_nobody_reads_are_let_go(caplog: pytest.LogCaptureFixture) -> None:
    """A connection whose buffer stays full is ended after the time limit, also when the answer is complete."""
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

    from hilum.serve import server as module
    from hilum.serve.guard import Access, Guard
    from hilum.serve.limits import Limits
    from hilum.serve.metrics import Metrics

    size = 40_000_000  # more than any system's buffers for a connection take

    async def answer(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    limits = Limits(write_seconds=0.5)
    guard = Guard(answer, Access(), metrics=Metrics({"name": "tiny"}), limits=limits)
    most: list[int] = []

    async def run() -> tuple[bytes, bool]:
        config = Config(app=guard, http="h11", lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        protocol: Any = module._protocol(20.0, lambda: False, limits.write_seconds)
        state = ServerState()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}, _loop=loop), "127.0.0.1", 0
        )
        async with listening:
            address = listening.sockets[0].getsockname()
            clients = [socket.create_connection(address) for _ in range(4)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            end = loop.time() + 20
            await asyncio.sleep(0.1)
            while state.connections and loop.time() < end:
                sizes = [one.transport.get_write_buffer_size() for one in state.connections]  # type: ignore[union-attr]
                most.append(max(sizes))
                await asyncio.sleep(0.02)
            for client in clients:
                client.close()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            read = await asyncio.wait_for(reader.read(), 20)
            writer.close()
        return read, loop.time() < end

    read, in_time = asyncio.run(run())
    assert in_time
    assert 0 < max(most) < 200_000
    assert len(read.partition(b"\r\n\r\n")[2]) == size
    assert caplog.text == ""


HANGING = """
import sys, time
sys.path.insert(0, {folder!r})
import hilum.film.pool as pool
import hilum.serve.server as server
pool._pool = pool.DecoderPool("hanging:decode")
server._DECODING_SECONDS = {seconds}
from hilum.cli import main
sys.argv = ["hilum", "serve", "--model", {model!r}, "--port", "0"]
main()
"""


@pytest.mark.slow
def test_a_decoder_that_hangs_does_not_hold_up_the_end(film: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import time\ndef decode(data, **words): time.sleep(600)\n", encoding="utf-8")
    script = HANGING.format(folder=str(tmp_path), model=str(tiny_model), seconds=2.0)
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        url = re.search(r"http://\S+", said)
        assert url is not None, said
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(post, url[0], film.read_bytes())
            time.sleep(2)
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert time.monotonic() - started < 15
            assert answer.result().status_code == 503
            assert answer.result().json()["error"]["type"] == "ShuttingDown"
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
