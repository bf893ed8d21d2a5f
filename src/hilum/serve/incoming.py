"""Incoming messages of the DICOM node: their limits, and data sets that are written to disk while they arrive.

pynetdicom keeps a message in memory until it is complete. Here a data set goes into a file of the spool. If a peer
exceeds a limit or breaks the protocol, its association is aborted; the others continue.

Source: DICOM PS3.8 annex E (messages in pieces).
"""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.pdu_primitives import P_DATA

from hilum.film.dicom import pydicom_kept_quiet
from hilum.serve.arrival import Arrival
from hilum.serve.limits import NodeLimits
from hilum.serve.log import About, NodeLog
from hilum.serve.spool import Spool

__all__ = [
    "BrokenBound",
    "IncomingFilm",
    "Intake",
    "Messages",
    "address_of",
    "association_number",
    "is_busy",
    "is_left",
]

_COMMAND = 1  # a bit of a message control header, PS3.8 E.2


class BrokenBound(Exception):
    """A peer exceeds a limit; the text says which, as the end of "it sent ..."."""


class Intake:
    """Counts the bytes of arriving data sets for each address.

    Args:
        spool: The folder for data sets.
        limits: The limits of a peer.
        log: Where aborted associations are logged.
    """

    def __init__(self, spool: Spool, limits: NodeLimits, log: NodeLog) -> None:
        self.spool, self.limits, self.log = spool, limits, log
        self._lock = threading.Lock()
        self._bytes: Counter[str] = Counter()

    def take(self, address: str, num_bytes: int) -> None:
        """Count bytes of an arriving data set; a negative number gives them back."""
        with self._lock:
            if num_bytes > 0 and self._bytes[address] + num_bytes > self.limits.peer_bytes:
                raise BrokenBound(f"more than {_mb(self.limits.peer_bytes)} at the same time from one address")
            self._bytes[address] += num_bytes
            self._bytes += Counter()  # removes addresses with 0 bytes


class IncomingFilm(io.BytesIO):
    """An arriving data set: pynetdicom writes to it as to memory, and the bytes go into a file of the spool.

    Attributes:
        arrival: The file; None before the first byte.
        failure: The error if the file cannot be written; the rest of the data set is then ignored.
    """

    def __init__(self, message: DIMSEMessage, association: Association, intake: Intake) -> None:
        super().__init__()
        self._message, self._association, self._intake = message, association, intake
        self._address = address_of(association)
        self._num_bytes = 0
        self.started = time.monotonic()
        self.arrival: Arrival | None = None
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write a piece of the data set."""
        limits = self._intake.limits
        if not isinstance(self._message, C_STORE_RQ):
            raise BrokenBound("a data set that belongs to no film")
        if self._num_bytes + len(data) > limits.film_bytes:
            raise BrokenBound(f"a data set of more than {_mb(limits.film_bytes)}")
        if time.monotonic() - self.started > limits.film_seconds:
            raise BrokenBound(f"a data set that takes more than {limits.film_seconds:g} s")
        self._intake.take(self._address, len(data))
        self._num_bytes += len(data)
        if self.failure is None:
            try:
                if self.arrival is None:
                    self.arrival = self._intake.spool.receive()
                    self.arrival.begin(self._meta())
                self.arrival.write(data)
            except OSError as error:
                self.failure = error
                self._discard()
        return len(data)

    def close(self) -> None:
        """Give the bytes back, and remove the file if it was not kept."""
        if not self.closed:
            self._discard()
            self._intake.take(self._address, -self._num_bytes)
            self._num_bytes = 0
        super().close()

    def _discard(self) -> None:
        if self.arrival is not None:
            self.arrival.discard()

    def _meta(self) -> bytes:
        """Return preamble and file meta information, made from the request and the association."""
        command = self._message.command_set
        context = next(one for one in self._association.accepted_contexts if one.context_id == self._message.context_id)
        meta = create_file_meta(
            sop_class_uid=command.AffectedSOPClassUID,
            sop_instance_uid=command.AffectedSOPInstanceUID,
            transfer_syntax=context.transfer_syntax[0],
        )
        return b"\0" * 128 + b"DICM" + encode_file_meta(meta)


class Messages(DIMSEServiceProvider):
    """The messages of one association. If one exceeds a limit, the association is aborted.

    Attributes:
        number: The association's running number.
        left: Whether the node has aborted it; further messages are ignored.
    """

    def __init__(self, association: Association, intake: Intake, number: int) -> None:
        super().__init__(association)
        self._intake = intake
        self.number = number
        self._films: set[IncomingFilm] = set()
        self._num_command_bytes = 0
        self.left = False

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Receive pieces of a message; never raises."""
        if self.left:
            return
        try:
            with pydicom_kept_quiet():
                self._receive(primitive)
        except BrokenBound as error:
            self._leave(f"it sent {error}")
        except Exception as error:  # noqa: BLE001 - broken bytes may raise anything
            self._leave(f"it broke the protocol ({type(error).__name__})")

    @property
    def busy(self) -> bool:
        """Whether a film is arriving or waits for its answer."""
        return any(not film.closed for film in tuple(self._films))

    def close(self) -> None:
        """Remove the files of incomplete films."""
        self.left = True
        for film in tuple(self._films):
            film.close()
        self._films.clear()

    def _receive(self, primitive: P_DATA) -> None:
        if self.msg_queue.qsize() >= self._intake.limits.waiting_messages:
            raise BrokenBound("too many messages without waiting for answers")
        for _, data in primitive.presentation_data_value_list:
            if data[0] & _COMMAND:
                self._num_command_bytes += len(data)
        if self._num_command_bytes > self._intake.limits.command_bytes:
            raise BrokenBound("a command without an end")
        if self.message is None:
            self.message = DIMSEMessage()
            film = IncomingFilm(self.message, self.assoc, self._intake)
            self.message.data_set = film
            self._films = {one for one in self._films if not one.closed} | {film}
        super().receive_primitive(primitive)
        if self.message is None:  # it is complete
            self._num_command_bytes = 0
            for film in self._films:
                if film.arrival is None and film.failure is None:  # a message without a data set
                    film.close()

    def _leave(self, reason: str) -> None:
        self.left = True
        self._intake.log.warning(f"Aborted the association: {reason}.", About(self.number))
        threading.Thread(target=self.assoc.abort, daemon=True).start()  # abort waits for this thread


def association_number(association: Association) -> int | None:
    """Return the running number of an incoming association."""
    messages = association.dimse
    return messages.number if isinstance(messages, Messages) else None


def is_busy(association: Association) -> bool:
    """Return whether a film is arriving by an association."""
    messages = association.dimse
    return isinstance(messages, Messages) and messages.busy


def is_left(association: Association) -> bool:
    """Return whether the node has aborted an association and logged the reason."""
    messages = association.dimse
    return isinstance(messages, Messages) and messages.left


def address_of(association: Association) -> str:
    """Return the IP address that an association comes from."""
    return str(association.requestor.address or "")


def _mb(num_bytes: int) -> str:
    return f"{num_bytes // 2**20} MB"
