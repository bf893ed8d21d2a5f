"""The frame of a page: self-contained, escaped, without sections that are empty."""

from __future__ import annotations

from hilum.report.page import NOTICE, Section, html_page


def test_a_page_is_whole_and_escaped() -> None:
    sections = [Section("one", "One & two", "<p>in</p>"), Section("none", "Left out", "")]
    page = html_page("<b>", "kicker", "<p>opening</p>", sections, styles=("report.css", "audit.css"))
    assert page.startswith("<!doctype html>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "One &amp; two" in page
    assert "Left out" not in page
    assert page.count(NOTICE) == 1
    assert "default-src 'none'" in page
    assert ".verdict" in page
    assert "<script" not in page
