"""Small networks: the same answer from every thread, and one error for whatever is wrong with a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import cv2
import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.errors import ModelFileError
from hilum.run.gate import GateNetwork
from hilum.run.helper_network import load_helper
from hilum.run.lungs import LUNGS_PX, LungNetwork

LUNGS = (files("hilum.run") / "lungs.onnx").read_bytes()


def test_threads_share_a_network_and_not_its_answers() -> None:
    network = load_helper(LungNetwork)
    views = np.random.default_rng(0).random((12, 1, LUNGS_PX, LUNGS_PX), dtype=np.float32)
    alone = [network.ask(view) for view in views]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(network.ask, views))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(alone[0], alone[1])


@pytest.mark.parametrize("data", [b"no network", LUNGS[:1000]])
def test_a_file_that_is_none_is_one_error(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="The lung segmenter's network cannot be used"):
        load_helper(LungNetwork, data)


def test_a_network_of_another_kind_is_the_same_error() -> None:
    with pytest.raises(ModelFileError, match="The gate's network cannot be used"):
        load_helper(GateNetwork, LUNGS)


def test_half_precision_is_asked_for_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def compiled_network(_: object, data: bytes, settings: dict[str, object], read: object) -> None:
        asked.append(settings["INFERENCE_PRECISION_HINT"])

    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32", "BF16"])
    monkeypatch.setattr("hilum.run.helper_network.compiled_network", compiled_network)
    load_helper(LungNetwork)
    assert asked == ["bf16"]


def test_half_precision_draws_the_same_lungs() -> None:
    half, exact = (load_helper(LungNetwork, precision=one) for one in ("bf16", "f32"))
    for seed in range(4):
        film = draw_phantom("Normal", np.random.default_rng(seed), size_px=LUNGS_PX)
        view = (cv2.resize(film, (LUNGS_PX, LUNGS_PX)) / 255).astype(np.float32)[np.newaxis]
        one, other = half.ask(view)[0] > 0, exact.ask(view)[0] > 0
        assert (one != other).mean() < 0.01


def test_half_precision_is_only_asked_for_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    view = np.random.default_rng(0).random((1, LUNGS_PX, LUNGS_PX), np.float32)
    exact = load_helper(LungNetwork, precision="f32").ask(view)
    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32"])
    np.testing.assert_array_equal(load_helper(LungNetwork).ask(view), exact)
