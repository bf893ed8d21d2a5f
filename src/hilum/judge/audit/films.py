"""Checks of single films and of how the data set was read, and of how many films each finding has."""

from __future__ import annotations

from collections import Counter

from hilum.errors import RefusedFilm
from hilum.judge.audit.check import AuditData, Check, Fault, needs_films, needs_training

__all__ = ["CHECKS", "IMBALANCE_RATIO", "SMALL_CLASS"]

SMALL_CLASS = 30
IMBALANCE_RATIO = 3.0


# --- how the data set was read ---------------------------------------------------------------------------------------


def _said_while_reading(code: str, title: str, meaning: str, remedy: str, severity: str = "note") -> Check:
    """Return the check for what reading the data set left as remarks of one kind."""

    def find(data: AuditData) -> list[Fault]:
        remarks = (one for one in data.scan.dataset.remarks if one.kind == code)
        return [Fault(code, one.severity, one.message, one.paths) for one in remarks]

    return Check(code, title, severity, meaning, remedy, find, shows="sentences")


_READING = (
    _said_while_reading(
        "passed-over",
        "Files that were not read as films",
        "Their names say that hilum cannot read them, or they lie where no films are read.",
        "Unpack what is packed. Move films into the folder of their finding.",
        "warning",
    ),
    _said_while_reading(
        "folder-not-read",
        "Folders that were not read",
        "They lie beside train, validation or test, but their names are no part of a data set.",
        "Rename them to train, validation or test, or move them away.",
        "warning",
    ),
    _said_while_reading(
        "left-out",
        "Lines without a finding",
        "A film without a finding teaches nothing and is left out.",
        "Fill in the findings of these films.",
        "warning",
    ),
    _said_while_reading(
        "ambiguous-label",
        "Films that name more than one finding",
        "hilum takes one finding for each film. Such a film counts as one of those it names, without saying which.",
        "You need not do anything. To judge such films, give each one finding.",
        "warning",
    ),
    _said_while_reading(
        "same-finding",
        "One finding under several names",
        "The names are read as one finding.",
        "If they are two findings, rename one of them.",
    ),
    _said_while_reading(
        "placeholder-patient",
        "Patient IDs that are placeholders",
        "Films of one patient must stay together in a split. This ID would tie films of many patients together.",
        "If it is a patient, give a CSV with a column `group`; films of one group always stay together.",
    ),
    _said_while_reading(
        "parts",
        "Parts of the data set",
        "These folders were read as parts of the data set because of their names.",
        "Rename them if they are not.",
    ),
    _said_while_reading(
        "sources",
        "Sources of the films",
        "Folders that hold the same class folders were read as sources because of their names.",
        "Rename them if they are not.",
    ),
    _said_while_reading(
        "folds",
        "Folds read as one set",
        "The folds of a data set are all its films. hilum makes its own train, validation and test.",
        "Name one of them `test` to keep it apart.",
    ),
    _said_while_reading(
        "inner-folders",
        "Folders inside class folders",
        "All films below a class folder are read as its finding.",
        "To have them read apart, name these folders train, test or HospitalA, or move them beside the class folder.",
        "warning",
    ),
    _said_while_reading(
        "columns",
        "Columns of the list",
        "Columns were understood by their names, or as you said.",
        "Use `--column` to say otherwise.",
    ),
)


# --- films that cannot be used ---------------------------------------------------------------------------------------


def _unread(code: str, title: str, meaning: str, remedy: str, many: str) -> Check:
    """Return the check for films that could not be read, or that were refused by their header or colour."""

    def find(data: AuditData) -> list[Fault]:
        chosen = [one for one in data.scan.unread if isinstance(one[1], RefusedFilm) == (code == "refused")]
        return [Fault(code, "warning", str(error), (path,)) for path, error in chosen]

    return Check(code, title, "warning", meaning, remedy, find, many=many)


