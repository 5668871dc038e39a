"""Labels that stand in file names or folders: ``{age}_{gender}_{race}_*``, or ``{sex}/{hair}/*`` with a level each."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cfgan.data.image_files import find_images
from cfgan.data.left_out import LeftOut
from cfgan.data.read.columns import FILE_COLUMNS, PERSON_COLUMNS, SPLIT_COLUMNS
from cfgan.data.read.frames import plain_title
from cfgan.data.sources.base import Options, Source
from cfgan.data.sources.tables import with_images
from cfgan.data.table import frame_labels
from cfgan.errors import DataError, InputError

NO_FIT = "its name does not fit the pattern"
"""Why an image is left out."""

_PARTS = re.compile(r"([^{}*]+)|\{([^{}]*)\}|(\*)|([{}])")
_NUMBER = re.compile(r"-?\d+")


def has_pattern(folder: Path, options: Options) -> bool:
    """Whether somebody says how names are to be read."""
    return options.pattern is not None


def read_pattern(folder: Path, options: Options) -> Source:
    """Labels from the names of a folder's images. Each name in braces is a set of classes; with bins, of numbers.

    ``{person}`` and ``{split}`` say who is in an image and in which split it is. Classes that are numbers get the name
    of their set before them: ``gender_0``.

    Raises:
        InputError: a pattern that cannot be one, or a label table beside it.
        DataError: no image fits; also as :func:`cfgan.data.table.frame_labels`.
    """
    import pandas as pd

    if options.columns.labels is not None or options.columns.classes:
        raise InputError("cannot be combined with --pattern; --ignore leaves sets out.", field="--columns")
    if options.labels is not None:
        raise InputError("cannot be combined with --pattern.", field="--labels", value=options.labels)
    pattern = options.pattern or ""
    fields, expression = compile_pattern(pattern)
    found = [file.inner for file in find_images([folder]).files]
    fits = {file: match for file in found if (match := expression.fullmatch(_compared(file, pattern)))}
    if not fits:
        raise DataError(f"no image fits it; the first is {found[0]!r}.", field="--pattern", value=pattern)
    named = {field: [match[field] for match in fits.values()] for field in fields}
    roles = {*SPLIT_COLUMNS, *PERSON_COLUMNS}
    sets = [field for field in fields if plain_title(field) not in roles]
    for field in sets:
        if field not in options.columns.bins:
            named[field] = [f"{field}_{cell}" if _NUMBER.fullmatch(cell) else cell for cell in named[field]]
    frame = pd.DataFrame({"file": list(fits), **named}, dtype=object)
    columns = options.columns
    ignored = {plain_title(title) for title in columns.ignore}
    classes = tuple(field for field in sets if plain_title(field) not in ignored)
    columns = replace(columns, file="file", classes=classes, labels=())
    table = frame_labels(
        frame, folder, columns, options.vocabulary, ignore_unknown=options.ignore_unknown, field="--pattern"
    )
    source = with_images("pattern", folder, table)
    others = dict.fromkeys((file for file in found if file not in fits), NO_FIT)
    return replace(source, left_out=source.left_out | LeftOut(images=others))


def compile_pattern(pattern: str) -> tuple[list[str], re.Pattern[str]]:
    """The names in braces, and what a file's name must match, without its ending; with its folders where the pattern
    has a slash.

    Raises:
        InputError: no name in braces, one twice, or one that means the file.
    """
    fields: list[str] = []
    parts = []
    for literal, field, star, stray in _PARTS.findall(pattern):
        if stray:
            raise _refused(f"{stray!r} stands alone", pattern)
        if literal or star:
            parts.append(re.escape(literal) if literal else "[^/]*")
            continue
        if not field.isidentifier() or field in fields or plain_title(field) in FILE_COLUMNS:
            raise _refused(f"{field!r} cannot be the name of a set of classes", pattern)
        fields.append(field)
        parts.append(f"(?P<{field}>[^/]+?)")
    if not fields:
        raise _refused("names in braces are expected", pattern)
    return fields, re.compile("".join(parts))


def _refused(what: str, pattern: str) -> InputError:
    return InputError(f"{what}; a pattern is like '{{age}}_{{gender}}_*'.", field="--pattern", value=pattern)


def _compared(file: str, pattern: str) -> str:
    path = PurePosixPath(file)
    return str(path.with_suffix("")) if "/" in pattern else path.stem
