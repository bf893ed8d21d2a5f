"""What every test may use: the folder of real films, phantoms, a hand-made model, one trained run, the command line."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from hilum.data.fingerprint import Fingerprint, Twin, find_twins
from hilum.data.phantom import draw_phantom, write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.judge.audit import trivial_scores
from hilum.run.memory import hold_memory
from hilum.run.modelfile import METADATA_KEY, Metadata

from .fake_networks import networks  # noqa: F401
from .planted import chests, looking_model, marked_films, plant_set  # noqa: F401

hold_memory()  # as commands that train do
os.environ["XDG_CACHE_HOME"] = f"{tempfile.gettempdir()}/hilum-tests-cache"  # of compiled networks; not the user's
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background

TINY_FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")
TINY_SIZE_PX = 32
TINY_DEPTH = 4
TINY_SIDE = 4  # of the feature maps
TINY_TOML = """\
backbone = "plain-cnn"
weights = "none"

[preprocessing]
size_px = 64

[fit]
epochs = 2
batch_size = 12
"""


SLOW_FIXTURES = {"chromium", "make_orthanc"}  # a browser, a real archive


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow every test that starts a browser or a real archive."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def hilum_data() -> Path:
    """The folder of real films named by HILUM_DATA; its absence skips the test, on CI it is an error."""
    return _outside_folder("HILUM_DATA", "data", "real films")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of difficult inputs named by HILUM_CASES; its absence skips the test, on CI it is an error."""
    return _outside_folder("HILUM_CASES", "cases", "difficult films")


def _outside_folder(variable: str, default: str, content: str) -> Path:
    folder = Path(os.environ.get(variable, Path(__file__).parents[2] / "shared" / default))
    if not folder.is_dir():
        message = f"No folder of {content}: set {variable} to run this test."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def schema_errors() -> Callable[..., list[str]]:
    """Return what a value says against a schema of the package, by the schema's name."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    folder = Path(__file__).parents[1] / "src" / "hilum" / "schemas"
    contents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(content)) for name, content in contents.items()
    )

    def errors(name: str, value: Any) -> list[str]:
        validator = Draft202012Validator({"$ref": f"{name}.json"}, registry=registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]

    return errors


REPEATS = trivial_scores._REPEATS


@pytest.fixture(scope="session", autouse=True)
def one_repeat() -> Iterator[None]:
    """Cross-validate the audit's trivial models once, not five times: that is a third of a small training run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trivial_scores, "_REPEATS", ())
        yield


@pytest.fixture(scope="session", autouse=True)
def each_set_searched_once() -> Iterator[None]:
    """Search each set of films for twins once a process: many tests read the same small sets."""
    known: dict[str, list[Twin]] = {}

    def remembered(fingerprints: Sequence[Fingerprint]) -> list[Twin]:
        films = hashlib.sha256()
        for one in fingerprints:
            films.update(f"{one.file_sha256} {one.pixel_sha256} ".encode())
            films.update(one.dhash256.tobytes() + one.thumbnail.tobytes())
        key = films.hexdigest()
        if key not in known:
            known[key] = find_twins(fingerprints)
        return list(known[key])

    with pytest.MonkeyPatch.context() as patch:
        for user in ("scan", "phantom"):
            patch.setattr(f"hilum.data.{user}.find_twins", remembered)
        yield


@pytest.fixture
def every_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-validate them as often as users do."""
    monkeypatch.setattr(trivial_scores, "_REPEATS", REPEATS)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Make something once for all processes of a test run: the first makes it in a folder, the others wait for it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def get(name: str, make: Callable[[Path], Any]) -> Any:
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = folder / f"{name}.pickle"
            if not kept.exists():
                kept.write_bytes(pickle.dumps(make(folder / name)))
            return pickle.loads(kept.read_bytes())

    return get


# --- films ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def write_film() -> Callable[..., Path]:
    """Write one phantom where the test wants it; its suffix says whether as PNG or JPEG."""

    def write(path: Path, *, seed: int = 0, finding: str = "Normal", size_px: int = 96) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw_phantom(finding, np.random.default_rng(seed), size_px=size_px)
        path.write_bytes(cv2.imencode(path.suffix or ".png", pixels)[1].tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_data(once: Callable[..., Any]) -> Path:
    """A small data set of phantoms: three findings, 12 films each to train on, 5 each to test on. Leave it as it is."""
    return once(
        "phantoms",
        lambda folder: write_phantoms(
            folder, num_per_finding=12, num_test_per_finding=5, findings=TINY_FINDINGS, size_px=96
        ),
    )


# --- DICOM ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., Path]:
    """Write a phantom as a DICOM film (CR, chest, PA); further words set elements, None deletes them."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    def write(path: Path, *, seed: int = 0, size_px: int = 96, syntax: Any = None, **elements: Any) -> Path:
        pixels = draw_phantom("Normal", np.random.default_rng(seed), size_px=size_px).astype("<u2") * 16
        film = Dataset()
        film.file_meta = FileMetaDataset()
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.SpecificCharacterSet = "ISO_IR 100"
        film.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1")
        film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID = (generate_uid() for _ in range(3))
        film.Modality, film.BodyPartExamined, film.ViewPosition = "CR", "CHEST", "PA"
        film.PatientName, film.PatientID, film.PatientSex = "S\u00c9CRET^PATIENT", "SECRET-4711", "F"
        film.PatientBirthDate, film.StudyDate, film.StudyTime = "19600102", "20260304", "101112"
        film.AccessionNumber, film.StudyID, film.ReferringPhysicianName = "SECRET-ACC", "SECRET-ST", "SECRET^DOCTOR"
        film.SeriesNumber, film.InstanceNumber, film.Manufacturer = 1, 1, "Phantom maker"
        film.StudyDescription, film.PatientOrientation = "THORAX", ["L", "F"]
        film.Rows, film.Columns = pixels.shape
        film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
        film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
        film.PixelData = pixels.tobytes()
        film["PixelData"].VR = "OW"
        for keyword, value in elements.items():
            if value is None:
                delattr(film, keyword)
            else:
                setattr(film, keyword, value)
        if syntax is not None and syntax.is_encapsulated:
            film.compress(syntax, generate_instance_uid=False)
        elif syntax is not None:
            film.file_meta.TransferSyntaxUID = syntax
        path.parent.mkdir(parents=True, exist_ok=True)
        film.save_as(path, enforce_file_format=True)
        return path

    return write


