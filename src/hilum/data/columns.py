"""Finds the columns of a CSV list by the names that public lists use, or by names that the user gives.

Case, spaces and underscores do not matter: ``Image Index`` is a path, ``Finding Labels`` a finding.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hilum.errors import InconsistentDataset, InputError, nearest_name

if sys.platform == "win32":
    from pathlib import WindowsPath as _Path
else:
    from pathlib import PosixPath as _Path

__all__ = [
    "ROLES",
    "Columns",
    "Listing",
    "check_columns",
    "column_key",
    "find_columns",
    "is_column",
    "listing",
    "looks_like_film",
    "names_patients",
    "parse_columns",
    "quoted",
]

ROLES = ("path", "finding", "split", "patient", "source", "group", "age", "sex")
_NAMES: dict[str, tuple[str, ...]] = {  # the first name that a list has counts
    "path": (
        *("path", "filepath", "imagepath", "imgpath", "filmpath", "fullpath", "relativepath", "relpath", "dicompath"),
        *("dcmpath", "pngpath", "jpgpath", "xraypath", "filename", "imagefilename", "imagefile", "imagename"),
        "imgname",
        *("file", "fname", "imageindex", "image", "img", "film", "xrayimagename", "dicom", "dicomfile", "imageid"),
    ),
    "finding": (
        *("finding", "findings", "findinglabels", "findinglabel", "label", "labels", "class", "classes", "classname"),
        *("classlabel", "diagnosis", "diagnoses", "dx", "target", "targets", "category", "disease", "pathology"),
        *("condition", "groundtruth", "truth", "y"),
    ),
    "split": (
        *("split", "subset", "partition", "datasettype", "datasetsplit", "datasplit", "phase", "usage", "set"),
        *("traintest", "trainvaltest", "dataset", "part", "mode", "fold"),
    ),
    "patient": (
        *("patient", "patientid", "patientidentifier", "patientkey", "patientno", "patientnumber"),
        *("subject", "subjectid", "pid", "ptid", "mrn", "medicalrecordnumber", "personid", "participant"),
        *("participantid", "caseid", "patientname"),  # names last: two patients may have one
    ),
    "source": ("source", "hospital", "site", "center", "centre", "institution", "institute", "clinic"),
    "group": ("group", "groupid"),
    "age": ("age", "patientage", "ageyears"),
    "sex": ("sex", "patientsex", "gender", "patientgender"),
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names}
_NEXT_ROLE = re.compile(rf"[,\s]+(?=(?:{'|'.join(ROLES)})\s*=)", re.IGNORECASE)


class Listing(_Path):
    """The path of a list that also carries ``columns``, {role: the column's name}, as the user gave them."""

    columns: Mapping[str, str] = MappingProxyType({})

    def resolve(self, strict: bool = False) -> Listing:
        """Return the absolute path of the list, which remembers its columns."""
        return listing(super().resolve(strict), self.columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return listing, (str(self), dict(self.columns))


def listing(path: str | Path, columns: Mapping[str, str]) -> Listing:
    """Return a path that remembers which column holds what."""
    found = Listing(path)
    found.columns = dict(columns)
    return found


@dataclass(frozen=True)
class Columns:
    """Where the columns of a list are.

    Attributes:
        places: {role: position}, the role being one of ROLES.
        header: The names of all columns.
        marks: Positions of the columns of 0 and 1, one per finding, in a list without a column of findings.
    """

    places: Mapping[str, int]
    header: tuple[str, ...]
    marks: tuple[int, ...] = ()

    def cell(self, row: Sequence[str], role: str) -> str:
        """Return the cell of a row; an empty text where the list has no such column."""
        return row[self.places[role]] if role in self.places else ""

    def summary(self) -> str:
        """Return a sentence on how the columns were read; an empty text where all have hilum's own names."""
        odd = [
            f"`{self.header[place]}` as {role}"
            for role, place in self.places.items()
            if self.header[place].lower() != role
        ]
        if self.marks:
            names = [f"`{self.header[place]}`" for place in self.marks]
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            odd.append(f"the 1 in {shown} as finding")
        return f"Columns of the list: {', '.join(odd)}." if odd else ""


def is_column(name: str) -> bool:
    """Return whether lists use this name for a column that hilum reads."""
    return column_key(name) in _ROLE_OF


def names_patients(name: str) -> bool:
    """Return whether a column of this name holds IDs or names of patients."""
    return _ROLE_OF.get(column_key(name)) == "patient"


def parse_columns(texts: Iterable[str]) -> dict[str, str]:
    """Return {role: column name} from texts like ``path=Image Index`` or ``path=file,finding=dx``.

    Raises:
        InputError: A text has another form, or gives two columns one role.
    """
    found: dict[str, str] = {}
    for text in (piece for one in texts for piece in _NEXT_ROLE.split(one.strip())):
        role, equals, name = (part.strip() for part in text.partition("="))
        role = role.lower()
        if role not in ROLES:
            raise InputError(
                f"Cannot read --column `{text}`: `{role}` is not known. {nearest_name(role, ROLES)}",
                fix="Write it like this: --column path='Image Index'",
            )
        if not equals or not name:
            raise InputError(
                f"Cannot read --column `{text}`: it needs an equals sign and the column's name.",
                fix="Write it like this: --column path='Image Index'",
            )
        if found.setdefault(role, name) != name:
            raise InputError(f"--column names two columns for {role}: `{found[role]}` and `{name}`.", fix="Name one.")
    return found


def find_columns(
    path: Path, header: tuple[str, ...], given: Mapping[str, str], *, needed: Sequence[str], what: str = "manifest"
) -> Columns:
    """Return where the columns of a list are.

    Args:
        path: The list, for messages.
        header: The names of its columns.
        given: {role: column name}, as the user gave them.
        needed: The roles that the caller needs.
        what: What messages call the list.

    Raises:
        InconsistentDataset: Two columns may have the same role.
        InputError: The user names a column that the list does not have.
    """
    keys = [column_key(name) for name in header]
    places: dict[str, int] = {}
    for role, name in given.items():
        if column_key(name) not in keys:
            received = [one for one in header if one]
            raise InputError(
                f"The {what} `{path}` has no column `{name}`. {nearest_name(name, received)}", fix="Check the name."
            )
        places[role] = header.index(name) if name in header else keys.index(column_key(name))
    if len(set(places.values())) < len(places):
        raise InputError("--column gives one column two roles.", fix="Name a different column for each role.")
    for role in (role for role in ROLES if role not in places):
        names = [name for name in _NAMES[role] if name in keys and keys.index(name) not in places.values()]
        if not names:
            continue
        if keys.count(names[0]) > 1:
            raise InconsistentDataset(
                f"The {what} `{path}` has two columns `{header[keys.index(names[0])]}`.", fix="Keep one of them."
            )
        if role == "finding" and len(names) > 1 and names[0] != role and role in needed:
            found = [header[keys.index(name)] for name in names]
            raise InconsistentDataset(
                f"The {what} `{path}` has more than one column that may hold the finding: {', '.join(found)}.",
                fix=f"Say which: --column finding={quoted(found[0])}",
            )
        places[role] = keys.index(names[0])
    return Columns(places, header)


def check_columns(path: Path, columns: Columns, needed: Sequence[str], *, what: str = "manifest") -> None:
    """Check that a list has the columns that are needed and no column with a misspelt name.

    Raises:
        InconsistentDataset: A column is missing, or the name of one is nearly a known name.
    """
    header = [name for name in columns.header if name]
    absent = [role for role in ROLES if role not in columns.places]
    taken = set(columns.places.values()) | set(columns.marks)
    for place, name in enumerate(columns.header):
        if place not in taken and name and (near := near_role(name, absent)):
            raise InconsistentDataset(
                f"The {what} `{path}` has the unknown column `{name}`. {nearest_name(near, ROLES)}",
                fix=f"Rename or remove the column, or name it: --column {near}={quoted(name)}",
            )
    lacking = [role for role in needed if role in absent]
    if not lacking:
        return
    role = lacking[0]
    examples = {
        "path": "path, filename, image, Image Index",
        "finding": "finding, label, class, diagnosis, Finding Labels",
    }
    fix = f"Rename the column, or name it: --column {role}=NAME"
    if looks_like_film(header):
        fix = f"The first line looks like a film. Add a line above it with the column names: {','.join(needed)}"
    raise InconsistentDataset(
        f"The {what} `{path}` has no column `{role}`. Expected a name such as {examples[role]}; "
        f"received {', '.join(header) or 'none: its first line is empty'}.",
        fix=fix,
    )


def near_role(name: str, roles: Iterable[str]) -> str:
    """Return the role of a column whose name is nearly that of a role, else an empty text."""
    known = [role for role in roles if len(role) > 3]  # three letters are too few to recognise a misspelling
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75)), "")


def looks_like_film(cells: Iterable[str]) -> bool:
    """Return whether a line that should hold column names holds the path of a film."""
    return any(re.search(r"\.(?:png|jpe?g|dcm|dicom|tiff?|bmp)$", cell, re.IGNORECASE) for cell in cells)


def column_key(name: str) -> str:
    """Return a column's name in lower case, without spaces and signs."""
    return re.sub(r"[\W_]+", "", name.casefold())


def quoted(name: str) -> str:
    """Return a column's name as a command line needs it, in quotes where it has spaces."""
    return f"'{name}'" if " " in name else name
