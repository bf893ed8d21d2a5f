"""Sealing: what is served computes what was trained, or there is no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from hilum.errors import ModelFileError
from hilum.film.preprocess import Preprocessing
from hilum.run.engine import Engine, Outputs
from hilum.run.modelfile import METADATA_KEY, Metadata, read_model_file
from hilum.train import graph_file
from hilum.train.graph_file import LARGEST_DIFFERENCE, write_metadata
from hilum.train.networks import Network, build_network
from hilum.train.seal import seal

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")


def metadata(size_px: int) -> Metadata:
    return Metadata(name="test", findings=FINDINGS, preprocessing=Preprocessing(size_px=size_px), hilum_version="0.0")


def films(size_px: int, num: int = 20) -> np.ndarray:
    return np.random.default_rng(0).random((num, 1, size_px, size_px), dtype=np.float32)


def shaken(network: Network, seed: int = 0) -> Network:
    """Return the network with random biases and statistics, as training would leave them."""
    rng = np.random.default_rng(seed)
    for weight in network.model.weights:
        if weight.path.endswith("variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(np.asarray(weight) + rng.normal(0, 0.3, weight.shape))
    return network


def plain_cnn() -> Network:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return shaken(build_network("plain-cnn", num_findings=3, size_px=32, weights="none", dropout=0.3))


def pooled() -> Network:
    """Return a small network with the head of the pretrained ones."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    film = keras.Input((32, 32, 1), name="film")
    x = keras.layers.Conv2D(8, 5, strides=2, name="conv")(film)
    x = keras.layers.BatchNormalization(name="norm")(x)
    backbone = keras.Model(film, keras.layers.ReLU(max_value=6.0)(x))
    maps = keras.Input(backbone.output_shape[1:], name="maps")
    features = keras.layers.GlobalAveragePooling2D(name="features")(maps)
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.2)(features))
    head = keras.Model(maps, logits, name="head")
    return shaken(Network(keras.Model(film, head(backbone(film))), backbone, head, "pooled", True))


