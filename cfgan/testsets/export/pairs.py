"""Exports that hold comparisons as an ordered list: LFW's ``pairs.txt``, insightface's ``.bin``.

LFW: Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49 (2007). The ``.bin`` is what insightface's
``verification.py`` reads (Deng et al., "ArcFace", CVPR 2019): a pickle of (images as JPEG bytes, two for each
comparison; whether each is mated). It is written here and never loaded.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path

from cfgan.errors import InputError
from cfgan.io.files import atomic_write, make_folder, write_bytes, write_text
from cfgan.testsets.export.align import ALIGNMENT, Aligner
from cfgan.testsets.export.source import ExportOptions, Plan, Source, Tick, for_each
from cfgan.testsets.folder import Pair, subject_of
from cfgan.testsets.tables import GALLERY, csv_text, set_digest

LFW_SIDE = 250
"""Side of LFW's images in pixels; loaders cut a fixed box out of them."""

BIN_SIDE = 112
"""Side of the images that networks of this family take, in pixels."""

_MOST = 9999  # images of one person that LFW's four digits can number

Folds = list[tuple[list[Pair], list[Pair]]]


def _folds(source: Source, options: ExportOptions, kind: str) -> Folds:
    """For each fold its mated and its non-mated comparisons, in the set's order.

    Raises:
        InputError: a detection set, or presumed mated comparisons that were not allowed as mated ones.
    """
    testset = source.testset
    if not testset.pairs:
        text = f"{kind} holds comparisons, and a {testset.design} set has none."
        raise InputError(text, field="--format", value=kind, nearest=["huggingface", "parquet"])
    presumed = sum(pair.mated == "presumed" for pair in testset.pairs)
    if presumed and not options.presumed_as_mated:
        raise InputError(
            f"{presumed:,} comparisons are only presumed to be mated, and {kind} knows mated and non-mated ones only; "
            "--presumed-as-mated gives them out as mated.",
            field="--format",
            value=kind,
        )
    folds: dict[int, tuple[list[Pair], list[Pair]]] = {}
    for pair in testset.pairs:
        folds.setdefault(pair.fold, ([], []))[pair.mated == "0"].append(pair)
    return [folds[number] for number in sorted(folds)]


def _balanced(source: Source, folds: Folds) -> Folds:
    """As many comparisons of each kind in each fold as the smallest of them has.

    Which ones stay is drawn by a hash of their names, so that it favours no stratum and is always the same.

    Raises:
        InputError: a fold has none of one kind.
    """
    least = min(len(kind) for fold in folds for kind in fold)
    if least == 0:
        text = f"nothing would be left, for a fold has comparisons of one kind only ({_counted(folds)})."
        raise InputError(text, field="--balance")
    salt = set_digest(source.testset.path)

    def drawn(pairs: Sequence[Pair]) -> list[Pair]:
        by_hash = sorted(pairs, key=lambda pair: hashlib.sha256(f"{salt} {pair.pair}".encode()).digest())
        kept = {pair.pair for pair in by_hash[:least]}
        return [pair for pair in pairs if pair.pair in kept]

    return [(drawn(mated), drawn(nonmated)) for mated, nonmated in folds]


def _counted(folds: Folds) -> str:
    each = (f"fold {k}: {len(a):,} mated and {len(b):,} non-mated" for k, (a, b) in enumerate(folds, start=1))
    return "; ".join(each)


def _notes(source: Source, folds: Folds, options: ExportOptions) -> list[str]:
    notes = []
    shown = [pair for fold in folds for kind in fold for pair in kind]
    if presumed := sum(pair.mated == "presumed" for pair in shown):
        notes.append(
            f"{presumed:,} comparisons given out as mated are only presumed to be: one latent, changed attribute."
        )
    if left := len(source.testset.pairs) - len(shown):
        notes.append(
            f"{left:,} comparisons of the set were left out to make the folds equal; index.csv lists those kept."
        )
    if options.align:
        notes.append(
            "Each face was brought to the five points of ArcFace's template; alignment.csv says where its points were "
            "and in which images no face was found (there they are taken to be where CelebA's frame has them)."
        )
    if options.margin:
        notes.append(f"Each image has a border of {100 * options.margin:g} % of its side, in the colours of its edge.")
    enrolled = {name for pair in shown for name in (pair.a, pair.b) if name.startswith(GALLERY)}
    if enrolled:
        notes.append(
            f"{len(enrolled):,} enrolled faces were copied from the gallery, cut square: they are real, and not marked."
        )
    return notes


