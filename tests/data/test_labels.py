"""What labels mean: one finding however it is spelt, and never a class of two findings."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.data.labels import FilmRecord, and_list, settle_labels, spelling_key


def settled(*labels: str) -> dict[str, str]:
    return settle_labels({label: [f"{number}.png"] for number, label in enumerate(labels)})[0]


def messages(*labels: str) -> str:
    return " ".join(one.message for one in settle_labels({label: [f"{label}.png"] for label in labels})[1])


def test_spellings_of_one_finding_are_one_and_said_once() -> None:
    labels = {"Effusion": ["a", "b"], "EFFUSION": ["c"], "effusion ": ["d"], "Effusion.": ["e"], "Normal": ["f"]}
    findings, remarks = settle_labels(labels)
    assert set(findings.values()) == {"Effusion", "Normal"}
    (remark,) = remarks
    assert remark.message.startswith(
        "`EFFUSION`, `Effusion`, `Effusion.` and `effusion ` are read as one finding, Effus"
    )
    assert remark.paths == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pleural effusion", "pleural_effusion"),
        ("Pleural-Effusion", "PLEURAL  EFFUSION"),
        ("Émphysème", unicodedata.normalize("NFD", "émphysème")),
        ("Mass\u200b", "mass"),
        ("İnfiltrat", "infiltrat"),
        ("KIRIK", "kırık"),
        ("Œdème", "OEDÈME"),
        ("Hæmothorax", "HAEMOTHORAX"),
        ("Maßhernie", "masshernie"),
        ("Inﬁltrat", "infiltrat"),
        ("Mass\u00a0left", "mass left"),
        ("Post\u2010op", "postop"),
        ("ﬁbrosis", "Fibrosis"),
    ],
)
def test_spellings(one: str, other: str) -> None:
    assert len(set(settled(one, other, "Normal").values())) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [("TB+", "TB-"), ("<5 mm", ">5 mm"), ("grade 1-5", "grade 15"), ("-1", "1"), ("1.5", "15"), ("0", "1")],
)
def test_signs_with_a_meaning_are_kept(one: str, other: str) -> None:
    assert len(set(settled(one, other).values())) == 2
    assert messages(one, other) == ""


@given(st.text(string.ascii_letters + " _-", min_size=1).filter(lambda name: any(map(str.isalpha, name))))
def test_case_and_gaps_never_matter(name: str) -> None:
    word = name.strip(" _-")
    assert spelling_key(word) == spelling_key(word.upper()) == spelling_key(f" {word.replace('-', '_')} ")


@pytest.mark.parametrize(
    "label",
    [
        *(
            "Mass|Effusion",
            "effusion ; MASS",
            "Mass, Effusion",
            "Mass+Effusion",
            "Mass & Effusion",
            "Effusion and Mass",
        ),
        *("Mass/Effusion", "Mass / Effusion", "['Mass', 'Effusion']", "Mass\nEffusion", "Effusion|Mass|Effusion"),
        *(
            "Mass\\Effusion",
            "Mass - Effusion",
            "Mass_Effusion",
            "Mass plus Effusion",
            "Mass\uff0cEffusion",
            "Mass\u3001Effusion",
        ),
    ],
)
def test_a_label_of_two_findings_is_ambiguous_whatever_stands_between(label: str) -> None:
    assert settled("Mass", "Effusion", "Normal", label)[label] == "Effusion|Mass"
    assert "1 film has an ambiguous label" in messages("Mass", "Effusion", "Normal", label)


@pytest.mark.parametrize("label", ["Normal|Effusion", "Normal;Mass", "Normal, Mass", "Normal + Mass"])
def test_a_label_with_a_finding_that_no_film_shows_alone_is_left_out(label: str) -> None:
    findings, remarks = settle_labels({"Normal": ["a"], "Fracture": ["b"], label: ["c", "d"]})
    assert set(findings.values()) == {"Normal", "Fracture"}
    (remark,) = remarks
    assert (remark.severity, remark.paths) == ("warning", ("c", "d"))
    assert "2 films have an ambiguous label" in remark.message
    assert "left out" in remark.message


@pytest.mark.parametrize(
    "name",
    [
        *("Pneumonia, viral", "Pneumonia/Viral/COVID-19", "Fracture and dislocation", "Infiltrate/Consolidation"),
        *("Covid+", "Non-TB", "Mass (left, large)", "Lung opacity"),
    ],
)
def test_names_that_only_look_like_two_findings_are_one(name: str) -> None:
    assert "|" not in settled("Normal", "Tuberculosis", name)[name]


def test_known_names_get_their_standard_name() -> None:
    assert settled("COVID", "No_finding", "Covid-19") == {
        "COVID": "Covid-19",
        "No_finding": "Normal",
        "Covid-19": "Covid-19",
    }
    assert settled("bacterial | virus", "Bacterial", "viral")["bacterial | virus"] == (
        "Viral Pneumonia|Bacterial Pneumonia"
    )
    assert settled("Covid|COVID-19")["Covid|COVID-19"] == "Covid-19"


def test_lists_of_names() -> None:
    assert (and_list([]), and_list(["A"]), and_list(["A", "B"])) == ("", "`A`", "`A` and `B`")
    assert and_list("ABCDE", most=2) == "`A`, `B` and 3 more"


def test_whole_numbers_are_one_however_they_are_written() -> None:
    assert settled("0", "0.0", "1", "1.5") == {"0": "0", "0.0": "0", "1": "1", "1.5": "1.5"}


# --- a film's record keeps the patient out of what is printed ---------------------------------------------------------


def test_the_patient_is_in_no_repr() -> None:
    record = FilmRecord("a.png", "Normal", None, patient="Jane Doe", age_years=45.5)
    assert "Jane" not in repr(record)
    assert "45.5" not in repr(record)
    assert FilmRecord("a.png", "Normal", None).group is None
