"""Remarks on how the folders of a data set were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hilum.data.labels import Remark, and_list
from hilum.data.names import is_fold, is_known_finding

__all__ = ["MANIFEST_WAY", "joined_remark", "name_remarks"]

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
