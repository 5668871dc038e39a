"""Reading any images with a bundle's verifier or judge, several batches at a time, each in a thread of its own."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import parse_request
from cfgan.data.decode import CROP, check_crop, read_picture, read_square, to_square
from cfgan.data.framing.faces import Framer, check_faces
from cfgan.data.framing.sources import ONE_FACE
from cfgan.data.image_files import ImageFile
from cfgan.errors import DataError, InputError, RequestError, nearest
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.model.classifiers import NETWORKS, Classifier
from cfgan.model.cores import cores
from cfgan.model.engine import Network, Workers
from cfgan.model.engines import open_engine
from cfgan.verify.framing import FramingLook
from cfgan.verify.reader import Reader, reader_of

READERS = tuple(NETWORKS)
MAX_BATCH = 4096

_WORKERS = 4  # decoding threads at most; one image of at most 64 million pixels is open in each

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """What a table of readings shows.

    Args:
        reader: "verifier" or "judge".
        names: k attributes.
        places: int64 (k,), their positions in the bundle's vocabulary.
        threshold: float64 (k,), the reader's; an attribute is seen from that probability on.
        wanted: bool (k,) with a request, else None.
    """

    reader: str
    names: tuple[str, ...]
    places: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    wanted: Bools | None = None


@dataclass(frozen=True)
class Readings:
    """Some consecutive images.

    Args:
        files: their names, n of them.
        probability: float32 (n, k), calibrated; NaN where an image could not be read.
        seen: bool (n, k), whether the probability reaches the threshold; False where an image could not be read.
        errors: for each image why it could not be read, or None.
        meets: bool (n,), whether all that was requested is seen; None without a request.
    """

    files: Sequence[str]
    probability: npt.NDArray[np.float32]
    seen: Bools
    errors: Sequence[str | None]
    meets: Bools | None


class Sink(Protocol):
    """Takes readings in the order of the images."""

    def add(self, readings: Readings) -> None: ...


@dataclass
class Outcome:
    """What came of a run.

    Args:
        read: images read.
        failed: (name, reason) of those that could not be.
        seen: int64 (k,), in how many images each attribute is seen.
        meets: how many images show all that was requested; None without a request.
        seconds: wall time.
    """

    seen: npt.NDArray[np.int64]
    read: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    meets: int | None = None
    seconds: float = 0.0


def choose_columns(
    bundle: Bundle, by: str = "verifier", attrs: str | None = None, calibration: Calibration | None = None
) -> Columns:
    """The columns for a reader, all attributes or those of ``attrs``.

    Args:
        bundle: the model.
        by: "verifier" or "judge".
        attrs: attributes such as "Male,-Smiling"; they are also what :attr:`Readings.meets` asks for.
        calibration: whose thresholds count; by default those of the bundle.

    Raises:
        InputError: no such reader, or the bundle has no judge.
        RequestError, VocabularyError: ``attrs`` does not parse, or holds a graded value, which cannot be seen.
    """
    if by not in READERS:
        raise InputError(f"{by!r} reads no images.", field="--by", value=by, nearest=nearest(by, READERS) or READERS)
    calibration = calibration or _classifier(bundle, by).calibration
    vocabulary = bundle.vocabulary
    if attrs is None:
        places = np.arange(len(vocabulary))
        return Columns(by, vocabulary.names, places, calibration.threshold)
    request = parse_request(attrs, vocabulary, field="--attrs")
    if not request:
        raise RequestError("names no attribute.", field="--attrs", value=attrs)
    for name, value in request.items():
        if abs(value) != 1:
            raise RequestError(
                f"{name}={value:g} cannot be checked: a graded value is neither present nor absent.",
                field="--attrs",
                value=value,
                nearest=[name, f"-{name}"],
            )
    places = np.asarray([vocabulary.index(name) for name in request], dtype=np.int64)
    wanted = np.asarray([value > 0 for value in request.values()], dtype=bool)
    return Columns(by, tuple(request), places, calibration.threshold[places], wanted)


def open_reader(bundle: Bundle, by: str, device: str = "auto", calibration: Calibration | None = None) -> Reader:
    """One reader of a bundle on a device, with its own calibration unless another is given.

    Raises:
        InputError: no such reader here, or the device cannot be used.
        ConfigError: an extra is missing.
        BundleError: a file is damaged.
    """
    _classifier(bundle, by)
    reader = reader_of(bundle, open_engine(bundle, device), by)
    return reader if calibration is None else replace(reader, calibration=calibration)


def _classifier(bundle: Bundle, by: str) -> Classifier:
    """The bundle's classifier in a role. Raises InputError where it has none."""
    if by not in bundle.classifiers:
        raise InputError(f"the bundle {bundle.name} has no {by}.", field="--by", value=by, nearest=["verifier"])
    return bundle.classifiers[by]


