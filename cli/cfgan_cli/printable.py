"""What strangers wrote - names of files, requests, labels - must not steer the terminal that it is shown on."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and line feed; marks that change the direction in which text is shown; lone surrogates.
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with characters that steer a terminal written out, as JSON has them beyond ASCII: ``\\u009b``."""
    return _STEERS.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"