class Sealed:
    """A network, the file it was sealed into, and what the file's graph says of some films."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.path, self.films = network, folder / "model.onnx", films(32)
        self.difference = seal(network, self.films, metadata(32), self.path)
        self.outputs: Outputs = Engine(read_model_file(self.path)).run(self.films)
        self.maps = np.asarray(network.backbone(self.films.transpose(0, 2, 3, 1)))  # (N, h, w, D)


@pytest.fixture(scope="module", params=[plain_cnn, pooled], ids=["plain-cnn", "pooled"])
def sealed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return Sealed(request.param(), tmp_path_factory.mktemp("sealed"))


def test_the_engine_agrees_with_keras(sealed: Sealed) -> None:
    expected = np.asarray(sealed.network.model(sealed.films.transpose(0, 2, 3, 1)))
    difference = np.abs(sealed.outputs.logits - expected).max()
    assert difference <= LARGEST_DIFFERENCE == 1e-4
    assert sealed.difference == pytest.approx(difference, abs=2e-5)
    assert np.abs(expected).max() > 0.1  # it says something


def test_the_features_are_the_layer_before_the_logits(sealed: Sealed) -> None:
    kernel, bias = sealed.network.head.get_layer("logits").get_weights()
    np.testing.assert_allclose(sealed.outputs.features @ kernel + bias, sealed.outputs.logits, atol=1e-4)


def test_nothing_but_the_file_is_left(sealed: Sealed) -> None:
    assert list(sealed.path.parent.iterdir()) == [sealed.path]


def test_the_graph_is_named_as_promised(sealed: Sealed) -> None:
    graph = onnx.load(sealed.path)
    onnx.checker.check_model(graph, full_check=True)
    assert [port.name for port in graph.graph.input] == ["film"]
    assert sorted(port.name for port in graph.graph.output) == ["activation", "features", "logits"]
    assert graph.producer_name == "hilum"
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in shape[1:]] == [1, 32, 32]
    assert {port.type.tensor_type.shape.dim[0].dim_param for port in (*graph.graph.input, *graph.graph.output)} == {"N"}


def test_any_onnx_engine_gives_the_same(sealed: Sealed) -> None:
    from onnx.reference import ReferenceEvaluator

    found = ReferenceEvaluator(str(sealed.path)).run(["logits", "activation"], {"film": sealed.films[:2]})
    np.testing.assert_allclose(found[0], sealed.outputs.logits[:2], atol=1e-3)
    np.testing.assert_allclose(found[1], sealed.outputs.activation[:2], atol=1e-3)


def test_a_pooled_activation_is_maps_times_weights(tmp_path: Path) -> None:
    one = Sealed(pooled(), tmp_path)
    kernel, bias = one.network.head.get_layer("logits").get_weights()  # (D, K)
    _, height, width, _ = one.maps.shape
    expected = np.einsum("nhwd,dk->nkhw", one.maps, kernel) / (height * width)
    np.testing.assert_allclose(one.outputs.activation, expected, atol=1e-4)
    np.testing.assert_allclose(one.outputs.activation.sum(axis=(2, 3)) + bias, one.outputs.logits, atol=1e-4)


def test_the_activation_of_plain_cnn_is_map_times_gradient_and_sums_to_the_logits_but_for_biases(
    tmp_path: Path,
) -> None:
    import tensorflow as tf

    one = Sealed(plain_cnn(), tmp_path)
    activation = one.outputs.activation
    maps = tf.convert_to_tensor(one.maps)
    for finding in range(3):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logit = one.network.head(maps, training=False)[:, finding]
        gradient = np.asarray(tape.gradient(logit, maps))
        expected = (gradient * one.maps).sum(axis=-1)  # (N, h, w)
        np.testing.assert_allclose(activation[:, finding], expected, atol=1e-4)
    hidden_bias = one.network.head.get_layer("features").get_weights()[1]  # (H,)
    kernel, bias = one.network.head.get_layer("logits").get_weights()  # (H, K)
    biases = ((one.outputs.features > 0) * hidden_bias) @ kernel + bias  # (N, K)
    np.testing.assert_allclose(activation.sum(axis=(2, 3)), one.outputs.logits - biases, atol=1e-4)
    assert np.abs(biases).max() > 0.05


def test_a_difference_is_refused_and_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.run

    def wrong(engine: Engine, batch: np.ndarray) -> Outputs:
        outputs = real(engine, batch)
        outputs.logits[-1, 0] += 3e-4  # one logit of one film
        return outputs

    monkeypatch.setattr(Engine, "run", wrong)
    with pytest.raises(ModelFileError) as caught:
        seal(pooled(), films(32), metadata(32), tmp_path / "model.onnx")
    assert "Not sealed: engine and Keras differ by 0.0003 in logits on 20 films" in caught.value.message
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_survives_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_text("earlier")
    monkeypatch.setattr(graph_file, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelFileError, match="Not sealed"):
        seal(pooled(), films(32), metadata(32), tmp_path / "model.onnx")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("model.onnx", "earlier")]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def broken(_: Engine, batch: np.ndarray) -> Outputs:
        return Outputs(np.full((len(batch), 3), value, np.float32), np.zeros(1), np.zeros(1))

    monkeypatch.setattr(Engine, "run", broken)
    with pytest.raises(ModelFileError, match="Not sealed"):
        seal(pooled(), films(32), metadata(32), tmp_path / "model.onnx")


def test_other_metadata_leave_the_graph_as_it_is(sealed: Sealed, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(sealed.path.read_bytes())
    changed = Metadata(**{**vars(metadata(32)), "temperature": 2.5, "name": "Ärzte"})
    write_metadata(path, changed)
    write_metadata(path, changed)
    assert read_model_file(path).metadata == changed
    old, new = onnx.load(sealed.path), onnx.load(path)
    assert new.graph == old.graph
    assert sum(entry.key == METADATA_KEY for entry in new.metadata_props) == 1


def test_no_cut_of_a_sealed_file_is_taken_for_whole(sealed: Sealed, tmp_path: Path) -> None:
    data = sealed.path.read_bytes()
    rng = np.random.default_rng(0)
    near_the_end = range(len(data) - 600, len(data))
    for length in [*rng.integers(0, len(data), 100), *near_the_end]:
        (tmp_path / "cut.onnx").write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            read_model_file(tmp_path / "cut.onnx")


@pytest.mark.slow
def test_lite0_is_sealed_with_its_evidence(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    from hilum.film.decode import read_film
    from hilum.film.preprocess import preprocess

    keras.backend.clear_session()
    network = build_network("efficientnet-lite0", num_findings=3, size_px=64, weights="imagenet", dropout=0.2)
    batch = np.stack(
        [
            preprocess(read_film(write_film(tmp_path / "film.png", seed=seed)), Preprocessing(size_px=64))
            for seed in range(3)
        ]
    )
    path = tmp_path / "model.onnx"
    assert seal(network, batch, metadata(64), path) <= 1e-4
    outputs = Engine(read_model_file(path)).run(batch)
    assert outputs.features.shape == (3, network.backbone.output_shape[-1])
    assert outputs.activation.shape == (3, 3, *network.backbone.output_shape[1:3])
    bias = network.head.get_layer("logits").get_weights()[1]
    np.testing.assert_allclose(outputs.activation.sum(axis=(2, 3)) + bias, outputs.logits, atol=1e-4)