def debian_program(name: str) -> str:
    """Return where a program of Debian's lies; without it the test is skipped."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        package = {"Orthanc": "orthanc", "dciodvfy": "dicom3tools"}.get(name, "dcmtk")
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return found


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return where a program of Debian's lies; without it the test is skipped."""
    return debian_program


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Orthanc:
    """A real archive: Debian's Orthanc on loopback, with a folder of its own.

    Args:
        folder: Where its configuration and its store lie.
        changes: Settings that differ.
    """

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self._program = debian_program("Orthanc")
        self.dicom_port, self.http_port = free_port(), free_port()
        self.address = f"ARCHIVE@127.0.0.1:{self.dicom_port}"
        self._configuration = folder / "orthanc.json"
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "store"),
            "IndexDirectory": str(folder / "store"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": "ARCHIVE",
            "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OrthancPeers": {},
            "DicomModalities": {},
        }
        self._configuration.write_text(json.dumps(settings | (changes or {})), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [self._program, str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: self.get("system") is not None)

    def stop(self) -> None:
        """Stop it; what it holds stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def get(self, path: str) -> Any:
        """Return what its REST interface says, None where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=10) as answer:
                data = answer.read()
        except OSError:
            return None
        return data if path.endswith("/file") else json.loads(data)

    def objects(self, study: str) -> list[Any]:
        """Return the objects that it holds of a study, as pydicom data sets."""
        import pydicom

        files = [self.get(f"instances/{name}/file") for name in self.get("instances") or []]
        found = [pydicom.dcmread(io.BytesIO(data)) for data in files if data]
        return [one for one in found if one.StudyInstanceUID == study]


