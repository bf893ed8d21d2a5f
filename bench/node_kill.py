"""Does a node that is killed lose a film? Kills `hilum node` while films come in, then counts what the archive has.

    python bench/node_kill.py --model RUN/model.onnx FOLDER --kills 20 [--dicomweb]

Copies of the DICOM films in FOLDER, each a new film of a new study, are sent to a node one after another. Meanwhile the
node is ended with SIGKILL at random moments, also while it starts, and started again. A sender that gets no success
sends again, as modalities do. When all kills are done and the spool is empty, a real archive (Orthanc, started here)
is asked what it holds of each film that the node had taken: a structured report and a heat map, each once. With
--dicomweb the archive gets the films, and the node fetches them (Debian: orthanc-dicomweb).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid
from pynetdicom import AE

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
EXPECTED = 2  # objects of a judged film: report and heat map
QUEUE = 4  # films and results that wait, so that most kills hit one being judged or sent
MAX_SECONDS_TO_DRAIN = 600


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Archive:
    """Orthanc on loopback."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            sys.exit("Orthanc is not installed (Debian: apt-get install orthanc).")
        self.port, self.http = free_port(), free_port()
        settings = {
            "StorageDirectory": str(folder / "store"),
            "IndexDirectory": str(folder / "store"),
            "HttpPort": self.http,
            "DicomPort": self.port,
            "DicomAet": "ARCHIVE",
            "Plugins": [str(path) for path in (PLUGIN,) if path.exists()],
        }
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        self.process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while self._ask("system") is None:
            time.sleep(0.1)

    def _ask(self, path: str, query: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/{path}", data=json.dumps(query).encode() if query else None
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    def take(self, film: pydicom.Dataset) -> bool:
        """Return whether it has stored a film."""
        data = io.BytesIO()
        film.save_as(data, enforce_file_format=True)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/instances", data.getvalue(), 30):
                return True
        except OSError:
            return False

    def num_objects(self, study: str) -> int:
        """Return how many objects it holds of a study."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}}
        return len(self._ask("tools/find", query) or [])


class KilledNode:
    """A node that is killed and started again, in a thread of its own."""

    def __init__(self, command: list[str], num_kills: int, longest_seconds: float, chance: random.Random) -> None:
        self._command, self._num_kills, self._chance = command, num_kills, chance
        self._longest_seconds = longest_seconds
        self.done = threading.Event()
        self.process = self._start()
        threading.Thread(target=self._kill, daemon=True).start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)

    def _kill(self) -> None:
        for _ in range(self._num_kills):
            errors = self.process.stderr
            if self._chance.random() < 0.8 and errors is not None:
                errors.readline()  # it listens; the rest is killed while it starts
            time.sleep(self._chance.uniform(0, self._longest_seconds))
            self.process.kill()
            self.process.communicate()
            self.process = self._start()
        self.done.set()


def copy_of(film: pydicom.Dataset) -> pydicom.Dataset:
    """Return a film with identifiers of its own."""
    film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID = (generate_uid() for _ in range(3))
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    return film


def send(film: pydicom.Dataset, port: int) -> bool:
    """Return whether the node has taken a film."""
    ae = AE()
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    ae.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="HILUM")
    if not association.is_established:
        return False
    try:
        return bool(association.send_c_store(film).get("Status") == 0)
    except (RuntimeError, ValueError):
        return False
    finally:
        if association.is_established:
            association.release()


def waiting(spool: Path) -> int:
    """Return how many films and results wait in a spool."""
    return sum(len(list((spool / name).glob("*"))) for name in ("incoming", "outgoing"))


def num_seen(spool: Path) -> int:
    """Return how many films a spool has had."""
    return len(list((spool / "seen").glob("[!.]*")))


def main() -> int:
    """Send, kill, count, print; 1 where a film was lost or is held twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of DICOM chest films")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest-seconds", type=float, default=4.0, help="that a node lives once it listens")
    parser.add_argument("--most-films", type=int, default=200, help="then one waits for the kills to be done")
    parser.add_argument("--dicomweb", action="store_true", help="the node fetches films from the archive")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths, chance = sorted(options.folder.glob("*.dcm")), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        spool, port = Path(temporary) / "spool", free_port()
        archive = Archive(Path(temporary))
        command = [sys.executable, "-m", "hilum", "node", "--model", str(options.model), "--spool", str(spool)]
        if options.dicomweb:
            command += ["--dicomweb", f"http://127.0.0.1:{archive.http}/dicom-web", "--days", "0", "--every", "1"]
        else:
            command += ["--ae-title", "HILUM", "--port", str(port), "--send-to", f"ARCHIVE@127.0.0.1:{archive.port}"]
        expected = EXPECTED + options.dicomweb  # the archive holds the film as well
        node = KilledNode(command, options.kills, options.longest_seconds, chance)
        studies: list[str] = []
        num_tries = 0
        try:
            while not node.done.is_set():
                ahead = len(studies) - num_seen(spool) if options.dicomweb else 0
                if len(studies) < options.most_films and waiting(spool) + ahead < QUEUE:
                    film = copy_of(pydicom.dcmread(chance.choice(paths)))
                    while not (archive.take(film) if options.dicomweb else send(film, port)):
                        num_tries += 1
                        time.sleep(0.1)
                    studies.append(str(film.StudyInstanceUID))
                else:
                    time.sleep(0.05)
            end = time.monotonic() + MAX_SECONDS_TO_DRAIN
            while (waiting(spool) or num_seen(spool) < len(studies)) and time.monotonic() < end:
                time.sleep(0.2)
            counts = [archive.num_objects(study) for study in studies]
            num_aside = len(list((spool / "quarantine").glob("*.dcm")))
        finally:
            node.process.terminate()
            node.process.communicate()
            archive.process.terminate()
            archive.process.wait()
    num_lost, num_twice = sum(count < expected for count in counts), sum(count > expected for count in counts)
    print(
        "| kills | films taken | sent again by the sender | set aside | lost | held twice |\n|---|---|---|---|---|---|"
    )
    print(f"| {options.kills} | {len(studies)} | {num_tries} | {num_aside} | {num_lost} | {num_twice} |")
    return 1 if num_lost or num_twice else 0


if __name__ == "__main__":
    sys.exit(main())
