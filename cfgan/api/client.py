"""A model that another process serves (``cfgan serve``), asked over HTTP and used as a local one."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.api.faces import Faces
from cfgan.api.http import Answer, ask, strange
from cfgan.api.model import missing, warn
from cfgan.api.plans import Request, plan_of, settings_of
from cfgan.api.readings import Readings
from cfgan.attributes.latents import LatentRule
from cfgan.attributes.spec import Plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import MAX_BYTES, check_crop
from cfgan.data.image_files import ImageFile, find_images
from cfgan.errors import CfganError, DataError, InputError, unknown
from cfgan.generate.batch import CellTally
from cfgan.generate.batch import Face as Drawn
from cfgan.generate.memory import KeptFace, MemoryWriter
from cfgan.io.progress import Progress
from cfgan.io.reading import read_regular, reason
from cfgan.verify.images import READERS, Columns
from cfgan.verify.images import Readings as Part

_SECONDS = 120.0


class RemoteModel:
    """A model on a server; opened by :func:`cfgan.connect`.

    Args:
        url: of the server.
        about: what the server says of the model.
        timeout: seconds without a word from the server after which a call gives up.

    Example:
        >>> with serving(model) as url:
        ...     cfgan.connect(url)
        <RemoteModel tiny: 6 attributes, 16 x 16 pixels>
    """

    def __init__(self, url: str, about: Mapping[str, Any], timeout: float = _SECONDS) -> None:
        self.url, self.timeout = url, timeout
        try:
            self._name, self._digest, self._size = str(about["name"]), str(about["digest"]), int(about["size"])
            self._vocabulary = Vocabulary.from_dict(about["vocabulary"])
            self._latents = LatentRule.from_dict(about["latents"])
        except (KeyError, TypeError, ValueError, CfganError) as error:
            raise strange(url, error) from None

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self._name

    @property
    def digest(self) -> str:
        """What names this very model in everything made with it."""
        return self._digest

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that can be asked for."""
        return self._vocabulary.names

    @property
    def size(self) -> int:
        """Side of an image in pixels."""
        return self._size

    def __repr__(self) -> str:
        return f"<RemoteModel {self.name}: {len(self.attributes)} attributes, {self.size} x {self.size} pixels>"

    def generate(
        self,
        request: Request | None = None,
        *,
        spec: str | Path | Mapping[str, Any] | None = None,
        count: int | None = None,
        seed: int | None = None,
        unspecified: Request | None = None,
        vary: str | Sequence[str] | None = None,
        threshold: float | None = None,
        precision: float | None = None,
        max_draws: int | None = None,
        verify: bool = True,
        truncation: float | str | None = None,
        same_latents: bool | None = None,
        progress: Progress | None = None,
    ) -> Faces:
        """Make faces that show what is asked for; as :meth:`cfgan.Model.generate` in memory, and the same faces.

        The server bounds faces, draws and seconds of one call. What is missing then is said by a
        :class:`cfgan.CfganWarning`, and ``complete`` is False.

        Args:
            request: this and all that is not named here: see :meth:`cfgan.Model.generate`.
            spec: a file is read here, not by the server.
            progress: called with faces accepted and wanted as they arrive.

        Raises:
            InputError: request, spec or setting cannot be used, here or by the server.
            CfganError: the server is busy, gone, or failed.

        Example:
            >>> with serving(model) as url:
            ...     faces = cfgan.connect(url).generate("Red,-Cat", count=4, seed=1)
            >>> [face.png for face in faces] == [face.png for face in model.generate("Red,-Cat", count=4, seed=1)]
            True
        """
        settings = settings_of(
            count, seed, unspecified, vary, threshold, precision, max_draws, verify, truncation, same_latents
        )
        plan = plan_of(self._vocabulary, self._latents, request, spec, settings)
        drawn = MemoryWriter(len(plan.cells))
        body = json.dumps(plan.resolved).encode()
        with self._ask("/v1/generate", {}, body, "application/json") as answer:
            summary = self._take(answer.lines(), plan, drawn, progress)
        faces = Faces(drawn, plan, self.attributes)
        late = summary["timed_out"] and not faces.complete
        over = [f"the server's time was over: {len(faces):,} of {faces.wanted:,} faces were found."]
        warn([*summary["warnings"], *(over if late else missing(faces))], level=3)
        return faces

    def verify(
        self,
        paths: str | Path | Sequence[str | Path],
        request: str | None = None,
        *,
        by: str = "verifier",
        crop: str = "center",
        recursive: bool = True,
        progress: Progress | None = None,
    ) -> Readings:
        """Read the attributes of images on this machine: each is sent to the server, which keeps none.

        Args:
            paths, request, by, crop, recursive, progress: see :meth:`cfgan.Model.verify`.

        Returns:
            The readings. Images that could not be read are among them, with the reason.

        Raises:
            InputError: no image there, or a reader, crop or request that cannot be used.
            CfganError: the server is busy, gone, or failed.

        Example:
            >>> _ = model.generate("Red", count=4, seed=1, out="red")
            >>> with serving(model) as url:
            ...     readings = cfgan.connect(url).verify("red", "Red")
            >>> len(readings), readings.meets.tolist()
            (4, [True, True, True, True])
        """
        check_crop(crop)
        if by not in READERS:
            raise unknown("reader", by, READERS, field="by")
        several = [paths] if isinstance(paths, str | Path) else list(paths)
        files = find_images(several, recursive=recursive, archives=True).files
        query = {"by": by, **({"attrs": request} if request is not None else {})}
        columns = self._columns(query)
        readings = Readings(columns)
        for done, file in enumerate(files, 1):
            readings.add(self._read(file, columns, {**query, "crop": crop}))
            if progress:
                progress("reading", done, len(files))
        readings.close()
        return readings

    def _columns(self, query: Mapping[str, str]) -> Columns:
        """What the server reads, and at which thresholds; a wrong request is found before anything is sent."""
        with self._ask("/v1/columns", query) as answer:
            said = answer.object()
        try:
            names = tuple(said["attributes"])
            places = np.asarray([self._vocabulary.index(name) for name in names], np.int64)
            wanted = None if said["wanted"] is None else np.asarray(said["wanted"], bool)
            return Columns(query["by"], names, places, np.asarray(said["thresholds"], np.float64), wanted)
        except (KeyError, TypeError, ValueError) as error:
            raise strange(self.url, error) from None

    def _read(self, file: ImageFile, columns: Columns, query: Mapping[str, str]) -> Part:
        """One image; what the server says of the image itself is its error, and everything else raised."""
        problem, found = file.problem, np.full(len(columns.names), np.nan, np.float32)
        if problem is None:
            try:
                content = file.content()
                image = content if isinstance(content, bytes) else read_regular(content, MAX_BYTES)
                with self._ask("/v1/verify", query, image, "application/octet-stream") as answer:
                    read = answer.object()["attributes"]
                found = np.asarray([read[name]["probability"] for name in columns.names], np.float32)
            except OSError as error:
                problem = f"{reason(error)}."
            except DataError as error:
                problem = str(error)
            except (KeyError, TypeError, ValueError) as error:
                raise strange(self.url, error) from None
        seen = found >= columns.threshold
        meets = None if columns.wanted is None else np.asarray([problem is None and (seen == columns.wanted).all()])
        return Part([file.name], found[None], seen[None], [problem], meets)

    def _take(
        self, lines: Iterator[bytes], plan: Plan, drawn: MemoryWriter, progress: Progress | None
    ) -> dict[str, Any]:
        """Keep the faces of an answer as they come; its summary."""
        for line in lines:
            try:
                found = json.loads(line)
                if "error" in found:
                    raise CfganError(f"{self.url}: {found['error']}")
                if "summary" in found:
                    said = found["summary"]
                    for cell, draws in enumerate(said["taken"]):
                        drawn.tallies[cell] = CellTally(next_draw=int(draws))
                    return {"timed_out": bool(said["timed_out"]), "warnings": [str(each) for each in said["warnings"]]}
                drawn.kept.append(self._kept(found, len(plan.cells)))
            except (KeyError, TypeError, ValueError, IndexError) as error:  # binascii.Error is a ValueError
                raise strange(self.url, error) from None
            if progress:
                progress("generating", len(drawn.kept), plan.count)
        raise CfganError(f"{self.url} broke off in the middle of an answer.")

    def _kept(self, found: Mapping[str, Any], cells: int) -> KeptFace:
        condition, verifier = (
            np.asarray([found[part][name] for name in self.attributes], np.float32)
            for part in ("condition", "probability")
        )
        place, nothing = int(found["request"]), np.zeros((3, 0, 0), np.uint8)  # the PNG is here already
        if not 0 <= place < cells:
            raise ValueError(f"request {place}")
        file = f"images/{Path(str(found['file'])).name}"
        face = Drawn(file, int(found["draw"]), int(found["seed"]), nothing, {}, condition, verifier)
        return KeptFace(face, base64.b64decode(found["png"], validate=True), place)

    def _ask(self, path: str, query: Mapping[str, str], body: bytes | None = None, kind: str = "") -> Answer:
        full = f"{path}?{urllib.parse.urlencode({'bundle': self.name, **query})}"
        return ask(self.url, full, body, kind, timeout=self.timeout)


