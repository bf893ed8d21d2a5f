"""Recognises from the name of a folder or a cell whether it is a part, a fold, a source or a known finding."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.data.labels import Remark, and_list
from hilum.data.walk import is_inside, list_folder
from hilum.errors import InconsistentDataset, nearest_name
from hilum.findings import finding_named
from hilum.text import folded

__all__ = [
    "MANIFEST_WAY",
    "PARTS",
    "Look",
    "folders_in",
    "is_fold",
    "is_known_finding",
    "is_neutral",
    "is_source",
    "joined_names",
    "joined_remark",
    "look_into",
    "name_remarks",
    "near_part",
    "part_named",
    "parts_in",
]

PARTS = ("train", "validation", "test")
_PART_WORDS = {
    "train": "train|trainings?|trn|entrenamiento|treino|treinamento|entrainement|apprentissage|addestramento"
    "|обучение|训练|訓練|학습",
    "validation": "val|valid|validate|validation|dev|devel|tune|tuning|validacion|validacao|validazione|validierung"
    "|валидация|验证|驗證|検証|검증",
    "test": "test|testing|tst|eval|evaluation|holdout|heldout|pruebas?|teste|тест|测试|測試|テスト|테스트",
}
_PLAIN_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "validation"
)
_THING = (
    "data|datasets?|sets?|images?|imgs?|films?|xrays?|cxrs?|radiographs?|split|part|folder|files|samples?|cohort"
    "|daten|datensatz"
)
_PART = {part: re.compile(rf"(?:my|the|{_THING})*(?:{words})(?:{_THING})*") for part, words in _PART_WORDS.items()}
_SHORT = {"tr": "train", "te": "test", "ts": "test", "va": "validation", "vl": "validation"}
_FOLD = re.compile(
    r"(?:cv|k)?(?:folds?|splits?|parts?|partition|subset|chunk|batch|shard|cv)(?:[0-9]+|[a-z])(?:of[0-9]+)?"
)
_SOURCE = re.compile(
    r"hospital|hosp|sites?|cent(?:er|re|ro)s?|clinics?|clinica|klinik|klinikum|spital|krankenhaus|hopital|ospedale"
    r"|institut(?:e|ion|o)?|universit\w+|uni|source|scanner|vendor|manufacturer|device|machine|country|city|cohort"
    r"|dataset|database|db|repo|collection"
    r"|nih|chestxray14|chexpert|mimic|mimiccxr|padchest|vindr|vindrcxr|rsna|siim|bimcv|ricord|midrc|covidx|kermany"
    r"|guangzhou|jsrt|shenzhen|montgomery|ieee8023|cohen|actualmed|figure1|hannover|brixia|ozturk|openi|indiana|plco"
)
_TOKEN = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-zà-ÿ])|\d+")
_MORE_FINDINGS = re.compile(
    r"abnormal|atelectasis|cardiomegaly|consolidations?|o?edema|emphysema|(?:pleural)?effusions?|fibrosis|fractures?|hernia"
    r"|infiltrates?|infiltrations?|lesions?|lungopacity|mass(?:es)?|nodules?|opacity|opacities|others?|ards|sars"
    r"|pleuralthickening|pneumothorax|bronchitis|non?tb|non?covid(?:19)?|notcovid(?:19)?"
)
_NEUTRAL = re.compile(
    r"images?|imgs?|pics|pictures?|films?|xrays?|cxrs?|dicoms?|dcm|png|jpe?g|tiff?|\w*(?:mask|segmentation)\w*|labels?"
    r"|pa|ap|ll|rl|lat|lateral|frontal|views?|male|female|men|women|m|f|left|right|raw|original|processed|resized"
    r"|(?:19|20)\d\d(?:\d\d){0,2}|(?:patient|pat|subject|sub|case|study|series|st|se|p|id|pid)\d+"
)


def part_named(name: str) -> str | None:
    """Return "train", "validation" or "test" where a name means one of them, else None.

    Example:
        >>> [part_named(name) for name in ("training_set", "Testing", "dev", "valid", "HoldOut", "contest")]
        ['train', 'test', 'validation', 'validation', 'test', None]
    """
    letters = _letters(name)
    return next((part for part, words in _PART.items() if words.fullmatch(letters)), None)


def parts_in(names: Sequence[str]) -> dict[str, str]:
    """Return {name: part} of the names that mean a part, alone or as a pair such as X_train and X_test.

    Example:
        >>> parts_in(["train", "test", "docs"]), parts_in(["X_train", "X_test"]), parts_in(["tr", "te"])
        ({'train': 'train', 'test': 'test'}, {'X_train': 'train', 'X_test': 'test'}, {'tr': 'train', 'te': 'test'})
    """
    found = {name: part for name in names if (part := part_named(name))}
    if found:
        return found
    short = {name: _SHORT[name.lower()] for name in names if name.lower() in _SHORT}
    if len(set(short.values())) > 1 and len(short) == len(names):
        return short
    joined = joined_names(names)
    return {name: part for name, (part, _) in joined.items()} if len({rest for _, rest in joined.values()}) == 1 else {}


def joined_names(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return {name: (part, the rest of the name)} if every name contains the word of a part, else an empty dict.

    At least two different parts are needed: PCR_test_positive and PCR_test_negative are findings.

    Example:
        >>> joined_names(["Normal_train", "Normal_test"])
        {'Normal_train': ('train', 'Normal'), 'Normal_test': ('test', 'Normal')}
    """
    found = {}
    for name in names:
        words = [(word.span(), part) for word in _TOKEN.finditer(name) if (part := _part_of_word(word[0]))]
        if len(words) != 1:
            return {}
        (start, end), part = words[0]
        rest = " ".join(filter(None, (name[:start].strip(" _-.()[]"), name[end:].strip(" _-.()[]"))))
        if not rest:
            return {}
        found[name] = part, rest
    return found if len({part for part, _ in found.values()}) > 1 else {}


