"""What the doctor makes of the files that carriers are reached with over TLS: each is opened as the server would."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from heliograph.carrier_settings import SmppSettings
from heliograph.commands.checks import Check, Level
from heliograph.settings import Settings

ADVICE = "Put the file right, or its name in the settings; until then the carrier cannot be bound."


def tls_checks(settings: Settings) -> Iterator[Check]:
    """One for each SMPP carrier that is reached over TLS. Reads files."""
    for name, each in settings.carriers.items():
        if isinstance(each, SmppSettings) and each.tls:
            wrong = list(_wrong_with(each))
            finding = "; ".join(wrong) or _used(each)
            yield Check(Level.PROBLEM if wrong else Level.OK, f"carrier {name} TLS", finding, ADVICE if wrong else "")


def _used(given: SmppSettings) -> str:
    files = [each for each in (given.tls_ca_file, given.tls_cert_file, given.tls_key_file) if each]
    return f"usable: {', '.join(files)}" if files else "those whom the system trusts are trusted"


def _wrong_with(given: SmppSettings) -> Iterator[str]:
    if problem := _unreadable(given.tls_ca_file):
        yield f"tls_ca_file {given.tls_ca_file}: {problem}"
    elif given.tls_ca_file:
        try:
            ssl.create_default_context(cafile=given.tls_ca_file)
        except ssl.SSLError:
            yield f"tls_ca_file {given.tls_ca_file}: there is no certificate in it, in PEM"
    yield from _wrong_with_ours(given)


def _wrong_with_ours(given: SmppSettings) -> Iterator[str]:
    own, key = given.tls_cert_file, given.tls_key_file or given.tls_cert_file
    if not own:
        return
    unreadable = [
        f"{name} {file}: {problem}"
        for name, file in (("tls_cert_file", own), ("tls_key_file", given.tls_key_file))
        if (problem := _unreadable(file))
    ]
    if unreadable:
        yield from unreadable
        return
    try:
        ssl.create_default_context(cafile=own)
    except ssl.SSLError:
        yield f"tls_cert_file {own}: there is no certificate in it, in PEM"
        return
    name = "tls_key_file" if given.tls_key_file else "tls_cert_file"
    asked = _Asked()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(own, key, password=asked)
    except ssl.SSLError as error:
        if asked.was:
            yield f"{name} {key}: its private key is locked with a passphrase; wanted one without"
        elif error.reason == "KEY_VALUES_MISMATCH":
            yield f"{name} {key}: its private key is not that of the certificate in {own}"
        else:
            yield f"{name} {key}: there is no private key in it, in PEM"


class _Asked:
    """Answers no passphrase, and knows whether one was wanted: else the library would ask at the terminal."""

    def __init__(self) -> None:
        self.was = False

    def __call__(self) -> str:
        self.was = True
        return ""


def _unreadable(file: str) -> str | None:
    """Why a file cannot be read; None for one that can, and for none."""
    if not file:
        return None
    try:
        with Path(file).open("rb"):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__
