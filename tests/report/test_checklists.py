"""The checklists are whole, and every item is either answered by the run or left to a person."""

from __future__ import annotations

import re

from hilum.report.claim import CLAIM, TRIPOD_AI


def test_claim_has_its_44_items() -> None:
    assert [item.number for item in CLAIM] == [str(number) for number in range(1, 45)]


def test_tripod_ai_has_its_27_items() -> None:
    numbers = [item.number for item in TRIPOD_AI]
    assert len(set(numbers)) == len(numbers)
    found = [re.fullmatch(r"(\d+)([a-g]?)", number) for number in numbers]
    assert list(dict.fromkeys(match[1] for match in found if match)) == [str(number) for number in range(1, 28)]
    parts = {number: "".join(m[2] for m in found if m and m[1] == number) for number in ("3", "5", "12", "18", "27")}
    assert parts == {"3": "abc", "5": "ab", "12": "abcdefg", "18": "abcdef", "27": "abc"}


def test_no_item_is_left_to_nobody() -> None:
    for item in (*CLAIM, *TRIPOD_AI):
        assert item.facts or item.person, item.number
        assert item.topic
        assert not item.topic.endswith(".")