def near_part(name: str, found: Iterable[str]) -> str:
    """Return a suggestion if a name looks like a misspelt, missing part, else an empty text."""
    missing = [plain for plain, part in _PLAIN_NAMES.items() if part not in set(found)]
    is_near = difflib.get_close_matches(name.lower(), missing, n=1, cutoff=0.75)
    return nearest_name(name, missing) if is_near else ""


def is_fold(name: str) -> bool:
    """Return whether a name is that of a numbered fold: fold0, split_1, part-b."""
    return bool(_FOLD.fullmatch(re.sub(r"[\W_]+", "", name.casefold())))


def is_source(name: str) -> bool:
    """Return whether a name is that of a hospital or a public set: HospitalA, site-2, siteB, NIH.

    Example:
        >>> [is_source(name) for name in ("HospitalA", "siteB", "Klinik_Nord", "Kermany", "Opposite", "A")]
        [True, True, True, True, False, False]
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _TOKEN.findall(plain)]
    squashed = re.sub(r"[\W_]+", "", plain.lower())
    tail = re.fullmatch(rf"(?:{_SOURCE.pattern})(?:[a-z]|\d+)?", squashed)
    return bool(tail) or any(_SOURCE.fullmatch(word) for word in words)


def is_known_finding(name: str) -> bool:
    """Return whether a name is a finding of hilum's vocabulary or another common finding of chest films."""
    return finding_named(name) is not None or bool(_MORE_FINDINGS.fullmatch(re.sub(r"[\W_]+", "", folded(name))))


def is_neutral(name: str) -> bool:
    """Return whether a folder's name cannot be a finding: images, masks, PA, 2020, patient7."""
    return bool(_NEUTRAL.fullmatch(re.sub(r"[\W_]+", "", name.casefold())))


def _part_of_word(word: str) -> str | None:
    return next((part for part, words in _PART_WORDS.items() if re.fullmatch(words, _letters(word))), None)


def _letters(name: str) -> str:
    """Return the letters of a name, folded and without accents: validacion for "Validación 2"."""
    letters = re.sub(r"[\W_\d]+", "", unicodedata.normalize("NFKD", folded(name)))
    return unicodedata.normalize("NFC", letters)


# Lists the folders inside a folder of a data set.


