"""The DICOM node: what it takes and refuses, that nothing is lost, and a real archive at its end."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pynetdicom.association
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.sop_class import Verification

import hilum.film.pool
import hilum.serve.film_node
from hilum.errors import InputError
from hilum.film.pool import DecoderPool
from hilum.film.unpack import TRANSFER_SYNTAXES
from hilum.run.classifier import Classifier
from hilum.serve.dicom_node import FILM_CLASSES, Node, NodeSettings
from hilum.serve.results import FilmResults
from hilum.serve.spool import Spool

from .nodes import Process, Running, closed_sockets, send
from .test_incoming import DATA, RawPeer

__all__ = ["closed_sockets"]
pytestmark = pytest.mark.usefixtures("closed_sockets")

ROOT = Path(__file__).parents[2]
CT, CAPTURE, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33"
SUCCESS, OUT_OF_RESOURCES, NO_MATCH = 0x0000, 0xA700, 0xA900
WriteDicom = Callable[..., Path]
Until = Callable[..., Any]


@pytest.fixture
def running(tmp_path: Path, tiny_model: Path) -> Iterator[Running]:
    """A node without an archive: results stay in its spool."""
    made = Running(tiny_model, tmp_path / "spool")
    yield made
    made.node.stop()


def probabilities(report: Path) -> dict[str, float]:
    """Return the probabilities in a report."""
    content = pydicom.dcmread(report).ContentSequence
    measured = next(item for item in content if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    found = {}
    for group in measured.ContentSequence:
        items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        found[items["112039"].TextValue] = float(items["122157"].MeasuredValueSequence[0].FloatingPointValue)
    return found


# --- taking films ---------------------------------------------------------------------------------------------------


def test_echo(running: Running) -> None:
    ae = AE()
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", running.port, ae_title="HILUM")
    assert association.send_c_echo().Status == SUCCESS
    association.release()


def test_it_answers_to_its_own_title_alone(running: Running) -> None:
    ae = AE()
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", running.port, ae_title="OTHER")
    assert association.is_rejected


@pytest.mark.parametrize("sop_class", FILM_CLASSES)
def test_every_transfer_syntax_that_hilum_reads_is_taken(running: Running, sop_class: str) -> None:
    ae = AE()
    for syntax in TRANSFER_SYNTAXES:
        ae.add_requested_context(sop_class, syntax)
    ae.add_requested_context(CT)
    association = ae.associate("127.0.0.1", running.port, ae_title="HILUM")
    accepted = {context.transfer_syntax[0] for context in association.accepted_contexts}
    assert accepted == set(TRANSFER_SYNTAXES)
    assert len(TRANSFER_SYNTAXES) == 13
    assert [context.abstract_syntax for context in association.rejected_contexts] == [CT]
    association.release()


@pytest.mark.parametrize(
    "syntax",
    [
        *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
        *(RLELossless, JPEG2000Lossless, JPEGLSLossless),
    ],
    ids=lambda syntax: syntax.name,
)
def test_the_answer_is_that_of_the_command_line(  # noqa: PLR0917 - fixtures
    running: Running,
    tmp_path: Path,
    write_dicom: WriteDicom,
    command: Callable[..., Any],
    tiny_model: Path,
    until: Until,
    syntax: UID,
) -> None:
    film = write_dicom(tmp_path / "film.dcm", seed=3, syntax=syntax)
    assert send(running.port, film) == [SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    heat_map, report = running.results()
    line = json.loads(command("predict", "--model", tiny_model, film, "--format", "jsonl").out)
    assert probabilities(report) == pytest.approx(line["probabilities"], abs=1e-6)
    assert pydicom.dcmread(heat_map).StudyInstanceUID == pydicom.dcmread(film).StudyInstanceUID


def test_one_film_sent_twice_has_one_result(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, until: Until
) -> None:
    film = write_dicom(tmp_path / "film.dcm")
    assert send(running.port, film, film) == [SUCCESS, SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    assert send(running.port, film) == [SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    assert len(running.in_folder("outgoing")) == 1
    assert sum(line.endswith("Judged.") for line in running.heard.lines) == 1


def test_other_pixels_under_one_identifier_are_judged_by_themselves(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, until: Until
) -> None:
    films = [pydicom.dcmread(write_dicom(tmp_path / f"{seed}.dcm", seed=seed)) for seed in range(3)]
    for film in films[1:]:
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(film, keyword, getattr(films[0], keyword))
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    assert send(running.port, *films) == [SUCCESS] * 3
    until(lambda: not running.in_folder("incoming"))
    assert send(running.port, films[1], films[0]) == [SUCCESS] * 2
    until(lambda: not running.in_folder("incoming"))
    reports = [path for path in running.results() if path.name == "report.dcm"]
    assert len(reports) == 3
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in reports}) == 3
    assert len({str(probabilities(path)) for path in reports}) == 3
    assert sum("another film with an identifier" in line for line in running.heard.lines) == 2
    assert sum("that was judged before" in line for line in running.heard.lines) == 2


def test_what_cannot_be_filed_is_refused(running: Running, tmp_path: Path, write_dicom: WriteDicom) -> None:
    path = tmp_path / "film.dcm"
    assert send(running.port, write_dicom(path, StudyInstanceUID=None)) == [NO_MATCH]
    assert send(running.port, write_dicom(path, Manufacturer="hilum")) == [NO_MATCH]
    assert running.in_folder("incoming") == running.in_folder("quarantine") == []
    assert any("no valid Study Instance UID" in line for line in running.heard.lines)


def test_a_request_that_names_another_film_is_refused(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = pydicom.dcmread(write_dicom(tmp_path / "film.dcm"))
    encode, uid = pynetdicom.association.encode, str(film.SOPInstanceUID).encode()

    def changed(*arguments: Any, **words: Any) -> bytes:
        data = encode(*arguments, **words)
        assert data is not None
        assert uid in data
        return data.replace(uid, uid[:-3] + b"123")

    monkeypatch.setattr(pynetdicom.association, "encode", changed)
    assert send(running.port, film) == [NO_MATCH]
    assert running.in_folder("incoming") == []


def test_bytes_that_are_no_dicom_are_refused_and_the_node_lives_on(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_dicom(tmp_path / "film.dcm")
    with monkeypatch.context() as patch:
        patch.setattr(pynetdicom.association, "encode", lambda *_arguments, **_words: b"\xff" * 1000)
        (status,) = send(running.port, film)
    assert 0xA900 <= status <= 0xCFFF
    assert running.in_folder("incoming") == []
    assert send(running.port, film) == [SUCCESS]


def test_a_full_disk_fails_the_store_and_the_node_lives_on(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    film = write_dicom(tmp_path / "film.dcm")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert send(running.port, film) == [OUT_OF_RESOURCES]
        assert os.listdir(running.folder / "incoming") == []  # noqa: PTH208 - hidden files too
    assert send(running.port, film) == [SUCCESS]
    until(running.results)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_disk_that_is_really_full(tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom) -> None:
    """A file size limit of the process stands for the disk: writing fails in the middle of the film."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from hilum.serve.spool import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "spool = Spool(Path(sys.argv[1]), 'a' * 64)\n"
        "arrival = spool.receive()\n"
        "try: arrival.begin(b''); arrival.write(bytes(5000)); spool.keep(arrival, '1.2.3')\n"
        "except OSError: arrival.discard(); print('OSError', [p.name for p in (spool.folder / 'incoming').iterdir()])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "OSError []\n"


