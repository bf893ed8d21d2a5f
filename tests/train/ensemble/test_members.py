"""Members: runs and folds are read, and what does not fit together is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.errors import HilumError, InconsistentDataset, InputError
from hilum.train.ensemble.members import common_films, read_sources

WriteRun = Callable[..., Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> list[Path]:
    """Two runs of other seeds on the same films. Leave them as they are."""
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / f"run-{seed}", seed=seed) for seed in range(2)]


def test_runs_are_members_by_name_and_hash(runs: list[Path]) -> None:
    sources = read_sources(runs)
    members = [member for source in sources for member in source.members]
    assert [member.name for member in members] == ["run-0", "run-1"]
    assert [member.path for member in members] == [run / "model.onnx" for run in runs]
    assert len({member.sha256 for member in members}) == 2
    assert [(source.backbone, source.seed, source.has_folds) for source in sources] == [
        ("plain-cnn", 0, True),
        ("plain-cnn", 1, True),
    ]


@pytest.mark.parametrize("end", ["", "folds"])
def test_one_run_stands_for_its_folds(runs: list[Path], end: str) -> None:
    (source,) = read_sources([runs[0] / end])
    assert source.is_folds
    assert [member.name for member in source.members] == ["run-0/fold-1", "run-0/fold-2"]


def test_folds_are_told_apart_as_they_were_held_out(runs: list[Path]) -> None:
    (source,) = read_sources([runs[0]])
    models = source.held_out_models()
    assert [path.name for path, _ in models] == ["fold-1.onnx", "fold-2.onnx"]
    first, second = (set(paths) for _, paths in models)
    assert first.isdisjoint(second)
    assert (len(first), len(second)) == (18, 18)


def test_films_are_test_only_where_no_run_learned_from_them(runs: list[Path]) -> None:
    sources = read_sources(runs)
    films = common_films(sources)
    for row in films.rows:
        roles = {next(one.split for one in source.splits if one.path == row.path) for source in sources}
        assert row.split == ("train" if "train" in roles else "test" if roles == {"test"} else "validation")
    folds = common_films(read_sources([runs[0]]))
    assert not folds.mask("validation").any()  # one fold or another has learned from each of them
    assert folds.mask("test").sum() == 15


def test_films_that_the_starting_weights_have_seen_are_no_test(runs: list[Path]) -> None:
    """Such a run gives no answer on them."""
    sources = read_sources(runs)
    path = next(row.path for row in common_films(sources).rows if row.split == "test")
    for source in sources:
        answer = source.judged.parts["test"].pop(path)
        assert {row.path: row.split for row in common_films(sources).rows}[path] == "train"
        source.judged.parts["test"][path] = answer
        assert {row.path: row.split for row in common_films(sources).rows}[path] == "test"


def refused(kind: type[HilumError], words: str, folders: list[Path]) -> None:
    with pytest.raises(kind, match=words) as caught:
        common_films(read_sources(folders))
    assert caught.value.fix


def test_what_is_no_ensemble_is_refused(runs: list[Path], tmp_path: Path, write_run: WriteRun) -> None:
    alone = write_run(tmp_path / "alone", num_folds=0)
    refused(InputError, "alone is not enough", [alone])
    refused(InputError, "named twice", [runs[0], runs[0]])
    refused(InputError, "no finished run", [runs[0], tmp_path])
    (tmp_path / "ensemble").mkdir()
    (tmp_path / "ensemble" / "config.toml").write_text('method = "average"\n', encoding="utf-8")
    (tmp_path / "ensemble" / "metrics.json").write_text("{}", encoding="utf-8")
    refused(InputError, "cannot be a member of another", [runs[0], tmp_path / "ensemble"])


def test_members_of_other_findings_or_preprocessing_are_refused(
    runs: list[Path], tmp_path: Path, write_run: WriteRun
) -> None:
    preprocessing = {"size_px": 32, "window_percentiles": [0.5, 99.5], "equalize": False}
    other = write_run(tmp_path / "flat", seed=2, preprocessing=preprocessing)
    refused(InconsistentDataset, "preprocessing equalize = False", [runs[0], other])
    cleaned = write_run(tmp_path / "cleaned", seed=2, preprocessing={"size_px": 32, "denoise": "median"})
    refused(InconsistentDataset, "preprocessing denoise = median", [runs[0], cleaned])


def test_runs_on_other_films_are_refused(runs: list[Path], tmp_path: Path, write_run: WriteRun) -> None:
    training = {"name": "phantoms", "num_films": {}, "fingerprint": "other bytes under the same names"}
    renamed = write_run(tmp_path / "renamed", seed=2, training_data=training)
    refused(InconsistentDataset, "films of the same name differ", [runs[0], renamed])
    fewer = write_run(tmp_path / "fewer", seed=3)
    lines = (fewer / "splits.csv").read_text(encoding="utf-8").splitlines()
    (fewer / "splits.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    refused(InconsistentDataset, "were not trained on the same data set", [runs[0], fewer])


def test_a_run_whose_folds_were_lost_says_so(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    (run / "folds" / "fold-2.onnx").unlink()
    source = read_sources([run / "folds", write_run(tmp_path / "second", seed=1)])[0]
    with pytest.raises(InputError, match=r"1 fold models, but its predictions\.csv shows 2"):
        source.held_out_models()
