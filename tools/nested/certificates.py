"""A certificate authority of the lab's own, and what its hosts show each other."""

import shutil
import subprocess
from pathlib import Path

from nested.errors import LabError
from nested.layout import HostLayout, LabLayout

DAYS = "3650"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:{name}, IP:{control}, IP:{migration}
"""


def ensure(host: HostLayout) -> None:
    """Make what is missing, under the names that QEMU looks for, and libvirt's beside them."""
    directory = host.certificates
    if (directory / "clientcert.pem").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    key, certificate = directory / "server-key.pem", directory / "server-cert.pem"
    request, extensions = directory / "request.pem", directory / "extensions"
    extensions.write_text(
        EXTENSIONS.format(
            name=host.name, control=host.address("control"), migration=host.address("migration")
        )
    )
    subject = ("-subj", f"/CN={host.name}")
    _openssl("req", "-new", *KEY, "-keyout", key, "-out", request, *subject)
    authority = host.lab.certificates
    _openssl(
        *("x509", "-req", "-in", request, "-out", certificate, "-days", DAYS),
        *("-CA", authority / "ca.pem", "-CAkey", authority / "ca-key.pem", "-CAcreateserial"),
        *("-extfile", extensions),
    )
    for copy in ("client-cert.pem", "clientcert.pem"):
        shutil.copy(certificate, directory / copy)
    for copy in ("client-key.pem", "clientkey.pem"):
        shutil.copy(key, directory / copy)
    for copy in ("ca-cert.pem", "cacert.pem"):
        shutil.copy(authority / "ca.pem", directory / copy)


def ensure_authority(layout: LabLayout) -> None:
    """Make the authority itself."""
    directory = layout.certificates
    directory.mkdir(parents=True, exist_ok=True)
    certificate = directory / "ca.pem"
    if not certificate.exists():
        subject = ("-subj", "/CN=migrator lab")
        key, fresh = directory / "ca-key.pem", directory / "ca.pem.new"
        _openssl("req", "-x509", *KEY, "-days", DAYS, "-keyout", key, "-out", fresh, *subject)
        fresh.rename(certificate)


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError("lab.certificates", f"openssl {words[0]} failed: {done.stderr.strip()}")
