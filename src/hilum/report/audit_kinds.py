"""What each kind of fault means to a reader: a heading, why it matters, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.judge.audit.fault import SEVERITIES

__all__ = [
    "KINDS",
    "PAIRED_KINDS",
    "PICTURED_KINDS",
    "READING_KINDS",
    "KindText",
    "group_faults",
    "kind_text",
    "summary_of",
]

_REPAIR = "hilum audit DATA --repair OUT.csv writes a data set without them."
PICTURED_KINDS = (  # faults of single films, which are best seen
    *("source-label", "not-chest", "lateral", "rotated", "inverted", "cut-off", "no-lungs", "overexposed"),
    *("underexposed", "constant", "low-resolution"),
)
READING_KINDS = (  # of how the data set was read: sentences that a reader wants whole
    *("passed-over", "folder-not-read", "left-out", "ambiguous-label", "same-finding", "placeholder-patient"),
    *("parts", "sources", "folds", "inner-folders", "columns"),
)
PAIRED_KINDS = ("leak", "duplicate", "label-conflict", "patient-overlap")


@dataclass(frozen=True)
class KindText:
    """What a kind of fault means.

    Attributes:
        heading: A few words.
        meaning: Why it matters, a sentence or two.
        remedy: What to do.
        many: One line for several of them, with ``{n}`` for their number; empty: the first one's message.
    """

    heading: str
    meaning: str
    remedy: str
    many: str = ""


KINDS: dict[str, KindText] = {
    "leak": KindText(
        "Test films that are also trained on",
        "The model has been told the answer of these test films. Whatever it scores on them is no evidence.",
        _REPAIR,
        "{n} test films have a twin in the training part.",
    ),
    "patient-overlap": KindText(
        "Patients on both sides",
        "Other films of these test patients are trained on: the model may recognise the patient, not the disease.",
        _REPAIR,
    ),
    "label-conflict": KindText(
        "One picture, two findings",
        "The same picture is filed under two findings. One of them is wrong.",
        "Let a radiologist decide, or use --repair, which takes the majority or drops them.",
        "{n} pairs of the same picture are filed under two findings.",
    ),
    "duplicate": KindText(
        "The same picture twice on one side",
        "It counts twice. hilum keeps such films together in every split it draws.",
        "Nothing needs to be done.",
        "{n} pairs of films on one side are the same picture.",
    ),
    "known-source": KindText(
        "Films of a known public set",
        "These films are in a public set; whoever tests on that set must not train on them.",
        "Read the flaws known of that set.",
    ),
    "source-label": KindText(
        "The source says otherwise",
        "The set these films come from gives them another finding.",
        "Ask a radiologist, or correct the label.",
    ),
    "class-by-source": KindText(
        "The finding shows in what is not the picture",
        "Where size, format, compression, margins or burnt-in signs go with the finding, so does where a film came "
        "from. A model may answer that, and fail on films of another hospital.",
        "Collect every finding from every source, or re-encode all films alike and cut the margins off.",
        "{n} properties go with the finding; the first: {first}",
    ),
    "thumbnail": KindText(
        "A handful of grey values nearly suffices",
        "On so few pixels no radiologist can read a film. What tells the findings apart is exposure, framing or age.",
        "Do not quote a model's accuracy on these films without this figure beside it.",
    ),
    "border-only": KindText(
        "The rim of the film tells the finding",
        "No lung is in the outermost strip. Whatever a model reads there is no disease.",
        "Crop to the chest, mix sources within each finding, and test on another hospital's films.",
    ),
    "center-blacked": KindText(
        "Films without lungs still tell the finding",
        "With the lungs blacked out the finding can still be told, so accuracy on these films does not show that a "
        "model reads lungs.",
        "Mix sources within each finding, and test on another hospital's films.",
    ),
    "age-confound": KindText(
        "Age tells the finding",
        "One finding was taken from children, another from adults. A model may tell the two apart by their bones.",
        "Take each finding from the same age groups.",
    ),
    "imbalance": KindText(
        "Findings of very different size",
        "Accuracy then mostly speaks of the largest one.",
        "Read macro-F1 and the recall of each finding; training weighs the findings by default.",
    ),
    "small-class": KindText(
        "Few films of a finding",
        "So few films neither teach nor test it; its intervals will be wide.",
        "Add films.",
        "{n} findings have few training films; the first: {first}",
    ),
    "unreadable": KindText(
        "Files that cannot be read",
        "They are left out.",
        "Export them again, or remove them.",
        "{n} files cannot be read; the first: {first}",
    ),
    "refused": KindText(
        "Films that are refused",
        "By their header or colour they are no still picture of a chest; they are left out.",
        "Look at them, and remove them.",
        "{n} files are no films of a chest; the first: {first}",
    ),
    "passed-over": KindText(
        "Files passed over",
        "Their names say that they are no films that hilum reads, or they lie where no films are read.",
        "Unpack what is packed, and move films into their class folders.",
    ),
    "folder-not-read": KindText(
        "Folders that were not read",
        "They stand beside the parts of the data set, and their names are no parts.",
        "Rename them to train, validation or test, or move them away.",
    ),
    "left-out": KindText(
        "Lines without a finding", "A film without a finding teaches nothing.", "Fill in the findings of these films."
    ),
    "ambiguous-label": KindText(
        "Films that name more than one finding",
        "hilum tells findings apart that exclude each other. Such a film is evidence for all that it names together.",
        "Nothing needs to be done; to judge such films, give each one finding.",
    ),
    "same-finding": KindText(
        "One finding under several names", "The names are read as one finding.", "Rename one of them if they are two."
    ),
    "placeholder-patient": KindText(
        "Patient IDs that are placeholders",
        "Films of one patient must stay together in a split. This ID would tie unlike films together.",
        "If it is a patient, give a CSV with a column `group`; films of one group always stay together.",
    ),
    "parts": KindText("Parts of the data set", "Folders were read as parts by their names.", "Rename them if not."),
    "sources": KindText(
        "Sources of the films",
        "Folders that hold the same class folders were read as sources by their names.",
        "Rename them if they are not.",
    ),
    "folds": KindText(
        "Folds read as one set",
        "Folds of one data set are all its films; hilum draws its own parts.",
        "Name one of them `test` to keep it apart.",
    ),
    "inner-folders": KindText(
        "Folders inside class folders",
        "All films below a class folder are read as its finding.",
        "Name these folders train, test or HospitalA, or move them beside the class folder, to have them told apart.",
    ),
    "columns": KindText(
        "Columns of the list", "Columns were understood by their names or as told.", "Say otherwise by --column."
    ),
    "not-chest": KindText(
        "No chest films",
        "These look like no frontal chest film.",
        "Look at them, and remove those that are none; --repair drops them.",
    ),
    "lateral": KindText("Lateral films", "Only frontal films are judged.", "Remove them; --repair drops them."),
    "rotated": KindText("Turned films", "The head is not at the top.", "Turn them."),
    "inverted": KindText("Negatives", "Bone is dark and air bright.", "Invert their grey values."),
    "cut-off": KindText("Parts of a chest", "Both lungs must lie on the film.", "Get the whole films."),
    "no-lungs": KindText("Films without two lungs", "Both lungs must lie on the film and be seen.", "Look at them."),
    "overexposed": KindText("Overexposed films", "Part of the picture is lost.", "Export them anew."),
    "underexposed": KindText("Underexposed films", "Part of the picture is lost.", "Export them anew."),
    "constant": KindText(
        "Films without a picture", "Nothing can be learnt from them.", "Remove them; --repair drops them."
    ),
    "low-resolution": KindText(
        "Films of very few pixels", "Fine opacities are gone.", "Get the films at their original size."
    ),
}


def kind_text(kind: str) -> KindText:
    """Return what a kind means; of one that is not listed its own word."""
    return KINDS.get(kind, KindText(kind.replace("-", " ").capitalize(), "", ""))


def group_faults(faults: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    """Return (severity, kind, faults) for each kind at each severity: errors first, then in the order of KINDS."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fault in faults:
        severity = str(fault["severity"])
        groups.setdefault((severity if severity in SEVERITIES else "note", str(fault["kind"])), []).append(fault)
    known = list(KINDS)
    order = sorted(
        groups, key=lambda key: (SEVERITIES.index(key[0]), known.index(key[1]) if key[1] in KINDS else len(known))
    )
    return [(severity, kind, groups[severity, kind]) for severity, kind in order]


def summary_of(kind: str, faults: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for the faults of one kind."""
    first = str(faults[0]["message"])
    if len(faults) == 1:
        return first
    many = kind_text(kind).many or "{n} cases; the first: {first}"
    return many.replace("{n}", str(len(faults))).replace("{first}", first)
