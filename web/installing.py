"""What lets a browser install the page as a program, with a name and a picture of its own.

Owns: the manifest (W3C "Web Application Manifest"), its icons and the links to both, which are open to
everybody; a cookie with the chosen language comes along. Does not know the page.
"""

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from web.languages import say, spoken
from web.page import assets

LINKS = (
    '<link rel="manifest" href="manifest.json" crossorigin="use-credentials">'
    '<link rel="apple-touch-icon" href="icons/icon-apple-180.png">'
    '<meta name="theme-color" content="#fffdfa" media="(prefers-color-scheme: light)">'
    '<meta name="theme-color" content="#1a1613" media="(prefers-color-scheme: dark)">'
)
_ICONS = {
    "icon-192.png": "192x192",
    "icon-512.png": "512x512",
    "icon-maskable-512.png": "512x512",
    "icon-apple-180.png": "180x180",
}
_KEPT = {"cache-control": "public, max-age=86400"}


def install_routes() -> list[Route]:
    """The manifest, in the language of the request, and the icons that it names."""

    async def manifest(request: Request) -> JSONResponse:
        language = spoken(request.headers)
        content = {
            "name": "WarmChat",
            "description": say(language, "tagline"),
            "lang": language,
            "start_url": "./",
            "scope": "./",
            "display": "standalone",
            "background_color": "#fffdfa",
            "theme_color": "#fffdfa",
            "icons": [_icon(name) for name in _ICONS if "apple" not in name],
        }
        return JSONResponse(content, media_type="application/manifest+json")

    async def icon(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ICONS:
            return PlainTextResponse("There is no such icon.", status_code=404)
        return FileResponse(assets.path(name), headers=_KEPT)

    return [Route("/manifest.json", manifest), Route("/icons/{name}", icon)]


def _icon(name: str) -> dict[str, str]:
    purpose = "maskable" if "maskable" in name else "any"
    source = f"icons/{name}"
    return {"src": source, "sizes": _ICONS[name], "type": "image/png", "purpose": purpose}