def _not_judged(code: str, title: str, meaning: str, remedy: str, severity: str = "warning") -> Check:
    """Return the check for films that hilum would not judge for one reason."""

    def find(data: AuditData) -> Fault | None:
        reason, by = _OTHER_MODELS.get(code, (code, ""))
        found = [
            (record.path, one.message)
            for record, traits in zip(data.scan.dataset.records, data.traits, strict=True)
            for one in traits.reasons
            if one.code == reason
        ]
        if not found:
            return None
        first = found[0][1]
        message = first if len(found) == 1 else f"{len(found)} films would not be judged{by}; of the first: {first}"
        return Fault(code, severity, message, tuple(path for path, _ in found), len(found))

    return Check(code, title, severity, meaning, remedy, find, (needs_films,), shows="films")


# Kinds that only some models do not judge: the code of the reason, and which models.
_OTHER_MODELS = {"low-resolution": ("too-small", " by a model that learned from larger ones")}

_UNUSABLE = (
    _unread(
        "unreadable",
        "Files that cannot be read",
        "These films are left out.",
        "Export them again, or remove them.",
        "{n} files cannot be read; the first: {first}",
    ),
    _unread(
        "refused",
        "Files that show no film of a chest",
        "Their header or their colour says that they are no still picture of a chest. They are left out.",
        "Look at them, and remove them.",
        "{n} files show no film of a chest; the first: {first}",
    ),
    _not_judged(
        "constant",
        "Films without a picture",
        "A model can learn nothing from them.",
        "Remove them. `--repair` leaves them out.",
        "error",
    ),
    _not_judged(
        "not-chest",
        "Not a frontal chest film",
        "These pictures do not look like a frontal film of the chest.",
        "Look at them, and remove those that are none. `--repair` leaves them out.",
    ),
    _not_judged(
        "lateral", "Lateral films", "hilum judges frontal films only.", "Remove them. `--repair` leaves them out."
    ),
    _not_judged("rotated", "Turned films", "The head is not at the top.", "Turn them upright."),
    _not_judged("inverted", "Negatives", "Bone is dark and air is bright.", "Invert their grey values."),
    _not_judged("cut-off", "Parts of a chest", "Both lungs must lie on the film.", "Get the whole films."),
    _not_judged("no-lungs", "Films without two lungs", "Both lungs must lie on the film and be seen.", "Look at them."),
    _not_judged("overexposed", "Overexposed films", "Part of the picture is lost.", "Export them again."),
    _not_judged("underexposed", "Underexposed films", "Part of the picture is lost.", "Export them again."),
    _not_judged(
        "low-resolution",
        "Films of very few pixels",
        "Fine opacities cannot be seen on them. Only a model that learned from such films judges them.",
        "Get the films at their original size.",
    ),
)


# --- how many films each finding has ---------------------------------------------------------------------------------


def _training_counts(data: AuditData) -> dict[str, int]:
    films = zip(data.stated.scan.dataset.records, data.stated.splits, strict=True)
    return dict(sorted(Counter(record.finding for record, split in films if split != "test").items()))


def _small_classes(data: AuditData) -> list[Fault]:
    return [
        Fault("small-class", "warning", f"Only {count} training films show {finding}.", (), count)
        for finding, count in _training_counts(data).items()
        if count < SMALL_CLASS
    ]


def _imbalance(data: AuditData) -> Fault | None:
    counts = _training_counts(data).values()
    ratio = max(counts) / min(counts) if counts else 0.0
    if ratio <= IMBALANCE_RATIO:
        return None
    message = f"The largest finding has {ratio:.1f} times as many training films as the smallest."
    return Fault("imbalance", "note", message, (), ratio)


_SIZES = (
    Check(
        "small-class",
        "Few films of a finding",
        "warning",
        "So few films can neither teach a finding nor test it. Its intervals will be wide.",
        "Add films.",
        _small_classes,
        (needs_training,),
        many="{n} findings have few training films; the first: {first}",
    ),
    Check(
        "imbalance",
        "Findings of very different size",
        "note",
        "The accuracy then mostly shows how well the largest finding is recognised.",
        "Read macro-F1 and the recall of each finding. Training weights the findings by default.",
        _imbalance,
        (needs_training,),
    ),
)

CHECKS = (*_UNUSABLE, *_SIZES, *_READING)
