"""A small HTTP server that speaks the part of the hub's protocol that a download needs.

Model information, then HEAD and ranged GET of files at a commit; gated and unknown repositories;
it can drop the connection in the middle of a file, and be asked as the proxy of another host. It
records what was asked of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_let_me_in"


class Hub(ThreadingHTTPServer):
    """Serves `root`/owner/name as repositories; `gated` ones need the token."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.root = root
        self.gated: set[str] = set()
        self.revisions = {"main", COMMIT}
        self.fetched: list[tuple[str, int]] = []
        self.cut_after: dict[str, int] = {}
        self.proxied: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Request(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("http://"):  # as to a proxy, which then answers for that host
            host, _, path = path.removeprefix("http://").partition("/")
            self.server.proxied.add(host)
            path = f"/{path}"
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._information(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[2], match[3])
        else:
            self._fail(404, "EntryNotFound")

    def _allowed(self, repository: str, revision: str) -> bool:
        known = (self.server.root / repository).is_dir()
        if not known:
            self._fail(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
        elif revision not in self.server.revisions:
            self._fail(404, "RevisionNotFound")
        elif repository in self.server.gated and not self._has_token():
            self._fail(401, "GatedRepo")
        else:
            return True
        return False

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _information(self, repository: str, revision: str) -> None:
        if not self._allowed(repository, revision):
            return
        folder = self.server.root / repository
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        siblings = [
            {"rfilename": path.relative_to(folder).as_posix(), "size": path.stat().st_size}
            for path in files
        ]
        content = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False}
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _file(self, repository: str, revision: str, name: str) -> None:
        if not self._allowed(repository, revision):
            return
        path = self.server.root / repository / name
        if not path.is_file():
            self._fail(404, "EntryNotFound")
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.server.fetched.append((name, start))
        cut = self.server.cut_after.pop(name, None)
        self.wfile.write(content[start:] if cut is None else content[start:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.close()

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
