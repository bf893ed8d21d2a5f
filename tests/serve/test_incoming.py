"""Messages on their way in: on the disk, counted, and left where a peer goes beyond a bound."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from hilum.serve.limits import NodeLimits

from .nodes import Running, closed_sockets, send

__all__ = ["closed_sockets"]
pytestmark = pytest.mark.usefixtures("closed_sockets")

CR, IMPLICIT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2"
COMMAND, DATA, LAST = 1, 0, 2
Until = Callable[..., Any]
LIMITS = NodeLimits(film_bytes=200_000, peer_bytes=300_000, idle_seconds=20.0, command_bytes=2_000, waiting_messages=3)


@pytest.fixture
def running(tmp_path: Path, tiny_model: Path) -> Iterator[Running]:
    """A node with small bounds."""
    made = Running(tiny_model, tmp_path / "spool", limits=LIMITS)
    yield made
    made.node.stop()


class RawPeer:
    """A peer that negotiates as it should and sends whatever pieces it is told to."""

    def __init__(self, port: int) -> None:
        ae = AE(ae_title="RAW")
        ae.add_requested_context(CR, IMPLICIT)
        self.association: Association = ae.associate("127.0.0.1", port, ae_title="HILUM")
        assert self.association.is_established

    def piece(self, kind: int, data: bytes) -> bool:
        """Send one piece of a message; False where the connection is gone."""
        value = struct.pack(">IBB", len(data) + 2, 1, kind) + data
        door = self.association.dul.socket
        if door is None or door.socket is None:
            return False
        try:
            door.socket.sendall(struct.pack(">BBI", 4, 0, len(value)) + value)
        except OSError:
            return False
        return True

    def command(self, uid: str = "1.2.3", *, field: int = 0x0001, has_data: bool = True) -> bool:
        """Send the command of a C-STORE, or another one."""
        command = Dataset()
        command.AffectedSOPClassUID, command.AffectedSOPInstanceUID = CR, uid
        command.CommandField, command.MessageID, command.Priority = field, 1, 0
        command.CommandDataSetType = 0x0001 if has_data else 0x0101
        encoded = encode(command, True, True)
        assert encoded is not None
        length = b"\0\0\0\0\x04\0\0\0" + struct.pack("<I", len(encoded))
        return self.piece(COMMAND | LAST, length + encoded)

    def is_left(self, until: Until) -> bool:
        """Wait until the node has ended the association."""
        until(lambda: not self.association.is_established, seconds=20)
        return True


def hidden(running: Running) -> list[Path]:
    """Return films on their way in."""
    return list((running.folder / "incoming").glob(".part-*"))


def test_a_film_lies_on_the_disk_while_it_comes_in(running: Running, until: Until) -> None:
    peer = RawPeer(running.port)
    assert peer.command()
    for _ in range(10):
        assert peer.piece(DATA, bytes(10_000))
    (part,) = until(lambda: hidden(running))
    until(lambda: part.stat().st_size > 80_000)
    assert part.stat().st_mode & 0o077 == 0
    peer.association.abort()
    until(lambda: not hidden(running))
    assert running.in_folder("incoming") == []


def test_a_film_without_an_end_is_cut_off(running: Running, tmp_path: Path, write_dicom: Any, until: Until) -> None:
    peer = RawPeer(running.port)
    assert peer.command()
    sent = 0
    while sent < 50_000_000 and peer.association.is_established and peer.piece(DATA, bytes(16_000)):
        sent += 16_000
    assert peer.is_left(until)
    until(lambda: not hidden(running))
    assert any("a data set of more than 0 MB" in line for line in running.heard.lines)
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [0x0000]


def test_a_film_of_the_largest_size_is_taken_and_one_byte_more_is_not(
    running: Running, tmp_path: Path, write_dicom: Any, until: Until
) -> None:
    film = pydicom.dcmread(write_dicom(tmp_path / "film.dcm"))
    film.add_new((0x0009, 0x0010), "LO", "TEST")
    film.add_new((0x0009, 0x1010), "OB", b"")
    encoded = encode(film, film.original_encoding[0], True)
    assert encoded is not None
    film[0x0009, 0x1010].value = bytes((LIMITS.film_bytes - len(encoded)) // 2 * 2)
    assert send(running.port, film) == [0x0000]
    film[0x0009, 0x1010].value += bytes(2)
    ae = AE()
    ae.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", running.port, ae_title="HILUM")
    assert "Status" not in association.send_c_store(film)
    until(lambda: not association.is_established)


def test_one_address_has_a_bound_over_all_its_associations(running: Running, until: Until) -> None:
    peers = [RawPeer(running.port) for _ in range(2)]
    for peer in peers:
        assert peer.command()
        for _ in range(19):
            peer.piece(DATA, bytes(10_000))
    until(lambda: any("at the same time from one address" in line for line in running.heard.lines))
    until(lambda: not peers[1].association.is_established)  # the one whose bytes were too many
    for peer in peers:
        peer.association.abort()
    until(lambda: not hidden(running))
    again = RawPeer(running.port)  # the bytes were given back
    assert again.command()
    for _ in range(19):
        assert again.piece(DATA, bytes(10_000))
    assert again.association.is_established
    again.association.abort()


@pytest.mark.parametrize(
    "pieces",
    [
        [(COMMAND, bytes(500))] * 10,
        [(DATA, bytes(100))],
        [(COMMAND | LAST, b"\xff" * 300)],
        [(COMMAND | LAST, b"")],
        [(DATA | LAST, b"")],
    ],
    ids=["a command without an end", "data without a command", "nonsense", "nothing", "no data"],
)
def test_what_breaks_the_protocol_is_left(  # noqa: PLR0917 - fixtures
    running: Running,
    tmp_path: Path,
    write_dicom: Any,
    until: Until,
    pieces: list[tuple[int, bytes]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    peer = RawPeer(running.port)
    for kind, data in pieces:
        peer.piece(kind, data)
    assert peer.is_left(until)
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [0x0000]
    assert "Traceback" not in capfd.readouterr().err


def test_a_data_set_that_belongs_to_no_film_is_not_taken(running: Running, until: Until) -> None:
    peer = RawPeer(running.port)
    assert peer.command(field=0x0030)  # C-ECHO
    peer.piece(DATA, bytes(1000))
    assert peer.is_left(until)
    assert hidden(running) == []


def test_a_peer_that_does_not_wait_for_answers_is_left(
    running: Running, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.node, "_take", lambda *_: time.sleep(2))
    peer = RawPeer(running.port)
    for _ in range(12):
        peer.command()
        peer.piece(DATA | LAST, bytes(1000))
    assert peer.is_left(until)
    assert any("without waiting for answers" in line for line in running.heard.lines)
    until(lambda: not hidden(running))


def test_a_piece_that_says_it_is_long_is_not_read(running: Running) -> None:
    """Before any association, and in one: 4 GB are announced, and the connection ends."""
    for kind in (1, 4, 6):
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(struct.pack(">BBI", kind, 0, 0xFFFFFFF0) + bytes(100))
            connection.settimeout(10)
            started = time.monotonic()
            try:
                while connection.recv(1000):
                    pass
            except ConnectionError:
                pass
            assert time.monotonic() - started < 9
