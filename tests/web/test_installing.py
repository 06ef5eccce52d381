"""What a browser needs to install the page."""

import struct
from pathlib import Path

import httpx
import pytest

from tests.scripted.app import serving
from web.languages import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_can_be_installed_in_its_language(language: str, tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        address = f"{app.url}/manifest.json"
        manifest = httpx.get(address, headers={"accept-language": language})
        assert manifest.headers["content-type"] == "application/manifest+json"
        told = manifest.json()
        assert (told["lang"], told["display"]) == (language, "standalone")
        assert {icon["purpose"] for icon in told["icons"]} == {"any", "maskable"}
        for icon in told["icons"]:
            picture = httpx.get(str(httpx.URL(address).join(icon["src"]))).content
            width, height = struct.unpack(">II", picture[16:24])  # of a PNG's header
            assert f"{width}x{height}" == icon["sizes"]
        assert httpx.get(f"{app.url}/icons/logo.svg").status_code == 404


def test_the_manifest_is_found_below_a_prefix_and_without_signing_in(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "anna:secret", "--root-path", "/team") as app:
        page = httpx.get(app.url).text
        assert page.index('href="manifest.json"') < page.index('href="/manifest.json"')
        assert httpx.get(f"{app.url}/manifest.json").json()["name"] == "WarmChat"
