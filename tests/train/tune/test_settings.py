"""A search that cannot be done is refused before a film is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError, InconsistentDataset, InputError
from hilum.train.config import default_config
from hilum.train.tune.settings import TuneSettings, check_search


def test_folders_and_films_are_looked_at(tmp_path: Path) -> None:
    films, out, base = tmp_path / "films", tmp_path / "out", default_config("plain-cnn")
    for finding in ("Normal", "Covid"):
        (films / finding).mkdir(parents=True)
        for number in range(3):
            (films / finding / f"{number}.png").write_bytes(b"no film: it is only counted")
    check_search(films, out, base)
    with pytest.raises(InputError, match="lies in the data folder"):
        check_search(films, films / "out", base)
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(InputError, match="holds no search"):
        check_search(films, out, base)
    (out / "search.json").write_text("precious")
    with pytest.raises(InputError, match="holds no search"):
        check_search(films, out, base)
    (out / "search.json").write_text('{"settings": "", "films": "", "folds": 5}')
    check_search(films, out, base)
    (films / "Covid" / "0.png").unlink()
    with pytest.raises(InconsistentDataset, match="has 2 films to divide; expected at least 3"):
        check_search(films, out, base)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_trials": 0}, "number of trials must lie between 1 and"),
        ({"num_folds": 1}, "number of folds"),
        ({"num_confirmations": 0}, "number of confirmations"),
        ({"minutes": -1.0}, "number of minutes"),
        ({"minutes": float("nan")}, "number of minutes"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TuneSettings(**settings)
