"""The table of `hilum study noise`, tested with its page on the same figures; here that a narrow terminal will do."""

from __future__ import annotations

from hilum.report.study_noise_table import noise_text


def test_a_study_without_methods_still_tells_its_verdict() -> None:
    figures = {"doses": {"high": 1.0}, "external": None, "methods": [{}], "verdict": {"words": "None."}}
    assert noise_text(figures, width=40).rstrip().endswith("None.")
