"""``--align`` of commands that open labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cfgan.data.sources.base import Source


def aligned(source: Source, faces: str) -> Source:
    """A source whose images are brought into CelebA's frame. Raises InputError, ConfigError."""
    from cfgan.data.framing.faces import Framer
    from cfgan.data.framing.sources import align_source

    return align_source(source, Framer(), faces)
