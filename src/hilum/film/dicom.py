"""Decodes a DICOM file into a Radiograph.

Files of another body part and of impossible sizes are refused before a pixel is decoded. unpack.py unpacks the
samples, grayscale.py turns them into grey values. Messages contain no free text, because it may be a patient's name.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib  # before pydicom, which loads GDCM: its own zlib, loaded first, breaks PNG writing in this process
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from hilum.errors import HilumError, RefusedFilm, UndecodableFilm, UnsupportedFilm
from hilum.film.bodypart import patient_age, patient_key, patient_sex, refuse_other_than_chest, view_position
from hilum.film.elements import check_elements, spellings, whole_number, words_of
from hilum.film.grayscale import shown_values
from hilum.film.headers import MAX_BYTES, check_size
from hilum.film.radiograph import Radiograph, grey_from_bgr
from hilum.film.samples import SampleLayout, read_layout
from hilum.film.unpack import unpack_samples

__all__ = ["age_and_interpretation", "decode_dicom", "pydicom_kept_quiet", "read_elements"]

_SEND_AGAIN = "Send or export it again from where it came from."
_CONVERT = "Convert it to an uncompressed or JPEG 2000 DICOM file, for instance with dcmconv or gdcmconv."


def decode_dicom(data: bytes, *, name: str = "film") -> Radiograph:
    """Return the film in a DICOM file's bytes, decoded in this process; decode.decode uses a separate process.

    Args:
        data: The whole file, with or without preamble.
        name: The film's name, for messages.

    Returns:
        The film, pixels (H, W) float32 in [0, 1], bone bright if the file's photometric interpretation is correct.

    Raises:
        UndecodableFilm: The bytes are not DICOM, truncated, damaged, or too large.
        UnsupportedFilm: The file has another modality or body part, several frames, colour, or a compression that is
            not supported.
    """
    with pydicom_kept_quiet():
        try:
            return _decode(data, name)
        except (HilumError, MemoryError):
            raise
        except Exception as error:  # pydicom and its plugins raise any kind of error for damaged bytes
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: it is a damaged DICOM file ({type(error).__name__}).", fix=_SEND_AGAIN
            ) from error


def read_elements(data: bytes, *, name: str = "film") -> Dataset:
    """Return a DICOM file's elements without its picture.

    Values may be invalid. Read them within `pydicom_kept_quiet`, since pydicom may warn.

    Raises:
        UndecodableFilm: The bytes are not DICOM, damaged, or too large when inflated.
    """
    with pydicom_kept_quiet():
        try:
            _check_amount(data, name)
            return pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
        except (HilumError, MemoryError):
            raise
        except Exception as error:  # as in decode_dicom
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: it is a damaged DICOM file ({type(error).__name__}).", fix=_SEND_AGAIN
            ) from error


def _decode(data: bytes, name: str) -> Radiograph:
    _check_amount(data, name)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if not any(keyword in dataset for keyword in ("SOPClassUID", "Rows", "DirectoryRecordSequence")):
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is not a DICOM file, or it is truncated.", fix=_SEND_AGAIN
        )
    refuse_other_than_chest(dataset, name)
    layout = read_layout(dataset, name)
    size_px = layout.rows, layout.columns
    num_frames = whole_number(dataset, "NumberOfFrames") or 1
    check_size(size_px, name, num_frames=num_frames, bytes_a_pixel=layout.samples * layout.bits_allocated // 8)
    stored = _stored_values(dataset, layout, name)
    del dataset["PixelData"]  # up to 200 MB; the film needs the memory
    if stored.shape[:2] != size_px:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture does not have the size that the file states.", fix=_SEND_AGAIN
        )
    inverted = layout.interpretation == "MONOCHROME1"
    pixels = (
        shown_values(stored, dataset, inverted=inverted)
        if stored.ndim == 2
        else _grey_from_colour(stored, layout.bits_stored, name)
    )
    return Radiograph(
        pixels,
        "dicom",
        size_px,
        layout.bits_stored,
        view_position(dataset),
        patient_key(dataset),
        patient_age(dataset),
        patient_sex(dataset),
    )


def _picture(dataset: Dataset, name: str) -> tuple[bytes, str]:
    """Return the bytes of Pixel Data, compressed or not, and its value representation."""
    if any(keyword in dataset for keyword in ("FloatPixelData", "DoubleFloatPixelData")):
        raise UnsupportedFilm(
            f"Cannot read the film `{name}`: its picture is Float Pixel Data; expected Pixel Data (7FE0,0010) of whole"
            " numbers.",
            fix="Export it with 8 to 16 bits a pixel.",
        )
    picture, _, representation = words_of(dataset, "PixelData")
    if not picture:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: this DICOM file has no picture, or it is truncated.", fix=_SEND_AGAIN
        )
    return picture, representation


def _check_amount(data: bytes, name: str) -> None:
    """Raise UndecodableFilm for too many elements, or more than MAX_BYTES once inflated."""
    stated, start = _syntax(data)
    check_elements(data[:start], 132 if data[128:132] == b"DICM" else 0, name, implicit=False)  # the meta information
    syntax = stated.decode("ascii", "replace")
    if syntax == DeflatedExplicitVRLittleEndian:
        inflater, pieces, size, piece = zlib.decompressobj(-zlib.MAX_WBITS), [], 0, data[start:]
        while piece and not inflater.eof and size <= MAX_BYTES:  # a byte of padding may follow the end (A.5)
            try:
                pieces.append(inflater.decompress(piece, 1 << 20))
            except zlib.error:
                break
            size += len(pieces[-1])
            piece = inflater.unconsumed_tail
        if size > MAX_BYTES:
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: it is a deflated file of more than {MAX_BYTES // 2**20} MB.",
                fix=_CONVERT,
            )
        if not inflater.eof:
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: it is a deflated file, and truncated or damaged.", fix=_SEND_AGAIN
            )
        data, start = b"".join(pieces), 0
    implicit = not data[start + 4 : start + 6].isalpha()  # as in pydicom, the first element decides
    check_elements(data, start, name, implicit=implicit, big_endian=syntax == ExplicitVRBigEndian)


def _syntax(data: bytes) -> tuple[bytes, int]:
    """Return the transfer syntax that the file meta information states, and where the data set starts (PS3.10 7.1)."""
    position, syntax = 132 if data[128:132] == b"DICM" else 0, b""
    while data[position : position + 2] == b"\x02\0" and position + 12 <= len(data):
        if data[position + 4 : position + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
            start, length = position + 12, struct.unpack_from("<I", data, position + 8)[0]
        else:
            start, length = position + 8, struct.unpack_from("<H", data, position + 6)[0]
        if data[position + 2 : position + 4] == b"\x10\0":
            syntax = data[start : start + length].rstrip(b" \0")
        position = start + length
    return syntax, position


def _stored_values(dataset: Dataset, layout: SampleLayout, name: str) -> NDArray[Any]:
    """Return the stored values as integers, (H, W), or (H, W, 3) in RGB order."""
    syntax, (picture, representation) = _stated_syntax(dataset), _picture(dataset, name)
    try:
        stored, interpretation = unpack_samples(picture, syntax, layout, name, representation=representation)
    except HilumError:
        raise
    except (RuntimeError, NotImplementedError, ValueError, struct.error) as error:
        said = "a private one" if syntax.is_private else syntax.name
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture is damaged or cannot be unpacked (transfer syntax: {said}).",
            fix=f"{_SEND_AGAIN} {_CONVERT}",
        ) from error
    if interpretation == "PALETTE COLOR":
        try:
            stored = apply_color_lut(stored, dataset)
        except Exception as error:  # pydicom raises any kind of error for a missing or damaged palette
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: its palette is missing or damaged.", fix=_SEND_AGAIN
            ) from error
    if stored.ndim not in (2, 3) or (stored.ndim == 3 and stored.shape[2] != 3):
        raise RefusedFilm(f"The film `{name}` is not a single still picture.", fix="Give one still film.")
    if stored.ndim == 3 and interpretation in ("YBR_FULL", "YBR_FULL_422"):
        more = layout.bits_stored - 8  # the conversion takes 8 bits, which is enough to check for grey
        rgb = convert_color_space((stored >> more).astype(np.uint8), interpretation, "RGB")
        stored = rgb.astype(np.uint16) << more
    return stored


def _stated_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax; for a file that states none the one that pydicom found."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        found = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = found
    return UID(dataset.file_meta.TransferSyntaxUID)


def _grey_from_colour(rgb: NDArray[Any], bit_depth: int, name: str) -> NDArray[np.float32]:
    """Return (H, W) float32 in [0, 1] of a near-grey capture (H, W, 3); it has no VOI transformation."""
    largest = max(float(2**bit_depth - 1), float(rgb.max()))
    grey = grey_from_bgr(np.ascontiguousarray(rgb[..., ::-1]), name, full_scale=largest)
    return np.divide(grey, np.float32(largest), dtype=np.float32)


def age_and_interpretation(data: bytes) -> tuple[float | None, str]:
    """Return the patient's age in years, None where it is not stated, and the photometric interpretation or ""."""
    wanted: list[Any] = ["PatientAge", "PhotometricInterpretation"]
    try:
        with pydicom_kept_quiet():
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=wanted)
            return patient_age(header), next(iter(spellings(header, wanted[1])), "").strip()
    except Exception:  # noqa: BLE001 - as in decode_dicom
        return None, ""


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_filters: warnings.catch_warnings | None = None
_decoding = threading.local()


def _logs(_: logging.LogRecord) -> bool:
    return not getattr(_decoding, "now", False)


logging.getLogger("pydicom").addFilter(_logs)


@contextmanager
def pydicom_kept_quiet() -> Iterator[None]:
    """Silence pydicom, since its many warnings about harmless faults may contain a patient's name.

    Warning filters are global: the first thread that enters sets them and the last one that leaves restores them.
    Logging is silenced in this thread only.
    """
    global _quiet_depth, _quiet_filters  # noqa: PLW0603
    with _quiet_lock:
        _quiet_depth += 1
        if _quiet_depth == 1:
            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    _decoding.now = True
    try:
        yield
    finally:
        _decoding.now = False
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_filters is not None:
                _quiet_filters.__exit__(None, None, None)
                _quiet_filters = None
