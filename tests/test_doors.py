"""Every door says the same: command line, REST, the page's own call, DICOM node, on fifty films of every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE

from hilum.film.preprocess import Preprocessing
from hilum.run.classifier import Classifier
from hilum.serve.api import Service
from hilum.serve.dicom_node import Node, NodeSettings
from hilum.serve.spool import Spool

WriteModel = Callable[..., Path]
NUM_FILMS, NUM_DICOM = 50, 20
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
    *(RLELossless, JPEG2000Lossless, JPEGLSLossless),
)
REAL_CHEST_DICOM = ("966_fixed.dcm", "rsna_CR_chest_PA_mono2_jpegbaseline.dcm", "RG1_JLSN.dcm")


@pytest.fixture(scope="module")
def films(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_film: Callable[..., Path],
    write_dicom: Callable[..., Path],
) -> list[Path]:
    """Fifty films, twenty of them DICOM; some are real ones where HILUM_DATA is there, the others phantoms."""
    folder, found = tmp_path_factory.mktemp("doors"), list[Path]()
    try:
        data: Path = request.getfixturevalue("hilum_data")
    except pytest.skip.Exception:
        pass
    else:
        found += [data / "dicom" / name for name in REAL_CHEST_DICOM]
        real = [path for path in sorted((data / "covid19-image-dataset/test").rglob("*.*")) if path.is_file()]
        found += sorted(real, key=lambda path: path.stat().st_size)[:20]
    num_dicom = sum(path.suffix == ".dcm" for path in found)
    for seed in range(NUM_DICOM - num_dicom):
        options = {"seed": seed, "syntax": SYNTAXES[seed % len(SYNTAXES)]}
        shown = {"PhotometricInterpretation": "MONOCHROME1"} if seed % 5 == 4 else {}
        found.append(write_dicom(folder / f"{seed}.dcm", **options, **shown))
    found += [
        write_film(folder / f"{seed}{'.png' if seed % 2 else '.jpg'}", seed=seed, finding="Covid-19", size_px=96 + seed)
        for seed in range(NUM_FILMS - len(found))
    ]
    assert len(found) == NUM_FILMS
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, write_model: WriteModel) -> Path:
    preprocessing = Preprocessing(size_px=32).to_dict()
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx", preprocessing=preprocessing)


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier(model, num_threads=2)


@pytest.fixture
def lines(command: Callable[..., Any], model: Path, films: list[Path]) -> list[dict[str, Any]]:
    """What the command line says of each film."""
    result = command("predict", "--model", model, *films, "--format", "jsonl")
    assert result.code == 0, result.err
    found = [json.loads(line) for line in result.out.splitlines()]
    assert [line["file"] for line in found] == [str(path) for path in films]
    assert sum(line["accepted"] for line in found) >= 20  # refused films alone would say little
    assert len({round(line["probabilities"]["Normal"], 4) for line in found}) > 25  # it tells films apart
    return found


def check_same(said: dict[str, Any], line: dict[str, Any]) -> None:
    assert said["probabilities"] == pytest.approx(line["probabilities"], abs=1e-6)
    for key in ("finding", "set", "above_threshold", "accepted", "reasons", "model"):
        assert said[key] == line[key], (line["file"], key)


@pytest.mark.slow
@pytest.mark.parametrize(("address", "films_a_call"), [("v1/predictions", 25), ("v1/predictions?display=true", 1)])
def test_rest_and_the_page_say_what_the_command_line_says(
    classifier: Classifier, films: list[Path], lines: list[dict[str, Any]], address: str, films_a_call: int
) -> None:
    """The page's script asks for one film at a time, with `display`."""
    script = Path(__file__).parents[1] / "src/hilum/serve/assets/script.js"
    assert 'ofModel("v1/predictions?display=true"), { method: "POST"' in script.read_text(encoding="utf-8")
    service = Service(classifier)

    async def ask() -> list[dict[str, Any]]:
        transport = httpx.ASGITransport(service.app)
        found: list[dict[str, Any]] = []
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=120) as client:
            for first in range(0, NUM_FILMS, films_a_call):
                body = [("files", (path.name, path.read_bytes())) for path in films[first : first + films_a_call]]
                answer = await client.post(f"/{address}", files=body)
                assert answer.status_code == 200, answer.text
                found += answer.json()["predictions"]
        return found

    try:
        said = asyncio.run(ask())
    finally:
        service.queue.close()
    assert [one["file"] for one in said] == [path.name for path in films]
    for one, line in zip(said, lines, strict=True):
        check_same(one, line)


def in_report(path: Path) -> tuple[str, dict[str, float]]:
    """Return the film a structured report is about, and the probabilities in it; of a refused film it holds none."""
    report = pydicom.dcmread(path)
    measured = next(one for one in report.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010")
    found = {}
    for group in measured.ContentSequence:
        items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        if "122157" in items:
            found[items["112039"].TextValue] = float(items["122157"].MeasuredValueSequence[0].FloatingPointValue)
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    return study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID, found


@pytest.mark.slow
def test_the_node_says_what_the_command_line_says(
    classifier: Classifier,
    films: list[Path],
    lines: list[dict[str, Any]],
    tmp_path: Path,
    until: Callable[..., Any],
) -> None:
    """Sent over the network; what comes back is read from the structured reports."""
    node = Node(classifier, Spool(tmp_path / "spool", classifier.identity["sha256"]), NodeSettings("HILUM", 0))
    try:
        datasets = [pydicom.dcmread(path) for path in films if path.suffix == ".dcm"]
        assert len(datasets) == NUM_DICOM
        ae = AE(ae_title="MODALITY")
        for dataset in datasets:
            ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", node.port, ae_title="HILUM")
        assert association.is_established
        assert {association.send_c_store(dataset).Status for dataset in datasets} == {0}
        association.release()
        until(lambda: len(list((tmp_path / "spool" / "outgoing").glob("*/report.dcm"))) == NUM_DICOM)
    finally:
        node.stop()
    by_path = {line["file"]: line for line in lines}
    expected = {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: by_path[str(path)]
        for path in films
        if path.suffix == ".dcm"
    }
    said = dict(in_report(path) for path in (tmp_path / "spool" / "outgoing").glob("*/report.dcm"))
    assert said.keys() == expected.keys()
    for uid, line in expected.items():
        if line["accepted"]:
            assert said[uid] == pytest.approx(line["probabilities"], abs=1e-6)
        else:
            assert said[uid] == {}
    assert sum(line["accepted"] for line in expected.values()) >= 10
