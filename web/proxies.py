"""Proxy settings that Gradio would trip over at its import, made such that it does not.

Our own server is never asked through a proxy, nor at all; what uses one is the hub's client. Knows httpx
0.28's reading of NO_PROXY: it raises at an IPv6 address with brackets or a prefix.
"""

import ipaddress
from collections.abc import MutableMapping

_LISTS = ("NO_PROXY", "no_proxy")


def mend(environ: MutableMapping[str, str]) -> None:
    """Write IPv6 addresses in NO_PROXY without brackets, and leave out what cannot be read."""
    for name in _LISTS:
        if listed := environ.get(name):
            mended = [_mended(host.strip()) for host in listed.split(",")]
            environ[name] = ",".join(host for host in mended if host)


def _mended(host: str) -> str:
    """As httpx takes it; empty: not at all."""
    bare = host.removeprefix("[").removesuffix("]").replace("]/", "/")
    try:
        network = ipaddress.IPv6Network(bare, strict=False)
    except ValueError:  # a name, or of IPv4
        name, colon, port = host.rpartition(":")
        has_port = ":" not in name and port.isdigit()
        return host if not colon or has_port or "://" in host else ""
    return str(network.network_address) if network.num_addresses == 1 else ""