def verify_images(
    reader: Reader,
    size: int,
    files: Sequence[ImageFile],
    columns: Columns,
    sinks: Sequence[Sink],
    *,
    crop: str = "center",
    framer: Framer | None = None,
    faces: str = "largest",
    framing: FramingLook | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Read images and hand the readings on, batch by batch. Memory does not grow with their pixels or number.

    Without ``framer`` faces are not looked for: they should fill a picture as in the aligned images that the reader was
    trained on.

    Args:
        reader: from :func:`open_reader`.
        size: side of the bundle's images in pixels.
        files: the images.
        columns: from :func:`choose_columns`.
        sinks: what takes the readings.
        crop: how they are made square; see :data:`cfgan.data.decode.CROPS`.
        framer: brings the face of each picture into CelebA's frame first; a picture without one cannot be read.
        faces: which, where a picture shows several: "largest", or "refuse" to read it.
        framing: looks at how the faces lie in the images, as the reader sees them.
        batch: images classified at a time, 1..4096; by default what suits the device.
        progress: called with images done and in all.

    Returns:
        The counts. Images that cannot be read are among them and stop nothing, even if there are no others.

    Raises:
        InputError: an unknown crop or word for faces, or a batch out of range.
        StoppedError: a stop was asked for; sinks have got a part of the images only.
        Whatever a sink raises.
    """
    check_crop(crop)
    check_faces(faces, ONE_FACE)
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise InputError(
            f"{batch} is not between 1 and {MAX_BATCH}.",
            field="--batch",
            value=batch,
            nearest=[1 if batch < 1 else MAX_BATCH],
        )
    _keep_freed_memory()
    started = time.monotonic()
    square = _opener(size, crop, framer, faces)
    outcome = Outcome(np.zeros(len(columns.names), np.int64), meets=None if columns.wanted is None else 0)
    with (
        StopRequest() as stop,
        reader.network.workers() as workers,
        _pools(workers) as (decoders, classifiers, batches),
    ):
        step = batch or workers.batch

        def decode(start: int) -> _Decoded:
            return _decode(files[start : start + step], square, size, stop, framing, start)

        def classify(decoded: Future[_Decoded]) -> Readings:
            return _read(workers.network, reader.calibration, decoded.result(), columns)

        def begin(start: int) -> Future[Readings]:
            return classifiers.submit(classify, decoders.submit(decode, start))

        starts = iter(range(0, len(files), step))
        ahead: deque[Future[Readings]] = deque(begin(start) for start in islice(starts, batches))
        try:
            while ahead:
                readings = ahead.popleft().result()
                stop.raise_if_asked("not all images were read")
                if (start := next(starts, None)) is not None:
                    ahead.append(begin(start))
                for sink in sinks:
                    sink.add(readings)
                _count(outcome, readings)
                if progress:
                    progress("reading", outcome.read + len(outcome.failed), len(files))
        except BaseException:
            stop.asked = True  # whatever went wrong: threads leave off after the image at hand
            raise
    outcome.seconds = time.monotonic() - started
    return outcome


@contextlib.contextmanager
def _pools(workers: Workers) -> Iterator[tuple[Executor, Executor, int]]:
    """Threads that decode, threads that classify, and how many batches may be under way, which bounds the memory."""
    decoding = min(_WORKERS, cores())
    decoders = ThreadPoolExecutor(decoding, "decode")
    classifiers = ThreadPoolExecutor(workers.count, "classify", workers.begin)
    try:
        yield decoders, classifiers, decoding + workers.count + 1
    finally:
        decoders.shutdown(wait=True, cancel_futures=True)
        classifiers.shutdown(wait=True, cancel_futures=True)


def _keep_freed_memory() -> None:
    """Have the C library keep what a batch frees for the next one.

    glibc gives blocks of megabytes back to the system at once, and then every batch pays for fresh pages, a sixth of
    the classifier's time on a CPU. Once a block of almost 32 MiB has been freed it holds on to such blocks (mallopt(3),
    M_MMAP_THRESHOLD). Elsewhere this does nothing; the pages of this one are never touched.
    """
    np.empty(31 * 2**20, np.uint8)


@dataclass(frozen=True)
class _Decoded:
    files: Sequence[str]
    levels: npt.NDArray[np.uint8]  # (m, S, S, 3), those that could be read
    errors: Sequence[str | None]


Square = Callable[[Path | bytes], npt.NDArray[np.uint8]]
"""An image file, or its bytes, to uint8 (S, S, 3); raises DataError."""


def _opener(size: int, crop: str, framer: Framer | None, faces: str) -> Square:
    """How images are opened: made square as they are, or with the face in CelebA's frame."""
    if framer is None:
        return lambda path: read_square(path, size, crop)

    def framed(path: Path | bytes) -> npt.NDArray[np.uint8]:
        picture = read_picture(path)
        face = framer.choose(picture, faces)[0].framed(picture)
        return to_square(face, size, CROP).transpose(1, 2, 0)

    return framed


