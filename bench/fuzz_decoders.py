"""Does any file bring the decoders down? Damages small films of every format and decodes them as a stranger's.

    python bench/fuzz_decoders.py --inputs 100000 --seed 0 --out FINDINGS

Each input follows from the seed and its number alone, so `--replay NUMBER` decodes one again, in this process. Inputs
go through decoder processes, as behind `hilum serve` and `hilum node`. Good outcomes are a Radiograph with pixels in
[0, 1] and a HilumError that names no patient. A decoder that died, or was stopped for its time or memory, is *held*
where it read a format that is never decoded in place. Everything else is a finding: its bytes are saved, the exit code
is 1.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from hilum.data.phantom import draw_phantom
from hilum.errors import HilumError, UnsupportedFilm
from hilum.film import headers
from hilum.film.codestream import jpeg_segments
from hilum.film.decode import decode, decode_here
from hilum.film.radiograph import Radiograph

PORTION = 500  # inputs that are handed out at a time
SIZE_PX = 64
SECRET = "SECRET"
RADIOGRAPH, UNDECODABLE, UNSUPPORTED = "radiograph", "undecodable", "unsupported"
HELD_KIND, FINDING = "held", "finding"
HELD = {  # what a decoder process that was lost is called in messages
    "ends its decoder": "decoder died",
    "decoding takes longer": "too slow",
    "decoding takes more memory": "too much memory",
    "cannot be decoded (": "unforeseen",
}
SLOW_SHARE = 0.03  # of all inputs each: real films, and those that GDCM unpacks
EDGES = (0, 1, 2, 4, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1)


# --- sound films ----------------------------------------------------------------------------------------------------


def sound_films() -> dict[str, list[bytes]]:
    """Return files that decode, by format: phantoms in every encoding, and real DICOM films where HILUM_DATA is set."""
    grey = draw_phantom("Covid-19", np.random.default_rng(0), size_px=SIZE_PX)
    made = {
        "PNG": png_films(grey),
        "JPEG": jpeg_films(grey),
        "DICOM": dicom_films(grey),
        "DICOM, GDCM": gdcm_films(grey),
    }
    folder = Path(os.environ.get("HILUM_DATA", "")) / "dicom"
    if os.environ.get("HILUM_DATA") and folder.is_dir():
        made["DICOM, real"] = [path.read_bytes() for path in sorted(folder.glob("*.dcm"))]
    return made


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png_films(grey: np.ndarray) -> list[bytes]:
    picture, deep = Image.fromarray(grey), grey.astype(np.uint16) * 257
    clear = Image.fromarray(np.where(grey > 20, 255, 40).astype(np.uint8))
    films = [saved(picture.convert(mode), "PNG") for mode in ("L", "1", "P", "RGB")]
    films += [
        saved(Image.merge("LA", [picture, clear]), "PNG"),
        saved(Image.merge("RGBA", [picture] * 3 + [clear]), "PNG"),
    ]
    films += [
        saved(picture.quantize(16), "PNG", bits=4),
        saved(picture.convert("P"), "PNG", transparency=bytes(range(256))),
    ]
    films += [saved(picture, "PNG", transparency=100), saved(picture, "PNG", exif=exif(6))]
    return films + [cv2.imencode(".png", pixels)[1].tobytes() for pixels in (deep, np.stack([deep] * 3, axis=2))]


def jpeg_films(grey: np.ndarray) -> list[bytes]:
    picture = Image.fromarray(grey)
    colour = picture.convert("RGB")
    films = [saved(one, "JPEG", progressive=progressive) for one in (picture, colour) for progressive in (False, True)]
    films += [
        saved(colour, "JPEG", subsampling=0),
        saved(colour, "JPEG", keep_rgb=True),
        saved(picture, "JPEG", exif=exif(5)),
    ]
    return [*films, saved(picture.convert("CMYK"), "JPEG"), saved(picture, "JPEG", restart_marker_rows=1)]


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def film_dataset(pixels: np.ndarray, bits_stored: int, **elements: Any) -> Dataset:
    """Return a chest film as a data set; further words set elements."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.1.1"), UID("1.2.3.4")
    made.Modality, made.BodyPartExamined, made.ViewPosition = "DX", "CHEST", "PA"
    made.PatientName, made.PatientID, made.PatientAge = f"{SECRET}^PATIENT", f"{SECRET}-4711", "045Y"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit = pixels.dtype.itemsize * 8, bits_stored, bits_stored - 1
    made.PixelRepresentation = 0
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def written(made: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    stream = io.BytesIO()
    if syntax.is_encapsulated and syntax != JPEGBaseline8Bit:
        made.compress(syntax, generate_instance_uid=False)
    elif syntax == JPEGBaseline8Bit:
        frame = saved(Image.fromarray(made.pixel_array), "JPEG")
        made.PixelData = pydicom.encaps.encapsulate([frame])
        made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def dicom_films(grey: np.ndarray) -> list[bytes]:
    deep = grey.astype(np.uint16) * 16
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 12])
    table.add_new("LUTData", "OW", struct.pack("<256H", *range(0, 4096, 16)))
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    films = [
        written(film_dataset(deep, 12), syntax) for syntax in (*plain, JPEG2000Lossless, JPEGLSLossless, RLELossless)
    ]
    films += [
        written(film_dataset(grey, 8), syntax) for syntax in (ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless)
    ]
    changes: list[dict[str, Any]] = [
        {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2000, "WindowWidth": 3000},
        {"VOILUTSequence": Sequence([table])},
        {
            "ModalityLUTSequence": Sequence([table]),
            "WindowCenter": 2000,
            "WindowWidth": 900,
            "VOILUTFunction": "SIGMOID",
        },
        {"RescaleSlope": 2, "RescaleIntercept": -1000, "PixelPaddingValue": 0, "PixelPaddingRangeLimit": 40},
    ]
    films += [written(film_dataset(deep, 12, **change)) for change in changes]
    return [*films, written(film_dataset(np.stack([grey] * 3, axis=2), 8)), films[0][132:]]


