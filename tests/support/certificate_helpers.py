"""Certificates made on the spot, to sign batches with, and such as cannot sign."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Identity:
    """PEM files: the chain and key of a signer, and the certificate of who issued it."""

    chain: Path
    key: Path
    anchor: Path

    @property
    def options(self) -> list[str]:
        return ["--certificate", str(self.chain), "--key", str(self.key)]


def make_identity(
    folder: Path, name: str = "Signer", *, days: tuple[int, int] = (-1, 30), usable: bool = True, private: Any = None
) -> Identity:
    """A signer's certificate and its issuer's.

    Args:
        folder: where its files go, under the signer's name.
        days: from when until when it is valid, from now.
        usable: with an extended key usage, without which C2PA takes none.
        private: its key; by default one on P-256.
    """
    folder.mkdir(exist_ok=True)
    issuer, leaf = ec.generate_private_key(ec.SECP256R1()), private or ec.generate_private_key(ec.SECP256R1())
    root = _builder(f"{name}'s issuer", f"{name}'s issuer", issuer.public_key(), (-40, 40))
    root = root.add_extension(x509.BasicConstraints(True, None), True)
    root = root.add_extension(_usage(signs=False), True).sign(issuer, hashes.SHA256())
    own = _builder(name, f"{name}'s issuer", leaf.public_key(), days)
    own = own.add_extension(x509.BasicConstraints(False, None), True).add_extension(_usage(signs=True), True)
    own = own.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
    if usable:
        own = own.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    pem = serialization.Encoding.PEM
    issued = own.sign(issuer, hashes.SHA256()).public_bytes(pem)
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.anchor.pem")
    made.chain.write_bytes(issued + root.public_bytes(pem))
    made.anchor.write_bytes(root.public_bytes(pem))
    write_key(made.key, leaf)
    return made


def write_key(path: Path, private: Any, password: bytes | None = None) -> None:
    """A private key as PEM; EC keys as `openssl ecparam` writes them, others as PKCS 8."""
    old = not isinstance(private, ed25519.Ed25519PrivateKey)
    kind = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, kind, how))


def expired(folder: Path) -> Identity:
    return make_identity(folder, days=(-30, -1))


def to_come(folder: Path) -> Identity:
    return make_identity(folder, days=(2, 30))


def unusable(folder: Path) -> Identity:
    return make_identity(folder, usable=False)


def self_signed(folder: Path) -> Identity:
    """Its own issuer, as `openssl req -x509` makes one."""
    identity, own = make_identity(folder), ec.generate_private_key(ec.SECP256R1())
    made = _builder("Signer", "Signer", own.public_key(), (-1, 30)).add_extension(_usage(signs=True), True)
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    identity.chain.write_bytes(made.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    write_key(identity.key, own)
    return identity


def other_key(folder: Path) -> Identity:
    identity = make_identity(folder)
    write_key(identity.key, ec.generate_private_key(ec.SECP256R1()))
    return identity


def locked_key(folder: Path) -> Identity:
    identity = make_identity(folder)
    write_key(identity.key, ec.generate_private_key(ec.SECP256R1()), b"secret")
    return identity


def strange_key(folder: Path) -> Identity:
    return make_identity(folder, private=ec.generate_private_key(ec.SECP256K1()))


def unreadable_key(folder: Path) -> Identity:
    identity = make_identity(folder)
    identity.key.write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
    return identity


def unreadable_certificate(folder: Path) -> Identity:
    identity = make_identity(folder)
    identity.chain.write_bytes(identity.chain.read_bytes()[:300])
    return identity


def no_certificate(folder: Path) -> Identity:
    identity = make_identity(folder)
    identity.chain.unlink()
    return identity


def issuer_first(folder: Path) -> Identity:
    identity = make_identity(folder)
    issuer = identity.anchor.read_bytes()
    identity.chain.write_bytes(issuer + identity.chain.read_bytes().removesuffix(issuer))
    return identity


def _builder(subject: str, issuer: str, public: Any, days: tuple[int, int]) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    first, last = (now + datetime.timedelta(day) for day in days)
    return builder.not_valid_before(first).not_valid_after(last)


def _name(common: str) -> x509.Name:
    parts = (NameOID.COMMON_NAME, common), (NameOID.ORGANIZATION_NAME, "Example")
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)
