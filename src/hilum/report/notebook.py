"""What a notebook shows of an answer, of several, and of the result of a command: small pieces of HTML.

A piece brings its own style, which holds within it. The words of a result are the box at the top of its report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from hilum.film.radiograph import Radiograph
from hilum.report.page import render
from hilum.run.answer import Answer, in_words, outcome
from hilum.run.heatmap import overlay

__all__ = ["answer_html", "answers_html", "result_html"]

_PICTURE_PX = 320
_MOST_ROWS = 12
_TOP_BOX = re.compile(r'<(section) class="(?:verdict|headline)\b.*?</\1>', re.DOTALL)


def answer_html(answer: Answer, radiograph: Radiograph | None) -> str:
    """Return the answer for one film: the verdict, film and heat map, and a bar for each finding.

    Args:
        answer: The answer.
        radiograph: The film for people to look at; None where there is none.
    """
    pictures = []
    if radiograph is not None:
        evidence = answer.activation[list(answer.probabilities).index(answer.likeliest)]
        for words, shown in (("The film", np.zeros_like(evidence)), (f"Heat map for {answer.likeliest}", evidence)):
            drawn = overlay(radiograph, shown, max_side_px=_PICTURE_PX)
            pictures.append((words, cv2.imencode(".png", drawn[..., ::-1])[1].tobytes()))
    return str(render("notebook_answer.html.j2", answer=answer, said=in_words(answer.to_dict()), pictures=pictures))


def answers_html(answers: Sequence[Mapping[str, Any]]) -> str:
    """Return the answers for several films as a table of the first dozen.

    Args:
        answers: The JSON objects of an `Answer` or `UnreadFilm`.
    """
    rows = [(one, in_words(one), outcome(one)) for one in answers[:_MOST_ROWS]]
    findings = next((list(one["probabilities"]) for one in answers if "probabilities" in one), [])
    return str(render("notebook_answers.html.j2", rows=rows, findings=findings, num_films=len(answers)))


def result_html(page: str, words: str, path: Path) -> str:
    """Return the box at the top of a report, and where the report is.

    Args:
        page: The report; empty where there is none.
        words: What came of it, where there is no report.
        path: Of the report.
    """
    boxes = [Markup(one[0]) for one in _TOP_BOX.finditer(page)]
    return str(render("notebook_result.html.j2", boxes=boxes, words=words, path=str(path) if page else ""))
