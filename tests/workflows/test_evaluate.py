"""Judging a model file on films: through the runtime, test beside clean test, and nothing quietly left out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.fingerprint import fingerprint, training_hashes
from hilum.data.run_tables import read_predictions
from hilum.errors import HilumError, InputError
from hilum.figures import to_json
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.judge.in_house import TrainedOn
from hilum.run.classifier import Classifier
from hilum.workflows.evaluate import EvaluateOptions, evaluate_model

from .shared import Listening, rows

WriteFilm = Callable[..., Path]


def decoded(path: Path) -> tuple[bytes, Radiograph]:
    data = path.read_bytes()
    return data, decode(data, name=path.name)


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


@pytest.fixture
def films(tmp_path: Path, write_film: WriteFilm) -> Path:
    """Six films without a train part: three findings, two each."""
    for number, finding in enumerate(("Normal", "Covid", "Viral Pneumonia") * 2):
        write_film(tmp_path / "films" / finding / f"{number} é.png", seed=number)
    return tmp_path / "films"


def test_all_films_are_judged_where_there_is_no_test_part(
    tiny_model: Path, classifier: Classifier, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "out"
    metrics, num_unread = evaluate_model(tiny_model, films, out)
    assert (metrics.test.n, metrics.test_clean.n, num_unread) == (6, 6, 0)
    assert (metrics.validation, metrics.cross_validation) == (None, None)
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == to_json(metrics)
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "predictions.csv",
        "report.html",
        "splits.csv",
    ]
    right = 0
    for row in rows(out / "predictions.csv"):
        answer = classifier.predict(films / row["path"])
        assert row["predicted"] == answer.likeliest
        assert float(row["probability_Normal"]) == pytest.approx(answer.probabilities["Normal"], abs=1e-5)
        right += row["finding"] == answer.likeliest
    assert metrics.test.accuracy.value == pytest.approx(right / 6)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert classifier.identity["sha256"] in page
    assert "tiny on films" in page


def test_only_the_test_part_is_judged_where_there_is_one(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    metrics, _ = evaluate_model(tiny_model, tiny_data, tmp_path / "out")
    assert metrics.test.n == 15
    assert all(row["path"].startswith("test/") for row in rows(tmp_path / "out" / "predictions.csv"))


def test_test_films_with_a_twin_in_train_are_not_clean(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    for finding, num in (("Normal", 2), ("Covid-19", 1)):
        for film in sorted((data / "train" / finding).iterdir())[:num]:
            shutil.copy(film, data / "test" / finding / f"twin-{film.name}")
    metrics, _ = evaluate_model(tiny_model, data, tmp_path / "out")
    assert metrics.test.n == 18
    assert metrics.test_clean.n == 15
    assert metrics.test_clean.per_finding["Normal"].n == 5
    clean = [
        row for row in rows(tmp_path / "out" / "predictions.csv") if not Path(row["path"]).name.startswith("twin-")
    ]
    right = sum(row["finding"] == row["predicted"] for row in clean)
    assert metrics.test_clean.accuracy.value == pytest.approx(right / 15)


def test_swapped_labels_turn_the_figures_round(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    """Files moved to the folders that the model names are all right; moved on by one, all wrong."""
    classifier = Classifier(tiny_model)
    answers = {path: classifier.predict(path).likeliest for path in films.rglob("*.png")}
    names = ("Normal", "Covid-19", "Viral Pneumonia")
    for shift, expected in ((0, 1.0), (1, 0.0)):
        data = tmp_path / f"set-{shift}"
        for path, finding in answers.items():
            folder = data / names[(names.index(finding) + shift) % 3]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
        metrics, _ = evaluate_model(tiny_model, data, tmp_path / f"out-{shift}")
        assert metrics.test.accuracy.value == expected
        pictures = (tmp_path / f"out-{shift}" / "report.html").read_text(encoding="utf-8").count("data:image/png")
        assert pictures == 2 * 6 * shift  # film and heat map of each mistake


def test_what_is_left_out_is_said(tiny_model: Path, films: Path, tmp_path: Path, write_film: WriteFilm) -> None:
    write_film(films / "Fracture" / "a.png", seed=50)
    (films / "Normal" / "broken.png").write_bytes(b"")
    console = Listening()
    metrics, num_unread = evaluate_model(tiny_model, films, tmp_path / "out", console=console)
    assert (metrics.test.n, num_unread) == (6, 1)
    assert "Left out, since the model does not know them: films of Fracture." in console.lines
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "films of Fracture" in page
    assert "Left out, because they cannot be read: 1 film." in page


def test_unknown_findings_are_judged_and_reported(
    tiny_model: Path, classifier: Classifier, films: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    for number in range(3):
        write_film(films / "Covids" / f"{number}.png", seed=60 + number)
    console = Listening()
    metrics, _ = evaluate_model(tiny_model, films, tmp_path / "out", console=console)
    assert 'If `Covids` means `Covid-19`, add --map "Covids=Covid-19".' in console.lines
    answers = [classifier.predict(path).likeliest for path in sorted((films / "Covids").iterdir())]
    assert metrics.unknown_findings["Covids"].n == 3
    assert metrics.unknown_findings["Covids"].answers == {name: answers.count(name) for name in set(answers)}
    unknown = [row for row in rows(tmp_path / "out" / "predictions.csv") if row["part"] == "unknown"]
    assert [row["predicted"] for row in unknown] == answers
    assert "Covids (3 films, unknown to the model)" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    mapped, _ = evaluate_model(
        tiny_model, films, tmp_path / "mapped", options=EvaluateOptions(mapping=["Covids=Covid-19"])
    )
    assert (mapped.test.n, mapped.unknown_findings) == (9, {})
    assert mapped.test.per_finding["Covid-19"].n == 5


def test_films_that_were_trained_on_are_not_clean(
    write_model: Callable[..., Path], films: Path, tmp_path: Path
) -> None:
    known = fingerprint(*decoded(films / "Normal" / "0 é.png"))
    training_data = {"dhash256": training_hashes([known])}
    model = write_model(tmp_path / "model.onnx", training_data=training_data)
    console = Listening()
    metrics, _ = evaluate_model(model, films, tmp_path / "out", console=console)
    assert metrics.trained_on == TrainedOn(1, ("Normal/0 é.png",))
    assert (metrics.test.n, metrics.test_clean.n) == (6, 5)
    assert any(line.startswith("1 of the 6 films, or near twins of them, were trained on") for line in console.lines)
    assert read_predictions(tmp_path / "out").clean == frozenset(
        row["path"] for row in rows(tmp_path / "out" / "predictions.csv") if row["path"] != "Normal/0 é.png"
    )


def test_older_model_files_do_not_know_their_films(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    metrics, _ = evaluate_model(tiny_model, films, tmp_path / "out")
    assert metrics.trained_on is None
    assert metrics.in_house is None  # no figures in the file


def test_in_house_figures_stand_beside_those_here(
    write_model: Callable[..., Path], films: Path, tmp_path: Path
) -> None:
    first, _ = evaluate_model(write_model(tmp_path / "a.onnx"), films, tmp_path / "first")
    shutil.rmtree(films / "Covid")
    model = write_model(tmp_path / "b.onnx", figures=to_json(first))
    metrics, _ = evaluate_model(model, films, tmp_path / "second")
    compared = metrics.in_house
    assert compared.lacking == ("Covid-19",)
    accuracy = compared.figures["accuracy"]
    assert accuracy.in_house == first.test_clean.accuracy
    assert accuracy.here == metrics.test_clean.accuracy
    page = (tmp_path / "second" / "report.html").read_text(encoding="utf-8")
    assert "In house (clean test, 6 films) and here (clean test, 4 films). No film here shows Covid-19" in page


def test_one_finding_is_enough_to_judge(tiny_model: Path, tmp_path: Path, write_film: WriteFilm) -> None:
    for number in range(3):
        write_film(tmp_path / "set" / "Healthy" / f"{number}.png", seed=number)
    metrics, _ = evaluate_model(tiny_model, tmp_path / "set", tmp_path / "out")
    assert metrics.test.per_finding["Normal"].n == 3
    assert metrics.test.per_finding["Covid-19"].auroc.value is None  # no film, no figure


def test_nothing_to_judge_is_an_error_that_leaves_nothing(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    for film in films.rglob("*.png"):
        film.write_bytes(b"")
    with pytest.raises(HilumError, match="No film") as caught:
        evaluate_model(tiny_model, films, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_an_unfinished_run_is_not_written_into(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / ".work").mkdir(parents=True)
    with pytest.raises(InputError, match="holds an unfinished training run"):
        evaluate_model(tiny_model, films, tmp_path / "run", options=EvaluateOptions(overwrite=True))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".work"]


def test_a_folder_of_somebody_else_is_not_written_into(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "notes.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(
            InputError, match=r"is not empty and holds no evaluation made by hilum\. Nothing in it was changed"
        ):
            evaluate_model(tiny_model, films, tmp_path / "mine", options=EvaluateOptions(overwrite=overwrite))
    assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["deep", "notes.txt"]


def test_a_folder_that_cannot_be_made_is_told(tiny_model: Path, films: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot make the folder"):
        evaluate_model(tiny_model, films, tmp_path / "file" / "out")
    with pytest.raises(InputError, match="Cannot make the folder"):
        evaluate_model(tiny_model, films, tmp_path / ("x" * 300))


# --- shortcuts ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_shortcuts_are_measured_on_the_clean_films_where_asked(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    twin = sorted((data / "train" / "Normal").iterdir())[0]
    shutil.copy(twin, data / "test" / "Normal" / f"twin-{twin.name}")
    console = Listening()
    evaluate_model(tiny_model, data, tmp_path / "out", options=EvaluateOptions(shortcuts=True), console=console)
    found = json.loads((tmp_path / "out" / "shortcuts.json").read_text(encoding="utf-8"))
    assert (found["part"], found["films"]["judged"]) == ("test_clean", 15)
    formats = {row["value"]: row["n"] for row in found["subgroups"]["file format"]}
    assert sum(formats.values()) == 15 and set(formats) <= {"PNG", "JPEG"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.index('id="curves"') < page.index('id="shortcuts"') < page.index('id="mistakes"')
    assert any(line.startswith("Shortcuts, 15 films") for line in console.lines)
    evaluate_model(tiny_model, data, tmp_path / "out", options=EvaluateOptions(overwrite=True))
    assert not (tmp_path / "out" / "shortcuts.json").exists()  # those of an earlier run do not stay beside new figures
    assert 'id="shortcuts"' not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_shortcuts_of_one_finding_and_of_films_with_twins_only(
    tiny_model: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    for number in range(3):
        write_film(tmp_path / "set" / "Healthy" / f"{number}.png", seed=number)
    evaluate_model(tiny_model, tmp_path / "set", tmp_path / "out", options=EvaluateOptions(shortcuts=True))
    found = json.loads((tmp_path / "out" / "shortcuts.json").read_text(encoding="utf-8"))
    assert found["cues"]["whole"]["auroc_macro"]["value"] is None
    assert found["chance"]["accuracy"] == 1
    for finding, seed in (("Healthy", 1), ("Covid", 2)):
        for part in ("train", "test"):
            write_film(tmp_path / "leak" / part / finding / "a.png", seed=seed, finding="Normal")
    evaluate_model(tiny_model, tmp_path / "leak", tmp_path / "leaked", options=EvaluateOptions(shortcuts=True))
    found = json.loads((tmp_path / "leaked" / "shortcuts.json").read_text(encoding="utf-8"))
    assert (found["part"], found["films"]["judged"]) == ("test", 2)
    page = (tmp_path / "leaked" / "report.html").read_text(encoding="utf-8")
    assert "Problems in the data or the model" in page
    assert "2 test films are also in train." in page


def test_a_shortcut_stands_among_the_problems(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    model = looking_model(tmp_path / "m.onnx", ((0, 0),), 0.67)  # it looks at the marker in the corner alone
    evaluate_model(model, marked_films, tmp_path / "out", options=EvaluateOptions(shortcuts=True))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    problems = page[page.index('id="faults"') : page.index('class="headline"')]
    assert re.search(r'<li class="warning">.*<p>This model ranks films better than chance with both lungs', problems)
    assert "shortcut" not in (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_manifest_brings_columns_for_subgroups(
    tiny_model: Path, tmp_path: Path, write_film: WriteFilm, *, absolute: bool
) -> None:
    lines = ["path,finding,source,view"]
    (tmp_path / "elsewhere").mkdir()
    for number in range(4):
        film = write_film((tmp_path / "elsewhere" if absolute else tmp_path) / f"{number}.png", seed=number)
        lines.append(
            f"{film if absolute else film.name},Normal,{'here' if number else 'there'},{'PA' if number < 2 else 'AP'}"
        )
    lists = tmp_path / "lists" if absolute else tmp_path
    lists.mkdir(exist_ok=True)
    (lists / "films.csv").write_text("\n".join(lines), encoding="utf-8")
    evaluate_model(tiny_model, lists / "films.csv", tmp_path / "out", options=EvaluateOptions(shortcuts=True))
    found = json.loads((tmp_path / "out" / "shortcuts.json").read_text(encoding="utf-8"))["subgroups"]
    assert [(row["value"], row["n"]) for row in found["source"]] == [("here", 3), ("there", 1)]
    assert {row["value"]: row["n"] for row in found["view position"]} == {"PA": 2, "AP": 2}


def test_a_folder_of_training_films_alone_is_judged_whole(
    tiny_model: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    for number, finding in enumerate(("Normal", "Covid", "Viral Pneumonia") * 2):
        write_film(tmp_path / "films" / "train" / finding / f"{number}.png", seed=number)
    metrics, _ = evaluate_model(tiny_model, tmp_path / "films", tmp_path / "out")
    assert metrics.test.n == 6
