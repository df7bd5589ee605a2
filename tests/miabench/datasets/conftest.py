"""A server of files on this machine, and archives made in memory."""

import http.server
import io
import tarfile
import threading
from types import SimpleNamespace

import pytest


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.state.files`; answers ranges, and breaks off, as its state says."""

    def do_GET(self):
        state = self.server.state
        asked = self.headers["Range"] if self.headers["If-Range"] == state.version else None
        state.asked.append((self.path, self.headers["Range"]))
        content = state.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if state.version:
            self.send_header(state.version_header, state.version)
        if state.length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : state.break_after])
        if state.break_after is not None:
            state.stalled.set()
            state.release.wait()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """What is served is in `files` by path, what was asked for in `asked`, the address before a path in `url`."""
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = httpd.state = SimpleNamespace(
            files={},
            asked=[],
            ranges=True,
            version='"first"',
            version_header="ETag",
            length=True,
            break_after=None,
            stalled=threading.Event(),
            release=threading.Event(),
            url=f"http://127.0.0.1:{httpd.server_port}",
        )
        state.release.set()
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.release.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def packed():
    """A .tgz of files given by name."""

    def packed(files):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    return packed
