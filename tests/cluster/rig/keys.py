"""Keys and certificates of a control plane, made by openssl."""

import subprocess
from pathlib import Path

CALLER = "front-proxy"
"""Common name of the API server where it calls an API server behind it."""


def make_keys(folder: Path) -> None:
    """Make what signs tokens (`accounts.key`) and what the API server shows to API servers behind it (`proxy.crt`, `.key`, `proxy-ca.crt`)."""
    _openssl(folder, "genrsa -out accounts.key 2048")
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    _openssl(folder, f"req -x509 {curve} -keyout proxy-ca.key -out proxy-ca.crt -subj /CN=proxy-ca")
    _openssl(folder, f"req {curve} -keyout proxy.key -out proxy.csr -subj /CN={CALLER}".replace("-days 2", ""))
    _openssl(
        folder, "x509 -req -in proxy.csr -CA proxy-ca.crt -CAkey proxy-ca.key -CAcreateserial -out proxy.crt -days 2"
    )


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
