"""Reads the headers of PNG and JPEG files before they are decoded: kind, size, animation, orientation.

Decoders allocate the size that a header states, and some fill missing data with grey. So headers are checked here
first, in pure Python.

Source: PNG (W3C, third edition); JPEG (ITU-T T.81; codestream.py walks it), Exif 3.0.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hilum.errors import RefusedFilm, UndecodableFilm
from hilum.film.codestream import jpeg_segments, max_jpeg_scans, num_jpeg_scans, read_frame

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "JpegHeader",
    "PngHeader",
    "check_scans",
    "check_size",
    "is_dicom",
    "luminance_steps",
    "read_jpeg_header",
    "read_png",
]

MAX_PIXELS = 100_000_000  # 10,000 x 10,000: five times the largest digital radiograph
MAX_BYTES = 256 * 1024 * 1024  # a full-size 16-bit film is 200 MB
_MAX_UNPACKED_BYTES = 3 * MAX_PIXELS  # three 8-bit channels, or one 16-bit channel
_MAX_PNG_CHUNKS = 200_000

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_SEND_AGAIN = "Copy or export it again from where it came from."


@dataclass(frozen=True)
class PngHeader:
    """The header of a PNG: (height, width), bits of one sample (8 for a palette), EXIF orientation 1 to 8.

    ``transparent_grey`` is the grey value that a PNG without alpha channel declares transparent, else None.
    """

    size_px: tuple[int, int]
    bit_depth: int
    orientation: int
    transparent_grey: int | None


@dataclass(frozen=True)
class JpegHeader:
    """The header of a JPEG: (height, width), bits of one sample, 1, 3 or 4 components, EXIF orientation 1 to 8.

    ``adobe`` is True with an Adobe marker: its CMYK samples are inverted. ``process`` is the last byte of the frame
    marker.
    """

    size_px: tuple[int, int]
    bit_depth: int
    num_components: int
    orientation: int
    adobe: bool
    process: int

    @property
    def is_plain(self) -> bool:
        """Whether this is an ordinary JPEG: Huffman-coded, 8 bits, baseline or progressive."""
        return self.process in (0xC0, 0xC1, 0xC2) and self.bit_depth == 8 and self.num_components in (1, 3, 4)


def check_size(size_px: tuple[int, int], name: str, *, num_frames: int = 1, bytes_a_pixel: int = 1) -> None:
    """Check the size of a picture before memory is allocated for it.

    Args:
        size_px: (height, width) as the file states them.
        name: The film's name, for messages.
        num_frames: Number of pictures in the file.
        bytes_a_pixel: Bytes of all channels together, as decoded.

    Raises:
        UndecodableFilm: A side is not positive, or all pixels are more than MAX_PIXELS or more than 300 MB.
    """
    height, width = size_px
    if height < 1 or width < 1:
        raise UndecodableFilm(f"Cannot read the film `{name}`: its stated size is {width} x {height}.", fix=_SEND_AGAIN)
    if height * width * max(num_frames, 1) > MAX_PIXELS:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its stated size is {width} x {height} pixels"
            f"{f' x {num_frames} frames' if num_frames > 1 else ''}, more than the {MAX_PIXELS:,} pixels allowed.",
            fix="A radiograph has less than 25 million pixels. Check the origin of the file.",
        )
    if height * width * bytes_a_pixel > _MAX_UNPACKED_BYTES:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its stated size is {width} x {height} pixels of {bytes_a_pixel} bytes,"
            f" more than the {_MAX_UNPACKED_BYTES // 1_000_000} MB allowed.",
            fix="A radiograph has less than 25 million pixels of one or two bytes. Check the origin of the file.",
        )


def check_scans(codestream: bytes, name: str) -> None:
    """Raise UndecodableFilm for a JPEG with more scans than max_jpeg_scans allows; decoding would take minutes."""
    frame = read_frame(codestream)
    if frame and frame.process and num_jpeg_scans(codestream, frame) > max_jpeg_scans(frame):
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is a JPEG picture of more than {max_jpeg_scans(frame)} scans.",
            fix="Save it again as an ordinary JPEG or PNG.",
        )


def read_png(data: bytes, name: str) -> tuple[PngHeader, bytes]:
    """Return a PNG's header, and the PNG without chunks that are not needed.

    The checksums of the needed chunks are checked. Text, colour profiles, gamma and the like are removed, since a few
    hundred bytes of them can unpack to gigabytes.

    Args:
        data: A file that starts with PNG_MAGIC.
        name: The film's name, for messages.

    Returns:
        The header, and PNG bytes of the chunks IHDR, PLTE, tRNS, IDAT and IEND.

    Raises:
        UndecodableFilm: The file is truncated, damaged, or too large.
        RefusedFilm: The file is animated.
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
            check_size(size_px, name, bytes_a_pixel=_png_bytes_a_pixel(bit_depth, colour_type))
        elif kind == b"acTL" and length >= 8 and struct.unpack_from(">I", body)[0] > 1:
            raise RefusedFilm(f"The film `{name}` is an animated PNG.", fix="Give a file with one still picture.")
        elif kind == b"eXIf":
            orientation = _orientation(bytes(body[:65536]))
        elif kind == b"tRNS" and colour_type == 0 and length == 2:
            transparent_grey = struct.unpack_from(">H", body)[0]
        elif kind == b"IEND" and size_px is not None:
            header = PngHeader(size_px, 8 if colour_type == 3 else bit_depth, orientation, transparent_grey)
            return header, b"".join(kept)
        position = end
    raise UndecodableFilm(f"Cannot read the film `{name}`: it is a truncated or damaged PNG file.", fix=_SEND_AGAIN)


