"""Limits of the server and of the DICOM node."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hilum.film.headers import MAX_BYTES

__all__ = ["Limits", "NodeLimits"]


def _decoders() -> int:
    return min((os.cpu_count() or 1) + 1, 8)


@dataclass(frozen=True)
class Limits:
    """The limits of the HTTP server. The decoder itself limits the pixels of a film (`hilum.film.decode.MAX_PIXELS`).

    Attributes:
        body_bytes: Largest body of one request.
        films: Most films in one request.
        queue_films: Most films that wait or are being judged; beyond this a request gets 503.
        bodies_bytes: Most bytes of all bodies and unread responses in memory; beyond this a request gets 503.
        decoders: How many films are decoded at the same time; the largest film needs about 1 GB.
        batch_films: Most films in one micro-batch.
        header_seconds: Time for the headers of a request.
        body_seconds: Time for the body of a request.
        answer_seconds: Time after which a request without its answers gets 503.
        write_seconds: Time in which a client must read a piece of the response.
        write_bytes_per_second: Lowest reading speed of a client, after the first `write_seconds`.
    """

    body_bytes: int = 128 * 1024 * 1024
    films: int = 32
    queue_films: int = 64
    bodies_bytes: int = 512 * 1024 * 1024
    decoders: int = field(default_factory=_decoders)
    batch_films: int = 16
    header_seconds: float = 20.0
    body_seconds: float = 120.0
    answer_seconds: float = 120.0
    write_seconds: float = 60.0
    write_bytes_per_second: int = 32 * 1024


@dataclass(frozen=True)
class NodeLimits:
    """The limits of the DICOM node.

    Attributes:
        film_bytes: Largest data set; an association that sends more is aborted.
        peer_bytes: Most bytes of data sets that arrive from one address at a time.
        associations: Most associations at a time; further ones are rejected and may try again.
        peer_associations: Most associations of one address at a time.
        idle_seconds: Time without data, also within a message, after which an association is aborted.
        film_seconds: Time for one data set.
        pdu_bytes: Largest PDU; the node asks for 16 KB.
        command_bytes: Largest command of a message.
        waiting_messages: Most messages sent without waiting for answers; the standard requires to wait for each.
    """

    film_bytes: int = MAX_BYTES
    peer_bytes: int = 4 * MAX_BYTES
    associations: int = 64
    peer_associations: int = 16
    idle_seconds: float = 30.0
    film_seconds: float = 600.0
    pdu_bytes: int = 1024 * 1024
    command_bytes: int = 64 * 1024
    waiting_messages: int = 8
