"""Asking a server: the standard library's HTTP, with the errors of this one."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO, Any

from cfgan import errors
from cfgan.errors import CfganError, DataError, InputError

_MOST = 1 << 26  # bytes of an answer, or of one of its lines
_PAUSE = 5.0  # seconds between two tries at most, where the server is busy


class Answer:
    """What a server answers, read while it comes. A context that closes the connection."""

    def __init__(self, stream: IO[bytes], url: str) -> None:
        self._stream, self._url = stream, url

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def lines(self) -> Iterator[bytes]:
        """Line by line. Raises CfganError: it breaks off."""
        while line := self._read(self._stream.readline):
            yield line
        raise CfganError(f"{self._url} broke off in the middle of an answer.")

    def json(self) -> Any:
        """All of it. Raises CfganError: it is no JSON, or breaks off."""
        try:
            return json.loads(self._read(self._stream.read))
        except ValueError as error:
            raise strange(self._url, error) from None

    def object(self) -> dict[str, Any]:
        """All of it, an object. Raises CfganError."""
        found = self.json()
        if not isinstance(found, dict):
            raise strange(self._url)
        return found

    def _read(self, read: Any) -> bytes:
        try:
            part: bytes = read(_MOST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise CfganError(f"{self._url} broke off in the middle of an answer ({_why(error)}).") from None
        if len(part) > _MOST:
            raise strange(self._url)
        return part


def strange(url: str, error: Exception | None = None) -> CfganError:
    """The error for an answer that cannot be made sense of."""
    why = f" ({type(error).__name__}: {error})" if error is not None else ""
    return CfganError(f"{url} does not answer as cfgan serve does{why}.")


def ask(url: str, path: str, body: bytes | None = None, kind: str = "", *, timeout: float) -> Answer:
    """Ask, and again for ``timeout`` seconds where the server is busy; a body is posted.

    Raises:
        InputError: the server says what is wrong with what was sent.
        CfganError: nobody answers, or the server is busy or failed.
    """
    headers = {"Accept": "application/json, application/x-ndjson", **({"Content-Type": kind} if kind else {})}
    asked = urllib.request.Request(url + path, body, headers)
    ends = time.monotonic() + timeout
    while True:
        try:
            return Answer(_opener(url).open(asked, timeout=timeout), url)
        except urllib.error.HTTPError as error:
            with error:
                pause = _PAUSE if error.code == 429 else None
                problem = _problem(error.code, error.read(1 << 20), url)
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a port that is none
            raise CfganError(f"{url} does not answer ({_why(error)}).") from None
        if pause is None or time.monotonic() + pause > ends:
            raise problem
        time.sleep(pause)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: photos go to the server that was named, and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Proxies are for other machines: what is meant for this one stays on it."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    return urllib.request.build_opener(_Stay, *([urllib.request.ProxyHandler({})] if here else []))


def _problem(status: int, body: bytes, url: str) -> CfganError:
    """Problem details as the error that the library raises for the same."""
    try:
        found: Mapping[str, Any] = json.loads(body)
        detail = str(found["detail"])
    except (KeyError, TypeError, ValueError):
        return CfganError(f"{url} answers with status {status}.")
    if status == 413:
        return DataError(detail)
    if status != 422:
        return CfganError(f"{url}: {detail}")
    kind = getattr(errors, str(found.get("error")), InputError)
    kind = kind if isinstance(kind, type) and issubclass(kind, InputError) else InputError
    near = found.get("nearest")
    nearest = [str(item) for item in near] if isinstance(near, list) else []
    field = str(found["field"]) if found.get("field") else None
    # The sentence without what an error puts around it by itself.
    text = detail.removesuffix(f" Did you mean {' or '.join(nearest)}?").removeprefix(f"{field}: ")
    return kind(text, field=field, value=found.get("value"), nearest=nearest)


def _why(error: Exception) -> str:
    why = getattr(error, "reason", None) or error
    return str(getattr(why, "strerror", None) or why or type(error).__name__)
