"""The range of a film's values, with marks whose values are far from all others."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.film.radiograph import range_of_film

FILM = np.arange(300, 4000)


@pytest.mark.parametrize("marks", [[], [65535], [65534, 65535], [-32768], [-32768, 65535], [9000, 65535]])
def test_marks_far_from_the_film_are_left_out(marks: list[int]) -> None:
    assert range_of_film(np.union1d(FILM, marks)) == (300, 3999)


@pytest.mark.parametrize(
    "values",
    [
        [7],
        [0, 255],
        [0, 1, 2, 65535],
        [*range(0, 4000, 7), 6000],  # the gap is not half of the range
        [*range(100), *range(60000, 60100)],  # so many values are no marks
        [*range(0, 65536, 4096)],
    ],
)
def test_a_range_without_marks_is_the_whole_one(values: list[int]) -> None:
    assert range_of_film(np.array(values)) == (values[0], values[-1])
