"""Certificates (X.509) and private keys in PEM files, as a person gives them to sign with.

The package ``cryptography`` must be there; it is loaded when something is read.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cfgan.errors import ConfigError
from cfgan.io.reading import read_regular

_MOST = 1 << 20  # bytes of a PEM file
_KINDS = "EC keys on P-256, P-384 or P-521, RSA keys from 2,048 bits on, and Ed25519"


def certificates(path: Path, field: str) -> Sequence[Any]:
    """The certificates in a PEM file, in their order; one at least. Raises ConfigError."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return cast("Sequence[Any]", load_pem_x509_certificates(_pem(path, field)))
    except ValueError:
        raise ConfigError(f"{path} holds no certificate in PEM that can be read.", field=field, value=path) from None


def private_key(path: Path) -> Any:
    """The private key in a PEM file. Raises ConfigError: none there, or one with a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data, field = _pem(path, "--key"), "--key"
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        text = f"{path} is protected by a passphrase; give a key without one."
        raise ConfigError(text, field=field, value=path) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} holds no private key in PEM that can be read.", field=field, value=path) from None


def _pem(path: Path, field: str) -> bytes:
    try:
        return read_regular(path, _MOST)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", field=field, value=path) from None


def require_fit(chain: Sequence[Any], private: Any, certificate: Path, key: Path) -> None:
    """Raise ConfigError unless the key is that of the first certificate; the paths are for the message."""
    fits = [one.public_key() == private.public_key() for one in chain]
    if fits[0]:
        return
    if any(fits):
        text = f"in {certificate} the certificate of the key must come first, its issuers after it."
        raise ConfigError(text, field="--certificate", value=certificate)
    raise ConfigError(f"{key} does not fit the first certificate in {certificate}.", field="--key", value=key)


def require_valid(chain: Sequence[Any], certificate: Path) -> None:
    """Raise ConfigError unless all certificates are valid today."""
    now = datetime.datetime.now(datetime.UTC)
    for one in chain:
        if now > one.not_valid_after_utc:
            what = f"expired on {one.not_valid_after_utc:%Y-%m-%d}"
        elif now < one.not_valid_before_utc:
            what = f"is not valid before {one.not_valid_before_utc:%Y-%m-%d}"
        else:
            continue
        whose = "" if one is chain[0] else " of an issuer"
        text = f"the certificate{whose} in {certificate} {what}."
        raise ConfigError(text, field="--certificate", value=certificate)


def algorithm(private: Any, path: Path) -> str:
    """The name that C2PA has for signatures with a key. Raises ConfigError: it has none."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
        return curves[private.curve.name]
    raise ConfigError(f"the key in {path} is of a kind that C2PA does not take; it takes {_KINDS}.", field="--key")
