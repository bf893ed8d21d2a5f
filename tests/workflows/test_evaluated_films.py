"""Which films a model is measured on, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.console import Console
from hilum.errors import InconsistentDataset
from hilum.workflows.evaluated_films import read_evaluated

from .shared import Listening

KNOWN = ("Normal", "Covid-19", "Viral Pneumonia")


def test_the_test_part_is_judged_where_there_is_one(tiny_data: Path) -> None:
    films = read_evaluated(tiny_data, (), KNOWN, with_traits=False, console=Console())
    assert (len(films.splits), films.known.sum(), films.unknown.sum()) == (51, 15, 0)
    assert [split == "test" for split in films.splits] == films.known.tolist()
    assert (films.traits, films.notes) == ({}, ())


def test_unknown_findings_are_told_apart_and_may_be_renamed(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    for seed, finding in enumerate(("Normal", "Odd", "Odd")):
        write_film(tmp_path / finding / f"{seed}.png", seed=seed)
    console = Listening()
    films = read_evaluated(tmp_path, (), KNOWN, with_traits=True, console=console)
    assert (films.known.tolist(), films.unknown.tolist()) == ([True, False, False], [False, True, True])
    assert set(films.traits) == {record.path for record in films.scan.dataset.records}
    assert films.notes == ("Left out, since the model does not know them: films of Odd.",)
    assert console.lines[0] == films.notes[0]
    renamed = read_evaluated(tmp_path, ["Odd=Covid-19"], KNOWN, with_traits=False, console=console)
    assert renamed.known.all()
    with pytest.raises(InconsistentDataset, match="No film shows a finding that the model knows"):
        read_evaluated(tmp_path, (), ("Other",), with_traits=False, console=console)
