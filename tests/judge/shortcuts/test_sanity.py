"""Shuffled weights change heat maps, and a map that does not depend on weights is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest
from scipy.stats import spearmanr

from hilum.errors import ModelFileError
from hilum.judge.shortcuts.sanity import likeness, score_sanity, shuffle_weights
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.modelfile import read_model_file


def test_shuffling_moves_values_and_keeps_them(tiny_model: Path) -> None:
    model = read_model_file(tiny_model)
    film = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    before = Engine(model).run(film)
    counted: list[int] = []
    for share, expected in ((0.1, 1), (1.0, 2)):
        engine = Engine(model, alter=lambda graph, share=share: counted.append(shuffle_weights(graph, share)))
        after = engine.run(film)
        assert counted[-1] == expected
        assert np.abs(after.activation - before.activation).max() > 0
        assert (np.abs(after.features - before.features).max() > 0) == (expected == 2)  # the stem comes last
    again = Engine(model).run(film)
    np.testing.assert_array_equal(again.logits, before.logits)  # the file and its bytes are as they were


def test_shuffled_values_are_the_old_ones(tiny_model: Path) -> None:
    graph = openvino.Core().read_model(read_model_file(tiny_model).data)

    def stem(graph: openvino.Model) -> np.ndarray:
        node = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution")
        return np.array(node.input_value(1).get_node().data)

    before = stem(graph)
    shuffle_weights(graph, 1.0)
    after = stem(graph)
    assert (before != after).any()
    np.testing.assert_array_equal(np.sort(before.ravel()), np.sort(after.ravel()))


def test_a_graph_without_weights_is_an_error() -> None:
    film = openvino.opset13.parameter([1, 1, 4, 4], np.float32)
    shown = openvino.opset13.relu(film)
    shown.output(0).set_names({"activation"})
    with pytest.raises(ModelFileError, match="no layer with weights"):
        shuffle_weights(openvino.Model([shown], [film]), 1.0)


def test_likeness_is_rank_correlation_and_ssim() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(14, 14)).astype(np.float32).round(1)  # with ties
    other = (one + rng.normal(size=(14, 14))).astype(np.float32).round(1)
    spearman, ssim = likeness(one, other)
    assert spearman == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert 0 < ssim < 1
    assert likeness(one, 3 * one) == (pytest.approx(1), pytest.approx(1))
    assert likeness(one, -one)[0] == pytest.approx(-1)
    assert likeness(one, -one)[1] < 0.2
    assert np.isnan(likeness(one, np.ones((14, 14), np.float32))[0])
    assert likeness(one[:4, :4], one[:4, :4])[1] == pytest.approx(1)  # smaller than the window


def test_maps_of_what_was_learnt_fall_and_are_reported_layer_by_layer(
    tiny_model: Path, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    classifier, model = Classifier(tiny_model), read_model_file(tiny_model)
    films = np.stack(
        [classifier.preprocess(classifier.read(write_film(tmp_path / f"{seed}.png", seed=seed))) for seed in range(8)]
    )
    outputs = classifier.engine.run(films)
    answers = outputs.logits.argmax(axis=1)
    maps = outputs.activation[np.arange(8), answers]
    found = score_sanity(model, films, maps, answers, np.arange(8))
    assert found.layers == 2
    assert [stage.layers for stage in found.stages] == [1, 2]
    for stage in found.stages:
        assert stage.spearman.value < 0.9
        assert stage.ssim.low <= stage.ssim.value <= stage.ssim.high
    same = score_sanity(model, films, np.stack([maps[0]] * 8), answers, np.arange(8))
    assert same.other_films.spearman.value == pytest.approx(1)  # a map that every film shares
