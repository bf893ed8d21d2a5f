"""What the tests of the DICOM node share: a node in this process, and a modality that sends films."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.transport import AssociationSocket

from hilum.console import Console
from hilum.run.classifier import Classifier
from hilum.serve.dicom_node import Node, NodeSettings
from hilum.serve.peers import parse_archive
from hilum.serve.spool import Spool


@pytest.fixture
def closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close sockets of peers in this process; pynetdicom leaves them open where the node was quicker."""
    shut = AssociationSocket._shutdown_socket

    def shut_and_close(door: AssociationSocket) -> None:
        connection = door.socket
        shut(door)
        if connection is not None:
            connection.close()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", shut_and_close)


class Heard(Console):
    """A console that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Running:
    """A node of this process, its spool folder and what it said; further words are those of NodeSettings."""

    def __init__(self, model: Path, folder: Path, archive: str | None = None, **words: Any) -> None:
        classifier = Classifier(model)
        self.folder, self.heard = folder, Heard()
        self.spool = Spool(folder, classifier.identity["sha256"])
        settings = NodeSettings("HILUM", 0, archive=parse_archive(archive) if archive else None, **words)
        self.node = Node(classifier, self.spool, settings, self.heard)
        self.port = self.node.port

    def in_folder(self, name: str) -> list[Path]:
        return sorted(path for path in (self.folder / name).iterdir() if not path.name.startswith("."))

    def results(self) -> list[Path]:
        return [path for folder in self.in_folder("outgoing") for path in sorted(folder.iterdir())]


def send(port: int, *films: Path | pydicom.Dataset, called: str = "HILUM") -> list[int]:
    """Return the statuses that a node answers to films with."""
    datasets = [pydicom.dcmread(film) if isinstance(film, Path) else film for film in films]
    ae = AE(ae_title="MODALITY")
    for dataset in datasets:
        ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    assert association.is_established
    answers = [association.send_c_store(dataset) for dataset in datasets]
    association.release()
    for answer in answers:
        assert "SECRET" not in str(answer.get("ErrorComment", ""))
    return [answer.Status for answer in answers]


class Process:
    """`hilum node` as a process of its own."""

    def __init__(self, model: Path, spool: Path, *options: object) -> None:
        words = ["--model", model, "--ae-title", "HILUM", "--port", "0", "--spool", spool, *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hilum", "node", *map(str, words)], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.first_line = self.process.stderr.readline()
        self.port = int(self.first_line.split("port ")[1].split(".")[0]) if "port " in self.first_line else 0

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal and return the exit code and what was said since."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said
