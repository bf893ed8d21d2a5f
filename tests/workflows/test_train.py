"""A training run: everything it leaves, whatever stops it halfway, and what it refuses to touch."""

from __future__ import annotations

import dataclasses
import errno
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import onnx
import pytest

import hilum
from hilum.console import Console
from hilum.data.fingerprint import find_twins
from hilum.data.phantom import draw_phantom, write_phantoms
from hilum.data.run_tables import read_splits
from hilum.errors import ConfigError, InputError
from hilum.figures import to_json
from hilum.run.classifier import Classifier
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.train.config import RunConfig
from hilum.train.config_file import read_config
from hilum.train.fit import Extensions
from hilum.train.networks import build_network
from hilum.workflows.train import Run, audit_run, open_run, read_films, split_films, train_model

from .shared import FIGURES, Listening, rows

FILES = {
    *("model.onnx", "model.keras", "config.toml", "splits.csv", "history.csv", "predictions.csv"),
    "batches.png",
    *("metrics.json", "audit.json", "report.html", "model-card.md", "claim.md"),
}
PARTS = ["test", "test_clean", "validation", "cross_validation"]
PER_FINDING = ["precision", "recall", "f1", "auroc", "sensitivity", "specificity", "operating_threshold", "n"]
INTERVALS = {*FIGURES[1:5], *PER_FINDING[:6]}
FINDINGS = ["Normal", "Covid-19", "Viral Pneumonia"]


