"""The door: who may connect, how many, and for how long."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from hilum.serve.limits import NodeLimits
from hilum.serve.peers import parse_peer

from .nodes import Running, closed_sockets, send

__all__ = ["closed_sockets"]
pytestmark = pytest.mark.usefixtures("closed_sockets")

Until = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[..., Running]]:
    """Start a node; words are those of NodeLimits, and `accept_from`."""
    made: list[Running] = []

    def one(*accept_from: str, **limits: Any) -> Running:
        peers = tuple(map(parse_peer, accept_from))
        made.append(Running(tiny_model, tmp_path / str(len(made)), accept_from=peers, limits=NodeLimits(**limits)))
        return made[-1]

    yield one
    for running in made:
        running.node.stop()


def associate(port: int, title: str = "MODALITY") -> Association:
    """Ask for an association, and return what became of it."""
    ae = AE(ae_title=title)
    ae.acse_timeout = 20
    ae.add_requested_context(Verification)
    return ae.associate("127.0.0.1", port, ae_title="HILUM")


def test_more_than_ten_at_a_time_and_no_more_than_the_bound(start: Callable[..., Running]) -> None:
    running = start(associations=16, peer_associations=14)
    opened = [associate(running.port) for _ in range(14)]
    assert all(one.is_established for one in opened)
    assert all(one.send_c_echo().Status == 0x0000 for one in opened)
    crowded = associate(running.port)
    assert crowded.is_rejected
    assert crowded.acceptor.primitive is not None
    assert crowded.acceptor.primitive.result == 2  # for now
    assert any("there are too many" in line for line in running.heard.lines)
    for one in opened:
        one.release()
    time.sleep(0.5)
    again = associate(running.port)
    assert again.is_established
    again.release()


def test_far_too_many_connections_are_closed(start: Callable[..., Running]) -> None:
    running = start(associations=2, peer_associations=2)
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(4)]
    time.sleep(0.5)
    with socket.create_connection(("127.0.0.1", running.port)) as extra:
        extra.settimeout(10)
        assert extra.recv(10) == b""
    for one in silent:
        one.close()


def test_idle_ones_are_let_go(start: Callable[..., Running], until: Until) -> None:
    running = start(idle_seconds=0.5)
    idle = associate(running.port)
    until(lambda: idle.is_aborted, seconds=10)
    assert any("the peer sent nothing for too long" in line for line in running.heard.lines)


@pytest.mark.parametrize("sent", [b"", b"\x01", struct.pack(">BBI", 1, 0, 200), struct.pack(">BBI", 4, 0, 200) + b"x"])
def test_a_connection_that_says_nothing_or_half_a_word_is_let_go(start: Callable[..., Running], sent: bytes) -> None:
    running = start(idle_seconds=0.5)
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(sent)
        connection.settimeout(15)
        try:
            while connection.recv(1000):
                pass
        except ConnectionError:
            pass


def test_a_connection_that_drips_is_let_go(start: Callable[..., Running]) -> None:
    """A byte now and then keeps no association open: what counts is the whole piece."""
    running = start(idle_seconds=0.5)
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(struct.pack(">BBI", 1, 0, 1000))
        end = time.monotonic() + 15
        with pytest.raises(OSError, match=r"."):
            while time.monotonic() < end:
                connection.sendall(b"x")
                time.sleep(0.1)


def test_only_those_named_may_send(start: Callable[..., Running], tmp_path: Path, write_dicom: Any) -> None:
    running = start("MODALITY@127.0.0.1", "PACS@192.0.2.1", "ROUTER")
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [0x0000]
    for title, accepted in (("ROUTER", True), ("PACS", False), ("STRANGER", False), ("modality", False)):
        association = associate(running.port, title)
        assert association.is_established is accepted, title
        if accepted:
            association.release()
        else:
            assert association.is_rejected
            assert association.acceptor.primitive is not None
            assert association.acceptor.primitive.result == 1  # for good
            assert association.acceptor.primitive.diagnostic == 3  # calling AE title not recognised
    assert any("--accept-from does not name it" in line for line in running.heard.lines)
