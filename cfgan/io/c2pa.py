"""Content Credentials: PNG files signed with a person's certificate, and who signed one (C2PA Specification 2, 2024).

A manifest is a set of assertions about an image, the hash of the image's bytes and a signature over both. It lies in
the PNG itself, in its chunk ``caBX``, or in a file beside it. Signatures hold a time and a random number: the same
image signed twice gives two files.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.errors import ConfigError
from cfgan.io.certificates import algorithm, certificates, private_key, require_fit, require_valid
from cfgan.io.png import encode_png
from cfgan.io.reading import open_regular
from cfgan.version import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC Digital Source Type of what a trained model made."""

_PNG, _MANIFEST = "image/png", b"caBX"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST = 300  # characters of what a file from outside says of itself

# A thumbnail is as large as the image. Nothing is fetched from an address that a file names.
_SETTINGS = {
    "version": 1,
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
}

_FAULTS = {
    "assertion.dataHash.mismatch": "it was changed after it was signed",
    "assertion.hashedURI.mismatch": "what is said of it was changed after it was signed",
    "claimSignature.mismatch": "the signature does not fit",
    "claimSignature.missing": "the signature is missing",
    "claimSignature.outsideValidity": "it was signed when the certificate was not valid",
    "signingCredential.expired": "the certificate has expired, and no time stamp says that it was signed before",
    "signingCredential.invalid": "the certificate is none that C2PA takes",
}


def _library() -> Any:
    """The package. Raises ConfigError where it is not installed."""
    try:
        import c2pa
        import cryptography  # noqa: F401 - comes with it, and reads certificates
    except ImportError:
        raise ConfigError('C2PA needs c2pa-python: pip install "cfgan[c2pa]".') from None
    return c2pa


class Signer:
    """Signs PNG files with one certificate. Usable from several threads.

    Args:
        certificate: PEM file of the certificate, the issuers' after it; the root may be left out.
        key: PEM file of its private key, without a passphrase.
        timestamp: http(s) address of an authority (RFC 3161) that says when each signature was made; None for none.

    Raises:
        ConfigError: the package is missing, a file cannot be read, the key does not fit the certificate, the
            certificate is not valid today or none that C2PA takes, or the authority does not answer.
    """

    def __init__(self, certificate: Path, key: Path, timestamp: str | None = None) -> None:
        self._c2pa = _library()
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        chain = certificates(certificate, "--certificate")
        private = private_key(key)
        require_fit(chain, private, certificate, key)
        require_valid(chain, certificate)
        self._context = self._c2pa.Context(self._c2pa.Settings.from_dict(_SETTINGS))
        self._certificate, self._timestamp = certificate, timestamp
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

        def signer(address: str | None) -> Any:
            info = self._c2pa.C2paSignerInfo(algorithm(private, key), pem, secret, address)
            return self._c2pa.Signer.from_info(info)

        # Tried before any work begins: what is wrong with a certificate shows in its first signature only.
        trial = encode_png(np.zeros((3, 8, 8), dtype=np.uint8))
        try:
            self._signer = signer(None)
            signed, _ = self._sign(trial, "trial.png", {}, embed=True)
        except self._c2pa.C2paError as error:
            raise ConfigError(
                f"{certificate} cannot sign for C2PA ({_reason(error)}): it wants one that another issued, with "
                "the key usage digitalSignature and an extended key usage such as emailProtection.",
                field="--certificate",
                value=certificate,
            ) from None
        if timestamp is not None:
            try:
                self._signer = signer(timestamp)
                self._sign(trial, "trial.png", {}, embed=True)
            except (self._c2pa.C2paError, ValueError) as error:
                raise self._no_time(error) from None
        found = SignatureReader().read(signed)
        self.name = found.by if found else ""

    def embed(self, png: bytes, title: str, assertions: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The image with a manifest in it.

        Args:
            png: the file's bytes.
            title: what the manifest calls it; a file's name, no path.
            assertions: label -> JSON-ready content, beside the action that a trained model created it.

        Raises:
            ConfigError: the certificate expired, or the time stamp's authority went away, since the start.
        """
        return self._signed(png, title, assertions, embed=True)[0]

    def detach(self, png: bytes, title: str, assertions: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The manifest of an image that stays as it is, for a file beside it; as :meth:`embed`."""
        return self._signed(png, title, assertions, embed=False)[1]

    def _signed(
        self, png: bytes, title: str, assertions: Mapping[str, Mapping[str, Any]], *, embed: bool
    ) -> tuple[bytes, bytes]:
        try:
            return self._sign(png, title, assertions, embed=embed)
        except self._c2pa.C2paError as error:
            if self._timestamp is not None:
                raise self._no_time(error) from None
            text = f"{self._certificate} could not sign {title} ({_reason(error)})."
            raise ConfigError(text, field="--certificate", value=self._certificate) from None

    def _sign(
        self, png: bytes, title: str, assertions: Mapping[str, Mapping[str, Any]], *, embed: bool
    ) -> tuple[bytes, bytes]:
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
        manifest = {
            "claim_generator_info": [{"name": "cfgan", "version": __version__}],
            "format": _PNG,
            "title": title,
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": [action]}},
                *({"label": label, "data": dict(data)} for label, data in assertions.items()),
            ],
        }
        out = io.BytesIO()
        with self._c2pa.Builder(manifest, self._context) as builder:
            if not embed:
                builder.set_no_embed()
            beside = builder.sign(self._signer, _PNG, io.BytesIO(png), out)
        return out.getvalue(), bytes(beside)

    def _no_time(self, error: Exception) -> ConfigError:
        text = f"{self._timestamp} gave no time stamp ({_reason(error)})."
        return ConfigError(text, field="--timestamp", value=self._timestamp)


