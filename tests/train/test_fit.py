"""Fitting: the seed decides all of it, a stop and a resume change nothing, and the best weights are kept."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hilum.judge.history import EpochRow
from hilum.train.augment import Augmentation, no_changes
from hilum.train.batches import Films
from hilum.train.config import FitSettings, RunConfig
from hilum.train.features import HeadFeatures, pooled_features
from hilum.train.fit import Extensions, TrainingFilms, fit
from hilum.train.head import finding_weights, levelled_losses
from hilum.train.networks import Network, build_network, compute_logits

SETTINGS = FitSettings(epochs=4, batch_size=8, learning_rate=1e-3, dropout=0.3)


def films(num: int, seed: int) -> Films:
    """Return films of noise in which the brighter half tells the label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    pixels = rng.random((num, 32, 32)) * 0.6
    pixels[labels == 0, :16] += 0.3
    pixels[labels == 1, 16:] += 0.3
    return Films(pixels.astype(np.float16), labels)


TRAIN, VALIDATION = films(24, 0), films(10, 1)


def network(seed: int = 0) -> Network:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    return build_network("plain-cnn", num_findings=2, size_px=32, weights="none", dropout=SETTINGS.dropout)


def small_pretrained(dropout: float = 0.2) -> Network:
    """Return a network with the head of a pretrained one, small enough for a test."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    film = keras.Input((32, 32, 1), name="film")
    x = keras.layers.Conv2D(6, 5, strides=4, use_bias=False, name="below")(film)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="above")(x)
    backbone = keras.Model(film, x)
    maps = keras.Input(backbone.output_shape[1:], name="maps")
    features = keras.layers.GlobalAveragePooling2D(name="features")(maps)
    dropped = keras.layers.Dropout(dropout)(features)
    head = keras.Model(maps, keras.layers.Dense(2, name="logits")(dropped), name="head")
    return Network(keras.Model(film, head(backbone(film))), backbone, head, "small", True)


def fitted(
    net: Network,
    train: Films,
    validation: Films,
    settings: FitSettings,
    policy: Augmentation,
    *,
    seed: int,
    **options: Any,
) -> list[EpochRow]:
    """Fit a network in place and return its history."""
    config = RunConfig(seed=seed, fit=settings, augmentation=policy)
    return fit(net, TrainingFilms(train, validation), config, **options)


def run(
    checkpoint: Path, settings: FitSettings = SETTINGS, *, stop_after: int | None = None, **changes: Any
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Fit a new network; with stop_after, stop it when so many epochs are saved. Rows are told to ``told``."""
    told: list[dict[str, Any]] = changes.pop("told", [])
    net = changes.pop("net", None) or network()

    def progress(stage: str, epoch: int, _epochs: int, fraction: float, row: Any) -> None:
        told.extend([] if row is None else [row])
        if stop_after is not None and stage == "backbone" and epoch == stop_after and 0 < fraction < 1:
            raise KeyboardInterrupt

    history = fitted(
        net, TRAIN, VALIDATION, settings, Augmentation(), seed=3, checkpoint=checkpoint, progress=progress, **changes
    )
    return history, net.model.get_weights()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("whole") / "model.npz")


def assert_alike(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
        assert one["stage"] == other["stage"]
        numbers = [[row[name] for name in row if name != "stage"] for row in (one, other)]
        np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-5)


def test_a_run_has_a_row_for_the_head_and_for_every_epoch(whole: Any) -> None:
    history, _ = whole
    assert [(row["stage"], row["epoch"]) for row in history] == [
        ("start", 0),
        *(("backbone", number) for number in range(1, 5)),
    ]
    assert sum(row["kept"] for row in history) == 1
    for row in history[1:]:
        assert row["loss"] > 0
        assert 0 < row["learning_rate"] <= SETTINGS.learning_rate
    assert all(math.isfinite(row["validation_loss"]) for row in history)


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [0, 2])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path, whole: Any, stop_after: int) -> None:
    checkpoint = tmp_path / "model.npz"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, stop_after=stop_after)
    told: list[dict[str, Any]] = []
    history, weights = run(checkpoint, told=told)
    assert_alike(history, whole[0])
    assert told == history  # also what the first attempt had done
    for mine, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_averaged_weights_resumes_to_the_same(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, ema_momentum=0.8)
    history, weights = run(tmp_path / "whole.npz", settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "model.npz", settings, stop_after=2)
    for _ in range(2):  # the second time the training is at its end
        resumed, again = run(tmp_path / "model.npz", settings)
        assert_alike(resumed, history)
        for mine, expected in zip(again, weights, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_average_of_all_weights_is_validated_and_kept_and_training_goes_on_without_it(
    tmp_path: Path, whole: Any
) -> None:
    seen: list[list[np.ndarray]] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights())

    net = network()
    at = [not path.endswith(("moving_mean", "moving_variance")) for path in (one.path for one in net.model.weights)]
    settings = dataclasses.replace(SETTINGS, ema_momentum=0.5)
    history, kept = run(tmp_path / "x.npz", settings, net=net, extensions=Extensions(callbacks=lambda: [Watch()]))
    expected = seen[0]
    for weights in seen[1:]:
        expected = [0.5 * old + 0.5 * new for old, new in zip(expected, weights, strict=True)]
    assert history[-1]["kept"]
    for mine, value, is_averaged in zip(kept, expected, at, strict=True):
        if is_averaged:
            np.testing.assert_allclose(mine, value, rtol=1e-4, atol=1e-5)
    assert [row["loss"] for row in history[1:]] == pytest.approx([row["loss"] for row in whole[0][1:]], rel=1e-4)
    assert history[1]["validation_loss"] != whole[0][1]["validation_loss"]


