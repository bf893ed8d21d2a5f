"""Limits for connections to the DICOM node: who may connect, how many at a time, and for how long.

pynetdicom reads any length that a peer announces and waits for it. Here each PDU has a maximum length and time.

Source: DICOM PS3.8 9.3 (associations and their rejection).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from hilum.serve.incoming import Intake, Messages, address_of, association_number, is_busy
from hilum.serve.limits import NodeLimits
from hilum.serve.log import About
from hilum.serve.peers import Peer, may_send

__all__ = ["Door", "NodeServer", "open_server"]

_POLL_SECONDS = 0.1
_REJECTED, _TRY_AGAIN = 0x01, 0x02
_BY_USER, _BY_PRESENTATION = 0x01, 0x03
_TITLE_UNKNOWN, _LIMIT_EXCEEDED = 0x03, 0x02
_MARGIN = 2  # more connections than this multiple of the allowed associations are closed without an answer


class Door:
    """Counts connections and decides who may connect.

    Args:
        intake: Receives the messages; it holds the limits.
        peers: The peers that may send films; everyone if empty.
    """

    def __init__(self, intake: Intake, peers: tuple[Peer, ...]) -> None:
        self.intake, self.limits = intake, intake.limits
        self._peers = peers
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._num_ever = 0

    def enter(self, address: str) -> bool:
        """Count a new connection; return False if there are far too many."""
        with self._lock:
            if self._connections.total() >= _MARGIN * self.limits.associations:
                return False
            if self._connections[address] >= _MARGIN * self.limits.peer_associations:
                return False
            self._connections[address] += 1
            return True

    def leave(self, address: str) -> None:
        """Count a connection that has ended."""
        with self._lock:
            self._connections -= Counter({address: 1})

    def next_number(self) -> int:
        """Return the number of a new association."""
        with self._lock:
            self._num_ever += 1
            return self._num_ever

    def admit(self, event: evt.Event) -> None:
        """Reject an association that is not allowed, before it is negotiated."""
        association = event.assoc
        request = association.requestor.primitive
        title = str(request.calling_ae_title or "") if request is not None else ""
        address = address_of(association)
        with self._lock:
            crowded = self._connections.total() > self.limits.associations
            crowded = crowded or self._connections[address] > self.limits.peer_associations
        if not may_send(title, address, self._peers):
            self._reject(association, (_REJECTED, _BY_USER, _TITLE_UNKNOWN), "--accept-from does not name it")
        elif crowded:
            self._reject(association, (_TRY_AGAIN, _BY_PRESENTATION, _LIMIT_EXCEEDED), "there are too many")

    def _reject(self, association: Association, words: tuple[int, int, int], reason: str) -> None:
        number = association_number(association)
        self.intake.log.warning(f"Rejected an association from {address_of(association)}: {reason}.", About(number))
        association.acse.send_reject(*words)
        association.kill()


class _Handler(RequestHandler):
    """Serves one connection in its own thread."""

    server: NodeServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dimse = Messages(association, self.server.door.intake, self.server.door.next_number())
        door_socket = association.dul.socket
        if door_socket is not None:
            door_socket.recv = _Reader(cast(socket.socket, self.request), self.server.door.limits).recv  # type: ignore[method-assign]
        return association

    def handle(self) -> None:
        """Serve an association to its end."""
        association = self._create_association()
        try:
            association.start()
            association.join()
        finally:
            cast(Messages, association.dimse).close()
            cast(socket.socket, self.request).close()  # pynetdicom leaves it open if the peer closed first
            self.server.door.leave(str(self.client_address[0]))


class _Reader:
    """Reads PDUs within the limits of length and time."""

    def __init__(self, connection: socket.socket, limits: NodeLimits) -> None:
        self._connection, self._limits = connection, limits
        connection.settimeout(limits.idle_seconds)  # also for sending

    def recv(self, nr_bytes: int) -> bytearray:
        """Return this number of bytes, or fewer if the peer ended."""
        if nr_bytes > self._limits.pdu_bytes:
            raise OSError("the PDU is too long")
        end = time.monotonic() + self._limits.idle_seconds
        read = bytearray()
        while len(read) < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the PDU did not arrive in time")
            self._connection.settimeout(left)
            piece = self._connection.recv(min(nr_bytes - len(read), 1 << 16))
            if not piece:
                break
            read += piece
        self._connection.settimeout(self._limits.idle_seconds)
        return read


class NodeServer(ThreadedAssociationServer):
    """pynetdicom's server with the limits of a door."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any, door: Door, **words: Any) -> None:
        self.door = door
        words["request_handler"] = _Handler
        super().__init__(*arguments, **words)

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Return whether a connection is allowed; otherwise it is closed."""
        return self.door.enter(str(client_address[0]))

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Ignore errors of connections that ended early."""

    def shutdown(self) -> None:
        """Accept no more connections."""
        BaseServer.shutdown(self)
        self.server_close()

    def end(self, seconds: float) -> None:
        """Accept no more connections, wait up to ``seconds`` for films that are arriving, and end all associations."""
        self.shutdown()
        end = time.monotonic() + seconds
        for association in self.active_associations:
            while is_busy(association) and time.monotonic() < end:
                association.join(_POLL_SECONDS)
            connection = association.dul.socket
            if association.is_established:
                threading.Thread(target=association.abort, daemon=True).start()  # it may wait for a silent peer
            elif connection is not None and connection.socket is not None:
                with contextlib.suppress(OSError):  # no association was requested yet
                    connection.socket.shutdown(socket.SHUT_RDWR)


def open_server(ae: AE, address: tuple[str, int], door: Door, handlers: list[Any]) -> NodeServer:
    """Listen at an address, in a separate thread.

    Args:
        ae: The application entity with its supported contexts. Its limits are set to those of the door.
        address: Host and port.
        door: Decides who may connect.
        handlers: Event handlers of pynetdicom.

    Raises:
        OSError: The address cannot be used.
    """
    limits = door.limits
    ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = limits.idle_seconds
    ae.maximum_associations = _MARGIN * limits.associations + 1  # the door counts them
    server = ae.make_server(
        address,
        evt_handlers=[(evt.EVT_REQUESTED, door.admit), *handlers],
        server_class=NodeServer,
        door=door,
    )
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="hilum-node", daemon=True).start()
    return cast(NodeServer, server)