def gdcm_films(grey: np.ndarray) -> list[bytes]:
    """Return films compressed by GDCM, which hilum unpacks in a process of its own."""
    import gdcm

    films = []
    for name in ("JPEGLosslessProcess14_1", "JPEGExtendedProcess2_4"):
        with tempfile.TemporaryDirectory() as folder:
            source, target = f"{folder}/plain.dcm", f"{folder}/packed.dcm"
            Path(source).write_bytes(written(film_dataset(grey.astype(np.uint16) * 16, 12)))
            reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
            reader.SetFileName(source)
            reader.Read()
            change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
            change.SetInput(reader.GetImage())
            change.Change()
            writer.SetFileName(target)
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            writer.Write()
            films.append(Path(target).read_bytes())
    return films


# --- damage ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A chunk, segment or element of a file: where it lies, and where and how its length is written."""

    start: int
    end: int
    length_at: int
    length_format: str


def pieces_of(data: bytes) -> list[Piece]:
    """Return the chunks of a PNG, the segments of a JPEG, the elements of an explicit little-endian DICOM file."""
    found: list[Piece] = []
    if data.startswith(headers.PNG_MAGIC):
        position = 8
        while position + 12 <= len(data):
            end = position + 12 + struct.unpack_from(">I", data, position)[0]
            found.append(Piece(position, min(end, len(data)), position, ">I"))
            position = end
    elif data.startswith(headers.JPEG_MAGIC):
        for _, start, end in jpeg_segments(data):
            found.append(Piece(start - 4, end, start - 2, ">H"))
    else:
        position = 132 if data[128:132] == b"DICM" else 0
        while position + 12 <= len(data) and len(found) < 200:
            if data[position + 4 : position + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
                piece = Piece(position, position + 12, position + 8, "<I")
            elif data[position + 4 : position + 6].isalpha():
                piece = Piece(position, position + 8, position + 6, "<H")
            else:  # implicit
                piece = Piece(position, position + 8, position + 4, "<I")
            length = struct.unpack_from(piece.length_format, data, piece.length_at)[0]
            end = min(piece.end + length, len(data))
            found.append(Piece(piece.start, end, piece.length_at, piece.length_format))
            position = end
    return found


def damaged(sound: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a film with one to eight kinds of damage done to it; `other` lends pieces."""
    data = bytearray(sound)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if len(data) < 8:
            break
        chance.choice(DAMAGES)(data, other, chance)
    result = bytes(data)
    if result.startswith(headers.PNG_MAGIC) and chance.random() < 0.85:
        result = with_checksums(result)
    return result


def place(data: bytearray, chance: random.Random) -> int:
    """Return a position; every second one lies in the header, where a byte matters."""
    return chance.randrange(min(len(data), 900) if chance.random() < 0.5 else len(data))


def flip_bytes(data: bytearray, _: bytes, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        data[place(data, chance)] = chance.choice((0, 255, chance.randrange(256)))


def flip_bit(data: bytearray, _: bytes, chance: random.Random) -> None:
    data[place(data, chance)] ^= 1 << chance.randrange(8)


def write_number(data: bytearray, _: bytes, chance: random.Random) -> None:
    number, form = chance.choice(EDGES), chance.choice(("<H", ">H", "<I", ">I"))
    mask = 0xFFFF if form.endswith("H") else 0xFFFFFFFF
    at = min(place(data, chance), len(data) - 4)
    struct.pack_into(form, data, at, number & mask)


def truncate(data: bytearray, _: bytes, chance: random.Random) -> None:
    if chance.random() < 0.4:
        del data[max(8, place(data, chance)) :]


def remove(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = place(data, chance)
    del data[at : at + chance.randint(1, 40)]


def insert(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 12, 200)))


def repeat_bytes(data: bytearray, _: bytes, chance: random.Random) -> None:
    at, size = place(data, chance), chance.choice((1, 4, 64, 1000))
    data[at:at] = bytes(data[at : at + size]) * chance.choice((1, 1, 2, 20))


def repeat_piece(data: bytearray, _: bytes, chance: random.Random) -> None:
    if pieces := pieces_of(bytes(data)):
        piece, at = chance.choice(pieces), chance.choice(pieces).start
        data[at:at] = bytes(data[piece.start : piece.end]) * chance.choice((1, 1, 2, 30))


def remove_piece(data: bytearray, _: bytes, chance: random.Random) -> None:
    if pieces := pieces_of(bytes(data)):
        piece = chance.choice(pieces)
        del data[piece.start : piece.end]


def foreign_piece(data: bytearray, other: bytes, chance: random.Random) -> None:
    if (mine := pieces_of(bytes(data))) and (theirs := pieces_of(other)):
        piece, at = chance.choice(theirs), chance.choice(mine).start
        data[at:at] = other[piece.start : piece.end]


def write_length(data: bytearray, _: bytes, chance: random.Random) -> None:
    if pieces := pieces_of(bytes(data)):
        piece = chance.choice(pieces)
        said = struct.unpack_from(piece.length_format, data, piece.length_at)[0]
        number = chance.choice((*EDGES, said - 1, said + 1, said * 2, said // 2, len(data)))
        struct.pack_into(
            piece.length_format, data, piece.length_at, number & (0xFFFF if "H" in piece.length_format else 0xFFFFFFFF)
        )


def splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    if chance.random() < 0.3:
        at = place(data, chance)
        data[at:] = other[chance.randrange(len(other)) :]


def damage_rows(data: bytearray, _: bytes, chance: random.Random) -> None:
    """Damage the rows of a PNG behind their compression."""
    parts = [piece for piece in pieces_of(bytes(data)) if data[piece.start + 4 : piece.start + 8] == b"IDAT"]
    if not parts:
        return
    try:
        rows = bytearray(zlib.decompress(b"".join(data[piece.start + 8 : piece.end - 4] for piece in parts)))
    except zlib.error:
        return
    for _ in range(chance.choice((1, 4, 64))):
        rows[chance.randrange(len(rows))] = chance.randrange(256)
    if chance.random() < 0.2:
        del rows[chance.randrange(len(rows)) :]
    packed = zlib.compress(rows)
    body = struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    data[parts[0].start : parts[-1].end] = body


DAMAGES = (
    *(flip_bytes, flip_bit, write_number, truncate, remove, insert, repeat_bytes),
    *(repeat_piece, remove_piece, foreign_piece, write_length, write_length, splice, damage_rows),
)


def with_checksums(data: bytes) -> bytes:
    """Return a PNG whose checksums are right, so that the damage reaches what lies behind them."""
    out = [data[:8]]
    for piece in pieces_of(data):
        length = struct.unpack_from(">I", data, piece.start)[0]
        if piece.start + 12 + length > len(data):
            out.append(data[piece.start :])
            break
        body = data[piece.start + 4 : piece.start + 8 + length]
        out += [data[piece.start : piece.start + 4], body, struct.pack(">I", zlib.crc32(body))]
    return b"".join(out)


def make_input(films: dict[str, list[bytes]], seed: int, number: int) -> tuple[str, bytes, int | None]:
    """Return the format of an input, its bytes, and the `min_side_px` it is decoded with."""
    chance = random.Random(f"{seed}-{number}")
    slow = [name for name in films if "," in name]
    name = chance.choice([one for one in films if one not in slow])
    if (drawn := chance.random()) < SLOW_SHARE * len(slow):
        name = slow[int(drawn / SLOW_SHARE)]
    other = chance.choice(films[chance.choice([one for one in films if one != "DICOM, real"])])
    data = damaged(chance.choice(films[name]), other, chance)
    return name, data, chance.choice((None, 30))


# --- decoding -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What came of an input."""

    number: int
    name: str
    outcome: str
    seconds: float
    detail: str


def outcome_of(data: bytes, min_side_px: int | None, *, apart: bool = True) -> tuple[str, str]:
    """Return what came of decoding, and of a finding what is known of it."""
    try:
        film = (
            decode(data, name="film", min_side_px=min_side_px, apart=True)
            if apart
            else decode_here(data, name="film", min_side_px=min_side_px)
        )
        fault = fault_of(film)
        return (f"wrong: {fault}", fault) if fault else (RADIOGRAPH, "")
    except HilumError as error:
        if SECRET in str(error):
            return "tells a name", str(error)
        for words, outcome in HELD.items():
            if words in error.message:
                return outcome, error.message
        return (UNSUPPORTED if isinstance(error, UnsupportedFilm) else UNDECODABLE), ""
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
        return type(error).__name__, traceback.format_exc()


def fault_of(film: Radiograph) -> str:
    """Return what is wrong with a film, or nothing."""
    pixels = film.pixels
    if pixels.ndim != 2 or pixels.dtype != np.float32 or not pixels.size or not pixels.flags.c_contiguous:
        return f"{pixels.dtype} {pixels.shape}"
    if not np.isfinite(pixels).all():
        return "not finite"
    return "out of range" if pixels.min() < 0 or pixels.max() > 1 else ""


def judged(films: dict[str, list[bytes]], seed: int, number: int) -> Judged:
    """Return what came of one input."""
    name, data, min_side_px = make_input(films, seed, number)
    start = time.perf_counter()
    outcome, detail = outcome_of(data, min_side_px)
    return Judged(number, name, outcome, time.perf_counter() - start, detail)


def all_judged(films: dict[str, list[bytes]], seed: int, num_inputs: int) -> Iterator[Judged]:
    """Yield what came of every input, in order, with as many threads as decoder processes may run."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as threads:
        for first in range(0, num_inputs, PORTION):
            numbers = range(first, min(first + PORTION, num_inputs))
            yield from threads.map(lambda number: judged(films, seed, number), numbers)


def main() -> None:
    """Fuzz, save findings, print the table."""
    parser = argparse.ArgumentParser(description="Damages films of every format and decodes them.")
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), metavar="DIR", help="where findings go")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="decode one input of this seed, here, and tell")
    arguments = parser.parse_args()
    films = sound_films()
    for name, known in films.items():
        for data in known:
            if outcome_of(data, None)[0] != RADIOGRAPH and name != "DICOM, real":  # these hold a hip and a hand
                sys.exit(f"A sound {name} film does not decode: {outcome_of(data, None)}")
    if arguments.replay is not None:
        name, data, min_side_px = make_input(films, arguments.seed, arguments.replay)
        arguments.out.mkdir(exist_ok=True, parents=True)
        (arguments.out / f"{arguments.seed}-{arguments.replay}.bin").write_bytes(data)
        print(name, len(data), "bytes", min_side_px, *outcome_of(data, min_side_px, apart=False), sep="\n")
        return
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    slowest: dict[str, float] = defaultdict(float)
    start = time.perf_counter()
    for one in all_judged(films, arguments.seed, arguments.inputs):
        counts[one.name][outcome_kind(one)] += 1
        slowest[one.name] = max(slowest[one.name], one.seconds)
        if outcome_kind(one) in (HELD_KIND, FINDING):
            arguments.out.mkdir(exist_ok=True, parents=True)
            stem = arguments.out / f"{arguments.seed}-{one.number}"
            stem.with_suffix(".bin").write_bytes(make_input(films, arguments.seed, one.number)[1])
            stem.with_suffix(".txt").write_text(f"{one.name}\n{one.outcome}\n{one.detail}\n", encoding="utf-8")
            print(f"{outcome_kind(one)}: input {one.number}, {one.name}: {one.outcome}", file=sys.stderr)
    print_table(counts, slowest, time.perf_counter() - start)
    if any(one[FINDING] for one in counts.values()):
        sys.exit(1)


def outcome_kind(one: Judged) -> str:
    """Return the column of an outcome: what a lost decoder read is a finding where batches decode it in place."""
    if one.outcome in (RADIOGRAPH, UNDECODABLE, UNSUPPORTED):
        return one.outcome
    return HELD_KIND if one.name.startswith("DICOM") and one.outcome in HELD.values() - {"unforeseen"} else FINDING


def print_table(counts: dict[str, Counter[str]], slowest: dict[str, float], seconds: float) -> None:
    kinds = (RADIOGRAPH, UNDECODABLE, UNSUPPORTED, HELD_KIND, FINDING)
    print(f"{'':14}{'inputs':>9}" + "".join(f"{kind:>13}" for kind in kinds) + f"{'slowest, s':>13}")
    for name in sorted(counts):
        figures = "".join(f"{counts[name][kind]:13,}" for kind in kinds)
        print(f"{name:14}{counts[name].total():9,}{figures}{slowest[name]:13.2f}")
    print(f"{sum(one.total() for one in counts.values()):,} inputs in {seconds:.0f} s")


if __name__ == "__main__":
    main()
