"""The node as a process: how it ends, and what its log says."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from .nodes import Process, closed_sockets, send
from .test_incoming import DATA, LAST, RawPeer

__all__ = ["closed_sockets"]
pytestmark = pytest.mark.usefixtures("closed_sockets")

SUCCESS, NO_MATCH = 0x0000, 0xA900
WriteDicom = Callable[..., Path]
Until = Callable[..., Any]


@pytest.mark.slow
def test_it_ends_on_sigterm_and_goes_on_later(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, until: Until
) -> None:
    spool = tmp_path / "spool"
    first = Process(tiny_model, spool)
    assert " INFO    HILUM listens on 127.0.0.1, port " in first.first_line
    assert "not a medical device" in first.first_line
    films = [write_dicom(tmp_path / f"{number}.dcm", seed=number) for number in range(4)]
    assert send(first.port, *films) == [SUCCESS] * 4
    code, said = first.end(signal.SIGTERM)
    assert code == 0, said
    assert "finishing the current work" in said
    assert not list(spool.glob("*/.part-*"))
    assert len(list((spool / "incoming").glob("*.dcm"))) + len(list((spool / "outgoing").iterdir())) == 4
    second = Process(tiny_model, spool)
    until(lambda: len(list((spool / "outgoing").iterdir())) == 4)
    refused = Process(tiny_model, spool)
    code, said = refused.end(0)
    assert code == 2
    assert "Another node uses the spool folder" in refused.first_line + said
    second.end(signal.SIGKILL)


@pytest.mark.slow
def test_its_log_has_time_level_and_numbers_and_no_identifier(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, until: Until
) -> None:
    """Not even where libraries would warn of values that are not valid."""
    spool = tmp_path / "spool"
    node = Process(tiny_model, spool, "--log", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        films = [
            write_dicom(tmp_path / "good.dcm"),
            write_dicom(tmp_path / "hip.dcm", BodyPartExamined="HIP", PatientBirthDate="SECRET-4711"),
            write_dicom(tmp_path / "unfiled.dcm", StudyInstanceUID=None),
        ]
    assert send(node.port, *films) == [SUCCESS, SUCCESS, NO_MATCH]
    peer = RawPeer(node.port)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.command("1.2.SECRET.4711")
    peer.piece(DATA | LAST, films[0].read_bytes()[500:])
    until(lambda: len(list((spool / "outgoing").iterdir())) == 1 and len(list((spool / "quarantine").iterdir())) == 2)
    peer.association.abort()
    code, said = node.end(signal.SIGTERM)
    assert code == 0
    text = (node.first_line + said).upper()
    datasets = [pydicom.dcmread(film) for film in films]
    uids = [str(one[keyword].value) for one in datasets for keyword in ("SOPInstanceUID", "SeriesInstanceUID")]
    uids += [str(one.StudyInstanceUID) for one in datasets[:2]]
    for word in ("CRET", "4711", "COVID", *uids):
        assert word.upper() not in text
    lines = [json.loads(line) for line in (node.first_line + said).splitlines()]
    assert all(set(line) == {"time", "level", "association", "study", "film", "message"} for line in lines)
    taken, judged = ([line for line in lines if line["message"].startswith(word)] for word in ("Received", "Judged"))
    assert [line["association"] for line in taken] == [1, 1]
    assert (judged[0]["study"], judged[0]["film"]) == (taken[0]["study"], taken[0]["film"])
    assert len({line["study"] for line in taken}) == 2
    (aside,) = (line for line in lines if line["message"].startswith("Moved to quarantine"))
    assert (aside["level"], aside["association"], aside["study"]) == ("WARNING", 1, taken[1]["study"])
    assert [path.name[:12] for path in (spool / "quarantine").iterdir()] == [aside["film"]] * 2
