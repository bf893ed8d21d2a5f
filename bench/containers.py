"""One film in every kind of file: how far a network's input and a model's answers differ, and what reading costs.

    HILUM_DATA=... python bench/containers.py --model chest

Each film of covid19-image-dataset/test is read as it is, a large JPEG at a reduced scale; its pixels are then written
without loss as PNG and as DICOM in several compressions, and read again. Prints for every kind the mean change of the
input (of 255), the change of probabilities, and how many answers differ; then the milliseconds of a core that decoding
and preprocessing take where a JPEG is reduced as it is decoded, and where it is decoded in full.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.run.classifier import Classifier

SYNTAXES = {"RLE": RLELossless, "JPEG 2000": JPEG2000Lossless, "JPEG-LS": JPEGLSLossless}
REPEATS = 3


def png(pixels: np.ndarray) -> bytes:
    """Return pixels as a PNG file."""
    return cv2.imencode(".png", pixels)[1].tobytes()


def dicom(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return (H, W) uint8 or uint16 as a chest film."""
    made, bits = Dataset(), pixels.dtype.itemsize * 8
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", generate_uid()
    made.Modality, made.BodyPartExamined, made.PhotometricInterpretation = "CR", "CHEST", "MONOCHROME2"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PixelRepresentation = *pixels.shape, 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW" if bits == 16 else "OB"
    if syntax != ExplicitVRLittleEndian:
        made.compress(syntax)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def films_of(classifier: Classifier, data: bytes) -> dict[str, Radiograph]:
    """Return one film read from every kind of file, the one that it came in first."""
    whole = decode(data)
    pixels = np.rint(whole.pixels * 255).astype(np.uint8)
    wide = pixels.astype(np.uint16) * 257
    written = {"PNG": png(pixels), "PNG, 16 bits": png(wide), "PNG, colour": png(cv2.merge([pixels] * 3))}
    written |= {"DICOM": dicom(pixels), "DICOM, 16 bits": dicom(wide)}
    written |= {f"DICOM, {name}": dicom(pixels, syntax) for name, syntax in SYNTAXES.items()}
    read = {kind: classifier.decode(file, "film") for kind, file in written.items()}
    return {"as it is": classifier.decode(data, "film"), "as it is, in full": whole, **read}


def milliseconds(read: Callable[[bytes], object], files: list[bytes]) -> float:
    """Return the time of a core for one film, the least of some repeats."""
    times = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        for data in files:
            read(data)
        times.append(time.thread_time() - begin)
    return 1000 * min(times) / len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("chest"))
    classifier = Classifier(parser.parse_args().model)
    root = Path(os.environ["HILUM_DATA"]) / "covid19-image-dataset" / "test"
    files = [path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()]
    rows: dict[str, list[tuple[float, float, bool, bool]]] = {}
    for data in files:
        first = None
        for kind, film in films_of(classifier, data).items():
            view, answer = classifier.preprocess(film), classifier.predict(film)
            chances = np.array(list(answer.probabilities.values()))
            first = first or (view, chances, answer)
            moved = float(np.abs(view - first[0]).mean() * 255), float(np.abs(chances - first[1]).max())
            flips = answer.finding != first[2].finding, answer.set != first[2].set
            rows.setdefault(kind, []).append((*moved, *flips))
    print(f"{len(files)} films; input of 255; probability: mean, 95th percentile, most; answers, sets that differ")
    for kind, found in rows.items():
        inputs, moves, answers, sets = np.array(found, float).T
        spread = f"{moves.mean():.4f} {np.quantile(moves, 0.95):.4f} {moves.max():.4f}"
        print(f"  {kind:18} {inputs.mean():.3f}  {spread}  {answers.sum():.0f} {sets.sum():.0f}")
    jpegs = [data for data in files if data.startswith(b"\xff\xd8")]
    decoded_px = classifier.metadata.preprocessing.decoded_px  # in this process, whose time is measured
    reduced = milliseconds(lambda data: classifier.preprocess(decode(data, min_side_px=decoded_px)), jpegs)
    in_full = milliseconds(lambda data: classifier.preprocess(decode(data)), jpegs)
    print(f"{len(jpegs)} JPEG: {reduced:.1f} ms of a core to decode and preprocess; {in_full:.1f} in full")


if __name__ == "__main__":
    main()
