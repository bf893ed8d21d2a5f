"""The classifier: one answer for one film, however it comes in, alone or among others."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hilum
from hilum.data.phantom import draw_phantom
from hilum.errors import InputError, ModelFileError, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import read_film
from hilum.film.preprocess import preprocess
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer, in_words, softmax
from hilum.run.classifier import Classifier
from hilum.run.engine import Outputs
from hilum.run.modelfile import Metadata
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.run.writing import open_writer
from hilum.serve.structured_report import conclusion

_PHANTOM = draw_phantom("Normal", np.random.default_rng(0), size_px=300).astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


@pytest.fixture
def film(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    return write_film(tmp_path / "film.jpg", size_px=600, finding="Covid-19")


def same(first: Answer, second: Answer) -> bool:
    return (
        first.probabilities == second.probabilities
        and first.set == second.set
        and first.above_threshold == second.above_threshold
        and first.reasons == second.reasons
        and np.array_equal(first.logits, second.logits)
        and np.array_equal(first.activation, second.activation)
    )


def test_path_text_bytes_and_radiograph_give_the_same_answer(classifier: Classifier, film: Path) -> None:
    answer = classifier.predict(film)
    assert answer.file == str(film)
    assert same(classifier.predict(str(film)), answer)
    assert same(classifier.predict(film.read_bytes()), answer)
    assert same(classifier.predict(classifier.read(film)), answer)


def test_arrays_and_images_are_judged_and_other_things_refused(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    path = write_film(tmp_path / "film.png", size_px=300)
    pixels, answer = cv2.imread(str(path), cv2.IMREAD_UNCHANGED), classifier.predict(path)
    for film in (pixels, pixels.astype(np.float64) / 255, Image.open(path)):
        assert same(classifier.predict(film), answer)
    for nothing in (None, 7, [path]):
        with pytest.raises(InputError, match="expected a path"):
            classifier.predict(nothing)
        with pytest.raises(InputError, match="expected a path"):
            hilum.load(nothing)  # type: ignore[arg-type]


def test_answers_and_classifiers_are_told_in_one_line(classifier: Classifier, film: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\nb.jpg"
    odd.write_bytes(film.read_bytes())
    answer = classifier.predict(odd)
    for one in (answer, classifier):
        assert len(repr(one).splitlines()) == 1
        assert len(repr(one)) < 400
    assert f"{answer.likeliest} {answer.probabilities[answer.likeliest]:.3f}" in repr(answer)
    assert "tiny" in repr(classifier)
    small = classifier.predict(np.zeros((40, 40), np.uint8))
    assert "refused (too-small, constant)" in repr(small)


def test_a_model_of_an_earlier_reading_answers_and_says_so_once(
    film: Path, tmp_path: Path, write_model: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_model(tmp_path / "model.onnx", decoder_version=1, name="of old")
    assert hilum.load(path).predict(film).finding == hilum.load(path).predict(film).finding
    told = [record.getMessage() for record in caplog.records if record.name == "hilum"]
    assert len(told) == 1
    assert "`of old` were measured with film decoder 1" in told[0]


def test_the_answer_is_what_the_metadata_make_of_the_logits(
    classifier: Classifier, film: Path, tiny_metadata: Metadata
) -> None:
    answer = classifier.predict(film)
    pixels = preprocess(read_film(film, min_side_px=64), tiny_metadata.preprocessing)
    logits = classifier.engine.run(pixels[np.newaxis]).logits[0]
    probabilities = softmax(logits, 1.5)
    np.testing.assert_allclose(list(answer.probabilities.values()), probabilities, atol=1e-6)
    assert tuple(answer.probabilities) == classifier.findings == tiny_metadata.findings
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    limits = tiny_metadata.operating_thresholds
    assert answer.above_threshold == tuple(name for name, p in answer.probabilities.items() if p >= limits[name])
    assert answer.set == tuple(name for name, p in answer.probabilities.items() if 1 - p <= 0.9)
    assert answer.finding in answer.set
    assert answer.finding == max(answer.probabilities, key=lambda name: answer.probabilities[name])
    assert answer.model == {"name": "tiny", "sha256": answer.model["sha256"]}
    assert len(answer.model["sha256"]) == 64


def test_temperature_and_thresholds_come_from_the_file(
    tmp_path: Path, write_model: Callable[..., Path], classifier: Classifier, film: Path
) -> None:
    other = {"Normal": {"threshold": 1.0, "n": 50}, "Covid-19": {"threshold": 0.0, "n": 50}}
    changed = Classifier(
        write_model(
            tmp_path / "model.onnx",
            temperature=6.0,
            conformal=other,
            operating_thresholds=dict.fromkeys(classifier.findings, 0.0),
        )
    )
    answer, usual = changed.predict(film), classifier.predict(film)
    np.testing.assert_allclose(list(answer.probabilities.values()), softmax(usual.logits, 6.0), atol=1e-6)
    held = {"Normal", "Viral Pneumonia", answer.likeliest}  # a finding without a threshold is in every set
    assert answer.set == tuple(name for name in changed.findings if name in held)
    assert answer.above_threshold == classifier.findings


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3),
    st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7, 1.0]) | st.floats(0, 1), min_size=3, max_size=3),
)
def test_no_door_says_what_the_set_rules_out(classifier: Classifier, logits: list[float], limits: list[float]) -> None:
    """Random logits and thresholds: the rule holds for the answer, and for what is written of it."""
    judged = copy.copy(classifier)
    judged._limits = np.array(limits)
    film = Radiograph(_PHANTOM, "png", _PHANTOM.shape, 8)
    outputs = Outputs(np.array([logits], np.float32), np.zeros((1, 4), np.float32), np.zeros((1, 3, 4, 4), np.float32))
    answer = judged.answer("film.png", film, outputs, 0)
    probabilities = np.array(list(answer.probabilities.values()))
    fits = 1 - probabilities <= judged._limits
    assert answer.likeliest in answer.set
    assert set(answer.set) == {name for name, fit in zip(judged.findings, fits, strict=True) if fit} | {
        answer.likeliest
    }
    assert answer.accepted == fits.any()
    assert [reason.code for reason in answer.reasons] == ([] if fits.any() else ["no-finding-fits"])
    values = answer.to_dict()
    assert values["finding"] == (answer.likeliest if fits.any() else None)
    words = in_words(values)
    assert words.endswith("(undecided)") == (answer.accepted and len(answer.set) > 1)
    assert all(name in words for name in answer.set) == answer.accepted
    for output_format in ("csv", "table"):
        stream = io.StringIO()
        writer = open_writer(output_format, stream, None, judged.findings)
        writer.write(values)
        writer.close()
        assert words in stream.getvalue()
        assert (", " if output_format == "table" else "; ").join(answer.set) in stream.getvalue()
    said = conclusion(answer, judged.metadata)
    if answer.accepted:
        assert said.startswith(words if len(answer.set) > 1 else f"Likeliest finding: {answer.likeliest}")
        others = [name for name in answer.set if name != answer.likeliest]
        held = f"Also possible: {', '.join(others)}." if others else "The model holds no other finding possible."
        assert f" {held} The model is set to name the true finding for " in said
    else:
        assert said.startswith("The film was not judged. No finding fits the film")


def test_a_film_that_looks_wrong_has_that_reason_alone(
    tmp_path: Path, write_model: Callable[..., Path], write_film: Callable[..., Path]
) -> None:
    never = {name: {"threshold": 0.0, "n": 50} for name in ("Normal", "Covid-19", "Viral Pneumonia")}
    strict = Classifier(write_model(tmp_path / "strict.onnx", conformal=never))
    small = strict.predict(write_film(tmp_path / "small.png", size_px=40))
    assert [reason.code for reason in small.reasons] == ["too-small"]
    usual = strict.predict(write_film(tmp_path / "usual.png", size_px=300))
    assert [reason.code for reason in usual.reasons] == ["no-finding-fits"]
    assert usual.set == (usual.likeliest,)
    strange = Classifier(write_model(tmp_path / "both.onnx", conformal=never, gate=statistics(threshold=0.01)))
    assert [reason.code for reason in strange.predict(tmp_path / "usual.png").reasons] == ["unfamiliar"]


def test_a_film_alone_and_among_others_gets_the_same_answer(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    films = [write_film(tmp_path / f"{seed}.png", seed=seed) for seed in range(9)]
    batch = np.stack([classifier.preprocess(classifier.read(film)) for film in films])
    outputs = classifier.engine.run(batch)
    for position, film in enumerate(films):
        together = classifier.answer("x", classifier.read(film), outputs, position)
        alone = classifier.predict(film)
        np.testing.assert_allclose(
            list(together.probabilities.values()), list(alone.probabilities.values()), rtol=0, atol=1e-6
        )


def test_a_refused_film_is_still_answered(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    answer = classifier.predict(write_film(tmp_path / "small.png", size_px=40))
    assert (answer.accepted, answer.finding) == (False, None)
    assert [reason.code for reason in answer.reasons] == ["too-small"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def statistics(*, threshold: float, num_features: int = 4) -> dict[str, object]:
    """Return statistics under which the outlier_score of any film is some number above 0."""
    return OutOfDistributionDetector(
        bank=np.full((5, num_features), -0.5, np.float32),
        distance=(0.0, 1.0),
        energy=(-1000.0, 1.0),
        doubt=(0.0, 1.0),
        threshold=threshold,
        refused_fraction=0.01,
        n=100,
    ).to_dict()


def test_a_film_far_from_the_training_films_is_refused(
    film: Path, tmp_path: Path, write_model: Callable[..., Path], write_film: Callable[..., Path]
) -> None:
    strict = Classifier(write_model(tmp_path / "strict.onnx", gate=statistics(threshold=0.01)))
    mild = Classifier(write_model(tmp_path / "mild.onnx", gate=statistics(threshold=1e6)))
    answer = strict.predict(film)
    assert ([reason.code for reason in answer.reasons], answer.finding) == (["unfamiliar"], None)
    assert answer.to_dict()["reasons"][0]["code"] == "unfamiliar"
    assert mild.predict(film).accepted
    small = write_film(tmp_path / "small.png", size_px=40)
    assert [reason.code for reason in strict.predict(small).reasons] == ["too-small"]


def test_statistics_of_other_features_are_refused(tmp_path: Path, write_model: Callable[..., Path]) -> None:
    gate = statistics(threshold=1.0, num_features=5)
    with pytest.raises(ModelFileError, match="do not fit"):
        Classifier(write_model(tmp_path / "model.onnx", gate=gate))


def test_what_cannot_be_read_is_an_error_of_its_own(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(UndecodableFilm, match="does not exist"):
        classifier.predict(tmp_path / "missing.png")
    with pytest.raises(UndecodableFilm, match="empty"):
        classifier.predict(b"")
    with pytest.raises(UnsupportedFilm, match="PDF"):
        classifier.predict(b"%PDF-1.7 ...")


def test_load_takes_text_and_refuses_what_is_no_model(tiny_model: Path, tmp_path: Path) -> None:
    assert hilum.load(str(tiny_model)).identity["name"] == "tiny"
    with pytest.raises(ModelFileError):
        hilum.load(tmp_path / "missing.onnx")