def strict_json(path: Path) -> Any:
    """Return what a JSON file holds; NaN and Infinity are no JSON."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} in {path.name}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# --- what a run leaves ----------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files_and_no_other(trained_run: Run) -> None:
    assert {path.name for path in trained_run.folder.iterdir()} == {*FILES, "folds"}
    assert {path.name for path in (trained_run.folder / "folds").iterdir()} == {"fold-1.onnx", "fold-2.onnx"}


def test_metrics_hold_the_promised_keys_and_no_other(trained_run: Run) -> None:
    metrics = strict_json(trained_run.folder / "metrics.json")
    assert metrics == to_json(trained_run.metrics)
    assert list(metrics) == [*PARTS, "lungs_hidden", "thumbnail", "verdict"]
    for part in PARTS:
        figures = metrics[part]
        assert sorted(figures) == sorted(FIGURES), part
        assert list(figures["per_finding"]) == FINDINGS
        assert list(figures["confusion"]) == ["findings", "counts"]
        assert figures["confusion"]["findings"] == FINDINGS
        assert int(np.sum(figures["confusion"]["counts"])) == figures["n"]
        for per_finding in figures["per_finding"].values():
            assert sorted(per_finding) == sorted(PER_FINDING)
        for values in (figures, *figures["per_finding"].values()):
            for name in INTERVALS & set(values):
                assert list(values[name]) == ["value", "low", "high"], name
        correct = int(np.trace(figures["confusion"]["counts"]))
        assert figures["accuracy"]["value"] == pytest.approx(correct / figures["n"])


def test_metrics_and_audit_are_as_their_schemas_say(trained_run: Run, schema_errors: Callable[..., list[str]]) -> None:
    for name in ("metrics", "audit"):
        assert schema_errors(name, strict_json(trained_run.folder / f"{name}.json")) == []


def test_every_film_is_in_one_part(trained_run: Run, tiny_data: Path) -> None:
    splits = read_splits(trained_run.folder / "splits.csv")
    assert sorted(row.path for row in splits) == sorted(
        path.relative_to(tiny_data).as_posix() for path in tiny_data.rglob("*.*")
    )
    for row in splits:
        assert (row.split == "test") == row.path.startswith("test/")
    counts = {split: sum(row.split == split for row in splits) for split in ("train", "validation", "test")}
    assert counts["test"] == trained_run.metrics.test.n == 15
    assert counts["validation"] == trained_run.metrics.validation.n > 0
    assert counts["train"] + counts["validation"] == trained_run.metrics.cross_validation.n == 36


def test_predictions_come_from_the_file_that_is_served(trained_run: Run, tiny_data: Path) -> None:
    classifier = Classifier(trained_run.folder / "model.onnx")
    tested = [row for row in rows(trained_run.folder / "predictions.csv") if row["part"] == "test"]
    for row in tested[:5]:
        answer = classifier.predict(tiny_data / row["path"])
        for name in FINDINGS:
            assert float(row[f"probability_{name}"]) == pytest.approx(answer.probabilities[name], abs=1e-5)


def test_history_has_a_row_for_every_epoch(trained_run: Run) -> None:
    history = rows(trained_run.folder / "history.csv")
    assert [(row["stage"], row["epoch"]) for row in history] == [("start", "0"), ("backbone", "1"), ("backbone", "2")]
    assert all(float(row["validation_loss"]) > 0 for row in history)
    assert all(0 <= float(row["validation_accuracy"]) <= 1 for row in history)
    kept = [row for row in history if row["kept"] == "true"]
    assert len(kept) == 1
    measured = trained_run.metrics.validation.accuracy.value  # of the sealed file
    assert float(kept[0]["validation_accuracy"]) == pytest.approx(measured)
    page = (trained_run.folder / "report.html").read_text(encoding="utf-8")
    assert f"Kept: epoch {kept[0]['epoch']}" in page
    assert f"Kept: epoch {kept[0]['epoch']}" in (trained_run.folder / "claim.md").read_text(encoding="utf-8")


def test_settings_are_read_back(trained_run: Run, config: RunConfig) -> None:
    assert read_config(trained_run.folder / "config.toml") == dataclasses.replace(config, folds=2)


def test_the_audit_is_written(trained_run: Run) -> None:
    audit = strict_json(trained_run.folder / "audit.json")
    assert list(audit) == ["faults", "figures", "checks", "ignored"]
    assert [fault["kind"] for fault in audit["faults"]] == ["small-class"] * 3
    assert all(list(fault) == ["kind", "severity", "message", "paths", "figure"] for fault in audit["faults"])
    asked = next(check for check in audit["checks"] if check["code"] == "suspect-label")
    assert not asked["why"].startswith("No model has judged")  # the folds have
    assert audit["figures"]["num_films"] == 51
    scores = audit["figures"]["trivial_models"]
    assert scores["thumbnail_8"]["cross_validation"]["n"] == 36  # the validation films are training films to the audit
    assert scores["thumbnail_8"]["test"]["n"] == 15


def test_the_model_file_tells_all_about_itself(trained_run: Run) -> None:
    metadata = Classifier(trained_run.folder / "model.onnx").metadata
    assert list(metadata.findings) == FINDINGS
    assert metadata.name == "phantoms-plain-cnn"
    assert metadata.preprocessing.size_px == 64
    assert metadata.hilum_version == hilum.__version__
    assert metadata.figures == to_json(trained_run.metrics)
    assert metadata.model_card == (trained_run.folder / "model-card.md").read_text(encoding="utf-8")
    assert metadata.snomed_ct == {"Normal": "17621005", "Covid-19": "840539006", "Viral Pneumonia": "75570004"}
    assert metadata.training_data["num_films"] == dict.fromkeys(FINDINGS, 12)
    assert metadata.agreement["largest_difference"] < 1e-4
    assert set(metadata.operating_thresholds) == set(metadata.conformal) == set(FINDINGS)
    assert metadata.gate == {}  # too few films to tell what is usual
    onnx.checker.check_model(onnx.load(trained_run.folder / "model.onnx"))


def test_few_validation_films_leave_the_sets_to_the_folds(trained_run: Run) -> None:
    found = Classifier(trained_run.folder / "model.onnx").metadata.conformal
    crossed = [row for row in rows(trained_run.folder / "predictions.csv") if row["part"] == "cross_validation"]
    misfits = sorted(1 - float(row[f"probability_{row['finding']}"]) for row in crossed)
    for name in FINDINGS:
        assert (found[name]["method"], found[name]["folds"], found[name]["n"]) == ("cross", 2, 12)
        assert (found[name]["shared"], found[name]["shared_n"]) == (FINDINGS, 36)  # twelve films alone are too few
        assert found[name]["threshold"] == pytest.approx(misfits[33], abs=1e-5)  # ceil(37 * 0.9) = 34
    told = "36 out-of-fold films of Normal, Covid-19 and Viral Pneumonia together, which are few"
    page = (trained_run.folder / "report.html").read_text(encoding="utf-8")
    assert told in (trained_run.folder / "model-card.md").read_text(encoding="utf-8")
    assert told in page
    assert "Sets and refusals" in page
    assert "Before calibration the error was" in page


@pytest.mark.slow
def test_the_features_of_enough_films_tell_what_is_unfamiliar(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.run.out_of_distribution.LEAST_TRAINING_FILMS", 20)
    monkeypatch.setattr("hilum.run.out_of_distribution.LEAST_HELD_OUT_FILMS", 4)
    data = write_phantoms(tmp_path / "films", num_per_finding=18, num_test_per_finding=0, findings=FINDINGS[:2])
    fit = dataclasses.replace(config.fit, epochs=1)
    run = train_model(data, tmp_path / "run", dataclasses.replace(config, fit=fit))
    classifier = Classifier(run.folder / "model.onnx")
    assert classifier.metadata.gate["n"] == run.metrics.validation.n
    film = next(path for path in (data / "train" / "Normal").iterdir())
    far = np.full((1, 1, 64, 64), 1.0, np.float32)
    outputs = classifier.engine.run(np.concatenate([classifier.preprocess(classifier.read(film))[None], far]))
    familiarity = OutOfDistributionDetector.from_dict(classifier.metadata.gate)
    near, white = familiarity.outlier_score(outputs.features, outputs.logits)
    assert near < familiarity.threshold < white


@pytest.mark.slow
def test_a_model_that_learned_from_small_films_judges_small_films(
    tmp_path: Path, config: RunConfig, command: Callable[..., Any], tiny_model: Path
) -> None:
    for part, num_films in (("train", 14), ("test", 4)):
        for finding in FINDINGS[:2]:
            (tmp_path / "films" / part / finding).mkdir(parents=True)
            for number in range(num_films):
                rng = np.random.default_rng([number, part == "test", FINDINGS.index(finding)])
                film = cv2.resize(draw_phantom(finding, rng, size_px=224), (28, 28), interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(tmp_path / "films" / part / finding / f"{number}.png"), film)
    console = Listening()
    fit = dataclasses.replace(config.fit, epochs=1)
    run = train_model(
        tmp_path / "films", tmp_path / "run", dataclasses.replace(config, fit=fit, folds=0), console=console
    )
    model, tests = run.folder / "model.onnx", tmp_path / "films" / "test"
    assert sum("fewer than 64 pixels on a side" in line for line in console.lines) == 1
    assert Classifier(model).metadata.training_data["least_side_px"] == 28
    assert not any("too-small" in row["reasons"] for row in rows(run.folder / "predictions.csv"))
    evaluated = command("evaluate", "--model", model, tmp_path / "films", "--out", tmp_path / "judged")
    assert evaluated.code == 0
    assert "too-small" not in (tmp_path / "judged" / "predictions.csv").read_text(encoding="utf-8")
    for judge, refuses in ((model, False), (tiny_model, True)):
        told = command("predict", "--model", judge, tests, "--format", "jsonl")
        codes = [[reason["code"] for reason in json.loads(line)["reasons"]] for line in told.out.splitlines()]
        assert len(codes) == 8
        assert all(("too-small" in one) == refuses for one in codes)


def test_the_keras_model_can_be_gone_on_with(trained_run: Run, tiny_data: Path) -> None:
    model = keras.saving.load_model(trained_run.folder / "model.keras")
    classifier = Classifier(trained_run.folder / "model.onnx")
    film = next((tiny_data / "test" / "Normal").iterdir())
    pixels = classifier.preprocess(classifier.read(film))  # (1, S, S)
    logits = np.asarray(model.predict_on_batch(pixels[..., np.newaxis]))[0]
    np.testing.assert_allclose(logits, classifier.predict(film).logits, atol=1e-3)


def test_folds_do_not_see_the_test_films_nor_the_films_they_are_judged_on(trained_run: Run) -> None:
    for number in (1, 2):
        metadata = Classifier(trained_run.folder / "folds" / f"fold-{number}.onnx").metadata
        assert sum(metadata.training_data["num_films"].values()) == 18


# --- the steps of a run, each alone ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_films_are_split_a_folder_is_opened_and_the_data_audited_without_training(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    out, console = tmp_path / "run", Listening()
    films = read_films(tiny_data, config, console)
    assert len(films.prepared.records) == len(films.traits) == len(films.seen) == 51
    assert not films.seen.any()

    split = split_films(films, dataclasses.replace(config, folds=2))
    assert np.array_equal(split.splits == "test", [one.path.startswith("test/") for one in films.prepared.records])
    assert np.array_equal(split.folds < 0, split.splits == "test")
    assert set(split.folds) == {-1, 0, 1}
    assert not split.sources

    assert not open_run(out, films.prepared, split, config, overwrite=False)
    assert open_run(out, films.prepared, split, config, overwrite=False)
    assert read_config(out / "config.toml") == config
    (out / ".work" / "model.npz").write_bytes(b"a checkpoint")
    with pytest.raises(InputError, match="unfinished run of other films or settings"):
        open_run(out, films.prepared, split, dataclasses.replace(config, seed=9), overwrite=False)

    faults = audit_run(out, films, split, config, console).faults
    assert [fault.kind for fault in faults] == ["small-class"] * 3
    assert strict_json(out / "audit.json")["figures"]["num_films"] == 51


# --- folders that are left alone ------------------------------------------------------------------------------------


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_finished_run_is_refused_untouched(trained_run: Run, tiny_data: Path, config: RunConfig) -> None:
    before = state_of(trained_run.folder)
    with pytest.raises(InputError, match=r"holds a finished run\. Nothing in it was changed"):
        train_model(tiny_data, trained_run.folder, config)
    assert state_of(trained_run.folder) == before


@pytest.mark.slow
def test_overwriting_replaces_the_run_but_nothing_beside_it(
    trained_run: Run, tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained_run.folder, out)
    (out / "thoughts.txt").write_text("mine")
    fit = dataclasses.replace(config.fit, epochs=1)
    run = train_model(tiny_data, out, dataclasses.replace(config, fit=fit, seed=5), overwrite=True)
    assert {path.name for path in out.iterdir()} == {*FILES, "thoughts.txt"}  # the folds are gone
    assert run.metrics.cross_validation is None
    assert (out / "thoughts.txt").read_text() == "mine"
    assert len(rows(out / "history.csv")) == 2
    assert "seed = 5" in (out / "config.toml").read_text()


@pytest.mark.parametrize("names", [["model.onnx"], ["config.toml"], ["metrics.json"], [".work/x"], ["a/b.txt"]])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_is_refused_untouched(
    tmp_path: Path, tiny_data: Path, config: RunConfig, names: list[str], overwrite: bool
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    before = state_of(tmp_path)
    with pytest.raises(InputError, match="Nothing in it was changed"):
        train_model(tiny_data, tmp_path, config, overwrite=overwrite)
    assert state_of(tmp_path) == before


def own_backbone() -> keras.Model:
    """Return a small network that takes three channels."""
    film = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(film)
    return keras.Model(film, keras.layers.Conv2D(12, 3, activation="relu")(x))


@pytest.mark.slow
def test_a_network_a_change_and_callbacks_of_the_user_make_a_model(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    ended: list[int] = []

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ended.append(epoch)

    own = Extensions(callbacks=lambda: [Count()], change=lambda film, _: film * np.float32(0.9), backbone=own_backbone)
    run = train_model(tiny_data, tmp_path / "run", config, extensions=own)
    assert ended == [0, 1]
    assert 'backbone = "own"' in (tmp_path / "run" / "config.toml").read_text()
    classifier = Classifier(tmp_path / "run" / "model.onnx")
    assert classifier.metadata.name.endswith("-own")
    assert run.metrics.test.n > 0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 3)]), "it takes"),
        (lambda: keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten()]), "return maps"),
        (None, "given in Python"),
    ],
)
def test_a_network_of_the_user_that_does_not_fit_is_an_error(model: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_network(model or "own", num_findings=2, size_px=32, weights="none", dropout=0.0)


# --- runs that were stopped -----------------------------------------------------------------------------------------


def stop_after(num_saves: int, error: BaseException) -> Callable[[Any], None]:
    """Return a method to put in the place of _Fitting.save: it saves, and stops the run after some epochs."""
    from hilum.train.fit import _Fitting

    real, saved = _Fitting.save, 0

    def save(fitting: Any) -> None:
        nonlocal saved
        real(fitting)
        saved += 1
        if saved == num_saves:
            raise error

    return save


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_and_ends_alike(
    tiny_data: Path, config: RunConfig, trained_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, console = tmp_path / "run", Listening()
    with monkeypatch.context() as patch:
        patch.setattr("hilum.train.fit._Fitting.save", stop_after(2, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            train_model(tiny_data, out, config)
    assert not (out / "metrics.json").exists()

    other = dataclasses.replace(config, seed=7)
    before = state_of(out)
    with pytest.raises(InputError, match="holds an unfinished run of other films or settings"):
        train_model(tiny_data, out, other)
    assert state_of(out) == before

    run = train_model(tiny_data, out, config, console=console)
    assert f"Continuing the unfinished run in {out}." in console.lines
    assert [line.split()[:2] for line in console.lines if line.startswith("  epoch")] == [["epoch", "2"]]
    kept = next(row for row in rows(out / "history.csv") if row["kept"] == "true")
    assert [line.split(",")[0] for line in console.lines if "Kept" in line] == [f"  Kept: epoch {kept['epoch']}"]
    assert rows(out / "history.csv") == rows(trained_run.folder / "history.csv")
    mine, other_run = run.metrics.test, trained_run.metrics.test
    assert mine.confusion == other_run.confusion
    first = Classifier(out / "model.onnx")
    second = Classifier(trained_run.folder / "model.onnx")
    film = next((tiny_data / "test" / "Normal").iterdir())
    np.testing.assert_allclose(first.predict(film).logits, second.predict(film).logits, atol=1e-4)
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.slow
def test_a_run_stopped_behind_its_fit_does_not_fit_again(
    tiny_data: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, console = tmp_path / "run", Listening()
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=1))

    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hilum.train.run_networks.seal", stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(tiny_data, out, config)
    with monkeypatch.context() as patch:
        patch.setattr("hilum.workflows.run_results.worst_mistakes", stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(tiny_data, out, config, console=console)
    run = train_model(tiny_data, out, config, console=console)
    assert not any(line.startswith("  epoch") for line in console.lines)
    assert run.metrics.test.n == 15
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.slow
def test_films_that_changed_make_it_another_run(
    tiny_data: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "films", tmp_path / "run"
    shutil.copytree(tiny_data, data)
    with monkeypatch.context() as patch:
        patch.setattr("hilum.train.fit._Fitting.save", stop_after(1, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            train_model(data, out, config)
    next((data / "train" / "Normal").iterdir()).unlink()
    with pytest.raises(InputError, match="other films or settings"):
        train_model(data, out, config)


# --- a full disk ----------------------------------------------------------------------------------------------------


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the system's own way to fail a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_told_and_the_run_goes_on_later(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=1))
    with largest_file(600_000), pytest.raises(InputError) as caught:
        train_model(tiny_data, out, config)  # the first checkpoint is larger
    assert f"Cannot write into `{out}`: File too large." in caught.value.message
    assert "The same command then continues" in caught.value.fix
    assert caught.value.exit_code == 2
    assert not (out / "metrics.json").exists()
    assert not (out / "model.onnx").exists()
    assert strict_json(out / "audit.json")["figures"]["num_films"] == 51
    assert train_model(tiny_data, out, config).metrics.test.n == 15


@pytest.mark.slow
def test_a_full_disk_at_the_end_leaves_what_was_written(
    tiny_data: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hilum.files

    out = tmp_path / "run"
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=0))
    real = hilum.files.os.fsync
    for name in ("report.html", "metrics.json"):  # in the order in which they are written
        target = []

        def full(descriptor: int, name: str = name, target: list[int] = target) -> None:
            if name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                target.append(descriptor)
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(hilum.files.os, "fsync", full)
            with pytest.raises(InputError, match=f"Cannot write `.*{name}`: No space left on device"):
                train_model(tiny_data, out, config)
        assert target
        assert not (out / name).exists()
        assert not list(out.glob(f".{name}*"))
        before = state_of(out)
        for earlier in ("model.onnx", "model.keras", "predictions.csv", "history.csv", "model-card.md", "audit.json"):
            assert before[earlier][1], earlier
    Classifier(out / "model.onnx")
    train_model(tiny_data, out, config)
    assert {path.name for path in out.iterdir()} == FILES - {"batches.png"}  # of a training without an epoch
    assert state_of(out)["model.keras"] == before["model.keras"]  # nothing was trained again


# --- data of other kinds --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_clean_test_film_there_is_no_clean_figure(tiny_data: Path, config: RunConfig, tmp_path: Path) -> None:
    """Every test film a copy of a training film: that is told, and is no crash."""
    data = tmp_path / "films"
    shutil.copytree(tiny_data / "train", data / "train")
    for finding in FINDINGS:
        (data / "test" / finding).mkdir(parents=True)
        for film in sorted((data / "train" / finding).iterdir())[:2]:
            shutil.copy(film, data / "test" / finding / f"copy-{film.name}")
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=0))
    run = train_model(data, tmp_path / "run", config)
    assert run.metrics.test.n == 6
    assert run.metrics.test_clean.n == 0
    metrics = strict_json(tmp_path / "run" / "metrics.json")
    assert metrics["test_clean"]["accuracy"]["value"] is None
    assert sum(fault.kind == "leak" for fault in run.faults) == 6
    assert "No clean test film is left" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_manifest_is_trained_on_and_patients_stay_together(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    films = sorted(path for path in (tiny_data / "train").rglob("*.*"))
    lines = ["path,finding,patient"]
    for number, film in enumerate(films):
        lines.append(f"{film.relative_to(tiny_data).as_posix()},{film.parent.name},Jane-Roe-{number // 2}")
    shutil.copytree(tiny_data / "train", tmp_path / "train")
    (tmp_path / "films.csv").write_text("\n".join(lines), encoding="utf-8")
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=0))
    run = train_model(tmp_path / "films.csv", tmp_path / "run", config)
    splits = {row.path: row.split for row in read_splits(tmp_path / "run" / "splits.csv")}
    assert set(splits.values()) == {"train", "validation", "test"}
    for number in range(0, len(films), 2):
        pair = {splits[film.relative_to(tiny_data).as_posix()] for film in films[number : number + 2]}
        assert len(pair) == 1
    assert run.metrics.test.n == sum(split == "test" for split in splits.values())
    assert not any(b"Jane-Roe" in content for _, content in state_of(run.folder).values())  # no patient is named


@pytest.mark.slow
def test_phantoms_are_no_twins(tiny_data: Path) -> None:
    from hilum.data.folder import read_dataset
    from hilum.data.scan import scan_films

    scan = scan_films(read_dataset(tiny_data), min_side_px=64)
    assert find_twins(scan.fingerprints) == []


@pytest.mark.slow
def test_films_of_pneumonia_of_no_stated_type_teach_but_are_not_judged(
    tmp_path: Path, write_film: Callable[..., Path], config: RunConfig
) -> None:
    kinds = ("Normal", "Viral Pneumonia", "Bacterial Pneumonia")
    for finding in (*kinds, "Pneumonia"):
        for number in range(8):
            drawn = "Viral Pneumonia" if finding == "Pneumonia" else finding
            write_film(tmp_path / "set" / finding / f"{number}.png", seed=len(finding) * 50 + number, finding=drawn)
    said = Console()
    heard: list[str] = []
    said.say = heard.append  # type: ignore[method-assign]
    config = dataclasses.replace(config, folds=0, fit=dataclasses.replace(config.fit, epochs=1, sampling="sources"))
    run = train_model(tmp_path / "set", tmp_path / "run", config, console=said)
    assert any(line.startswith("8 films name several findings") for line in heard)
    told = Classifier(run.folder / "model.onnx").metadata
    assert told.findings == kinds
    assert told.training_data["num_partly_stated"] == 8
    assert {row["finding"] for row in rows(run.folder / "splits.csv")} == set(kinds)
    assert run.metrics.test.n + run.metrics.validation.n < 24
    assert "Pneumonia (type not stated)" not in (run.folder / "predictions.csv").read_text("utf-8")


# --- the same again -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_command_gives_the_same_files(
    tiny_data: Path, tmp_path: Path, fresh_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(
        'backbone = "plain-cnn"\nweights = "none"\n[preprocessing]\nsize_px = 64\n[fit]\nepochs = 1\n', "utf-8"
    )
    for name, hash_seed in (("one", "1"), ("another", "2")):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        done = fresh_process(
            "train", tiny_data, "--out", tmp_path / name, "--config", settings, "--seed", 3, timeout=600
        )
        assert done.code == 0, done.err
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "another" / name).read_bytes(), name


@pytest.mark.slow
def test_the_audit_does_not_depend_on_the_seed(
    tiny_data: Path, tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = tmp_path / "films"
    shutil.copytree(tiny_data / "train", films)  # no test part: each seed draws its own

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hilum.workflows.train.RunNetworks", stop)
    audits = []
    for seed in (0, 1, 2):
        out = tmp_path / f"run-{seed}"
        with pytest.raises(KeyboardInterrupt):
            train_model(films, out, dataclasses.replace(config, seed=seed))
        audits.append(strict_json(out / "audit.json"))
    parts = [audit["figures"].pop("films") for audit in audits]
    assert audits[0] == audits[1] == audits[2]
    assert all(sum(part["test"].values()) > 0 for part in parts)