def read_jpeg_header(data: bytes, name: str) -> JpegHeader:
    """Return the header of a JPEG.

    Raises:
        UndecodableFilm: There is no frame header, the picture is too large, or it has too many scans.
    """
    frame, orientation, adobe = read_frame(data), 1, False
    if frame is None or frame.process is None:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is a truncated or damaged JPEG file.", fix=_SEND_AGAIN
        )
    held = 2 if frame.process in (0xC2, 0xC6, 0xCA, 0xCE) else 1  # progressive: coefficients of two bytes are kept
    check_size(frame.size_px, name, bytes_a_pixel=held * max(frame.num_components, 1))
    check_scans(data, name)
    for marker, start, end in jpeg_segments(data):  # Exif and Adobe may come after the frame
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _orientation(data[start + 6 : end])
        adobe = adobe or (marker == 0xEE and data[start : start + 5] == b"Adobe")
    return JpegHeader(frame.size_px, frame.bit_depth, frame.num_components, orientation, adobe, frame.process)


def luminance_steps(data: bytes) -> int | None:
    """Return the sum of a JPEG's 64 luminance quantisation steps, a measure of its compression.

    Returns:
        64 (finest) to 16,320; None without a table, as in a lossless JPEG.

    Source: ITU-T T.81, B.2.4.1.
    """
    for marker, start, end in jpeg_segments(data):
        place = start if marker == 0xDB else end
        while place < end:
            wide, table = data[place] >> 4, data[place] & 15
            size = 128 if wide else 64
            body = data[place + 1 : min(place + 1 + size, end)]
            if table == 0 and len(body) == size:
                return int(sum(struct.unpack(">64H" if wide else "64B", body)))
            place += 1 + size
    return None


def is_dicom(data: bytes) -> bool:
    """Return whether bytes look like DICOM: the letters DICM after the preamble, or a valid first element.

    Files without a preamble start with an element of group 0002 or 0008: explicit with a value representation of two
    capitals, or implicit with a valid length.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 132 or data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    return explicit or 0 < struct.unpack_from("<I", data, 4)[0] < len(data)


def _png_bytes_a_pixel(bit_depth: int, colour_type: int) -> int:
    """Return the bytes per pixel after OpenCV's decoding; palettes and grey with transparency become colours."""
    channels = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}.get(colour_type, 4)
    return channels * (2 if bit_depth == 16 else 1)


def _orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) of an Exif block that starts with its TIFF header; 1 by default."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    start = struct.unpack_from(order + "I", exif, 4)[0]
    if start + 2 > len(exif):
        return 1
    num_entries = struct.unpack_from(order + "H", exif, start)[0]
    for entry in range(start + 2, min(start + 2 + 12 * num_entries, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", exif, entry)
        if tag == 0x0112:
            size = {3: "H", 4: "I"}.get(kind, "x")  # SHORT; some programs write LONG
            value = next(iter(struct.unpack_from(order + size, exif, entry + 8)), 1)
            return value if 1 <= value <= 8 else 1
    return 1
