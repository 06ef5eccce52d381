"""The proxies that the environment names, as the hub's client and Gradio take them.

Owns: what is said where they would raise. Reads HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, in capital letters or
small, when it is called. Imports no client.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from export.errors import ExportError

_KINDS = ("http", "https", "socks5", "socks5h")


def check() -> None:
    """Raise ExportError, one sentence, if a proxy is named that cannot be used."""
    for name, proxy in _named():
        kind = proxy.partition("://")[0].lower()
        if kind not in _KINDS:
            raise ExportError(
                f"{name} names a proxy of the kind {kind}, which cannot be used; give one that begins "
                "with http://, https://, socks5:// or socks5h://, or unset it."
            )
        if not _is_address(proxy):
            raise ExportError(f"{name} is not an address; write it like {kind}://proxy:3128.")
        if kind.startswith("socks") and find_spec("socksio") is None:
            raise ExportError(
                f"{name} names a SOCKS proxy, which takes the package socksio: "
                "`pip install -r requirements.txt` brings it."
            )


def _named() -> Iterator[tuple[str, str]]:
    """The variables that count, with their values; without a kind it is http."""
    proxies = getproxies_environment()
    for scheme in ("http", "https", "all"):
        if proxy := proxies.get(scheme):
            yield f"{scheme.upper()}_PROXY", proxy if "://" in proxy else f"http://{proxy}"


def _is_address(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or "http://["
        return False