@dataclass(frozen=True)
class Look:
    """The folders inside one folder, and whether it directly holds files that may be films."""

    folders: tuple[str, ...]
    has_films: bool

    @property
    def parts(self) -> dict[str, str]:
        return parts_in(self.folders)

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders whose names allow them to be class folders."""
        return tuple(name for name in self.folders if name not in self.parts and not is_neutral(name))


def look_into(folder: Path) -> Look:
    """Return what is directly inside a folder."""
    names, folders, _ = list_folder(str(folder))
    return Look(tuple(one for one in names if one in folders), len(names) > len(folders))


def folders_in(folder: Path, root: Path | None = None) -> list[str]:
    """Return the sorted names of a folder's sub-folders; with a root, links into the data set are an error."""
    names, folders, links = list_folder(str(folder))
    if root is None:
        return [name for name in names if name in folders]
    found, real_root = [], os.path.realpath(root)
    for name in (name for name in names if name in folders):
        target = os.path.realpath(folder / name) if name in links else ""
        if target and is_inside(real_root, target):
            continue  # a link to the data set itself or above it
        if target and is_inside(target, real_root):
            raise InconsistentDataset(
                f"The folder `{folder / name}` is a link into the same data set, so its films would count twice.",
                fix="Remove the link.",
            )
        found.append(name)
    return found


# Remarks on how the folders of a data set were read.

MANIFEST_WAY = "give a CSV with one line per film and the columns"
_PLAIN = ("train", "test", "validation", "val")


def joined_remark(joined: Mapping[str, tuple[str, str]]) -> Remark:
    """Return the remark on folders whose names hold both finding and part, {name: (part, finding)}."""
    name, (part, label) = next(iter(joined.items()))
    text = f"The folder names give both finding and part; for example, `{name}` is read as {label}, {part}."
    return Remark("parts", text)


def name_remarks(
    parts: Mapping[str, str], sources: Iterable[str], folds: Iterable[str], inside: Mapping[str, tuple[str, ...]]
) -> list[Remark]:
    """Return the remarks on a data set's folders.

    Args:
        parts: {folder: part}.
        sources: Names of the folders that are read as sources.
        folds: Names of the folders that are read as one set.
        inside: {class folder: names of its sub-folders}.
    """
    remarks = []
    odd = {name.rpartition("/")[2]: part for name, part in parts.items()}
    odd = {name: part for name, part in odd.items() if name.lower() not in _PLAIN}
    if odd:
        read = ", ".join(f"`{name}` as {part}" for name, part in sorted(odd.items()))
        remarks.append(Remark("parts", f"Parts of the data set: {read}."))
    if named := sorted(sources):
        remarks.append(Remark("sources", f"The folders {and_list(named)} are read as sources (hospitals)."))
    if named := sorted(folds):
        text = (
            f"The folders {and_list(named)} hold the same class folders and are read as one set. hilum draws its own "
            "parts and keeps twins and films of one patient together. To use a fold as the test part, rename its "
            "folder to `test` and move the others into `train`."
        )
        remarks.append(Remark("folds", text))
    return remarks + _inside_remarks(inside)


def _inside_remarks(inside: Mapping[str, tuple[str, ...]]) -> list[Remark]:
    """Return the remarks on sub-folders of class folders that may be parts, sources or findings."""
    remarks = []
    for folder, names in inside.items():
        if findings := [name for name in names if is_known_finding(name)]:
            text = (
                f"The films of {and_list(findings)} are inside `{folder}` and are read as that finding. To separate "
                f"them, move these folders out of `{folder}`."
            )
            remarks.append(Remark("inner-folders", text, severity="warning"))
    counts = Counter(name for names in inside.values() for name in names if not is_fold(name))
    shared = sorted(name for name, count in counts.items() if count > 1 and not is_known_finding(name))
    if shared:
        text = (
            f"The folders {and_list(shared)} are in more than one class folder, and their films are read as one. "
            f"If they are parts or sources, rename them (train, test; HospitalA), or {MANIFEST_WAY} "
            "path,finding,split,source"
        )
        remarks.append(Remark("inner-folders", text))
    return remarks
