"""Every error that cfgan raises on purpose.

::

    CfganError
     ├── InputError            something a person gave is wrong; names field, value and the nearest valid one
     │    ├── VocabularyError  an attribute that the vocabulary does not have
     │    ├── RequestError     a request that contradicts itself
     │    ├── SpecError        a spec file or request that does not parse or validate
     │    ├── ConfigError      a training configuration that does not validate
     │    ├── DataError        images or labels that cannot be used
     │    └── FolderError      an output folder that cannot be used
     ├── BundleError           a model on disk that is damaged, incomplete or of another version
     ├── StorageError          the disk refused: full, read-only, gone
     ├── TrainingError         training cannot go on (a loss or gradient that is not finite)
     └── StoppedError          a stop was asked for; what was done is saved and can be resumed

    CfganWarning               the work goes on, but a person should know: a rare request, draws that ran out

The library raises these; only the command line turns them into messages and exit codes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Self

ECHO = 200
"""Characters of what a person gave that an error repeats."""


_LONG_WORD = re.compile(rf"(\S{{{ECHO}}})\S+")


class CfganError(Exception):
    """The root of all errors that cfgan raises on purpose. Of any word longer than :data:`ECHO` it says the start."""

    def __init__(self, text: str = "") -> None:
        super().__init__(_LONG_WORD.sub(r"\1...", str(text)))


class InputError(CfganError):
    """Something that a person gave cannot be used.

    Args:
        message: one sentence that says what is wrong.
        field: the option, column or key that holds the value.
        value: the value as given.
        nearest: valid values close to it, best first.
    """

    def __init__(
        self, message: str, *, field: str | None = None, value: object = None, nearest: Iterable[object] = ()
    ) -> None:
        self.message = message
        self.field = field
        self.value = value
        self.nearest = tuple(str(item)[:ECHO] for item in nearest)
        text = _shortened(f"{field}: {message}" if field else message, value)
        if self.nearest:
            text += f" Did you mean {' or '.join(self.nearest)}?"
        super().__init__(text)

    def of(self, field: str) -> Self:
        """The same of a field that is called otherwise where it was given."""
        return type(self)(self.message, field=field, value=self.value, nearest=self.nearest)


def _shortened(text: str, value: object) -> str:
    """The text with no more than :data:`ECHO` characters of the value in it, however it was quoted."""
    for whole in (repr(value), str(value)):
        if len(whole) > ECHO:
            text = text.replace(whole, whole[:ECHO] + "...")
    return text


class VocabularyError(InputError):
    """An attribute name that the vocabulary does not have."""


class RequestError(InputError):
    """A request whose parts exclude each other."""


class SpecError(InputError):
    """A spec that cannot be read or does not validate."""


class ConfigError(InputError):
    """A training configuration that does not validate."""


class DataError(InputError):
    """Images or labels that cannot be used."""


class FolderError(InputError):
    """An output folder that cannot be used."""


class BundleError(CfganError):
    """A model on disk that is damaged, incomplete or of another format version."""


class StorageError(CfganError):
    """The disk refused to store something."""


class TrainingError(CfganError):
    """Training cannot go on."""


class StoppedError(CfganError):
    """A stop was asked for; everything up to here is saved."""


class CfganWarning(UserWarning):
    """Something that a person should know while the work goes on."""


def unknown(kind: str, value: str, valid: Iterable[str], *, field: str) -> InputError:
    """The error for a name that is none of the valid ones: it lists them, and carries the nearest."""
    names = list(valid)
    text = f"there is no {kind} {value!r}; there are {', '.join(names)}."
    return InputError(text, field=field, value=value, nearest=nearest(value, names))


def nearest(value: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """The up to ``count`` valid names most like ``value``, best first; case and separators do not count."""

    def key(name: str) -> str:
        return "".join(ch for ch in name.casefold() if ch.isalnum())

    by_key = {key(name): name for name in valid}
    wanted = key(value)
    found = difflib.get_close_matches(wanted, by_key, n=count, cutoff=0.6)
    inside = [k for k in by_key if wanted and len(wanted) > 2 and (wanted in k or k in wanted) and k not in found]
    return [by_key[k] for k in [*found, *inside][:count]]
