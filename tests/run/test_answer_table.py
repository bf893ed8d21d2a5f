"""The table for people: one line a film in a file, a table or blocks on a terminal, and nothing that cannot be read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len

from hilum.findings import OTHER_ABNORMALITY
from hilum.run.answer import in_words
from hilum.run.answer_table import TableWriter

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia", "Bacterial Pneumonia")
LONG = "export/2024/hospital of the long name/series 00017/film with a name of its own 000123456789.dcm"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def film(file: str, *shares: float, may_be: tuple[str, ...] = (), reason: str = "", **more: Any) -> dict[str, Any]:
    """Return the JSON object of one answer."""
    probabilities = dict(zip(FINDINGS, shares or (0.61, 0.3, 0.05, 0.04), strict=False))
    likeliest = max(probabilities, key=probabilities.__getitem__)
    return {
        "file": file,
        "finding": None if reason else likeliest,
        "probabilities": probabilities,
        "set": list(may_be or (likeliest,)),
        "reasons": [{"code": "x", "message": reason}] if reason else [],
        **more,
    }


FILMS = [
    film("a.png"),
    film(LONG, may_be=("Normal", "Covid-19")),
    film("odd.png", reason="The picture does not look like a frontal chest film."),
    {
        "file": "broken.png",
        "error": {"type": "UndecodableFilm", "message": "Cannot read the film `broken.png`: it is empty.", "fix": ""},
    },
]


def shown(
    width: int | None,
    films: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    findings: tuple[str, ...] = FINDINGS,
    *,
    has_members: bool = False,
) -> list[str]:
    """Return the lines that a terminal of so many columns shows; None for a file."""
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO() if width is None else Terminal()
    writer = TableWriter(stream, findings, has_members)
    for one in films:
        writer.write(one)
    writer.close()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", range(40, 201))
def test_no_width_breaks_words_or_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, FILMS, monkeypatch)
    assert max(map(cell_len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for word in ("Covid-19", "61.0 %", "Pneumonia", "broken.png", "undecided", "refused"):
        assert word in text, text
    assert sum(len(line.split()) == 1 and len(line.strip()) <= 2 for line in lines) <= 1  # a name's last letter


def test_a_narrow_terminal_shows_a_block_a_film(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(80, FILMS, monkeypatch)
    assert lines[:6] == [
        "a.png",
        "  Normal",
        "  Normal                61.0 %  █████████████████████████████",
        "  Covid-19              30.0 %  ██████████████",
        "  Viral Pneumonia        5.0 %  ██",
        "  Bacterial Pneumonia    4.0 %  ██",
    ]
    after = lines.index("odd.png")
    assert lines[after + 1] == "  refused: The picture does not look like a frontal chest film."
    assert lines[after + 2] == ""  # what does not count has no bars
    assert lines[lines.index("broken.png") + 1] == "  cannot be read: it is empty."
    assert "  Normal or Covid-19 (undecided)" in lines
    assert "".join(lines[7:9]) == LONG
    assert not any(line.startswith("may be") for line in lines)


def test_a_wide_terminal_and_a_file_have_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = shown(200, FILMS, monkeypatch)
    assert any(line.split()[:3] == ["file", "finding", "Normal"] for line in wide[:3])
    assert any(line.startswith("may be: ") for line in wide)
    alone = shown(None, FILMS, monkeypatch)
    assert alone[1].split()[:3] == ["file", "finding", "Normal"]
    for one in FILMS:
        assert sum(one["file"] in line for line in alone) == 1  # whatever its length
    assert any(
        line.startswith(("broken.png", " broken.png")) and line.rstrip().endswith(" It is empty.") for line in alone
    )
    assert [line.split(":")[0] for line in alone[-3:]] == ["may be", "undecided", "refused"]


def test_the_legend_explains_what_there_is_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(60, FILMS[:1], monkeypatch)[-1] == ""
    assert [line.split(":")[0] for line in shown(None, FILMS[:1], monkeypatch)[-1:]] == ["may be"]
    assert not any("refused:" in line for line in shown(None, [FILMS[0], FILMS[3]], monkeypatch))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_long_names_of_findings_stand_alone(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = ("Normal", "Bilateral patchy ground-glass opacities of the lower lobes, early")
    answer = film("a.png") | {"probabilities": dict(zip(findings, (0.25, 0.75), strict=True)), "set": [findings[1]]}
    lines = shown(width, [answer | {"finding": findings[1]}], monkeypatch, findings)
    assert max(map(cell_len, lines)) <= width
    assert any("75.0 %" in line for line in lines)


def test_many_findings_are_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = tuple(f"Finding {number}" for number in range(14))
    answer = film("a.png") | {"probabilities": dict.fromkeys(findings, 1 / 14), "finding": findings[0], "set": []}
    lines = shown(120, [answer], monkeypatch, findings)
    assert lines[:2] == ["a.png", "  Finding 0"]
    assert len(lines) == 17


def test_wide_characters_take_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(40, [film("胸部レントゲン写真" * 5 + ".png")], monkeypatch)
    assert max(map(cell_len, lines)) <= 40


def test_an_ensemble_says_how_far_its_members_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = film("a.png", disagreement=0.125)
    assert "  members apart: 12.5 %" in shown(60, [answer], monkeypatch, has_members=True)
    alone = shown(None, [answer], monkeypatch, has_members=True)
    assert "12.5 %" in alone[3]
    assert any(line.startswith("apart: ") for line in alone)


def test_a_terminal_without_blocks_has_another_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    lines = shown(60, [film("a.png")], monkeypatch)
    assert any(line.endswith(" ########") for line in lines)
    "\n".join(lines).encode("ascii")


def test_answers_in_words() -> None:
    told = [in_words(one) for one in FILMS]
    assert told == ["Normal", "Normal or Covid-19 (undecided)", "refused", "cannot be read"]
    outside = film("a.png", 0.1, 0.6, 0.2, 0.1, may_be=("Bacterial Pneumonia", "Viral Pneumonia"))
    assert in_words(outside) == "Covid-19 or Viral Pneumonia or Bacterial Pneumonia (undecided)"


def test_an_abnormal_film_with_none_of_the_findings_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    findings, words = ("Normal", "Covid-19", OTHER_ABNORMALITY), "abnormal, but none of the findings this model knows"
    probabilities = dict(zip(findings, (0.1, 0.2, 0.7), strict=True))
    alone = film("a.png") | {"finding": OTHER_ABNORMALITY, "probabilities": probabilities, "set": [OTHER_ABNORMALITY]}
    undecided = alone | {"set": ["Covid-19", OTHER_ABNORMALITY]}
    assert (in_words(alone), in_words(undecided)) == (words, "Other abnormality or Covid-19 (undecided)")
    for width in (60, None):
        assert words in " ".join(" ".join(shown(width, [alone], monkeypatch, findings)).split())
    assert f"{OTHER_ABNORMALITY}: {words}." in shown(None, [undecided], monkeypatch, findings)  # in the legend
    assert not any(line.startswith(OTHER_ABNORMALITY) for line in shown(None, [alone], monkeypatch, findings))
