"""Films with one planted difference, and models made by hand that look at known places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.data.phantom import draw_phantom, phantom_lungs
from hilum.data.scan import scan_films
from hilum.judge.audit.check import AuditData
from hilum.judge.audit.traits import TraitCollector

CELLS = 8  # a side: the network sees means of 4 x 4 pixels
CORNER = ((0, 0),)
LUNGS = tuple((row, column) for row in (2, 3, 4) for column in (2, 5))
Plant = Callable[[np.ndarray, str], np.ndarray]
NUM_EACH = 40


def looked_at(data: Path) -> AuditData:
    """Return a data set scanned, the split of each film, and its traits."""
    dataset = read_dataset(data)
    look = TraitCollector(len(dataset.records))
    scan = scan_films(dataset, look=look)
    return AuditData(scan, tuple(record.split or "train" for record in scan.dataset.records), look.of(scan))


@pytest.fixture(scope="session")
def chests() -> list[np.ndarray]:
    """Phantoms without any finding: nothing tells one half of them from the other."""
    return [draw_phantom("Normal", np.random.default_rng([9, n]), size_px=160) for n in range(2 * NUM_EACH)]


@pytest.fixture(scope="session")
def plant_set(chests: list[np.ndarray]) -> Callable[..., Path]:
    """Write a data set of two findings that differ in nothing but what is planted."""

    def write(folder: Path, plant: Plant = lambda film, _: film, *, test: int = 0, suffix: str = ".png") -> Path:
        for number, film in enumerate(chests):
            finding = ("Normal", "Covid-19")[number % 2]
            place = folder / ("test" if number < test else "train") / finding if test else folder / finding
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{number:03d}{suffix}"), plant(film.copy(), finding))
        return folder

    return write


@pytest.fixture(scope="session")
def looking_model(write_model: Callable[..., Path]) -> Callable[..., Path]:
    """Write a model that calls Covid-19 what is bright in some of 8 x 8 cells, and looks nowhere else."""
    from onnx import TensorProto, helper, numpy_helper

    def write(path: Path, cells: Sequence[tuple[int, int]], threshold: float) -> Path:
        weight = np.zeros((2, CELLS, CELLS), np.float32)
        for row, column in cells:
            weight[1, row, column] = 20 / len(cells)
        values = {
            "kernel": np.full((1, 1, 4, 4), 1 / 16, np.float32),
            "head": weight.reshape(2, -1),
            "bias": np.array([0, -20 * threshold], np.float32),
            "spread": weight[np.newaxis],
        }
        nodes = [
            helper.make_node("Conv", ["film", "kernel"], ["maps"], strides=[4, 4]),
            helper.make_node("Flatten", ["maps"], ["features"]),
            helper.make_node("Gemm", ["features", "head", "bias"], ["logits"], transB=1),
            helper.make_node("Mul", ["maps", "spread"], ["activation"]),
        ]
        shapes: dict[str, list[Any]] = {
            "film": ["N", 1, 32, 32],
            "logits": ["N", 2],
            "features": ["N", CELLS**2],
            "activation": ["N", 2, CELLS, CELLS],
        }
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
        graph = helper.make_graph(nodes, "looking", ports[:1], ports[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
        return write_model(
            path,
            graph=model,
            findings=["Normal", "Covid-19"],
            preprocessing={"size_px": 32, "window_percentiles": [0, 100], "equalize": False},
            conformal={},
            operating_thresholds={},
            temperature=1.0,
        )

    return write


def mark_corner(film: np.ndarray, finding: str) -> np.ndarray:
    """Burn a letter into a corner of the Covid-19 films."""
    if finding == "Covid-19":
        cv2.putText(film, "R", (film.shape[1] - 30, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.58, 255, 2, cv2.LINE_AA)
    return film


def tilt(film: np.ndarray, finding: str) -> np.ndarray:
    """Turn the Covid-19 films by a few degrees."""
    if finding != "Covid-19":
        return film
    height, width = film.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 7, 1.0)
    return cv2.warpAffine(film, turn, (width, height))


def shrink(film: np.ndarray, finding: str) -> np.ndarray:
    """Bring the Covid-19 films to one size that no other film has."""
    return cv2.resize(film, (140, 140), interpolation=cv2.INTER_AREA) if finding == "Covid-19" else film


@pytest.fixture(scope="session")
def marked_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight films of each finding; Covid-19 has a brighter corner (a marker) and brighter lungs. Leave it as it is."""
    folder = tmp_path_factory.mktemp("marked") / "films"
    for finding in ("Normal", "Covid-19"):
        (folder / finding).mkdir(parents=True)
        for number in range(8):
            pixels = draw_phantom("Normal", np.random.default_rng(number), size_px=96).astype(np.float32) / 255
            lungs = phantom_lungs(np.random.default_rng(number), size_px=96)
            texture = 0.25 * (pixels[lungs] - pixels[lungs].mean())  # flat, they would be taken for no lung
            pixels[lungs] = (0.35 if finding == "Covid-19" else 0.1) + texture
            pixels[:12, :12] = 0.5
            pixels[:9, :9] = 1.0 if finding == "Covid-19" else 0.6  # in the border
            pixels[-3:, -3:], pixels[-3:, :3] = 1.0, 0.0  # every film spans the range
            png = cv2.imencode(".png", np.rint(pixels * 255).astype(np.uint8))[1]
            (folder / finding / f"{number}.png").write_bytes(png.tobytes())
    return folder
