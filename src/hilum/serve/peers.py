"""The DICOM peers of a node: who may send films, and the archive that gets the results."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.errors import ConfigError

__all__ = ["Archive", "Peer", "checked_ae_title", "may_send", "parse_archive", "parse_peer"]


@dataclass(frozen=True)
class Archive:
    """The archive for results: AE title, host and port."""

    ae_title: str
    host: str
    port: int


def checked_ae_title(title: str) -> str:
    """Return an AE title without the spaces around it.

    Raises:
        ConfigError: The title is not 1 to 16 printable ASCII characters without a backslash (DICOM PS3.5 6.2, AE).
    """
    title = title.strip()
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", title):
        raise ConfigError(
            f"`{title}` is not an AE title; expected 1 to 16 ASCII characters without a backslash.",
            fix="Look up the AE title in the settings of the archive.",
        )
    return title


def parse_archive(text: str) -> Archive:
    """Return the archive from AE@HOST:PORT; an IPv6 address needs brackets.

    Raises:
        ConfigError: The text has another form, or the port is not valid.

    Example:
        >>> parse_archive("ORTHANC@localhost:4242")
        Archive(ae_title='ORTHANC', host='localhost', port=4242)
    """
    match = re.fullmatch(r"([^@]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^@:\s\[\]]+)):(\d{1,5})", text.strip())
    if match is None or not 1 <= int(match[4]) <= 65535:
        raise ConfigError(
            f"Cannot send results to `{text}`; expected AE@HOST:PORT.", fix="Example: ORTHANC@localhost:4242."
        )
    return Archive(checked_ae_title(match[1]), match[2] or match[3], int(match[4]))


@dataclass(frozen=True)
class Peer:
    """A peer that may send films: its AE title, and optionally its host.

    DICOM has no passwords, and a peer can claim any AE title. A title alone only prevents mistakes. With a host it also
    keeps out other computers, as far as the network can be trusted.
    """

    ae_title: str
    host: str | None = None


def parse_peer(text: str) -> Peer:
    """Return the peer from AE or AE@HOST; an IPv6 address may have brackets.

    Raises:
        ConfigError: The text has another form.

    Example:
        >>> parse_peer("MODALITY@10.0.0.7")
        Peer(ae_title='MODALITY', host='10.0.0.7')
    """
    match = re.fullmatch(r"([^@]+)(?:@(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+|[^@:\s\[\]]+)))?", text.strip())
    if match is None or (":" in (match[2] or match[3] or "") and not _is_address(match[2] or match[3])):
        raise ConfigError(
            f"Cannot accept films from `{text}`; expected AE or AE@HOST.", fix="Example: MODALITY@10.0.0.7."
        )
    return Peer(checked_ae_title(match[1]), match[2] or match[3])


def may_send(ae_title: str, address: str, peers: Sequence[Peer]) -> bool:
    """Return whether this AE title at this IP address may send films; without peers everyone may.

    A host name is looked up each time, as its address may change.
    """
    if not peers:
        return True
    return any(
        peer.ae_title == ae_title.strip() and (peer.host is None or _plain(address) in _addresses(peer.host))
        for peer in peers
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str) -> set[str]:
    try:
        return {_plain(str(entry[4][0])) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):  # the host is unknown now
        return set()


def _plain(address: str) -> str:
    """Return an address in its standard form; IPv4 within IPv6 as IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