def _index(folds: Folds, names: dict[str, str]) -> str:
    """Which comparison each row is, so that scores find their way back into ``cfgan testset score``."""
    rows: list[Sequence[object]] = [("row", "pair", "fold", "mated", "stratum", "a", "b")]
    for pair in (pair for mated, nonmated in folds for pair in (*mated, *nonmated)):
        rows.append((len(rows), pair.pair, pair.fold, pair.mated, pair.stratum, names[pair.a], names[pair.b]))
    return csv_text(rows)


def _needed(source: Source, folds: Folds) -> list[str]:
    """The files compared, in order of appearance. Raises InputError, FolderError if one cannot be had."""
    needed = list(dict.fromkeys(f for fold in folds for kind in fold for pair in kind for f in (pair.a, pair.b)))
    for name in needed:
        source.require(name)
    return needed


def plan_lfw(source: Source, options: ExportOptions) -> Plan:
    """``lfw_home/`` with ``pairs.txt``, the development views and ``lfw/NAME/NAME_0001.jpg``.

    Raises:
        InputError: what the format cannot hold: folds of unequal counts, presumed mated comparisons.
    """
    folds = _folds(source, options, "lfw")
    if options.balance:
        folds = _balanced(source, folds)
    counts = {len(kind) for fold in folds for kind in fold}
    if len(counts) != 1:
        text = (
            "the format wants as many mated as non-mated comparisons, the same number in every fold; here are "
            f"{_counted(folds)}.{'' if 0 in counts else ' --balance leaves some out.'}"
        )
        raise InputError(text, field="--format", value="lfw", nearest=["huggingface", "parquet"])
    each = counts.pop()
    needed = _needed(source, folds)
    files = [*source.files, *(name for name in needed if name.startswith(GALLERY))]
    places = _number(files)
    names = {name: f"{who}/{who}_{number:04d}.{options.images}" for name, (who, number) in places.items()}
    side = options.align or options.size or LFW_SIDE
    aligner = Aligner(options.align) if options.align else None

    def lines(pairs: Sequence[Pair]) -> list[str]:
        return [_line(pair, places) for pair in pairs]

    listed = [[*lines(mated), *lines(nonmated)] for mated, nonmated in folds]
    train = [line for kind in (0, 1) for fold in folds[:-1] for line in lines(fold[kind])]

    def write(folder: Path, tick: Tick) -> None:
        home = folder / "lfw_home"
        for who in dict.fromkeys(who for who, _ in places.values()):
            make_folder(home / "lfw" / who)

        def one(name: str) -> None:
            image = source.encode(name, options.images, side, options.quality, options.margin, aligner)
            write_bytes(home / "lfw" / names[name], image)

        for_each(one, files, tick)
        if aligner is not None:
            write_text(folder / ALIGNMENT, aligner.table(files))
        body = [line for fold in listed for line in fold]
        write_text(home / "pairs.txt", "\n".join([f"{len(folds)}\t{each}", *body]) + "\n")
        write_text(home / "pairsDevTrain.txt", "\n".join([str(each * (len(folds) - 1)), *train]) + "\n")
        write_text(home / "pairsDevTest.txt", "\n".join([str(each), *listed[-1]]) + "\n")
        write_text(folder / "index.csv", _index(folds, names))
        write_text(folder / "names.csv", csv_text([("file", "of_the_set"), *((names[n], n) for n in files)]))

    cut = (
        "" if side == LFW_SIDE else f", slice_=(slice(0, {side}), slice(0, {side}))"
    )  # it cuts a box out of LFW's size
    quality = f"JPEG, quality {options.quality}, no chroma subsampling" if options.images == "jpg" else "PNG, lossless"
    return Plan(
        len(files),
        write,
        (
            "scikit-learn: sklearn.datasets.fetch_lfw_pairs(data_home=THIS_FOLDER, subset='10_folds', funneled=False,",
            f"              download_if_missing=False{cut})",
            "others:       lfw_home/lfw is the folder of images, lfw_home/pairs.txt the list of pairs",
        ),
        (
            f"Images are {quality}, {side} x {side} pixels"
            + ("." if options.align else "; faces are framed tighter than LFW's."),
            f"pairs.txt: {len(folds)} folds of {each:,} mated and {each:,} non-mated pairs; no subject is in two.",
            "pairsDevTest.txt is the last fold, pairsDevTrain.txt all others; they hold nothing that pairs.txt lacks.",
            "index.csv tells which comparison of the set each row of pairs.txt is, names.csv which file each image is.",
            *_notes(source, folds, options),
        ),
        {"folds": len(folds), "mated": each * len(folds), "nonmated": each * len(folds), "images": len(files)},
        real_faces=any(name.startswith(GALLERY) for name in files),
    )


