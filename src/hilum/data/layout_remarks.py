"""What to tell of the folders of a data set whose names do not say in so many words how they were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hilum.data.labels import Remark, and_list
from hilum.data.names import is_fold, is_known_finding

__all__ = ["MANIFEST_WAY", "joined_remark", "name_remarks"]

MANIFEST_WAY = "give a CSV with a line a film:"
_PLAIN = ("train", "test", "validation", "val")


def joined_remark(joined: Mapping[str, tuple[str, str]]) -> Remark:
    """Return what to tell of folders whose names hold the part as well, {name: (part, finding)}."""
    name, (part, label) = next(iter(joined.items()))
    text = f"The folders' names say finding and part: `{name}` is read as {label}, {part}, and so on."
    return Remark("parts", text)


def name_remarks(
    parts: Mapping[str, str], sources: Iterable[str], folds: Iterable[str], inside: Mapping[str, tuple[str, ...]]
) -> list[Remark]:
    """Return what to tell of a data set's folders.

    Args:
        parts: {folder: part}.
        sources: Names of folders that are read as sources.
        folds: Names of folders that are read as one set.
        inside: {class folder: names of its own folders}; their films are read as one finding.
    """
    remarks = []
    odd = {name.rpartition("/")[2]: part for name, part in parts.items()}
    odd = {name: part for name, part in odd.items() if name.lower() not in _PLAIN}
    if odd:
        read = ", ".join(f"`{name}` as {part}" for name, part in sorted(odd.items()))
        remarks.append(Remark("parts", f"Parts of the data set: {read}."))
    if named := sorted(sources):
        remarks.append(Remark("sources", f"The folders {and_list(named)} are read as sources of the films."))
    if named := sorted(folds):
        text = (
            f"The folders {and_list(named)} hold the same class folders and are read as one set: hilum draws its own "
            "parts, in which twins and patients stay together. To keep a fold as the test part, name its folder `test` "
            "and put the others into `train`."
        )
        remarks.append(Remark("folds", text))
    return remarks + _inside_remarks(inside)


def _inside_remarks(inside: Mapping[str, tuple[str, ...]]) -> list[Remark]:
    """Return what to tell of folders that are read as one, though they may be parts, sources or findings."""
    remarks = []
    for folder, names in inside.items():
        if findings := [name for name in names if is_known_finding(name)]:
            text = (
                f"The films of {and_list(findings)} lie in `{folder}` and are read as that finding. To tell them "
                "apart, move these folders beside it."
            )
            remarks.append(Remark("inner-folders", text, severity="warning"))
    counts = Counter(name for names in inside.values() for name in names if not is_fold(name))
    shared = sorted(name for name, count in counts.items() if count > 1 and not is_known_finding(name))
    if shared:
        text = (
            f"The folders {and_list(shared)} lie in more than one class folder, and their films are read as one set. "
            f"If they are parts or sources, name them so (train, test; HospitalA), or {MANIFEST_WAY} "
            "path,finding,split,source"
        )
        remarks.append(Remark("inner-folders", text))
    return remarks
