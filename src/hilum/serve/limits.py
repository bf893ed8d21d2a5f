"""How much server and node take on: of one request or peer, and of all that are under way."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field

from hilum.film.headers import MAX_BYTES

__all__ = ["Limits", "NodeLimits", "where_it_failed"]


def _decoders() -> int:
    return min((os.cpu_count() or 1) + 1, 8)


@dataclass(frozen=True)
class Limits:
    """The bounds that keep a server answering, whatever it is sent.

    A film's pixels are bounded by the decoder itself, from the header, before any memory is taken
    (`hilum.film.decode.MAX_PIXELS`).

    Attributes:
        body_bytes: Largest body of one request.
        films: Most films in one request.
        queue_films: Most films that wait or are being judged; a request that does not fit is answered 503.
        bodies_bytes: Most bytes of all bodies and unread answers under way; what does not fit is answered 503.
        decoders: How many films are decoded at once; a film of the most pixels takes about 1 GB meanwhile.
        batch_films: Most films in one micro-batch.
        header_seconds: How long a client may take over the headers of a request.
        body_seconds: How long a client may take over a body.
        answer_seconds: How long a request waits for its answers before it is answered 503.
        write_seconds: How long a client may leave a piece of the response unread.
        write_bytes_per_second: How fast a client has to read at the least, beyond the first `write_seconds`.
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
    """The bounds that keep a DICOM node taking films, whatever a peer sends.

    Attributes:
        film_bytes: Largest data set; the association that sends more is aborted.
        peer_bytes: Most bytes of data sets that one address has under way.
        associations: Most associations at a time; another is rejected, to be tried again.
        peer_associations: Most associations of one address at a time.
        idle_seconds: How long an association may be silent, in the middle of a message too, before it is aborted.
        film_seconds: How long one data set may take to come in.
        pdu_bytes: Largest piece of the protocol; the node asks for pieces of 16 KB.
        command_bytes: Largest command of a message.
        waiting_messages: Most messages that a peer may send ahead; by the standard it waits for each answer.
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


# Where a failure happened, told without its words.


def where_it_failed(error: BaseException) -> str:
    """Return an exception's class and the lines it passed through, for the log.

    Its message is left out: it may hold a file's name, and that a patient's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}" for frame in frames[-6:]]
    return f"{type(error).__name__} at {' > '.join(lines)}"