@pytest.mark.slow
def test_a_finished_run_is_not_fitted_again(tmp_path: Path, whole: Any) -> None:
    checkpoint = tmp_path / "model.npz"
    run(checkpoint)
    saved = checkpoint.stat().st_mtime_ns
    history, weights = run(checkpoint)
    assert checkpoint.stat().st_mtime_ns == saved
    assert_alike(history, whole[0])
    for mine, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_half_written_checkpoint_does_no_harm(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "model.partial").write_bytes(b"cut short")
    history, _ = run(tmp_path / "model.npz")
    assert_alike(history, whole[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


@pytest.mark.slow
def test_the_weights_of_the_best_stage_are_left(tmp_path: Path) -> None:
    """Where validation films have the other finding's label, every stage is worse than the start."""
    net = network()
    before = net.model.get_weights()
    swapped = dataclasses.replace(VALIDATION, labels=1 - VALIDATION.labels)
    for keep, is_left in (("best", True), ("last", False)):
        settings = dataclasses.replace(SETTINGS, learning_rate=3e-3, keep=keep)
        history = fitted(net, TRAIN, swapped, settings, no_changes(), seed=3, checkpoint=tmp_path / f"{keep}.npz")
        assert [row["kept"] for row in history] == [is_left, *[False] * (len(history) - 2), not is_left]
        assert np.array_equal(net.model.get_weights()[0], before[0]) == is_left


@pytest.mark.slow
def test_a_network_that_diverged_is_not_kept(tmp_path: Path) -> None:
    class Diverge(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.set_weights([np.full_like(one, np.nan) for one in self.model.get_weights()])

    net = network()
    before = net.model.get_weights()
    history, kept = run(tmp_path / "x.npz", net=net, extensions=Extensions(callbacks=lambda: [Diverge()]))
    assert [row["kept"] for row in history] == [True, *[False] * (len(history) - 1)]
    for mine, expected in zip(kept, before, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_the_number_of_epochs_follows_from_the_steps() -> None:
    settings = FitSettings(epochs=30, steps=1000, batch_size=16)
    assert [settings.num_epochs(num) for num in (20, 160, 1000, 4000, 100_000, 10_000_000)] == [30, 30, 16, 8, 2, 1]
    assert FitSettings(epochs=0).num_epochs(100) == 0


@pytest.mark.slow
def test_what_can_be_learnt_is_learnt(tmp_path: Path) -> None:
    net = network()
    none = no_changes()
    settings = dataclasses.replace(SETTINGS, epochs=15, learning_rate=3e-3)
    fitted(net, TRAIN, VALIDATION, settings, none, seed=0, checkpoint=tmp_path / "model.npz")
    logits = compute_logits(net.model, VALIDATION)
    assert (logits.argmax(axis=1) == VALIDATION.labels).mean() >= 0.9


def test_a_pretrained_backbone_is_frozen_first_and_below(tmp_path: Path) -> None:
    net = small_pretrained()
    before = {weight.path: np.asarray(weight) for weight in net.backbone.weights}
    settings = dataclasses.replace(SETTINGS, epochs=2, trainable_fraction=0.34, keep="last")
    history, _ = run(tmp_path / "model.npz", settings, net=net)
    assert [row["stage"] for row in history] == ["head", "backbone", "backbone"]
    assert history[0]["penalty"] > 0
    after = {weight.path: np.asarray(weight) for weight in net.backbone.weights}
    for path, values in before.items():
        same = np.array_equal(values, after[path])
        assert same == (not path.startswith("above")), path


def test_the_row_that_is_kept_is_that_of_the_weights_left(tmp_path: Path) -> None:
    net = small_pretrained()
    history, _ = run(tmp_path / "model.npz", dataclasses.replace(SETTINGS, epochs=2), net=net)
    (kept,) = (row for row in history if row["kept"])
    assert kept["validation_loss"] == min(row["validation_loss"] for row in (history[0], *history[-2:]))
    right = compute_logits(net.model, VALIDATION).argmax(axis=1) == VALIDATION.labels
    assert kept["validation_accuracy"] == pytest.approx(float(right.mean()))


def test_the_mean_of_the_weights_before_and_after_training_is_a_candidate(tmp_path: Path) -> None:
    found = {}
    for keep, epochs in (("best", 0), ("last", 2), ("best", 2)):
        net = small_pretrained()
        settings = dataclasses.replace(SETTINGS, epochs=epochs, keep=keep)
        history, _ = run(tmp_path / f"{keep}-{epochs}.npz", settings, net=net)
        found[keep, epochs] = net.model.get_weights(), history
    history = found["best", 2][1]
    assert [row["stage"] for row in history] == ["head", "backbone", "backbone", "mean"]
    assert [row["stage"] for row in found["last", 2][1]] == ["head", "backbone", "backbone"]
    before, after = found["best", 0][0], found["last", 2][0]
    mean = [(one + other) / 2 for one, other in zip(before, after, strict=True)]
    net.model.set_weights(mean)
    losses = levelled_losses(compute_logits(net.model, VALIDATION), VALIDATION.labels, np.ones(len(VALIDATION)))
    assert history[-1]["validation_loss"] == pytest.approx(float(losses.mean()), rel=1e-3)
    candidates = [(history[0], before), (history[2], after), (history[3], mean)]
    row, weights = min(candidates, key=lambda one: one[0]["validation_loss"])
    assert [one["kept"] for one in history] == [one is row for one in history]
    for mine, wanted in zip(found["best", 2][0], weights, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)


def test_the_second_stage_starts_where_the_first_ended(tmp_path: Path) -> None:
    """At its first step the loss on films as they are is that of the fitted head."""
    net = small_pretrained(dropout=0.0)
    losses: list[float] = []

    class First(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            losses.append(float((logs or {})["loss"]))

    policy = dataclasses.replace(no_changes(), flip_probability=0.5)
    train = films(48, 0)
    settings = dataclasses.replace(SETTINGS, epochs=0, batch_size=48, dropout=0.0, label_smoothing=0.0)
    fitted(net, train, VALIDATION, settings, policy, seed=0, checkpoint=tmp_path / "head.npz")
    logits = np.concatenate(
        [compute_logits(net.model, one) for one in (train, dataclasses.replace(train, pixels=train.pixels[:, :, ::-1]))]
    )
    head = float(np.mean(keras.ops.categorical_crossentropy(np.eye(2)[np.tile(train.labels, 2)], logits, True)))
    settings = dataclasses.replace(settings, epochs=1)
    extensions = Extensions(callbacks=lambda: [First()])
    fitted(
        small_pretrained(dropout=0.0),
        train,
        VALIDATION,
        settings,
        policy,
        seed=0,
        checkpoint=tmp_path / "x.npz",
        extensions=extensions,
    )
    assert losses[0] == pytest.approx(head, rel=0.1)


@pytest.mark.slow
def test_callbacks_and_changes_of_the_user_are_taken(tmp_path: Path) -> None:
    logged: list[dict[str, Any]] = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logged.append(dict(logs or {}))
            self.model.stop_training = epoch == 1

    def darker(films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return films * np.float32(rng.uniform(0.5, 1.0))

    extensions = Extensions(callbacks=lambda: [Stop()], change=darker)
    history, _ = run(tmp_path / "model.npz", extensions=extensions)
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert logged[1]["val_loss"] == history[2]["validation_loss"]
    assert logged[1]["val_accuracy"] == history[2]["validation_accuracy"]
    assert logged[1]["loss"] == pytest.approx(history[2]["loss"])


def test_the_first_stage_learns_from_mirror_images_where_training_flips(tmp_path: Path) -> None:
    """The labels lie left and right, so a head that saw mirror images too can only say half and half."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = rng.random((40, 32, 32)) * 0.3
    pixels[labels == 0, :, :12] += 0.5
    pixels[labels == 1, :, 20:] += 0.5
    sided = Films(pixels.astype(np.float16), labels)
    settings, sure = dataclasses.replace(SETTINGS, epochs=0), []
    for flip in (0.0, 0.5):
        net = small_pretrained()
        policy = Augmentation(flip_probability=flip)
        fitted(net, sided, sided, settings, policy, seed=0, checkpoint=tmp_path / f"{flip}.npz")
        logits = compute_logits(net.model, sided)
        mirrored = compute_logits(net.model, Films(sided.pixels[:, :, ::-1], labels))
        sure.append(float(np.abs(logits - mirrored).mean()))
    assert sure[1] < 0.5 * sure[0]


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_a_head_fitted_on_known_features_is_the_same_and_they_are_not_computed(
    tmp_path: Path, flip: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(fit=FitSettings(epochs=0, batch_size=8), augmentation=Augmentation(flip_probability=flip))
    films = TrainingFilms(TRAIN, VALIDATION)
    first, second = small_pretrained(), small_pretrained()
    fit(first, films, config, checkpoint=tmp_path / "first.npz")
    known = HeadFeatures(
        pooled_features(second, TRAIN.pixels, mirrored=flip > 0), pooled_features(second, VALIDATION.pixels)[0]
    )
    monkeypatch.setattr("hilum.train.fit.pooled_features", None)
    history = fit(second, dataclasses.replace(films, features=known), config, checkpoint=tmp_path / "second.npz")
    assert history[0]["stage"] == "head"
    for mine, expected in zip(second.model.get_weights(), first.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_the_head_alone_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    net = small_pretrained()
    before, head = net.backbone.get_weights(), net.head.get_weights()
    history, _ = run(tmp_path / "model.npz", dataclasses.replace(SETTINGS, epochs=0), net=net)
    assert len(history) == 1
    for mine, expected in zip(net.backbone.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert not np.allclose(net.head.get_weights()[0], head[0])


def test_findings_weigh_alike_and_a_film_one_on_average() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    weights = finding_weights(labels, 3, "balanced")
    sums = [weights[labels[labels == k]].sum() for k in range(3)]
    np.testing.assert_allclose(sums, sums[0])
    assert weights[labels].mean() == pytest.approx(1)
    np.testing.assert_array_equal(finding_weights(labels, 3, "none"), np.ones(3))
    assert np.isfinite(finding_weights(np.array([0, 0]), 3, "balanced")).all()


def test_logits_are_computed_in_order_whatever_the_number() -> None:
    net = network()
    many = films(70, 5)
    logits = compute_logits(net.model, many)
    assert logits.shape == (70, 2)
    np.testing.assert_allclose(logits[65:], compute_logits(net.model, many.subset(np.arange(65, 70))), atol=1e-5)


@pytest.mark.slow
def test_films_of_several_possible_findings_teach_their_sum(tmp_path: Path) -> None:
    """Without films of the second and third finding stated apart, only their sum can be learnt, and is."""
    rng = np.random.default_rng(5)
    shown = np.arange(48) % 2
    pixels = rng.random((48, 32, 32)) * 0.6
    pixels[shown == 0, :16] += 0.3
    pixels[shown == 1, 16:] += 0.3
    kinds = np.array([[True, False, False], [False, True, True]])[shown]
    train = Films(pixels.astype(np.float16), np.where(shown == 0, 0, -1), np.zeros(48, int), kinds)
    none = no_changes()
    validation = Films(pixels[:12].astype(np.float16), np.array([0, 1, 0, 2] * 3))
    for sampling in ("films", "sources"):
        keras.utils.set_random_seed(0)
        net = build_network("plain-cnn", num_findings=3, size_px=32, weights="none", dropout=0.0)
        settings = dataclasses.replace(SETTINGS, epochs=10, learning_rate=3e-3, sampling=sampling)
        fitted(net, train, validation, settings, none, seed=1, checkpoint=tmp_path / f"{sampling}.npz")
        logits = compute_logits(net.model, train)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert ((probabilities[:, 1:].sum(axis=1) > 0.5) == (shown == 1)).mean() > 0.9


@pytest.mark.slow
def test_only_films_drawn_by_source_have_their_priors_moved_halfway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def shift(logits: np.ndarray, labels: np.ndarray, film_weights: np.ndarray) -> np.ndarray:
        assert len(logits) == len(labels) == len(film_weights) == 4
        asked.append(len(labels))
        return np.array([3.0, -3.0], np.float32)

    monkeypatch.setattr("hilum.train.last_layer.prior_shift", shift)
    pixels = np.random.default_rng(0).random((12, 32, 32)).astype(np.float16)
    train = Films(pixels, np.arange(12) % 2, np.zeros(12, int))
    validation = train.subset(np.arange(4))
    gaps = {}
    for sampling in ("films", "sources"):
        net = build_network("plain-cnn", num_findings=2, size_px=32, weights="none", dropout=0.0)
        settings = dataclasses.replace(SETTINGS, epochs=1, sampling=sampling)
        fitted(net, train, validation, settings, no_changes(), seed=1, checkpoint=tmp_path / f"{sampling}.npz")
        intercepts = net.head.get_layer("logits").get_weights()[1]
        gaps[sampling] = float(intercepts[0] - intercepts[1])
    assert asked == [4]
    assert gaps["sources"] == pytest.approx(3, abs=0.5)
    assert abs(gaps["films"]) < 0.5
