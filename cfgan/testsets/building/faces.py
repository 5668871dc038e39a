"""Making the faces of a test set: verified subjects, and the same face with one attribute changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.spec import RequestCell
from cfgan.data.decode import load_rgb
from cfgan.generate.sampling import CHUNK, Sampler, chunk_end, latents
from cfgan.io.png import encode_png
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.identity import Identity
from cfgan.testsets.building.regions import ROWS, RegionReader, region_readers
from cfgan.testsets.building.user_images import UserImages
from cfgan.testsets.building.writer import Face, Tally, TestsetWriter
from cfgan.testsets.spec import Plan
from cfgan.verify.candidates import Candidates, Gate
from cfgan.verify.gate import gate_of
from cfgan.verify.reader import readers_of
from cfgan.version import __version__

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)
"""How strongly a changed attribute is given, in units of the condition, which in training was 1. With all other
attributes held, 1 often does not move it, and a latent that needs 0.4 changes less in identity at 0.4 than at 1."""

_PLAIN = STRENGTHS.index(1.0)


Pixels = npt.NDArray[np.uint8]


class FaceMaker:
    """A bundle's networks and the embedders, with the set that they work for.

    Args:
        bundle: the model.
        plan: of the set.
        writer: begun.
        identity: the embedders and what they decide.
        device: where to compute.
        stop: asked between two steps.
        progress: called while it lasts.
        user_images: what the plan brings, checked.
        marked: whether the images say in their metadata that they are synthetic.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: Plan,
        writer: TestsetWriter,
        identity: Identity,
        device: str,
        stop: StopRequest,
        progress: Progress,
        *,
        user_images: UserImages | None = None,
        marked: bool = True,
    ) -> None:
        self.user_images = user_images
        self.bundle, self.plan, self.writer, self.identity = bundle, plan, writer, identity
        self._sampler = Sampler(bundle, device)
        self.verifier, *judges = readers_of(bundle, self._sampler.engine)
        self.judge = judges[0] if judges else None
        self.regions = regions_of(bundle, plan)
        """Attribute -> the reader that must see a change to it in its place."""
        self.stop, self.progress, self._marked = stop, progress, marked
        self._stacked = 0, np.zeros((0, 0), np.float32)

    # ------------------------------------------------------------------ subjects

    def subjects(self, role: str, cell: RequestCell, unlike: Sequence[npt.NDArray[np.float32]] = ()) -> list[Face]:
        """Draw until ``cell.count`` subjects are found or its draws are used up; goes on where the writer stands.

        A draw is left out when the verifier rejects it, when the embedder's detector finds no face, or when it is too
        like one of ``unlike``, embedded faces (D,), or, with ``identity.screen: all``, a subject that stands already.
        The tally counts each.
        """
        faces = self.writer.stored(role)
        tally = self.writer.tally(role) or dict.fromkeys(("draws", "rejected", "no_face", "too_alike"), 0)
        # Without verification a draw may still be left out for its face; Cell.max_draws knows nothing of that.
        most = cell.verify.max_draws or cell.max_draws
        while len(faces) < cell.count and tally["draws"] < most:
            self.stop.raise_if_asked(f"{len(faces)} of {role} are in {self.writer.out}; the same command goes on")
            start = tally["draws"]
            draws = range(start, min(chunk_end(start), most))
            taken, tally = self._chunk(role, cell, draws, tally, cell.count - len(faces), unlike)
            self.writer.add(role, tally, taken)
            self.progress(role, len(faces), cell.count)
        return faces

    def _chunk(
        self,
        role: str,
        cell: RequestCell,
        draws: range,
        before: Tally,
        wanted: int,
        unlike: Sequence[npt.NDArray[np.float32]],
    ) -> tuple[list[tuple[Face, bytes]], Tally]:
        tally = dict(before)
        drawn = self._sampler.draw(cell, draws)
        keep = [bool(row.all()) or not cell.verify.enabled for row in drawn.passed]
        taken: list[tuple[Face, Pixels]] = []
        for place, draw in enumerate(drawn.draws):
            if len(taken) == wanted:
                break
            tally["draws"] = draw + 1
            if not keep[place]:
                tally["rejected"] += 1
                continue
            face = Face(
                file="",
                role=role,
                seed=cell.seed,
                draw=draw,
                requested=cell.request,
                condition=rounded(drawn.condition[place]),
                verifier=rounded(drawn.probability[place]),
            )
            face = self.identity.embedded(face, drawn.pixels[place])
            if self.identity.chooser and self.plan.model.identity.require_face and not face.found:
                tally["no_face"] += 1
            elif self._too_alike(face, [each for each, _ in taken], unlike):
                tally["too_alike"] += 1
            else:
                taken.append((face, drawn.pixels[place]))
        faces = self.identity.controlled([face for face, _ in taken], [pixels for _, pixels in taken])
        return self.judged([(face, pixels) for face, (_, pixels) in zip(faces, taken, strict=True)]), tally

    def _too_alike(self, face: Face, beside: Sequence[Face], unlike: Sequence[npt.NDArray[np.float32]]) -> bool:
        if self.identity.too_alike(unlike, face):
            return True
        if self.identity.how != "all":
            return False
        return self.identity.too_alike([each.vector for each in beside], face) or self.identity.too_alike(
            self._subjects_so_far(), face
        )

    def _subjects_so_far(self) -> npt.NDArray[np.float32]:
        """The vectors of all subjects that stand, (n, D); put together anew only when there are more of them."""
        count = sum(len(faces) for faces in self.writer.faces.values())
        if count != self._stacked[0]:
            standing = [each.vector for faces in self.writer.faces.values() for each in faces if not each.of]
            self._stacked = count, np.stack(standing) if standing else np.zeros((0, 0), np.float32)
        return self._stacked[1]

    # ------------------------------------------------------------------ changes

    def changed(self, role: str, bases: Sequence[Face], name: str, value: float, *, search: bool) -> list[Face]:
        """Change one attribute of some faces and hold everything else: latent and all other attributes.

        Of the strengths at which the verifier sees the changed value, and still all requested ones, and the judge sees
        the changed value too, the weakest is taken: a search that asks one reader alone finds what fools it. A hat and
        eyeglasses must also be seen where they belong, by a reader of that part of the face alone, and not have been
        there before. Faces that are then no longer found, or that an embedder does not take for the person they were
        made from, are not kept. The tally counts what survived, what each step let pass, and what would have survived
        at strength 1 without a search.

        Args:
            role: of the changed faces.
            bases: faces to change, none of them changed before.
            name, value: the attribute and what it is changed to, 1 or -1.
            search: whether other strengths than 1 are tried.
        """
        done = self.writer.tally(role) or dict.fromkeys(
            ("done", "verified", "moved", "in_place", "no_face", "survived", "plain_moved", "plain_survived"), 0
        )
        while done["done"] < len(bases):
            self.stop.raise_if_asked(f"{done['done']} of {role} are in {self.writer.out}; the same command goes on")
            taken: list[tuple[Face, Pixels]] = []
            for base in bases[done["done"] : done["done"] + CHUNK]:
                found = self._change(role, base, name, value, done, search=search)
                done["done"] += 1
                taken += [found] if found is not None else []
            self.writer.add(role, done, self.judged(taken))
            self.progress(role, done["done"], len(bases))
        return self.writer.stored(role)

    def _change(
        self, role: str, base: Face, name: str, value: float, tally: Tally, *, search: bool
    ) -> tuple[Face, Pixels] | None:
        """The changed face, if there is one, counted in ``tally``."""
        column = self.bundle.vocabulary.index(name)
        z = latents(base.seed, [base.draw], self.bundle.z_dim, self.plan.model.truncation)
        conditions = np.repeat(np.asarray([base.condition], np.float32), len(STRENGTHS), 0)
        conditions[:, column] = np.asarray(STRENGTHS, np.float32) * value
        z = np.repeat(z, len(STRENGTHS), 0)
        pixels = self._sampler.render(z, conditions)
        probability = self.verifier.probability(pixels)
        requested = {**base.requested, name: value}
        seen = self._gate(requested).passes(Candidates(conditions, pixels, probability))
        passed = np.asarray([row.all() for row in seen], dtype=bool)
        if not (search and self.plan.model.verify.enabled):  # where nothing is verified every strength would pass
            passed &= np.arange(len(STRENGTHS)) == _PLAIN
        tally["verified"] += int(passed.any())
        passed &= self._judge_sees(pixels, passed, name, value)
        tally["moved"] += int(passed.any())
        passed &= self._in_place(base, pixels, passed, name, value)

        def survivor(place: int) -> tuple[Face, Face | None]:
            face = Face(
                file="",
                role=role,
                seed=base.seed,
                draw=base.draw,
                requested=requested,
                condition=rounded(conditions[place]),
                verifier=rounded(probability[place]),
                of=base.file,
                strength=STRENGTHS[place],
            )
            face = self.identity.embedded(face, pixels[place])
            return face, self.identity.same_person(base, face, pixels[place])

        if not passed.any():
            return None
        chosen = int(passed.argmax())
        face, kept = survivor(chosen)
        tally["in_place"] += 1
        tally["no_face"] += kept is None and face.found is False and self.plan.model.identity.require_face
        tally["survived"] += kept is not None
        if passed[_PLAIN]:
            tally["plain_moved"] += 1
            tally["plain_survived"] += (kept if chosen == _PLAIN else survivor(_PLAIN)[1]) is not None
        return (kept, pixels[chosen]) if kept is not None else None

    def _judge_sees(
        self, pixels: Pixels, rows: npt.NDArray[np.bool_], name: str, value: float
    ) -> npt.NDArray[np.bool_]:
        """Of the images (N, 3, H, W) of ``rows``, where the judge sees the value as surely as it is sure of real ones.

        All of them without a judge, or where nothing is verified.
        """
        calibration = self.bundle.judge_calibration
        if self.judge is None or calibration is None or not self.plan.model.verify.enabled:
            return rows
        i = self.bundle.vocabulary.index(name)
        sure = calibration.gate_yes if value > 0 else calibration.gate_no
        threshold = calibration.threshold[i] if value > 0 else 1 - calibration.threshold[i]
        seen = rows.copy()
        if rows.any():
            read = self.judge.probability(pixels[rows])[:, i]
            seen[rows] = (read if value > 0 else 1 - read) >= (sure[i] if len(sure) else threshold)
        return seen

    def _in_place(
        self, base: Face, pixels: Pixels, rows: npt.NDArray[np.bool_], name: str, value: float
    ) -> npt.NDArray[np.bool_]:
        """Of the images (N, 3, H, W) of ``rows``, where a worn thing is seen in the part of the face where it belongs.

        None where it was seen there before the change. All of them for other attributes, where it is taken off, where
        the plan does without, or where nothing is verified.
        """
        reader = self.regions.get(name)
        if reader is None or value < 0 or not rows.any():
            return rows
        seen = rows.copy()
        seen[rows] = reader.sees(pixels[rows])
        if seen.any() and reader.sees(stored_pixels(self.writer.out, base)[None])[0]:
            seen[:] = False
        return seen

    def _gate(self, request: dict[str, float]) -> Gate:
        """The bundle's gate for a request, as the plan's ``verify`` wants it."""
        cell = RequestCell("", request, 1, 0, verify=self.plan.model.verify)
        if not self.plan.model.verify.enabled:
            cell = replace(cell, request={})
        return gate_of(self.bundle, cell)

    # ------------------------------------------------------------------ reading

    def judged(self, taken: list[tuple[Face, Pixels]]) -> list[tuple[Face, bytes]]:
        """Add the judge's reading, which decides nothing, and encode the images."""
        if self.judge is not None and taken:
            read = self.judge.probability(np.stack([pixels for _, pixels in taken]))
            taken = [(replace(face, judge=rounded(p)), pixels) for (face, pixels), p in zip(taken, read, strict=True)]
        return [(face, self._encoded(face, pixels)) for face, pixels in taken]

    def _encoded(self, face: Face, pixels: Pixels) -> bytes:
        if not self._marked:
            return encode_png(pixels, compress=0, marked=False)
        text: dict[str, Any] = {
            "software": f"cfgan {__version__}",
            "synthetic": True,
            "bundle": {"name": self.bundle.name, "digest": self.bundle.digest},
            "spec": {"request": face.requested, "truncation": self.plan.model.truncation},
            "seed": face.seed,
            "draw": face.draw,
        }
        if face.of:
            text["changed"] = {"of": face.of, "condition": list(face.condition)}
        if face.capture:
            text["changed"] = {"of": face.of, "capture": face.capture}
        return encode_png(pixels, text)


def regions_of(bundle: Bundle, plan: Plan) -> Mapping[str, RegionReader]:
    """The readers of parts of the face that a plan's changes have to convince."""
    worn = [name for name in ROWS if name in (plan.resolved.get("change") or ())]
    if not (worn and bundle.of_faces and plan.model.regions and plan.model.verify.enabled):
        return {}
    return {name: region_readers()[name] for name in worn}


def stored_pixels(out: Path, face: Face) -> Pixels:
    """The image of a stored face, (3, H, W)."""
    image = load_rgb(out / face.file)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def rounded(values: npt.NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """As the journal and the tables hold probabilities and conditions: six digits."""
    return tuple(round(float(value), 6) for value in values)