def _decode(
    files: Sequence[ImageFile], square: Square, size: int, stop: StopRequest, framing: FramingLook | None, start: int
) -> _Decoded:
    """Decode a batch. After a stop the rest counts as failed, and nobody looks at it."""
    levels = np.empty((len(files), size, size, 3), np.uint8)
    errors: list[str | None] = []
    good = 0
    for place, file in enumerate(files, start=start):
        problem = "stopped" if stop.asked else file.problem
        if problem is None:
            try:
                levels[good] = square(file.content())
                if framing is not None:
                    framing.take(place, levels[good])
                good += 1
            except DataError as error:
                problem = str(error)
        errors.append(problem)
    return _Decoded([file.name for file in files], levels[:good], errors)


def _read(network: Network, calibration: Calibration, decoded: _Decoded, columns: Columns) -> Readings:
    readable = np.asarray([error is None for error in decoded.errors], dtype=bool)
    probability = np.full((len(readable), len(columns.names)), np.nan, np.float32)
    if readable.any():
        levels = decoded.levels.transpose(0, 3, 1, 2)
        probability[readable] = calibration.probabilities(network.logits(levels))[:, columns.places]
    seen = probability >= columns.threshold  # False where it is NaN
    meets = None if columns.wanted is None else readable & (seen == columns.wanted).all(1)
    return Readings(decoded.files, probability, seen, decoded.errors, meets)


def read_one(
    reader: Reader, size: int, columns: Columns, image: bytes, crop: str = "center"
) -> npt.NDArray[np.float32]:
    """Calibrated probabilities (k,) of one image, given as the bytes of its file.

    Raises:
        InputError: an unknown crop.
        DataError: no image of an allowed format, too large, or broken.
    """
    check_crop(crop)
    levels = np.array(read_square(image, size, crop).transpose(2, 0, 1)[None])  # Pillow's own memory is read-only
    return np.asarray(reader.probability(levels)[0, columns.places])


def _count(outcome: Outcome, readings: Readings) -> None:
    failed = [(name, error) for name, error in zip(readings.files, readings.errors, strict=True) if error is not None]
    outcome.failed += failed
    outcome.read += len(readings.files) - len(failed)
    outcome.seen += readings.seen.sum(0)
    if outcome.meets is not None and readings.meets is not None:
        outcome.meets += int(readings.meets.sum())
