"""What every test may use: the folder of real films, phantoms, a hand-made model, one trained run, the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from hilum.data.phantom import draw_phantom, write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.run.modelfile import METADATA_KEY, Metadata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

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


@pytest.fixture(scope="session")
def hilum_data() -> Path:
    """The folder of real films named by HILUM_DATA; its absence skips the test, on CI it is an error."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HILUM_DATA", default))
    if not folder.is_dir():
        message = "No folder of real films: set HILUM_DATA to run this test."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


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
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of phantoms: three findings, 12 films each to train on, 5 each to test on. Leave it as it is."""
    folder = tmp_path_factory.mktemp("films") / "phantoms"
    return write_phantoms(folder, num_per_finding=12, num_test_per_finding=5, findings=TINY_FINDINGS, size_px=96)


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
def trained_run(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, tiny_toml: Path) -> Any:
    """One finished training run on the small data set, made once. Leave its folder as it is."""
    from hilum.train.config import read_config
    from hilum.train.pipeline import train_model

    config = dataclasses.replace(read_config(tiny_toml), folds=2)
    return train_model(tiny_data, tmp_path_factory.mktemp("runs") / "run", config)


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
