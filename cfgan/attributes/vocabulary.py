"""The ordered attribute names that a model knows, and how people may spell them.

Nothing below this module knows "40" or "CelebA": every function takes a :class:`Vocabulary`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cfgan.errors import VocabularyError, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _\-']{0,63}")


def _key(name: str) -> str:
    """The form under which spellings are compared: no case, no spaces, hyphens or underscores."""
    return re.sub(r"[\s_\-]+", "", name.casefold())


@dataclass(frozen=True)
class Vocabulary:
    """Ordered attribute names with their groups and the sets of names that exclude each other.

    Args:
        names: the attributes in the order of every condition vector.
        groups: group title -> names, for people to read; a name in no group is shown under "other".
        exclusive: sets of names of which at most one can be wanted at a time.
        one_of: those of the exclusive sets of which one always holds: the classes of single-label data.
        hints: word that people use -> how to ask for it here; only ever suggested.

    Raises:
        VocabularyError: empty, a malformed name, or two names that are the same up to case and separators.
    """

    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclusive: tuple[frozenset[str], ...] = ()
    one_of: tuple[frozenset[str], ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise VocabularyError("a vocabulary needs at least one attribute.", field="vocabulary")
        seen: dict[str, str] = {}
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise VocabularyError(
                    f"{name!r} is not a valid attribute name: letters, digits, spaces, '_' and '-', 64 at most.",
                    field="vocabulary",
                    value=name,
                )
            if _key(name) in seen:
                raise VocabularyError(
                    f"{name!r} and {seen[_key(name)]!r} are the same name.", field="vocabulary", value=name
                )
            seen[_key(name)] = name
        for listed in (*self.groups.values(), *self.exclusive):
            for name in listed:
                if name not in self.names:
                    raise VocabularyError(f"{name!r} is not in the vocabulary.", field="vocabulary", value=name)
        for place, group in enumerate(self.one_of):
            if group not in self.exclusive:
                raise VocabularyError("classes are not marked as exclusive.", field="vocabulary", value=sorted(group))
            if any(group & other for other in self.one_of[:place]):
                raise VocabularyError("a name is a class of two sets.", field="vocabulary", value=sorted(group))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _by_key(self) -> dict[str, int]:
        return {_key(name): i for i, name in enumerate(self.names)}

    def index(self, name: str, *, field: str = "attribute") -> int:
        """Position of an attribute, spelled in any case with spaces, hyphens or underscores.

        Raises:
            VocabularyError: no such attribute; carries the nearest names.
        """
        try:
            return self._by_key[_key(name)]
        except KeyError:
            raise VocabularyError(
                f"there is no attribute {name!r} among the {len(self)} that this model knows.",
                field=field,
                value=name,
                nearest=[self.hints[_key(name)]] if _key(name) in self.hints else nearest(name, self.names),
            ) from None

    def canonical(self, name: str, *, field: str = "attribute") -> str:
        """The vocabulary's own spelling of a name. Raises like :meth:`index`."""
        return self.names[self.index(name, field=field)]

    def grouped(self) -> dict[str, tuple[str, ...]]:
        """Every name once under its group's title; ungrouped names under "other"."""
        known = {name for names in self.groups.values() for name in names}
        rest = tuple(name for name in self.names if name not in known)
        return {**self.groups, **({"other": rest} if rest else {})}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; :meth:`from_dict` reads it back."""
        return {
            "names": list(self.names),
            "groups": {title: list(names) for title, names in self.groups.items()},
            "exclusive": [sorted(names, key=self.names.index) for names in self.exclusive],
            **({"one_of": [sorted(names, key=self.names.index) for names in self.one_of]} if self.one_of else {}),
            "hints": dict(self.hints),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Inverse of :meth:`to_dict`. Raises VocabularyError on malformed content."""
        try:
            return cls(
                names=tuple(str(n) for n in data["names"]),
                groups={str(k): tuple(v) for k, v in data.get("groups", {}).items()},
                exclusive=tuple(frozenset(v) for v in data.get("exclusive", [])),
                one_of=tuple(frozenset(v) for v in data.get("one_of", [])),
                hints={str(k): str(v) for k, v in data.get("hints", {}).items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise VocabularyError(f"not a vocabulary ({error}).", field="vocabulary") from error

    @property
    def digest(self) -> str:
        """sha256 over the ordered names: two models with the same digest speak the same condition vectors."""
        return hashlib.sha256(json.dumps(list(self.names)).encode()).hexdigest()

    @classmethod
    def of(cls, names: Iterable[str]) -> Vocabulary:
        """A vocabulary of plain names; the CelebA one, with its groups, if they are CelebA's 40."""
        listed = tuple(names)
        return CELEBA if listed == CELEBA.names else cls(listed)


_CELEBA_NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)

CELEBA = Vocabulary(
    names=tuple(_CELEBA_NAMES.split()),
    groups={
        "person": ("Male", "Young", "Attractive", "Chubby", "Pale_Skin"),
        "hair colour": ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
        "hair": ("Bald", "Bangs", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"),
        "beard": ("No_Beard", "5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns"),
        "expression": ("Smiling", "Mouth_Slightly_Open"),
        "eyes and brows": ("Arched_Eyebrows", "Bags_Under_Eyes", "Bushy_Eyebrows", "Narrow_Eyes"),
        "face shape": ("Big_Lips", "Big_Nose", "Double_Chin", "High_Cheekbones", "Oval_Face", "Pointy_Nose"),
        "make-up": ("Heavy_Makeup", "Rosy_Cheeks", "Wearing_Lipstick"),
        "accessories": ("Eyeglasses", "Wearing_Earrings", "Wearing_Hat", "Wearing_Necklace", "Wearing_Necktie"),
        "picture": ("Blurry",),
    },
    # Contradictory by what the words mean. Where CelebA's labels hold such pairs all the same, they are label noise.
    exclusive=(
        frozenset({"Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"}),
        frozenset({"Bald", "Bangs"}),
        frozenset({"Straight_Hair", "Wavy_Hair"}),
        frozenset({"No_Beard", "Goatee"}),
        frozenset({"No_Beard", "Mustache"}),
        frozenset({"No_Beard", "Sideburns"}),
    ),
    hints={
        **dict.fromkeys(("female", "woman", "women", "girl"), "-Male"),
        **dict.fromkeys(("man", "men", "boy"), "Male"),
        **dict.fromkeys(("old", "elderly", "senior"), "-Young"),
        **dict.fromkeys(("beard", "bearded", "facialhair"), "-No_Beard"),
        **dict.fromkeys(("shaved", "cleanshaven"), "No_Beard"),
        **dict.fromkeys(("glasses", "spectacles"), "Eyeglasses"),
        **dict.fromkeys(("noglasses", "noeyeglasses"), "-Eyeglasses"),
        **dict.fromkeys(("smile", "happy"), "Smiling"),
        **dict.fromkeys(("hat", "cap"), "Wearing_Hat"),
        **dict.fromkeys(("makeup",), "Heavy_Makeup"),
        **dict.fromkeys(("stubble",), "5_o_Clock_Shadow"),
    },
)
"""The 40 attributes of CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015), official order."""
