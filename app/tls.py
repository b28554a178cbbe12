"""The certificate that the server shows, and its key: read, checked together, and read again when renewed."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from .errors import ConfigError

ENCRYPTED: Final = "no"
"""Stands for a passphrase, so that nobody is asked for one on the terminal."""


def context_of(cert: Path, key: Path | None) -> ssl.SSLContext:
    """A server's context: TLS 1.2 and later, HTTP/1.1.

    Args:
        cert: The certificate and those above it, as PEM, the server's own first.
        key: Its private key, as PEM without a passphrase; None: it is in the same file.

    Raises:
        ValueError: A file is missing, can't be read, is no PEM, or the two don't belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    load(context, cert, key)
    return context


def verifying(cert: Path) -> ssl.SSLContext:
    """A client's context, for the servers of a cluster among themselves.

    They are verified by the authorities of the machine, and by the certificate file of this one: servers that
    have one certificate, or whose authority stands in that file, need nothing else.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(cert)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def load(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Load a certificate and its key into a context; raises as :func:`context_of`."""
    _check(cert, "tls_cert", "CERTIFICATE")
    _check(key or cert, "tls_cert" if key is None else "tls_key", "PRIVATE KEY")
    try:
        context.load_cert_chain(cert, key, password=lambda: ENCRYPTED)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"tls_key {key or cert} is not the key of the certificate {cert}") from None
        raise ValueError(f"tls_cert {cert} and its key can't be read: {error.reason or error}") from None


def _check(file: Path, setting: str, kind: str) -> None:
    """Say what is wrong with a file, where OpenSSL would only say that something is."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{setting} {file}: {error.strerror}") from None
    if f"{kind}-----".encode() not in text:
        raise ValueError(f"{setting} {file}: there is no {kind} in it (PEM is expected)")
    if kind == "PRIVATE KEY" and b"ENCRYPTED" in text:
        raise ValueError(f"{setting} {file}: the key has a passphrase; the server takes one without")


class Certificate:
    """The certificate of a server that runs. It owns the ``context`` of all its connections."""

    def __init__(self, cert: Path, key: Path | None) -> None:
        self._cert, self._key = cert, key
        self.context = _made(cert, key)

    def check(self) -> None:
        """Read the files again, and change nothing.

        Raises:
            ConfigError: They are not good.
        """
        _made(self._cert, self._key)

    def reload(self) -> None:
        """Read the files again, for the connections that come; those that are open keep theirs.

        Raises:
            ConfigError: They are not good: the certificate that is in use stays.
        """
        self.check()  # into a context of its own, for a load that fails may have done half
        load(self.context, self._cert, self._key)


def _made(cert: Path, key: Path | None) -> ssl.SSLContext:
    try:
        return context_of(cert, key)
    except ValueError as error:
        raise ConfigError(str(error)) from error