def wait_until(condition: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Return what a condition comes to as soon as it is true; fail after a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come true in time")


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Wait until a condition is true; fail after a time."""
    return wait_until


@pytest.fixture
def make_orthanc(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """Start a real archive; its settings may differ. Skips the test where Orthanc is not installed."""
    made: list[Orthanc] = []

    def make(**changes: Any) -> Orthanc:
        made.append(Orthanc(tmp_path / f"orthanc-{len(made)}", changes))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_graph() -> Callable[[], Any]:
    """Return a hand-made graph of hilum's kind: pooled patches, four channels, a linear head. It needs no Keras."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def build() -> onnx.ModelProto:
        rng = np.random.default_rng(0)
        num_findings, patch = len(TINY_FINDINGS), TINY_SIZE_PX // TINY_SIDE
        kernel = rng.normal(size=(TINY_DEPTH, 1, patch, patch)).astype(np.float32)
        head = rng.normal(size=(num_findings, TINY_DEPTH)).astype(np.float32)
        weights = {
            "kernel": kernel,
            "head": head,
            "bias": rng.normal(size=num_findings).astype(np.float32),
            "evidence": head[:, :, None, None] / TINY_SIDE**2,
        }
        nodes = [
            helper.make_node("Conv", ["film", "kernel"], ["raw"], strides=[patch, patch], name="stem"),
            helper.make_node("Relu", ["raw"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("Gemm", ["features", "head", "bias"], ["logits"], transB=1),
            helper.make_node("Conv", ["maps", "evidence"], ["activation"]),
        ]
        shapes: dict[str, list[str | int]] = {
            "film": ["N", 1, TINY_SIZE_PX, TINY_SIZE_PX],
            "logits": ["N", num_findings],
            "features": ["N", TINY_DEPTH],
            "activation": ["N", num_findings, TINY_SIDE, TINY_SIDE],
        }
        ports = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [ports["film"]],
            [ports["logits"], ports["features"], ports["activation"]],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    return build


@pytest.fixture(scope="session")
def tiny_metadata() -> Metadata:
    """What the hand-made model says of itself."""
    return Metadata(
        name="tiny",
        findings=TINY_FINDINGS,
        preprocessing=Preprocessing(size_px=TINY_SIZE_PX),
        temperature=1.5,
        operating_thresholds={"Normal": 0.5, "Covid-19": 0.2, "Viral Pneumonia": 0.6},
        conformal={name: {"threshold": 0.9, "n": 50} for name in TINY_FINDINGS},
        hilum_version="0.1.0",
    )


@pytest.fixture(scope="session")
def write_model(tiny_graph: Callable[[], Any], tiny_metadata: Metadata) -> Callable[..., Path]:
    """Write a hand-made model file; ``graph`` replaces its graph, ``text`` its metadata, other words single values."""
    from onnx import helper

    def write(path: Path, *, graph: Any = None, text: str | None = None, **changes: Any) -> Path:
        model = graph or tiny_graph()
        metadata = json.loads(tiny_metadata.to_json()) | changes
        helper.set_model_props(model, {METADATA_KEY: json.dumps(metadata) if text is None else text})
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, write_model: Callable[..., Path]) -> Path:
    """A hand-made model file. Leave it as it is."""
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a training run that takes seconds."""
    path = tmp_path_factory.mktemp("settings") / "run.toml"
    path.write_text(TINY_TOML, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained_run(once: Callable[..., Any], tiny_data: Path, tiny_toml: Path) -> Any:
    """One finished training run on the small data set. Leave its folder as it is."""
    from hilum.train.config_file import read_config
    from hilum.workflows.train import train_model

    config = dataclasses.replace(read_config(tiny_toml), folds=2)
    return once("run", lambda folder: train_model(tiny_data, folder, config))


@pytest.fixture(scope="session")
def write_run(
    write_model: Callable[..., Path], tiny_graph: Callable[[], Any], tiny_data: Path, tiny_metadata: Metadata
) -> Callable[..., Path]:
    """Write the folder of a run on the small data set whose model was made by hand; it takes no training.

    ``seed`` makes the model and, unless ``split_seed`` says otherwise, chooses the validation films.
    """
    from onnx import numpy_helper

    from hilum.data.folder import read_dataset
    from hilum.data.run_tables import write_splits
    from hilum.judge.predictions import judge_records
    from hilum.report.predictions import predictions_csv
    from hilum.run.classifier import Classifier

    dataset = read_dataset(tiny_data)
    groups = np.arange(len(dataset.records))

    def graph_of(seed: int) -> Any:
        graph, rng = tiny_graph(), np.random.default_rng(seed)
        for tensor in graph.graph.initializer:
            if tensor.name == "head":
                head = 4 * rng.normal(size=(len(TINY_FINDINGS), TINY_DEPTH)).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(head, "head"))
        for tensor in graph.graph.initializer:
            if tensor.name == "evidence":
                tensor.CopyFrom(numpy_helper.from_array(head[:, :, None, None] / TINY_SIDE**2, "evidence"))
        return graph

    def write(
        folder: Path,
        *,
        seed: int = 0,
        split_seed: int | None = None,
        num_folds: int = 2,
        graph: Any = None,
        **changes: Any,
    ) -> Path:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(seed if split_seed is None else split_seed)
        splits = np.array([record.split for record in dataset.records], dtype=object)
        pool = rng.permutation(np.flatnonzero(splits != "test"))
        splits[pool[: len(pool) // 4]] = "validation"
        training = {"name": "phantoms", "num_films": {}, "fingerprint": "f"}
        settings = {"training_data": training, "temperature": 1.0 + 0.25 * (seed % 3)} | changes
        write_model(folder / "model.onnx", graph=graph or graph_of(seed), **settings)

        def judged(model: Path, positions: np.ndarray) -> Any:
            return judge_records(Classifier(model), dataset.root, [dataset.records[i] for i in sorted(positions)])

        parts = [
            (name, judged(folder / "model.onnx", np.flatnonzero(splits == name))) for name in ("test", "validation")
        ]
        for number in range(num_folds):
            (folder / "folds").mkdir(exist_ok=True)
            fold = folder / "folds" / f"fold-{number + 1}.onnx"
            write_model(fold, graph=graph or graph_of(1000 * number + seed + 50), **settings)
            parts.append(("cross_validation", judged(fold, pool[number::num_folds])))
        (folder / "predictions.csv").write_text(predictions_csv(parts), encoding="utf-8")
        (folder / "config.toml").write_text(f'backbone = "plain-cnn"\nseed = {seed}\n', encoding="utf-8")
        write_splits(folder / "splits.csv", dataset.records, splits.tolist(), groups)
        (folder / "audit.json").write_text('{"faults": [], "figures": {}}', encoding="utf-8")
        (folder / "metrics.json").write_text("{}", encoding="utf-8")
        return folder

    return write


# --- the command line -----------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Result]]:
    """Run a command in this process, which is fast, and nearly as `python -m hilum` would."""
    from hilum.cli import main

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["hilum", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Result(int(left.value.code or 0), captured.out, captured.err)

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def fresh_process() -> Callable[..., Result]:
    """Run a command as a process of its own."""

    def run(*arguments: object, timeout: float = 120) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "hilum", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run
