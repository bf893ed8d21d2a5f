"""What a model file holds, in lines."""

from __future__ import annotations

import dataclasses

from hilum.report.model_text import model_lines
from hilum.run.modelfile import Metadata


def test_the_lines_say_what_it_is_and_what_it_refuses(tiny_metadata: Metadata) -> None:
    text = "\n".join(model_lines(tiny_metadata, "ab" * 32))
    assert text.startswith("tiny knows 3 findings: Normal, Covid-19, Viral Pneumonia.")
    assert "It refuses no film for being unlike" in text
    assert "  Covid-19: present from a probability of 0.200; in the set from 0.100 (50 films)" in text
    adapted = dataclasses.replace(
        tiny_metadata,
        training_data={"name": "set", "num_films": {"Normal": 3}},
        adaptation={"parent": {"name": "chest"}, "n": 40, "data": "ours"},
        ensemble={"members": [1, 2]},
        gate={"refused_fraction": 0.01},
        decoder_version=1,
    )
    text = "\n".join(model_lines(adapted, ""))
    for words in (
        "It learned from set: Normal 3 films.",
        "It was adapted from chest with 40 films of ours.",
        "2 models",
        "1.0",
    ):
        assert words in text
    assert "film decoder" in text.splitlines()[-1]
