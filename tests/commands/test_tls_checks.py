"""What the doctor says of the files that carriers are reached with over TLS."""

from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from heliograph.carrier_settings import SmppSettings
from heliograph.carriers.smpp.binds import tls_context
from heliograph.carriers.smpp.options import Tls
from heliograph.commands.checks import Check, Level
from heliograph.commands.tls_checks import ADVICE, tls_checks
from heliograph.settings import Settings


class Files:
    """Certificates and keys, good and bad, in one folder."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        own, others = authority.issue_cert("me"), authority.issue_cert("you")
        key = own.private_key_pem.bytes()
        locked = load_pem_private_key(key, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
        )
        self._folder = folder
        contents = {
            "ca": authority.cert_pem.bytes(),
            "cert": own.cert_chain_pems[0].bytes(),
            "key": key,
            "both": own.private_key_and_cert_chain_pem.bytes(),
            "other": others.private_key_pem.bytes(),
            "locked": locked,
            "junk": b"nothing of the kind",
        }
        for name, content in contents.items():
            (folder / name).write_bytes(content)

    def check(self, ca: str = "", cert: str = "", key: str = "") -> Check:
        """The one check of a carrier with these files; FOLDER stands for where they are."""
        paths = {"tls_ca_file": ca, "tls_cert_file": cert, "tls_key_file": key}
        named: Any = {name: str(self._folder / each) for name, each in paths.items() if each}
        (check,) = tls_checks(Settings(carriers={"one": SmppSettings(host="h", system_id="me", tls=True, **named)}))
        return Check(check.level, check.name, check.finding.replace(str(self._folder), "FOLDER"), check.advice)

    def locked(self) -> Tls:
        """Of a certificate whose key is locked."""
        return Tls(certificate=self._folder / "cert", key=self._folder / "locked")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("named", "finding"),
    [
        ({}, "those whom the system trusts are trusted"),
        ({"ca": "ca"}, "usable: FOLDER/ca"),
        ({"ca": "ca", "cert": "cert", "key": "key"}, "usable: FOLDER/ca, FOLDER/cert, FOLDER/key"),
        ({"cert": "both"}, "usable: FOLDER/both"),
    ],
)
def test_files_that_can_be_used_are_named(files: Files, named: dict[str, str], finding: str) -> None:
    assert files.check(**named) == Check(Level.OK, "carrier one TLS", finding)


@pytest.mark.parametrize(
    ("named", "finding"),
    [
        ({"ca": "gone"}, "tls_ca_file FOLDER/gone: No such file or directory"),
        ({"ca": "."}, "tls_ca_file FOLDER: Is a directory"),
        ({"ca": "junk"}, "tls_ca_file FOLDER/junk: there is no certificate in it, in PEM"),
        ({"cert": "gone"}, "tls_cert_file FOLDER/gone: No such file or directory"),
        ({"cert": "cert", "key": "gone"}, "tls_key_file FOLDER/gone: No such file or directory"),
        ({"cert": "junk", "key": "key"}, "tls_cert_file FOLDER/junk: there is no certificate in it, in PEM"),
        ({"cert": "cert"}, "tls_cert_file FOLDER/cert: there is no private key in it, in PEM"),
        ({"cert": "cert", "key": "junk"}, "tls_key_file FOLDER/junk: there is no private key in it, in PEM"),
        (
            {"cert": "cert", "key": "other"},
            "tls_key_file FOLDER/other: its private key is not that of the certificate in FOLDER/cert",
        ),
        (
            {"cert": "cert", "key": "locked"},
            "tls_key_file FOLDER/locked: its private key is locked with a passphrase; wanted one without",
        ),
        (
            {"ca": "gone", "cert": "gone", "key": "gone"},
            "tls_ca_file FOLDER/gone: No such file or directory; tls_cert_file FOLDER/gone: No such file or directory; "
            "tls_key_file FOLDER/gone: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_with_files_is_said(files: Files, named: dict[str, str], finding: str) -> None:
    assert files.check(**named) == Check(Level.PROBLEM, "carrier one TLS", finding, ADVICE)


def test_a_carrier_without_tls_has_no_such_check() -> None:
    assert list(tls_checks(Settings(carriers={"one": SmppSettings(host="h", system_id="me")}))) == []


def test_a_key_that_is_locked_is_not_asked_for_at_the_terminal(files: Files) -> None:
    with pytest.raises(OSError):  # noqa: PT011  what the library says of it depends on its version
        tls_context(files.locked())
