"""Does any file bring the decoders down? Damages small films of every format and decodes them.

    python bench/fuzz_decoders.py --inputs 100000 --seed 0 --out FINDINGS

Each input follows from the seed and its number alone, so `--replay NUMBER` shows one again. Inputs are decoded in child
processes with a limit of memory and of time; one that dies is replaced. Good outcomes are a Radiograph with pixels in
[0, 1] and a HilumError that names no patient. Everything else is a finding: its bytes are saved, the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter, defaultdict
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
from hilum.film import dicom, headers  # noqa: F401 - loaded before any child is made
from hilum.film.codestream import jpeg_segments
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph

MAX_SECONDS = 5.0  # of the processor: other work on the machine makes no finding
MAX_WALL_SECONDS = 120.0  # for a wait without end
MEMORY_BYTES = 2 * 2**30  # beyond what the process holds before its first input; a film of MAX_PIXELS takes 1 GB
SIZE_PX = 64
SECRET = "SECRET"
RADIOGRAPH, UNDECODABLE, UNSUPPORTED = "radiograph", "undecodable", "unsupported"
SLOW_SHARE = 0.03  # of all inputs each: real films, and formats that GDCM unpacks in a process of its own
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


# --- decoding in children -------------------------------------------------------------------------------------------


def outcome_of(data: bytes, min_side_px: int | None) -> tuple[str, str]:
    """Return what came of decoding, and of a finding its traceback."""
    warned: list[str] = []
    warnings.showwarning = lambda message, kind, *_, **__: warned.append(f"{kind.__name__}: {message}")
    try:
        film = decode(data, name="film", min_side_px=min_side_px)
        fault = fault_of(film) or "".join(warned)  # a warning would reach the terminal, or stop a strict caller
        return (f"wrong: {fault}", fault) if fault else (RADIOGRAPH, "")
    except HilumError as error:
        if SECRET in str(error) or warned:
            return "tells a name" if SECRET in str(error) else "warns", f"{error} {warned}"
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


def run_child(films: dict[str, list[bytes]], seed: int, numbers: range, pipe: int) -> None:
    """Decode inputs in this process and tell of each, before and after; one that takes too long ends the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng and libjpeg write of every damage
    warnings.simplefilter("always")
    cv2.setNumThreads(1)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in numbers:
        name, data, min_side_px = make_input(films, seed, number)
        os.write(pipe, f"{number}\t{name}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, MAX_WALL_SECONDS)
        start = time.process_time()
        outcome, detail = outcome_of(data, min_side_px)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(pipe, f"{number}\t{outcome}\t{time.process_time() - start:.4f}\t{detail!r}\n".encode())


def children(films: dict[str, list[bytes]], seed: int, num_inputs: int) -> Any:
    """Yield (number, format, outcome, seconds, detail) of every input, with as many child processes as it takes."""
    number = 0
    while number < num_inputs:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            code = 1
            try:
                run_child(films, seed, range(number, num_inputs), writing)
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        name, done = "", True
        with os.fdopen(reading, encoding="utf-8") as lines:
            for line in lines:
                first, *rest = line.rstrip("\n").split("\t", 3)
                if len(rest) == 1:
                    number, name, done = int(first), rest[0], False
                else:
                    yield number, name, rest[0], float(rest[1]), rest[2]
                    done = True
        _, status = os.waitpid(child, 0)
        if not done:
            ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            slow = ended_by in (signal.SIGALRM, signal.SIGPROF)
            outcome = (
                "too slow" if slow else f"killed by {signal.Signals(ended_by).name}" if ended_by else "process ended"
            )
            yield number, name, outcome, MAX_SECONDS if slow else 0.0, ""
        elif status:
            sys.exit(f"A child ended with {status} between inputs, after {number}.")
        number += 1


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
        print(name, len(data), "bytes", min_side_px, *outcome_of(data, min_side_px), sep="\n")
        return
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    slowest: dict[str, float] = defaultdict(float)
    start = time.perf_counter()
    for number, name, outcome, seconds, detail in children(films, arguments.seed, arguments.inputs):
        counts[name][outcome] += 1
        slowest[name] = max(slowest[name], seconds)
        if outcome not in (RADIOGRAPH, UNDECODABLE, UNSUPPORTED):
            arguments.out.mkdir(exist_ok=True, parents=True)
            stem = arguments.out / f"{arguments.seed}-{number}"
            stem.with_suffix(".bin").write_bytes(make_input(films, arguments.seed, number)[1])
            stem.with_suffix(".txt").write_text(f"{name}\n{outcome}\n{detail}\n", encoding="utf-8")
            print(f"finding: input {number}, {name}: {outcome}", file=sys.stderr)
    print_table(counts, slowest, time.perf_counter() - start)
    if any(set(one) - {RADIOGRAPH, UNDECODABLE, UNSUPPORTED} for one in counts.values()):
        sys.exit(1)


def print_table(counts: dict[str, Counter[str]], slowest: dict[str, float], seconds: float) -> None:
    print(f"{'':14}{'inputs':>9}{RADIOGRAPH:>12}{UNDECODABLE:>13}{UNSUPPORTED:>13}{'findings':>10}{'slowest, s':>12}")
    for name in sorted(counts):
        good = [counts[name][one] for one in (RADIOGRAPH, UNDECODABLE, UNSUPPORTED)]
        total = counts[name].total()
        print(f"{name:14}{total:9,}{good[0]:12,}{good[1]:13,}{good[2]:13,}{total - sum(good):10,}{slowest[name]:12.2f}")
    print(f"{sum(one.total() for one in counts.values()):,} inputs in {seconds:.0f} s")


if __name__ == "__main__":
    main()
