"""What a file says about its picture before a decoder touches it: kind, size, truncation, animation, orientation.

Decoders believe a header and allocate what it asks for, and some fill what is missing with grey. So the header is read
here first, in pure Python that touches only the few bytes it needs.

Source: PNG (W3C, third edition); JPEG (ITU-T T.81, T.87 for JPEG-LS), JPEG 2000 (ITU-T T.800 annex A), Exif 3.0.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hilum.errors import UndecodableFilm, UnsupportedFilm

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "JpegHeader",
    "PngHeader",
    "check_size",
    "codestream_bits",
    "codestream_size_px",
    "is_dicom",
    "luminance_steps",
    "read_jpeg_header",
    "read_png",
]

MAX_PIXELS = 100_000_000  # 10,000 x 10,000: five times the largest digital radiograph
MAX_BYTES = 256 * 1024 * 1024  # a full-size 16-bit film is 200 MB
_MAX_PNG_CHUNKS = 200_000
_MAX_JPEG_SCANS = 100  # a progressive file has about ten; each scan costs a pass over the whole picture

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_SEND_AGAIN = "Copy or export it again from where it came from."


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says of itself: (height, width), bits of one sample (8 for a palette), EXIF orientation 1 to 8.

    ``transparent_grey`` is the one grey value that a PNG without alpha channel declares transparent, else None.
    """

    size_px: tuple[int, int]
    bit_depth: int
    orientation: int
    transparent_grey: int | None


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says of itself: (height, width), bits of one sample, 1, 3 or 4 components, EXIF orientation 1 to 8.

    ``adobe`` is True where an Adobe marker is present; its CMYK samples count light, not ink.
    """

    size_px: tuple[int, int]
    bit_depth: int
    num_components: int
    orientation: int
    adobe: bool


def check_size(size_px: tuple[int, int], name: str, *, num_frames: int = 1) -> None:
    """Refuse a picture of no size or of one that no film has, before anything is allocated for it.

    Raises:
        UndecodableFilm: When a side is not positive, or all pixels together are more than MAX_PIXELS.
    """
    height, width = size_px
    if height < 1 or width < 1:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it says its size is {width} x {height}.", fix=_SEND_AGAIN
        )
    if height * width * max(num_frames, 1) > MAX_PIXELS:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it says its size is {width} x {height} pixels"
            f"{f' x {num_frames} frames' if num_frames > 1 else ''}, more than the {MAX_PIXELS:,} pixels allowed.",
            fix="A radiograph has less than 25 million; check where the file comes from.",
        )


def read_png(data: bytes, name: str) -> tuple[PngHeader, bytes]:
    """Return a PNG's header, and the same picture with nothing but its pixels in it.

    Every chunk that matters is checked against its checksum. Dropped are text, colour profiles, gamma and the like:
    they change no film worth reading, and a few hundred bytes of them can swell to gigabytes.

    Args:
        data: A file that starts with PNG_MAGIC.
        name: The film's name, for messages.

    Returns:
        The header, and PNG bytes of the chunks IHDR, PLTE, tRNS, IDAT and IEND.

    Raises:
        UndecodableFilm: When the file is cut short, damaged, or too large.
        UnsupportedFilm: When it is animated.
    """
    view, position, kept, orientation = memoryview(data), len(PNG_MAGIC), [PNG_MAGIC], 1
    size_px: tuple[int, int] | None = None
    bit_depth, colour_type, transparent_grey = 8, 0, None
    for _ in range(_MAX_PNG_CHUNKS):
        if position + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        body = view[position + 8 : end - 4]
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise UndecodableFilm(
                    f"Cannot read the film `{name}`: it is a damaged PNG file (a checksum is wrong).", fix=_SEND_AGAIN
                )
            kept.append(view[position:end])  # type: ignore[arg-type]  # bytes.join takes any buffer
        if (size_px is None) != (kind == b"IHDR"):
            break
        if kind == b"IHDR":
            if length != 13:
                break
            width, height, bit_depth, colour_type = struct.unpack_from(">IIBB", body)
            size_px = height, width
            check_size(size_px, name)
        elif kind == b"acTL" and length >= 8 and struct.unpack_from(">I", body)[0] > 1:
            raise UnsupportedFilm(f"The film `{name}` is an animated PNG.", fix="Give a file with one still picture.")
        elif kind == b"eXIf":
            orientation = _orientation(bytes(body[:65536]))
        elif kind == b"tRNS" and colour_type == 0 and length == 2:
            transparent_grey = struct.unpack_from(">H", body)[0]
        elif kind == b"IEND" and size_px is not None:
            header = PngHeader(size_px, 8 if colour_type == 3 else bit_depth, orientation, transparent_grey)
            return header, b"".join(kept)
        position = end
    raise UndecodableFilm(f"Cannot read the film `{name}`: it is a PNG file cut short or damaged.", fix=_SEND_AGAIN)


def read_jpeg_header(data: bytes, name: str) -> JpegHeader:
    """Return what a JPEG says of itself up to its first scan.

    Raises:
        UndecodableFilm: When there is no frame header, the picture is too large, or it has too many scans.
    """
    orientation, adobe = 1, False
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _orientation(data[start + 6 : end])
        elif marker == 0xEE and data[start : start + 5] == b"Adobe":
            adobe = True
        elif _is_frame_header(marker) and end - start >= 6:
            bit_depth, height, width, num_components = struct.unpack_from(">BHHB", data, start)
            check_size((height, width), name)
            if marker in (0xC2, 0xC6, 0xCA, 0xCE) and data.count(b"\xff\xda") > _MAX_JPEG_SCANS:  # progressive
                raise UndecodableFilm(
                    f"Cannot read the film `{name}`: it is a JPEG file of more than {_MAX_JPEG_SCANS} scans.",
                    fix="Save it again as an ordinary JPEG or PNG.",
                )
            for later_marker, later_start, later_end in _jpeg_segments(data, end):  # Exif and Adobe may come after it
                if later_marker == 0xE1 and data[later_start : later_start + 6] == b"Exif\0\0":
                    orientation = _orientation(data[later_start + 6 : later_end])
                adobe = adobe or (later_marker == 0xEE and data[later_start : later_start + 5] == b"Adobe")
            return JpegHeader((height, width), bit_depth, num_components, orientation, adobe)
    raise UndecodableFilm(f"Cannot read the film `{name}`: it is a JPEG file cut short or damaged.", fix=_SEND_AGAIN)


def codestream_size_px(codestream: bytes) -> tuple[int, int] | None:
    """Return (height, width) that a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, or None where it says none.

    A DICOM file states the size twice; a decoder allocates what the codestream says.
    """
    if codestream[:2] == b"\xff\xd8":
        for marker, start, end in _jpeg_segments(codestream):
            if _is_frame_header(marker) and end - start >= 6:
                height, width = struct.unpack_from(">HH", codestream, start + 1)
                return height, width
        return None
    start = codestream.find(b"\xff\x4f\xff\x51", 0, 4096)  # SOC, SIZ; a JP2 wrapper may stand before them
    if start < 0 or start + 24 > len(codestream):
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", codestream, start + 8)
    return bottom - top, right - left


def codestream_bits(codestream: bytes) -> int | None:
    """Return the bits of one sample that a JPEG, JPEG-LS or JPEG 2000 codestream states, None where it states none.

    A DICOM file may state fewer: then the codestream holds whole words, with the sample somewhere within.
    """
    if codestream[:2] == b"\xff\xd8":
        bits = [codestream[start] for marker, start, _ in _jpeg_segments(codestream) if _is_frame_header(marker)]
        return bits[0] if bits else None
    start = codestream.find(b"\xff\x4f\xff\x51", 0, 4096)
    return (codestream[start + 42] & 127) + 1 if 0 <= start < len(codestream) - 42 else None


def luminance_steps(data: bytes) -> int | None:
    """Return the sum of a JPEG's 64 luminance quantisation steps, which tells how hard it was compressed.

    Returns:
        64 (finest) to 16,320; None where the file does not say, as of a lossless JPEG.

    Source: ITU-T T.81, B.2.4.1.
    """
    for marker, start, end in _jpeg_segments(data):
        place = start if marker == 0xDB else end
        while place < end:
            wide, table = data[place] >> 4, data[place] & 15
            size = 128 if wide else 64
            body = data[place + 1 : min(place + 1 + size, end)]
            if table == 0 and len(body) == size:
                return sum(struct.unpack(">64H" if wide else "64B", body))
            place += 1 + size
    return None


def is_dicom(data: bytes) -> bool:
    """Return whether bytes look like DICOM: the letters DICM after the preamble, or a first element only DICOM has.

    Files without a preamble start with an element of group 0002 or 0008: explicit with a value representation of two
    capitals, or implicit with a length that fits. No text starts so.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 132 or data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    return explicit or 0 < struct.unpack_from("<I", data, 4)[0] < len(data)


def _is_frame_header(marker: int) -> bool:
    return marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))


def _jpeg_segments(data: bytes, position: int = 2) -> list[tuple[int, int, int]]:
    """Return (marker, start of body, end of body) of the segments from position up to the first scan or the end."""
    segments: list[tuple[int, int, int]] = []
    while len(segments) < 10_000:
        position = data.find(b"\xff", position)
        if position < 0 or position + 4 > len(data):
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # no body
            position += 2
        elif marker in (0xD9, 0xDA):  # end of image, start of scan
            break
        else:
            end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
            if end > len(data) or end < position + 4:
                break
            segments.append((marker, position + 4, end))
            position = end
    return segments


def _orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) of an Exif block that starts with its TIFF header; 1 where it says none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    start = struct.unpack_from(order + "I", exif, 4)[0]
    if start + 2 > len(exif):
        return 1
    num_entries = struct.unpack_from(order + "H", exif, start)[0]
    for entry in range(start + 2, min(start + 2 + 12 * num_entries, len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == 0x0112:
            return value if kind == 3 and 1 <= value <= 8 else 1
    return 1
