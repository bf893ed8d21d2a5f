"""A study that cannot be done is refused before a film is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import ConfigError, InconsistentDataset, InputError
from hilum.train.study.settings import StudySettings, check_study, chosen_names, known_names


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A data set whose files are no films: they are only counted."""
    for finding in ("Normal", "Covid"):
        (tmp_path / "films" / finding).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "films" / finding / f"{number}.png").write_bytes(b"")
    return tmp_path / "films"


def test_folders_that_hold_something_else_are_left_alone(films: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in the data set"):
        check_study("noise", films, films / "out", StudySettings())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="was not touched"):
        check_study("noise", films, tmp_path / "run", StudySettings(), overwrite=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="it is a file"):
        check_study("noise", films, tmp_path / "file", StudySettings())


def test_films_are_counted(films: Path, tmp_path: Path) -> None:
    check_study("noise", films, tmp_path / "out", StudySettings(), external=films)
    with pytest.raises(InconsistentDataset, match="does not exist"):
        check_study("noise", films, tmp_path / "out", StudySettings(), external=tmp_path / "missing")
    (films / "Covid" / "0.png").unlink()
    with pytest.raises(InconsistentDataset, match="has 1 film to divide; expected at least 2"):
        check_study("backbones", films, tmp_path / "out", StudySettings())


def test_wrong_numbers_and_names_are_told(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--folds"):
        StudySettings(folds=1)
    with pytest.raises(ConfigError, match="No backbone is called `plain-cn`"):
        check_study("noise", films, tmp_path / "out", StudySettings(backbones=("plain-cn",)))
    with pytest.raises(ConfigError, match="multiple of 32"):
        settings = StudySettings(backbones=("efficientnet-lite0",), sizes_px=(160, 100))
        check_study("backbones", films, tmp_path / "out", settings)


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [("noise", "median", "medain"), ("augmentation", "mixup", "mixap"), ("backbones", "frozen", "frosen")],
)
def test_names_are_chosen_in_one_order(kind: str, name: str, wrong: str) -> None:
    assert chosen_names((), kind) == known_names(kind)
    assert chosen_names((name,), kind) == (name,)
    assert chosen_names(known_names(kind)[::-1], kind) == known_names(kind)
    with pytest.raises(ConfigError, match=f"Did you mean `{name}`"):
        chosen_names((wrong,), kind)
