"""A small HTTP server on the loopback: the Hub's download routes, and plain files with ranges.

It takes uploads too, to those that have its `token`: small files in the commit itself, large ones
as git LFS has it (a client needs HF_HUB_DISABLE_XET=1). Each commit has a name of its own, branches
lead to commits, and repositories may be private or gated. It is a proxy to itself under any name.

A real `huggingface_hub` client works with it. As the Hub does with large files, it answers
`/<org>/<repo>/resolve/<revision>/<file>` with the commit, the SHA-256 and the size, and redirects
to where the content lies, which is another host (here: another port), to which the client sends no
token. The server can be told to drop connections in the middle of a file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest
from huggingface_hub import constants, file_download


def keep_client_in(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """The Hub's client has its cache in a folder."""
    # It reads its environment when it is imported; old versions copy the value once more.
    patch.setattr(constants, "HF_HUB_CACHE", str(folder))
    patch.setattr(file_download, "HF_HUB_CACHE", str(folder), raising=False)


COMMIT = "5" * 40  # of what `publish` puts into any repository


LARGE = (".safetensors", ".onnx", ".bin", ".png")  # what lies in LFS


@dataclass
class File:
    """What lies at a path, and how the server behaves for it.

    Attributes:
        content: the bytes.
        etag: the header's value, quotes included; "" sends none.
        ranges: answer a Range with that part; else with the whole file, as some servers do.
        drops: one entry for each coming GET: the bytes of its answer after which the connection
            is cut. GETs after these are answered in full.
        statuses: one HTTP error for each coming GET, before any other behaviour.
        headers: sent with these errors.
        redirect: where every request is sent on to.
        hold: a GET waits for it.
    """

    content: bytes
    etag: str = ""
    ranges: bool = True
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    hold: threading.Event | None = None