@dataclass(frozen=True)
class Signature:
    """What a manifest says, and whether it can be believed.

    Args:
        by: common name and organisation in the certificate; whoever made the certificate chose them.
        certificate: its serial number.
        trusted: whether the certificate leads to one that is trusted.
        fault: why the signature does not hold; None if it does.
        assertions: label -> content.
    """

    by: str
    certificate: str
    trusted: bool
    fault: str | None
    assertions: Mapping[str, Mapping[str, Any]]


class SignatureReader:
    """Reads manifests; nothing is fetched from the network.

    Args:
        trust: PEM file of the certificates whose holders, and whom they certify, are trusted; None for none.

    Raises:
        ConfigError: the package is missing, or the file holds no certificates.
    """

    def __init__(self, trust: Path | None = None) -> None:
        self._c2pa = _library()
        settings: dict[str, Any] = dict(_SETTINGS)
        if trust is not None:
            from cryptography.hazmat.primitives.serialization import Encoding

            anchors = b"".join(one.public_bytes(Encoding.PEM) for one in certificates(trust, "--trust"))
            settings["trust"] = {"trust_anchors": anchors.decode("ascii")}
        self._context = self._c2pa.Context(self._c2pa.Settings.from_dict(settings))

    def read(self, png: bytes, beside: bytes | None = None) -> Signature | None:
        """The manifest of an image.

        Args:
            png: the file's bytes.
            beside: the manifest, if it is not in the image.

        Returns:
            None if there is no manifest.
        """
        try:
            reader = self._c2pa.Reader.try_create(_PNG, io.BytesIO(png), beside, context=self._context)
            if reader is None:
                return None
            with reader:
                report = json.loads(reader.json())
            manifest = report["manifests"][report["active_manifest"]]
            about = manifest.get("signature_info") or {}
            names = [_shown(about[key]) for key in ("common_name", "issuer") if about.get(key)]
            state = report.get("validation_state")
            return Signature(
                by=", ".join(names) or "an unnamed certificate",
                certificate=_shown(about.get("cert_serial_number", "")),
                trusted=state == "Trusted",
                fault=None if state in ("Valid", "Trusted") else _fault(report),
                assertions={str(one["label"]): _mapping(one.get("data")) for one in manifest["assertions"]},
            )
        except (self._c2pa.C2paError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Signature("", "", False, f"its manifest cannot be read ({_reason(error)})", {})


def carries_manifest(path: Path) -> bool:
    """Whether a PNG file holds a manifest, whatever it is worth. Raises OSError if it cannot be read."""
    with open_regular(path) as handle:
        if handle.read(len(_SIGNATURE)) != _SIGNATURE:
            return False
        while len(head := handle.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == _MANIFEST:
                return True
            handle.seek(length + 4, io.SEEK_CUR)
    return False


def without_manifest(png: bytes) -> bytes:
    """The image as it was before a manifest was put into it, byte for byte."""
    return png[: len(_SIGNATURE)] + b"".join(png[a:b] for kind, a, b in _chunks(png) if kind != _MANIFEST)


def _chunks(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk."""
    start = len(_SIGNATURE)
    while start + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[start : start + 8])
        yield kind, start, start + length + 12
        start += length + 12


def _fault(report: Mapping[str, Any]) -> str:
    codes = [str(one.get("code")) for one in report.get("validation_status") or ()]
    codes = [code for code in codes if code != "signingCredential.untrusted"]
    return "; ".join(dict.fromkeys(_FAULTS.get(code, _shown(code)) for code in codes)) or "the signature does not hold"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _shown(text: object) -> str:
    """What a file from outside says, fit for a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:_LONGEST]


def _reason(error: Exception) -> str:
    """A library's own words, without the name of its error."""
    return _shown(str(error).partition(": ")[2] or str(error)).rstrip(".")
