"""Who may send films, and where results go: what is written on the command line is read, or refused with a reason."""

from __future__ import annotations

import pytest

from hilum.errors import ConfigError
from hilum.serve.peers import Archive, Peer, checked_ae_title, may_send, parse_archive, parse_peer


@pytest.mark.parametrize(
    ("text", "archive"),
    [
        ("ORTHANC@localhost:4242", Archive("ORTHANC", "localhost", 4242)),
        (" PACS 1@10.0.0.1:104", Archive("PACS 1", "10.0.0.1", 104)),
        ("PACS@[::1]:11112", Archive("PACS", "::1", 11112)),
    ],
)
def test_where_results_go(text: str, archive: Archive) -> None:
    assert parse_archive(text) == archive


@pytest.mark.parametrize(
    "text", ["", "ORTHANC", "localhost:4242", "A@localhost", "A@localhost:0", "A@h:65536", "A@h:x", "@h:1", "A@B@h:1"]
)
def test_what_is_no_archive(text: str) -> None:
    with pytest.raises(ConfigError, match="expected AE@HOST:PORT"):
        parse_archive(text)


@pytest.mark.parametrize("title", ["", "   ", "SEVENTEEN_LETTERS", "BACK\\SLASH", "UMLÄUT", "TAB\tTAB"])
def test_what_is_no_title(title: str) -> None:
    with pytest.raises(ConfigError, match="is not an AE title"):
        checked_ae_title(title)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("MODALITY", Peer("MODALITY")),
        (" CR 1@10.0.0.7 ", Peer("CR 1", "10.0.0.7")),
        ("PACS@archive.example", Peer("PACS", "archive.example")),
        ("PACS@::1", Peer("PACS", "::1")),
        ("PACS@[fe80::1]", Peer("PACS", "fe80::1")),
    ],
)
def test_who_is_meant(text: str, peer: Peer) -> None:
    assert parse_peer(text) == peer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@host",
        "A@",
        "A@B@C",
        "A@[::1",
        "A@ho st",
        "SEVENTEEN_LETTERS",
        "A@host:104",
        "A@a:104",
        "A@10.0.0.7:104",
        "A@[a:1]",
    ],
)
def test_what_names_nobody(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected AE or AE@HOST|is not an AE title"):
        parse_peer(text)


def test_a_title_and_a_host_must_both_be_right() -> None:
    peers = [Peer("CR"), Peer("PACS", "localhost"), Peer("DX", "10.0.0.7"), Peer("SIX", "::1")]
    for title, address in (
        *(("CR", "192.0.2.1"), ("CR ", "::1"), ("PACS", "127.0.0.1"), ("DX", "10.0.0.7"), ("DX", "::ffff:10.0.0.7")),
        ("SIX", "0:0:0:0:0:0:0:1"),
    ):
        assert may_send(title, address, peers), (title, address)
    for title, address in (("cr", "192.0.2.1"), ("PACS", "192.0.2.1"), ("DX", "10.0.0.70"), ("", "10.0.0.7")):
        assert not may_send(title, address, peers), (title, address)
    assert may_send("ANYBODY", "192.0.2.1", [])
    assert not may_send("CT", "127.0.0.1", [Peer("CT", "nowhere.invalid")])