@dataclass(frozen=True)
class Exchange:
    """A request and what was sent for it."""

    method: str
    path: str
    range: str | None
    if_range: str | None
    status: int
    sent: int  # bytes of the file


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: a client that is gone before its answer is what some tests are about."""


class HubServer:
    """Serves `files`, and keeps the `exchanges` in order."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.repositories: dict[tuple[str, str], dict[str, str]] = {}
        self.heads: dict[tuple[str, str], str] = {}  # repository, branch: commit
        self.private: set[str] = set()  # repositories that only the token opens
        self.gated: set[str] = set()  # and those that no token of ours does
        self.exchanges: list[Exchange] = []
        self.token = "hf_test"
        self.statuses: list[int] = []  # of the coming requests to the Hub itself, as those of files
        self.headers: dict[str, str] = {}
        self.commit_statuses: list[int] = []  # of the coming commits
        self.hides_hub = False  # as a network that sends its own page for any address
        self.asked = threading.Event()  # a GET of a file has come in
        hub, storage = (_Server(("127.0.0.1", 0), _handler(self)) for _ in range(2))
        self.url = f"http://127.0.0.1:{hub.server_port}"
        self.storage_url = f"http://127.0.0.1:{storage.server_port}"
        self._servers = (hub, storage)

    def add(self, path: str, content: bytes, **behaviour: object) -> str:
        """Puts a file at a path; returns its URL."""
        self.files[path] = File(content, **behaviour)  # type: ignore[arg-type]
        return self.url + path

    def publish(
        self, repository: str, file: str, content: bytes, revision: str = "main"
    ) -> tuple[str, File]:
        """Puts a file into a repository of the Hub; returns its `hf://` location and itself."""
        digest = hashlib.sha256(content).hexdigest()
        self.add(f"/storage/{digest}", content, etag=f'"{digest}"')
        for known in (revision, COMMIT):
            self.repositories.setdefault((repository, known), {})[file] = digest
        return f"hf://{repository}/{file}@{revision}", self.files[f"/storage/{digest}"]

    def commit(self, repository: str, files: dict[str, bytes | str], branch: str = "main") -> str:
        """Adds files to a branch, as bytes or as the SHA-256 of what is stored; a commit's name."""
        tree = dict(self.repositories.get((repository, branch), {}))
        for name, content in files.items():
            if isinstance(content, bytes):
                digest = hashlib.sha256(content).hexdigest()
                self.add(f"/storage/{digest}", content, etag=f'"{digest}"')
            else:
                digest = content
            tree[name] = digest
        parent = self.heads.get((repository, branch), "")
        commit = hashlib.sha1(f"{parent}{sorted(tree.items())}".encode()).hexdigest()
        for known in (branch, commit):
            self.repositories[repository, known] = tree
        self.heads[repository, branch] = commit
        return commit

    def commit_of(self, repository: str, revision: str) -> str:
        """The commit that a branch leads to, or itself."""
        is_commit = re.fullmatch(r"[0-9a-f]{40}", revision)
        return self.heads.get((repository, revision), revision if is_commit else COMMIT)

    def oid(self, repository: str, revision: str, name: str) -> str | None:
        """What git or LFS calls a file's content; None for a file that is not there."""
        digest = self.repositories.get((repository, revision), {}).get(name)
        if digest is None or name.endswith(LARGE):
            return digest
        content = self.files[f"/storage/{digest}"].content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def described(self, repository: str, revision: str) -> dict[str, object]:
        """A repository as the Hub's API describes it."""
        siblings = []
        for name, digest in self.repositories[repository, revision].items():
            size = len(self.files[f"/storage/{digest}"].content)
            entry: dict[str, object] = {"rfilename": name, "size": size, "blobId": digest[:40]}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
            siblings.append(entry)
        sha = self.commit_of(repository, revision)
        return {"id": repository, "modelId": repository, "sha": sha, "siblings": siblings}

    def entries(self, repository: str, revision: str) -> list[dict[str, object]]:
        """The files of a repository, and their folders, as the Hub's API lists them."""
        listed: dict[str, dict[str, object]] = {}
        for name, digest in sorted(self.repositories[repository, revision].items()):
            for end in (place for place, letter in enumerate(name) if letter == "/"):
                listed[name[:end]] = {"type": "directory", "path": name[:end], "oid": "0" * 40}
            size = len(self.files[f"/storage/{digest}"].content)
            listed[name] = {"type": "file", "path": name, "size": size, "oid": digest[:40]}
        return list(listed.values())

    def gets(self, part_of_path: str = "") -> list[Exchange]:
        """The GETs so far, of paths that contain the text."""
        return [e for e in self.exchanges if e.method == "GET" and part_of_path in e.path]

    def use_tls(self, certificate: Path) -> None:
        """Speaks TLS from now on, on the Hub's port; the file has the key too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        hub = self._servers[0]
        hub.socket = context.wrap_socket(hub.socket, server_side=True)
        self.url = self.url.replace("http://127.0.0.1", "https://localhost")

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        """Serves in threads of its own for the time of the block."""
        threads = [
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            for server in self._servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server, thread in zip(self._servers, threads, strict=True):
                server.shutdown()
                server.server_close()
                thread.join()


def _handler(server: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(self.path.partition("?")[0])
            if route := re.fullmatch(r"/api/models/(.+?/.+?)/paths-info/(.+)", path):
                if not self.is_closed(route[1]) and not self.is_missing(route[1], route[2]):
                    asked = parse_qs(body.decode())["paths"]
                    entries = server.entries(route[1], route[2])
                    self.answer_json([entry for entry in entries if entry["path"] in asked])
            elif self.headers.get("Authorization") != f"Bearer {server.token}":
                self.answer_json({"error": "Invalid credentials"}, 401)
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                if (name, "main") in server.repositories:
                    taken = {"error": "You already created it", "url": f"{server.url}/{name}"}
                    self.answer_json(taken, 409)
                    return
                server.commit(name, {})
                if asked.get("private") or asked.get("visibility") == "private":
                    server.private.add(name)
                self.answer_json({"url": f"{server.url}/{name}", "name": name, "id": name})
            elif route := re.fullmatch(r"/api/models/(.+?/.+?)/branch/(.+)", path):
                if (route[1], route[2]) in server.repositories:
                    self.answer_json({"error": "Reference already exists"}, 409)
                    return
                server.repositories[route[1], route[2]] = server.repositories[route[1], "main"]
                server.heads[route[1], route[2]] = server.commit_of(route[1], "main")
                self.answer_json({})
            elif path == "/api/validate-yaml":
                self.answer_json({"errors": [], "warnings": []})
            elif route := re.fullmatch(r"/api/models/(.+?/.+?)/preupload/(.+)", path):
                modes = {True: "lfs", False: "regular"}
                files = [
                    {
                        "path": file["path"],
                        "uploadMode": modes[file["path"].endswith(LARGE)],
                        "shouldIgnore": False,
                        "oid": server.oid(route[1], unquote(route[2]), file["path"]),
                    }
                    for file in json.loads(body)["files"]
                ]
                self.answer_json({"files": files})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {
                        **described,
                        **(
                            {}
                            if stored in server.files
                            else {"actions": {"upload": {"href": f"{server.storage_url}{stored}"}}}
                        ),
                    }
                    for described in json.loads(body)["objects"]
                    for stored in [f"/storage/{described['oid']}"]
                ]
                self.answer_json({"transfer": "basic", "objects": objects})
            elif route := re.fullmatch(r"/api/models/(.+?/.+?)/commit/(.+)", path):
                if server.commit_statuses:
                    self.finish_with(server.commit_statuses.pop(0))
                    return
                files: dict[str, bytes | str] = {}
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files[value["path"]] = value["oid"]
                    elif line["key"] == "deletedFile":
                        server.repositories[route[1], route[2]].pop(value["path"])
                commit = server.commit(route[1], files, route[2])
                url = f"{server.url}/{route[1]}/commit/{commit}"
                self.answer_json({"commitUrl": url, "commitOid": commit, "success": True})
            else:
                self.finish_with(404)

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, digest = self.path.partition("?")[0], hashlib.sha256(body).hexdigest()
            if path != f"/storage/{digest}":
                self.finish_with(400)
                return
            server.add(path, body, etag=f'"{digest}"')
            self.finish_with(200)

        def answer_json(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            self.finish_with(status, headers, body)

        def log_message(self, format: str, *args: object) -> None: ...

        def answer(self) -> None:
            if self.path.startswith("http://"):  # as a proxy
                self.path = "/" + self.path.split("/", 3)[3]
            path = unquote(self.path.partition("?")[0])
            route = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            if server.hides_hub and path in server.files:
                self.answer_with(server.files[path])
            elif route:
                self.fails() or self.is_closed(route[1]) or self.answer_as_hub(*route.groups())
            elif path == "/api/models":
                author = parse_qs(self.path.partition("?")[2])["author"][0]
                names = {name for name, _ in server.repositories if name.startswith(f"{author}/")}
                self.answer_json([{"id": name, "modelId": name} for name in sorted(names)])
            elif route := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?(.*)", path):
                self.is_closed(route[1]) or self.list_folder(*route.groups())
            elif route := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                self.fails() or self.is_closed(route[1]) or self.describe(route[1], route[2])
            elif path in server.files:
                self.answer_with(server.files[path])
            else:
                self.finish_with(404)

        def fails(self) -> bool:
            """Answers with the next of the errors that were asked for, if there is one."""
            if server.statuses:
                self.finish_with(server.statuses.pop(0), server.headers)
                return True
            return False

        def is_closed(self, repository: str) -> bool:
            """Answers who may not see a repository."""
            has_token = self.headers.get("Authorization") == f"Bearer {server.token}"
            if repository in server.private and not has_token:
                self.finish_with(401, {"X-Error-Code": "RepoNotFound"})
                return True
            if repository in server.gated:
                self.finish_with(403 if has_token else 401, {"X-Error-Code": "GatedRepo"})
                return True
            return False

        def is_missing(self, repository: str, revision: str) -> bool:
            """Answers for what is not there."""
            if (repository, revision) in server.repositories:
                return False
            known = any(name == repository for name, _ in server.repositories)
            self.finish_with(404, {"X-Error-Code": f"{'Revision' if known else 'Repo'}NotFound"})
            return True

        def describe(self, repository: str, revision: str | None) -> None:
            if not self.is_missing(repository, revision or "main"):
                self.answer_json(server.described(repository, revision or "main"))

        def list_folder(self, repository: str, revision: str, folder: str) -> None:
            if self.is_missing(repository, revision):
                return
            start = f"{folder}/" if folder else ""
            deep = "recursive=true" in self.path.lower()
            found = [
                entry
                for entry in server.entries(repository, revision)
                for rest in [str(entry["path"]).removeprefix(start)]
                if str(entry["path"]).startswith(start) and (deep or "/" not in rest)
            ]
            if found:
                self.answer_json(found)
            else:
                self.finish_with(404, {"X-Error-Code": "EntryNotFound"})

        def answer_as_hub(self, repository: str, revision: str, file: str) -> None:
            if self.is_missing(repository, revision):
                return
            files = server.repositories[repository, revision]
            commit = server.commit_of(repository, revision)
            if file not in files:
                self.finish_with(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            else:
                digest = files[file]
                headers = {
                    "Location": f"{server.storage_url}/storage/{digest}",
                    "X-Repo-Commit": commit,
                    "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(server.files[f"/storage/{digest}"].content)),
                }
                self.finish_with(302, headers)

        def answer_with(self, file: File) -> None:
            if file.redirect is not None:
                self.finish_with(302, {"Location": file.redirect})
                return
            if self.command == "GET":
                server.asked.set()
                if file.hold:
                    file.hold.wait(300)
                if file.statuses:
                    self.finish_with(file.statuses.pop(0), file.headers)
                    return
            status, start = 200, 0
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked and file.ranges and self.headers.get("If-Range", file.etag) == file.etag:
                status, start = 206, int(asked[1])
                if start >= len(file.content):
                    self.finish_with(416, {"Content-Range": f"bytes */{len(file.content)}"})
                    return
            part = file.content[start:]
            if status == 206 and asked and asked[2]:
                part = file.content[start : int(asked[2]) + 1]
            headers = {"Content-Length": str(len(part))}
            if file.etag:
                headers["ETag"] = file.etag
            if status == 206:
                last = start + len(part) - 1
                headers["Content-Range"] = f"bytes {start}-{last}/{len(file.content)}"
            body = b"" if self.command == "HEAD" else part
            if self.command == "GET" and file.drops:
                body = body[: file.drops.pop(0)]
                self.close_connection = True
            self.finish_with(status, headers, body)

        def finish_with(
            self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
        ) -> None:
            server.exchanges.append(
                Exchange(
                    self.command,
                    self.path,
                    self.headers.get("Range"),
                    self.headers.get("If-Range"),
                    status,
                    len(body),
                )
            )
            self.send_response(status)
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler
