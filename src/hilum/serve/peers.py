"""Who may send films: calling AE titles, each perhaps from one host alone.

DICOM knows no passwords, and a calling AE title is what the peer says of itself. So a title keeps out mistakes; with a
host behind it, it keeps out other machines as far as the network can be trusted.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.errors import ConfigError
from hilum.serve.sending import checked_ae_title

__all__ = ["Peer", "may_send", "parse_peer"]


@dataclass(frozen=True)
class Peer:
    """One who may send: an AE title, and the host it must come from where one is given."""

    ae_title: str
    host: str | None = None


def parse_peer(text: str) -> Peer:
    """Return the peer that AE or AE@HOST stands for; an IPv6 address may stand in brackets.

    Raises:
        ConfigError: The text has another form.

    Example:
        >>> parse_peer("MODALITY@10.0.0.7")
        Peer(ae_title='MODALITY', host='10.0.0.7')
    """
    match = re.fullmatch(r"([^@]+)(?:@(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+|[^@:\s\[\]]+)))?", text.strip())
    if match is None or (":" in (match[2] or match[3] or "") and not _is_address(match[2] or match[3])):
        raise ConfigError(
            f"Cannot accept films from `{text}`; expected AE or AE@HOST.", fix="For instance MODALITY@10.0.0.7."
        )
    return Peer(checked_ae_title(match[1]), match[2] or match[3])


def may_send(ae_title: str, address: str, peers: Sequence[Peer]) -> bool:
    """Return whether one with this title, at this IP address, is among the peers; anybody is where there are none.

    A host's name is looked up each time, for its address may change.
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
    except (OSError, UnicodeError):  # unknown at present
        return set()


def _plain(address: str) -> str:
    """Return an address in its one spelling; IPv4 within IPv6 as IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
