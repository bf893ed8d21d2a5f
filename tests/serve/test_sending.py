"""Sending: an archive that is away, that refuses, that forgets to answer gets everything in the end, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

import hilum.serve.sending
from hilum.run.classifier import Classifier
from hilum.serve.log import NodeLog
from hilum.serve.peers import Archive
from hilum.serve.results import film_results
from hilum.serve.sending import Sender
from hilum.serve.spool import Spool

SR, CAPTURE = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7"
Until = Callable[..., Any]


def keep_film(spool: Spool, data: bytes, sop_instance_uid: str, study_instance_uid: str = "") -> Path | None:
    """Keep a film whose file is in memory."""
    arrival = spool.receive()
    arrival.write_file(data)
    return spool.keep(arrival, sop_instance_uid, study_instance_uid)


class FakeArchive:
    """An archive that answers as it is told: a list of statuses, then success."""

    def __init__(self, classes: tuple[str, ...] = (SR, CAPTURE)) -> None:
        self.statuses: list[int] = []
        self.received: list[str] = []
        self.classes = classes
        self.port = 0
        self._ae: AE | None = None

    def start(self) -> None:
        self._ae = AE(ae_title="ARCHIVE")
        for sop_class in self.classes:
            self._ae.add_supported_context(sop_class, "1.2.840.10008.1.2")  # implicit alone: results are converted
        server = self._ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        assert server is not None
        self.port = server.server_address[1]

    def stop(self) -> None:
        if self._ae is not None:
            self._ae.shutdown()
            self._ae = None

    def _store(self, event: evt.Event) -> int:
        self.received.append(str(event.dataset.SOPInstanceUID))
        return self.statuses.pop(0) if self.statuses else 0x0000


@pytest.fixture
def archive() -> Iterator[FakeArchive]:
    """An archive, not started yet."""
    made = FakeArchive()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def two_results(
    tmp_path_factory: pytest.TempPathFactory, write_dicom: Callable[..., Path], tiny_model: Path
) -> list[Mapping[str, bytes]]:
    """The results of two films."""
    folder, classifier = tmp_path_factory.mktemp("films"), Classifier(tiny_model)
    return [film_results(classifier, write_dicom(folder / f"{seed}.dcm", seed=seed)).files for seed in range(2)]


@pytest.fixture
def spool(tmp_path: Path, two_results: list[Mapping[str, bytes]]) -> Spool:
    """A spool in which the results of two films wait."""
    made = Spool(tmp_path / "spool", "ab" * 32)
    for number, results in enumerate(two_results):
        film = keep_film(made, b"film", f"1.2.{number}")
        assert film is not None
        made.keep_results(film, results)
        made.drop_film(film)
    return made


@pytest.fixture
def sending(archive: FakeArchive, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Start to send; returns what is said meanwhile."""
    monkeypatch.setattr(hilum.serve.sending, "_FIRST_PAUSE_SECONDS", 0.1)
    senders: list[Sender] = []

    def start() -> list[str]:
        if not archive.port:
            archive.start()
        said: list[str] = []
        senders.append(Sender(spool, Archive("ARCHIVE", "127.0.0.1", archive.port), "HILUM", NodeLog(said.append)))
        senders[-1].start()
        return said

    yield start
    for sender in senders:
        sender.stop()
        sender.join(30)
        assert not sender.is_alive()


def test_all_is_sent_and_then_forgotten(archive: FakeArchive, spool: Spool, sending: Any, until: Until) -> None:
    sending()
    until(lambda: not spool.waiting_results())
    assert len(set(archive.received)) == len(archive.received) == 4
    assert len(list((spool.folder / "sent").iterdir())) == 2


def test_an_archive_that_is_away_is_waited_for(archive: FakeArchive, spool: Spool, sending: Any, until: Until) -> None:
    archive.start()
    archive.stop()
    said = sending()
    until(lambda: len(said) >= 2)
    assert said[0].endswith("WARNING ARCHIVE cannot be reached; 2 results wait in the spool.")
    assert len(spool.waiting_results()) == 2
    archive.start()
    until(lambda: not spool.waiting_results())
    assert len(set(archive.received)) == 4


def test_what_is_refused_waits_and_holds_up_nobody(
    archive: FakeArchive, spool: Spool, sending: Any, until: Until
) -> None:
    archive.statuses = [0xA700, 0x0000, 0x0000, 0xC123]
    said = sending()
    until(lambda: not spool.waiting_results())
    assert len(set(archive.received)) == 4
    refusals = [line for line in said if "refused" in line]
    assert len(refusals) == 2
    assert "status 0xA700" in refusals[0]


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_remark_is_no_refusal(archive: FakeArchive, spool: Spool, sending: Any, until: Until, status: int) -> None:
    archive.statuses = [status] * 4
    sending()
    until(lambda: not spool.waiting_results())
    assert len(archive.received) == 4


def test_an_archive_that_takes_no_reports_loses_none(
    archive: FakeArchive, spool: Spool, sending: Any, until: Until
) -> None:
    archive.classes = (CAPTURE,)
    said = sending()
    until(lambda: sum("does not take this kind of object" in line for line in said) >= 2)
    assert len(spool.waiting_results()) == 2
    archive.stop()
    archive.classes = (SR, CAPTURE)
    archive.start()
    until(lambda: not spool.waiting_results())


def test_sent_again_they_are_the_same_objects(
    archive: FakeArchive, spool: Spool, sending: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive has it, but its answer was lost: what comes again is what it has."""
    store, lost = hilum.serve.sending._store, [True]

    def lose_an_answer(association: Any, path: Path) -> str | None:
        answer = store(association, path)
        if path.name == "report.dcm" and lost and lost.pop():
            association.abort()
            return "no answer"
        return answer

    monkeypatch.setattr(hilum.serve.sending, "_store", lose_an_answer)
    sending()
    until(lambda: not spool.waiting_results())
    assert len(archive.received) > 4
    assert len(set(archive.received)) == 4


def test_a_refusal_says_why_and_dataset_answers_are_read() -> None:
    answer = Dataset()
    association: Any = type("Association", (), {"send_c_store": lambda _self, _dataset: answer})()
    path = Path(pytest.importorskip("pydicom").data.get_testdata_file("CT_small.dcm"))
    assert hilum.serve.sending._store(association, path) == "no answer"
    answer.Status = 0xA900
    assert hilum.serve.sending._store(association, path) == "status 0xA900"
    answer.Status = 0
    assert hilum.serve.sending._store(association, path) is None


def test_an_association_that_breaks_at_the_last_result_is_opened_again(
    archive: FakeArchive, spool: Spool, sending: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, num_stored = hilum.serve.sending._store, [0]

    def break_at_the_last(association: Any, path: Path) -> str | None:
        num_stored[0] += 1
        if num_stored[0] == 4:
            association.abort()
            return "no answer"
        return store(association, path)

    monkeypatch.setattr(hilum.serve.sending, "_store", break_at_the_last)
    sending()
    until(lambda: not spool.waiting_results())
