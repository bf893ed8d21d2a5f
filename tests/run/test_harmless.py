"""Texts of a stranger's model file: what could play tricks on a reader is refused, wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.run.modelfile import check_names, check_texts


@pytest.mark.parametrize(
    "values",
    [{"a\x1b": 1}, {"a": ["x", {"b": "\u202e"}]}, {"a": {"model_card": "two\nlines"}}, ["\n"], {"model_card": "\x07"}],
)
def test_a_control_character_is_found_wherever_it_stands(values: Any) -> None:
    with pytest.raises(ValueError, match="control or bidirectional characters") as caught:
        check_texts(values)
    assert str(caught.value).isprintable()


def test_other_texts_and_the_lines_of_a_card_pass() -> None:
    check_texts({"name": "Entzündung 肺炎", "model_card": "# Card\n\n- a\n", "n": 3, "list": [None, 1.5, True]})


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\u200f"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a finding's name"):
        check_names(["Normal", name])
    check_names(["x" * 64])
