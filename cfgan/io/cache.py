"""The folder for what can be made or fetched again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cfgan.io.files import user_path


def cache_folder() -> Path:
    """``$CFGAN_CACHE``, else ``cfgan`` in the platform's folder for caches.

    Raises:
        InputError: the path cannot be used.
    """
    if given := os.environ.get("CFGAN_CACHE"):
        return user_path(given, field="CFGAN_CACHE")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(base, field="CFGAN_CACHE") / "cfgan"
