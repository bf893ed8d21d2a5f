"""What every study shares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import InconsistentDataset, InputError
from hilum.film.preprocess import Preprocessing
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.study.common import Study, prepare_outside
from hilum.train.study.settings import StudySettings

SMALL = Preprocessing(size_px=32)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "films"
    write_phantoms(folder, num_per_finding=8, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96)
    return folder


@pytest.fixture(scope="module")
def prepared(own: Path) -> PreparedFilms:
    return prepare_films(own, SMALL)


def test_other_sources_are_judged_on_what_is_common_and_new(own: Path, prepared: PreparedFilms, tmp_path: Path) -> None:
    findings = ("Normal", "Covid-19", "Bacterial Pneumonia")
    write_phantoms(tmp_path / "other", num_per_finding=5, num_test_per_finding=0, seed=9, findings=findings, size_px=96)
    copied = next((own / "train" / "Normal").iterdir())
    (tmp_path / "other" / "train" / "Normal" / f"copy{copied.suffix}").write_bytes(copied.read_bytes())
    outside = prepare_outside(tmp_path / "other", prepared, SMALL)
    assert outside.findings == prepared.findings
    assert outside.left_out == {"other_findings": 5, "twins": 1}
    assert len(outside.films) == len(outside.groups) == 10
    assert np.bincount(outside.films.labels).tolist() == [5, 5]
    assert [prepared.findings[column] for column in outside.columns] == list(outside.findings)


def test_one_finding_in_common_is_not_enough(prepared: PreparedFilms, tmp_path: Path) -> None:
    findings = ("Normal", "Bacterial Pneumonia")
    write_phantoms(tmp_path / "other", num_per_finding=3, num_test_per_finding=0, seed=9, findings=findings, size_px=96)
    with pytest.raises(InconsistentDataset, match="1 findings in common"):
        prepare_outside(tmp_path / "other", prepared, SMALL)


def test_a_killed_study_goes_on_and_another_is_not_mixed_with_it(
    own: Path, prepared: PreparedFilms, tmp_path: Path
) -> None:
    study = Study("noise", own, tmp_path / "out", StudySettings())
    study.open(prepared, None, {"methods": ["a"]})
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"x": len(made)}

    assert study.remembered(make, "part", "one") == {"x": 1}
    again = Study("noise", own, tmp_path / "out", StudySettings())
    again.open(prepared, None, {"methods": ["a"]})
    assert again.remembered(make, "part", "one") == {"x": 1}
    assert made == [1]
    with pytest.raises(InputError, match="unfinished study"):
        Study("noise", own, tmp_path / "out", StudySettings(folds=3)).open(prepared, None, {"methods": ["a"]})
    anew = Study("noise", own, tmp_path / "out", StudySettings(folds=3), overwrite=True)
    anew.open(prepared, None, {"methods": ["a"]})
    assert anew.remembered(make, "part", "one") == {"x": 2}
    anew.finish({"a": 1}, "<p>page</p>")
    assert not anew.work.exists()
    assert json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8")) == {"a": 1}
    with pytest.raises(InputError, match="finished study"):
        Study("noise", own, tmp_path / "out", StudySettings())


def test_folds_leave_the_test_part_out(own: Path, prepared: PreparedFilms, tmp_path: Path) -> None:
    study = Study("noise", own, tmp_path / "out", StudySettings(folds=2))
    folds = study.folds(prepared)
    test = np.array([record.split == "test" for record in prepared.records])
    assert (folds[test] == -1).all()
    assert (folds[~test] >= 0).all()
    assert set(folds[~test]) == {0, 1}
    assert np.array_equal(folds, study.folds(prepared))
    facts = study.facts(prepared, None)
    assert facts["data"]["n"] == 16
    assert facts["data"]["findings"] == {"Normal": 8, "Covid-19": 8}