def connect(url: str, bundle: str | None = None, *, timeout: float = _SECONDS) -> RemoteModel:
    """Use a model that ``cfgan serve`` offers, as if it were here. Needs neither an engine nor weights on this machine.

    Args:
        url: of the server, such as "http://127.0.0.1:8000".
        bundle: which of its models; its first by default.
        timeout: seconds without a word from the server after which a call gives up.

    Raises:
        InputError: no such address or model, with the nearest.
        CfganError: nobody answers there, or not as ``cfgan serve`` does.

    Example:
        >>> with serving(model) as url:
        ...     remote = cfgan.connect(url)
        ...     faces = remote.generate("Red", count=2, seed=1)
        >>> remote.name, remote.digest == model.digest, len(faces), faces[0].image.size
        ('tiny', True, 2, (16, 16))
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(
            f"{url!r} is not the address of a server.", field="url", value=url, nearest=["http://127.0.0.1:8000"]
        )
    url = url.rstrip("/")
    with ask(url, "/v1/bundles", timeout=timeout) as answer:
        found = answer.json()
    if not (isinstance(found, list) and found and all(isinstance(each, dict) and "name" in each for each in found)):
        raise strange(url)
    names = [str(each["name"]) for each in found]
    if bundle is not None and bundle not in names:
        raise unknown("bundle", bundle, names, field="bundle")
    return RemoteModel(url, found[names.index(bundle) if bundle is not None else 0], timeout)
