"""How much the server takes on: of one request, and of all that are under way."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

__all__ = ["Limits"]


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
