"""Heat maps: they show where on the film the evidence for a finding is, but not why.

Source: class activation maps, Zhou et al. 2016; for a linear head on pooled features they equal Grad-CAM.
"""

from __future__ import annotations

import dataclasses
import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilum.errors import InputError
from hilum.files import replace_file
from hilum.film.decode import read_film
from hilum.film.radiograph import Radiograph
from hilum.results import is_in_folder
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.run.lungs import lung_mask
from hilum.timings import Part, in_part

__all__ = ["Pictures", "check_pictures", "free_path", "heat", "is_own_picture", "overlay", "write_png"]

_PNG_HEAD_BYTES = 33  # the signature and the chunk IHDR
_WORDS = b"tEXtSoftware\0hilum"
_SIGNATURE = (len(_WORDS) - 4).to_bytes(4, "big") + _WORDS + zlib.crc32(_WORDS).to_bytes(4, "big")
_LONGEST_STEM = 230  # bytes; a file name may have 255, and a number and the suffix follow


def heat(activation: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Return the evidence for one finding, as large as the film.

    Args:
        activation: (h, w) float32 of one finding.
        size_px: Height and width of the film.

    Returns:
        (H, W) float32 in [0, 1]; the strongest point is 1, evidence against the finding is 0.
    """
    positive = np.maximum(activation, 0).astype(np.float32)
    peak = float(positive.max())
    if peak > 0:
        positive = positive / np.float32(peak)
    return np.clip(cv2.resize(positive, size_px[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def overlay(radiograph: Radiograph, activation: np.ndarray, *, max_side_px: int = 1024) -> np.ndarray:
    """Return the film in grey with the evidence over it in colour.

    Args:
        radiograph: The film.
        activation: (h, w) float32 of one finding.
        max_side_px: Larger films are reduced to this longest side.

    Returns:
        (H, W, 3) uint8, red-green-blue.
    """
    pixels: np.ndarray = radiograph.pixels
    scale = min(1.0, max_side_px / max(pixels.shape))
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    warmth = heat(activation, (pixels.shape[0], pixels.shape[1]))[..., np.newaxis]  # (H, W, 1)
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = np.clip((pixels - low) / max(float(high - low), 1e-3), 0, 1)[..., np.newaxis]
    palette = cv2.applyColorMap((warmth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1] / 255.0
    blended = grey * (1 - 0.6 * warmth) + palette * 0.6 * warmth
    return (np.clip(blended, 0, 1) * 255).astype(np.uint8)


def free_path(folder: Path, film: str, taken: set[str]) -> Path:
    """Return the path of a film's picture: STEM.png, or STEM-2.png if that name is taken. Case is ignored.

    Args:
        folder: The folder for pictures.
        film: The path of the film.
        taken: The names of this run so far; the new one is added.
    """
    stem = re.sub(r"[\x00-\x1f/\\:]+", "_", Path(film).stem) or "film"
    stem = os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM]) if len(os.fsencode(stem)) > _LONGEST_STEM else stem
    base = unicodedata.normalize("NFC", stem).casefold()
    name = stem
    if base in taken:
        least, most = 1, 2  # doubling, then bisection: fast also for 100,000 films with the same stem
        while f"{base}-{most}" in taken:
            least, most = most, 2 * most
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if f"{base}-{middle}" in taken else (least, middle)
        name, base = f"{stem}-{most}", f"{base}-{most}"
    taken.add(base)
    return folder / f"{name}.png"


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 pixels, red-green-blue, as a PNG file marked as drawn by hilum.

    Raises:
        InputError: The file cannot be written. An earlier file stays.
    """
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    encoded, data = cv2.imencode(".png", ordered)
    if not encoded:
        raise InputError(f"Cannot encode the picture `{path.name}`.")
    png = data.tobytes()
    try:
        replace_file(path, png[:_PNG_HEAD_BYTES] + _SIGNATURE + png[_PNG_HEAD_BYTES:], wait=False)
    except InputError as error:
        raise InputError(f"Cannot write the picture `{path}`: {error.message}", fix=error.fix) from error


def is_own_picture(path: Path) -> bool:
    """Return whether `write_png` wrote a file. Links are not followed.

    Raises:
        OSError: The file cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(_PNG_HEAD_BYTES + len(_SIGNATURE)).endswith(_SIGNATURE)


# The pictures of `predict`: heat maps and lung masks, each with a name of its own.


def check_pictures(
    folder: Path,
    films: Iterable[Path],
    *,
    read_folders: Iterable[Path],
    option: str,
    may_replace: bool,
    answers: Path | None = None,
) -> None:
    """Refuse a folder in which a picture would replace another file. Nothing is written.

    Args:
        folder: The folder for pictures; it need not exist.
        films: All films of the run.
        read_folders: Folders that the run reads; the next run would read pictures in them as films.
        option: The command-line option for the folder.
        may_replace: Whether pictures of an earlier run may be replaced.
        answers: The file for the answers, if any.

    Raises:
        InputError: The folder may not be used.
    """
    fix = f"Name another folder: {option} DIR"
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"Cannot write pictures into `{folder}`: it is a file.", fix=fix)
    if answers is not None and answers.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(f"Cannot write pictures into `{folder}`: the answers go to `{answers}`.", fix=fix)
    for read in read_folders:
        if is_in_folder(folder, read):
            raise InputError(
                f"Cannot write pictures into `{folder}`: it lies in the film folder `{read}`, and the next run would "
                "read the pictures as films.",
                fix=fix,
            )
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    taken = set[str]()
    for film in films:
        path = free_path(folder, str(film), taken)
        if not os.path.lexists(path):
            continue
        try:
            is_own = is_own_picture(path)
        except OSError:
            is_own = False
        if not is_own:
            raise InputError(f"`{path}` exists and is not a picture made by hilum. It was not changed.", fix=fix)
        if not may_replace:
            raise InputError(
                f"`{path}` is a picture of an earlier run. It was not changed.",
                fix=f"Add --overwrite to replace pictures, or name another folder: {option} DIR",
            )


class Pictures:
    """The pictures of one run. Their names depend only on the films and their order.

    Args:
        classifier: The model.
        heatmaps: The folder for heat maps, made if it does not exist; None for no heat maps.
        lungs: The folder for lung masks, which are as large as the films; None for no masks.

    Raises:
        InputError: Both are the same folder.
        OSError: A folder cannot be made.
    """

    def __init__(self, classifier: Classifier, heatmaps: Path | None, lungs: Path | None = None) -> None:
        if heatmaps is not None and lungs is not None and heatmaps.resolve() == lungs.resolve():
            raise InputError(f"Heat maps and lung masks cannot both go to `{lungs}`.", fix="Name two folders.")
        self._classifier, self._heatmaps, self._lungs = classifier, heatmaps, lungs
        self._taken, self._taken_masks = set[str](), set[str]()
        for folder in (heatmaps, lungs):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)

    def pass_by(self, answer: Mapping[str, Any]) -> None:
        """Reserve the picture names of a film that an earlier run has judged, from its JSON object."""
        for folder, taken in ((self._heatmaps, self._taken), (self._lungs, self._taken_masks)):
            if folder is not None and "error" not in answer:
                free_path(folder, answer["file"], taken)

    def write(self, answer: Answer) -> Answer:
        """Write the pictures of a film; return its answer with their paths.

        Raises:
            InputError: A picture cannot be written.
        """
        film = Path(answer.file)
        if self._lungs is not None:
            with in_part(Part.decoding):
                radiograph = read_film(film)
            with in_part(Part.gate):
                mask = lung_mask(radiograph).astype(np.uint8)  # (H, W) of the full film
            write_png(free_path(self._lungs, answer.file, self._taken_masks), mask * 255)
        if self._heatmaps is None:
            return answer
        path = free_path(self._heatmaps, answer.file, self._taken)
        evidence = answer.activation[self._classifier.findings.index(answer.likeliest)]
        with in_part(Part.decoding):
            shown = self._classifier.read_for_display(film)
        write_png(path, overlay(shown, evidence))
        return dataclasses.replace(answer, heatmap=str(path))
