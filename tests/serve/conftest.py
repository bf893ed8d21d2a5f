"""What the tests of the doors share: a service in this process, and a server in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.run.classifier import Classifier
from hilum.serve.api import Service
from hilum.serve.limits import Limits


@pytest.fixture(scope="session")
def tiny_classifier(tiny_model: Path) -> Classifier:
    """The hand-made model, loaded once."""
    return Classifier(tiny_model, num_threads=2)


class HeldClassifier:
    """A classifier that decodes nothing until it is told to."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.go = threading.Event()

    def decode(self, data: bytes, name: str) -> Any:
        self.go.wait(30)
        return self._classifier.decode(data, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)


class Client:
    """A client of a service in this process.

    Attributes:
        service: The service.
    """

    def __init__(self, service: Service, base_url: str) -> None:
        self.service = service
        self._base_url = base_url

    def request(self, method: str, path: str, **words: Any) -> httpx.Response:
        """Send one request and return its answer; words are those of httpx."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url) as client:
                return await client.request(method, path, **words)

        return asyncio.run(send())

    def get(self, path: str, **words: Any) -> httpx.Response:
        """Send a GET request."""
        return self.request("GET", path, **words)

    def post(self, path: str, **words: Any) -> httpx.Response:
        """Send a POST request."""
        return self.request("POST", path, **words)


@pytest.fixture
def open_client(tiny_classifier: Classifier) -> Iterator[Callable[..., Client]]:
    """Make a client of a service in this process; words are those of Limits."""
    opened: list[Client] = []

    def open_one(
        *, token: str | None = None, base_url: str = "http://127.0.0.1:8000", classifier: Any = None, **limits: Any
    ) -> Client:
        opened.append(Client(Service(classifier or tiny_classifier, token=token, limits=Limits(**limits)), base_url))
        return opened[-1]

    yield open_one
    for client in opened:
        client.service.queue.close()


class RunningServer:
    """`hilum serve`, or `hilum review`, as a process of its own.

    Attributes:
        url: Where it listens.
        port: The port.
        process: The process.
    """

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hilum", *words, "--port", "0"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stderr
        self.log = ""
        while not (found := re.search(r"on (http://\S+:(\d+))\n", self.log)):
            line = self.process.stderr.readline()
            assert line, f"the server did not start:\n{self.log}"
            self.log += line
        self.url, self.port = found[1], int(found[2])

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = 60) -> int:
        """End it and return its exit code; `log` then holds all of its standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.log += self.process.communicate(timeout=timeout)[1]
        return self.process.returncode


@pytest.fixture
def start_server(tiny_model: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers of the hand-made model; they end with the test."""
    running: list[RunningServer] = []

    def start(*options: str, **words: Any) -> RunningServer:
        running.append(RunningServer("serve", "--model", str(tiny_model), *options, **words))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture(scope="session")
def server(tiny_model: Path) -> Iterator[RunningServer]:
    """One server for all tests that leave it as it is."""
    running = RunningServer("serve", "--model", str(tiny_model))
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed.")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("No Chromium: install it, or set CHROMIUM to its path.")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open the page; whatever the browser complains of, but for answers that are errors, fails the test."""
    with contextlib.ExitStack() as stack:
        complaints: list[str] = []

        def hear(message: Any) -> None:
            if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
                complaints.append(message.text)

        def open_one(url: str, *, width: int = 1400, height: int = 900) -> Any:
            page = chromium.new_page(viewport={"width": width, "height": height})
            stack.callback(page.close)
            page.set_default_timeout(30_000)
            page.on("console", hear)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "request",
                lambda request: complaints.extend([] if request.url.startswith((url, "blob:")) else [request.url]),
            )
            page.goto(url)
            return page

        yield open_one
        assert complaints == []