# --- judging --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_judged_is_set_aside_with_its_reason(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, until: Until
) -> None:
    hip, good = write_dicom(tmp_path / "hip.dcm", BodyPartExamined="HIP"), write_dicom(tmp_path / "good.dcm")
    assert send(running.port, hip, good) == [SUCCESS, SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    film, reason = running.in_folder("quarantine")
    assert pydicom.dcmread(film).SOPInstanceUID == pydicom.dcmread(hip).SOPInstanceUID
    told = json.loads(reason.read_text())
    assert told["error"]["type"] == "UnsupportedFilm"
    assert "HIP" in told["error"]["message"]
    assert set(told["model"]) == {"name", "sha256"}
    assert len(running.in_folder("outgoing")) == 1


@pytest.mark.usefixtures("closed_sockets")
def test_the_archive_is_told_what_cannot_be_judged_if_asked_for(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, until: Until
) -> None:
    running = Running(tiny_model, tmp_path / "spool", report_refused=True)
    assert send(running.port, write_dicom(tmp_path / "hip.dcm", BodyPartExamined="HIP")) == [SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    running.node.stop()
    (report,) = running.results()
    assert b"its body part is HIP" in report.read_bytes()
    assert len(running.in_folder("quarantine")) == 2


def test_a_refused_film_is_reported_with_reasons(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, until: Until
) -> None:
    assert send(running.port, write_dicom(tmp_path / "film.dcm", ViewPosition="LL")) == [SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    (report,) = running.results()
    assert b"this is a lateral view" in report.read_bytes()
    assert running.in_folder("quarantine") == []


def test_a_film_that_no_test_foresaw_holds_up_nobody(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    judge, failures = hilum.serve.film_node.film_results, [True]

    def fail_once(classifier: Classifier, film: Path) -> FilmResults:
        if failures and failures.pop():
            raise ZeroDivisionError("SECRET")
        return judge(classifier, film)

    monkeypatch.setattr(hilum.serve.film_node, "film_results", fail_once)
    films = [write_dicom(tmp_path / f"{number}.dcm", seed=number) for number in range(2)]
    assert send(running.port, *films) == [SUCCESS, SUCCESS]
    until(lambda: not running.in_folder("incoming"))
    assert len(running.in_folder("outgoing")) == 1
    assert "ZeroDivisionError" in running.in_folder("quarantine")[1].read_text()
    assert "SECRET" not in running.in_folder("quarantine")[1].read_text()


def test_a_disk_that_fills_up_while_judging_delays_and_loses_nothing(
    running: Running, tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(hilum.serve.film_node, "_DISK_PAUSE_SECONDS", 0.05)
    keep, left = running.spool.keep_results, [7]  # more often than a film that ends the process is tried

    def full(*arguments: Any) -> Path:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return keep(*arguments)

    monkeypatch.setattr(running.spool, "keep_results", full)
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [SUCCESS]
    until(lambda: len(running.results()) == 2)
    assert running.in_folder("quarantine") == []
    assert sum("No space left on device" in line for line in running.heard.lines) == 7


def test_a_film_on_which_the_process_always_ends_is_set_aside(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, until: Until
) -> None:
    spool = Spool(tmp_path / "spool", Classifier(tiny_model).identity["sha256"])
    arrival = spool.receive()
    arrival.write_file(write_dicom(tmp_path / "film.dcm").read_bytes())
    film = spool.keep(arrival, "1.2.3")
    assert film is not None
    for _ in range(30):
        spool.begin(film)
    spool.close()
    running = Running(tiny_model, tmp_path / "spool")
    until(lambda: running.in_folder("quarantine"))
    running.node.stop()
    assert "ended 30 times" in running.in_folder("quarantine")[1].read_text()


def test_no_message_and_no_log_names_the_patient_or_the_answer(  # noqa: PLR0917 - fixtures
    running: Running,
    tmp_path: Path,
    write_dicom: WriteDicom,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    films = [
        write_dicom(tmp_path / "good.dcm"),
        write_dicom(tmp_path / "lateral.dcm", ViewPosition="LL"),
        write_dicom(tmp_path / "hip.dcm", BodyPartExamined="HIP"),
        write_dicom(tmp_path / "unfiled.dcm", StudyInstanceUID=None),
    ]
    send(running.port, *films)
    until(lambda: not running.in_folder("incoming"))
    until(lambda: len(running.heard.lines) >= 4)
    captured = capfd.readouterr()
    said = "\n".join([*running.heard.lines, caplog.text, captured.out, captured.err]).upper()
    uids = [str(pydicom.dcmread(film).SOPInstanceUID) for film in films]
    for word in ("CRET", "-4711", "COVID", "NORMAL", "19600102", *uids):
        assert word not in said
    names = [path.name for folder in ("outgoing", "quarantine") for path in running.in_folder(folder)]
    assert not [name for name in names if any(uid in name for uid in uids)]


# --- ending -------------------------------------------------------------------------------------------------------


def test_it_ends_soon_whatever_peers_do(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """One is silent, one is half-way through a film, one has not said who it is."""
    monkeypatch.setattr(hilum.film.pool, "_pool", DecoderPool())
    monkeypatch.setattr(hilum.serve.film_node, "_GRACE_SECONDS", 1.0)
    running = Running(tiny_model, tmp_path / "spool")
    peers = [RawPeer(running.port), RawPeer(running.port)]
    peers[1].command()
    peers[1].piece(DATA, bytes(1000))
    with socket.create_connection(("127.0.0.1", running.port)):
        until(lambda: list((running.folder / "incoming").glob(".part-*")))
        started = time.monotonic()
        running.node.stop()
        assert time.monotonic() - started < 10
    until(lambda: not any(peer.association.is_established for peer in peers))


def test_a_node_that_is_ending_takes_no_more(running: Running, tmp_path: Path, write_dicom: WriteDicom) -> None:
    running.node._stopping.set()
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [OUT_OF_RESOURCES]
    assert running.in_folder("incoming") == []


def test_a_film_under_way_is_finished_at_the_end(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    began, go_on = threading.Event(), threading.Event()
    judge = hilum.serve.film_node.film_results

    def slow(classifier: Classifier, film: Path) -> FilmResults:
        began.set()
        go_on.wait(30)
        return judge(classifier, film)

    monkeypatch.setattr(hilum.serve.film_node, "film_results", slow)
    running = Running(tiny_model, tmp_path / "spool")
    films = [write_dicom(tmp_path / f"{number}.dcm", seed=number) for number in range(2)]
    assert send(running.port, *films) == [SUCCESS, SUCCESS]
    assert began.wait(30)
    ending = threading.Thread(target=running.node.stop)
    ending.start()
    go_on.set()
    ending.join(60)
    assert not ending.is_alive()
    assert len(running.results()) == 2
    assert len(running.in_folder("incoming")) == 1


def test_a_decoder_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    (tmp_path / "hanging.py").write_text(
        "import pathlib, time\ndef decode(data, **words):\n"
        f"    pathlib.Path({str(tmp_path / 'began')!r}).touch()\n    time.sleep(600)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(hilum.film.pool, "_pool", DecoderPool("hanging:decode"))
    monkeypatch.setattr(hilum.serve.film_node, "_GRACE_SECONDS", 1.0)
    running = Running(tiny_model, tmp_path / "spool")
    assert send(running.port, write_dicom(tmp_path / "film.dcm")) == [SUCCESS]
    until((tmp_path / "began").exists)
    ending = threading.Thread(target=running.node.stop)
    ending.start()
    ending.join(20)
    assert not ending.is_alive()
    assert len(running.in_folder("incoming")) == 1  # judged when the node starts again
    assert running.in_folder("quarantine") == running.results() == []


def test_an_address_that_is_taken(running: Running, tmp_path: Path, tiny_model: Path) -> None:
    spool = Spool(tmp_path / "other", "a" * 64)
    with pytest.raises(InputError, match=r"Cannot listen on 127\.0\.0\.1"):
        Node(Classifier(tiny_model), spool, NodeSettings("HILUM", running.port))


# --- a real archive -------------------------------------------------------------------------------------------------


def test_results_reach_a_real_archive(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    tiny_model: Path,
    write_dicom: WriteDicom,
    make_orthanc: Callable[..., Any],
    program: Callable[[str], str],
    until: Until,
) -> None:
    """storescu -> hilum -> Orthanc, which is away at first; what comes back is what was made, free of errors."""
    orthanc = make_orthanc()
    orthanc.stop()
    running = Running(tiny_model, tmp_path / "spool", orthanc.address)
    path = write_dicom(tmp_path / "film.dcm", seed=5, size_px=400)
    film = pydicom.dcmread(path)
    try:
        sent = subprocess.run(
            [program("storescu"), "-aec", "HILUM", "127.0.0.1", str(running.port), path],
            capture_output=True,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        until(lambda: any("cannot be reached" in line for line in running.heard.lines))
        orthanc.start()
        until(lambda: running.in_folder("sent"))
    finally:
        running.node.stop()
    objects = {one.SOPClassUID: one for one in orthanc.objects(film.StudyInstanceUID)}
    assert set(objects) == {SR, CAPTURE}
    for one in objects.values():
        assert (one.PatientID, one.PatientName) == (film.PatientID, film.PatientName)
        one.save_as(tmp_path / "back.dcm", enforce_file_format=True)
        checked = subprocess.run(
            [program("dciodvfy"), tmp_path / "back.dcm"], capture_output=True, text=True, check=False
        )
        assert "Error" not in checked.stderr
    objects[SR].save_as(tmp_path / "report.dcm", enforce_file_format=True)
    dumped = subprocess.run([program("dsrdump"), "+Pl", tmp_path / "report.dcm"], capture_output=True, check=False)
    assert dumped.returncode == 0, dumped.stderr
    assert b"Research software, not a medical device." in dumped.stdout
    expected = Classifier(tiny_model).predict(path).probabilities
    assert probabilities(tmp_path / "report.dcm") == pytest.approx(expected, abs=1e-6)


def test_the_route_of_the_docs(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    tiny_model: Path,
    write_dicom: WriteDicom,
    make_orthanc: Callable[..., Any],
    program: Callable[[str], str],
    until: Until,
) -> None:
    """The archive forwards films by the script of docs/how-to/pacs.md; their results join the same study once."""
    page = (ROOT / "docs" / "how-to" / "pacs.md").read_text(encoding="utf-8")
    script = page.split("```lua\n")[1].split("```")[0]
    (tmp_path / "route.lua").write_text(script, encoding="utf-8")
    spool = tmp_path / "spool"
    program("Orthanc")
    spare = Process(tiny_model, spool)  # a port that stays the same, known before the archive starts
    port = spare.port
    orthanc = make_orthanc(
        LuaScripts=[str(tmp_path / "route.lua")], DicomModalities={"hilum": ["HILUM", "127.0.0.1", port]}
    )
    spare.end(signal.SIGTERM)
    running = Process(tiny_model, spool, "--port", port, "--send-to", orthanc.address)
    path = write_dicom(tmp_path / "film.dcm", seed=6, syntax=JPEG2000Lossless)
    study = pydicom.dcmread(path).StudyInstanceUID
    (line,) = (line for line in page.splitlines() if line.startswith("dcmsend "))
    words = {"ORTHANC": "ARCHIVE", "localhost": "127.0.0.1", "4242": str(orthanc.dicom_port), "film.dcm": str(path)}
    command = [words.get(word, word) for word in line.split()]
    subprocess.run([program(command[0]), *command[1:]], check=True)
    until(lambda: len(orthanc.objects(study)) == 3)
    until(lambda: len(list((spool / "sent").iterdir())) == 1)
    assert len(orthanc.objects(study)) == 3
    code, said = running.end(signal.SIGTERM)
    assert code == 0
    assert "not accepted" not in said


@pytest.mark.slow
def test_a_node_that_is_killed_loses_no_film(
    tmp_path: Path, tiny_model: Path, write_dicom: WriteDicom, program: Callable[[str], str]
) -> None:
    """A short run of bench/node_kill.py; the figure in docs/results.md comes from a long one."""
    program("Orthanc")
    for number in range(3):
        write_dicom(tmp_path / "films" / f"{number}.dcm", seed=number)
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "node_kill.py", "--model", tiny_model, tmp_path / "films", "--kills", "3"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [int(cell) for cell in done.stdout.splitlines()[-1].strip("| ").split(" | ")]
    kills, num_films, _, num_aside, num_lost, num_twice = cells
    assert kills == 3
    assert num_films >= 3
    assert (num_aside, num_lost, num_twice) == (0, 0, 0)
