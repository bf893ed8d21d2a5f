"""A study under way reads its films once, knows its own folder, and counts what it judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import InputError
from hilum.judge.study import Changes
from hilum.judge.study_result import FilmCounts
from hilum.train.study_fit import VariantAnswers
from hilum.train.study_variants import StudyRequest
from hilum.workflows.study_run import Study

from .shared import Listening


def test_a_study_reads_its_films_once_and_refuses_the_folder_of_another(tmp_path: Path) -> None:
    findings = ("Normal", "Covid-19")
    films = write_phantoms(
        tmp_path / "films", num_per_finding=12, num_test_per_finding=2, findings=findings, size_px=96
    )
    asked = StudyRequest("backbones", films, tmp_path / "study", folds=2, backbones=("plain-cnn",), sizes_px=(32,))
    study, console = Study(asked, Listening()), Listening()
    preprocessing = study.variants[0].config.preprocessing
    assert study.films(preprocessing) is study.films(preprocessing)
    facts = study.facts()
    assert (facts["study"], facts["folds"], facts["external"]) == ("backbones", 2, None)
    assert facts["data"] == FilmCounts("films", 24, 24, dict.fromkeys(findings, 12))
    Study(asked, console).films(preprocessing)
    assert any(line.startswith("Continuing the unfinished study") for line in console.lines)
    with pytest.raises(InputError, match="unfinished study of other films or settings"):
        Study(replace(asked, folds=3), console).films(preprocessing)
    answers = VariantAnswers(np.zeros(2, int), np.full((2, 2), 0.5), np.arange(2), None, 0.1, 10)
    assert study.change(answers, answers) == Changes()