def _number(files: Sequence[str]) -> dict[str, tuple[str, int]]:
    """File -> (LFW's name of the person, number of the image from 1). Loaders count images, so there are no gaps.

    Raises:
        InputError: more images of one person than LFW's four digits can number.
    """
    places: dict[str, tuple[str, int]] = {}
    taken: dict[str, int] = {}
    people: dict[str, str] = {}
    for name in files:
        who = subject_of(name)
        if name.startswith(GALLERY):
            # The user's folders may have any name; a number is safe, and gives nobody's name away.
            who = people.setdefault(who, f"enrolled{len(people) + 1:05d}")
        taken[who] = taken.get(who, 0) + 1
        if taken[who] > _MOST:
            raise InputError(f"{who} has more than {_MOST:,} images.", field="--format", value="lfw")
        places[name] = (who, taken[who])
    return places


def _line(pair: Pair, places: dict[str, tuple[str, int]]) -> str:
    (a, i), (b, j) = places[pair.a], places[pair.b]
    if pair.mated == "0":
        return f"{a}\t{i}\t{b}\t{j}"
    if a != b:
        text = f"{pair.pair} is mated, but its images are of {a} and {b}; LFW's format has one name for both."
        raise InputError(text, field="--format", value="lfw")
    return f"{a}\t{i}\t{j}"


def plan_insightface(source: Source, options: ExportOptions) -> Plan:
    """One ``.bin`` with two JPEGs for each comparison, fold after fold, mated before non-mated.

    Raises:
        InputError: what the format cannot hold: a detection set, presumed mated comparisons.
    """
    folds = _folds(source, options, "insightface")
    if options.balance:
        folds = _balanced(source, folds)
    needed = _needed(source, folds)
    side = options.align or options.size or BIN_SIDE
    aligner = Aligner(options.align) if options.align else None
    order = [pair for mated, nonmated in folds for pair in (*mated, *nonmated)]
    mated = sum(pair.mated != "0" for pair in order)
    file = f"{source.testset.design}.bin"

    def write(folder: Path, tick: Tick) -> None:
        encoded: dict[str, bytes] = {}

        def one(name: str) -> None:
            encoded[name] = source.encode(name, "jpg", side, options.quality, options.margin, aligner)

        for_each(one, needed, tick)
        if aligner is not None:
            write_text(folder / ALIGNMENT, aligner.table(needed))
        # A face in several comparisons is one object, which pickle stores once.
        images = [encoded[name] for pair in order for name in (pair.a, pair.b)]
        with atomic_write(folder / file) as handle:
            pickle.dump((images, [pair.mated != "0" for pair in order]), handle, protocol=4)
        write_text(folder / "index.csv", _index(folds, {name: name for name in needed}))

    one_kind = "" if 0 < mated < len(order) else " All are of one kind: accuracy and ROC are not defined on it."
    return Plan(
        len(needed),
        write,
        (
            f"insightface: put {file} beside the other .bin files and name it as verification target",
            "others:      images, issame = pickle.load(open(FILE, 'rb')); images 2 i and 2 i + 1 are pair i",
        ),
        (
            f"Images are JPEG, quality {options.quality}, no chroma subsampling, {side} x {side} pixels"
            + ("." if options.align else "; they are framed as the set's are, not aligned: --align 112 does."),
            f"{mated:,} mated and {len(order) - mated:,} non-mated comparisons, fold after fold.{one_kind}",
            "Evaluators split the list into blocks of equal length, which are the folds if all are of one size.",
            "index.csv tells which comparison of the set each is.",
            *_notes(source, folds, options),
        ),
        {"folds": len(folds), "mated": mated, "nonmated": len(order) - mated, "images": len(needed)},
        real_faces=any(name.startswith(GALLERY) for name in needed),
    )
