"""A film's record keeps the patient out of what is printed."""

from __future__ import annotations

from hilum.data.labels import FilmRecord


def test_the_patient_is_in_no_repr() -> None:
    record = FilmRecord("a.png", "Normal", None, patient="Jane Doe", age_years=45.5)
    assert "Jane" not in repr(record)
    assert "45.5" not in repr(record)
    assert FilmRecord("a.png", "Normal", None).group is None
