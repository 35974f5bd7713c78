"""A small Hugging Face Hub of our own on the loopback, so that tests run the real client against it.

It keeps repositories in memory and speaks what huggingface_hub needs to look up, download and upload files
without Xet. Large files (`.safetensors` and pickles) go through the LFS routes as on the real Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class Request(NamedTuple):
    """One request the server has seen."""

    method: str
    path: str
    token: str | None


@dataclass
class Fault:
    """How requests whose path ends in `path` are spoiled; `times` limits to how many that happens."""

    path: str
    method: str = "GET"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut_after: int | None = None  # bytes
    delay: float = 0.0  # seconds
    claim_size: int | None = None
    times: int = 1_000_000

    def hits(self, method: str, path: str) -> bool:
        return self.method == method and path.endswith(self.path) and self.times > 0


@dataclass
class Repo:
    """A repository: every commit holds all of its files, and branches name commits."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    private: bool = False

    def commit(self, branch: str, files: Mapping[str, bytes]) -> str:
        """Add files on top of a branch and return the id of the new commit."""
        before = self.branches.get(branch, "")
        merged = {**self.commits.get(before, {}), **files}
        text = repr((before, len(self.commits), sorted((name, etag(name, merged[name])) for name in merged)))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = merged
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> str | None:
        """Return the commit id that a branch name or a commit id stands for."""
        return self.branches.get(revision, revision if revision in self.commits else None)


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".pt", ".pth"))


def etag(name: str, data: bytes) -> str:
    """Return the checksum the Hub gives: SHA-256 of large files, git's SHA-1 of small ones."""
    if is_large(name):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubServer:
    """The Hub, a context manager; everybody may read what is neither private nor gated."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        # Each token stands for a user, who may read and write the repositories `user/...`.
        self.tokens: dict[str, str] = {"hf_me": "me", "hf_other": "other"}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.large: dict[str, bytes] = {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server; from then on connections are refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()

    def add_repo(self, repo_id: str, files: Mapping[str, bytes], *, gated: bool = False, private: bool = False) -> str:
        """Add a repository with one commit on the branch `main` and return the id of that commit."""
        self.repos[repo_id] = Repo({}, {}, gated=gated, private=private)
        return self.repos[repo_id].commit("main", files)

    def fault(self, path: str, **how: Any) -> None:
        """Spoil requests whose path ends in `path`; see Fault."""
        self.faults.append(Fault(path, **how))

    def count(self, method: str, ending: str) -> int:
        """Return how many requests there were of this method with a path that ends so."""
        return sum(seen.method == method and seen.path.endswith(ending) for seen in self.requests)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: the log is HubServer.requests."""

    def do_GET(self) -> None:
        # One connection per request, so that a stopped server is gone for clients that keep connections open.
        self.close_connection = True
        self.path = unquote(urlsplit(self.path).path)
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.user = self.hub.tokens.get(self.token or "")
        self.body = self.read_body()
        self.hub.requests.append(Request(self.command, self.path, self.token))
        hits = [fault for fault in self.hub.faults if fault.hits(self.command, self.path)]
        self.fault = hits[0] if hits else Fault("")
        self.fault.times -= 1
        time.sleep(self.fault.delay)
        if self.fault.status:
            return self.answer(self.fault.status, self.fault.body or b"", **self.fault.headers)
        if self.token and self.user is None:
            return self.fail(401, "", "Invalid credentials in Authorization header")
        parts = self.path.strip("/").split("/")
        if parts[0] == "api":
            return self.api(parts[1:])
        if parts[0] == "lfs":
            return self.put_large(parts[1])
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self.lfs_batch("/".join(parts[:2]).removesuffix(".git"))
        if len(parts) > 4 and parts[2] == "resolve":
            return self.resolve("/".join(parts[:2]), parts[3:])
        return self.fail(404, "", "no such route")

    do_HEAD = do_POST = do_PUT = do_GET

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, body: bytes | dict | list, *, size: int | None = None, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fail(self, status: int, code: str, message: str, **headers: str) -> None:
        codes = {"X-Error-Code": code} if code else {}
        self.answer(status, {"error": message}, **{"X-Error-Message": message}, **codes, **headers)

    def open_repo(self, repo_id: str, *, write: bool = False) -> Repo | None:
        """Return the repository, or answer why the user may not have it and return None."""
        repo = self.hub.repos.get(repo_id)
        owner = self.user == repo_id.split("/")[0]
        if repo is None or (repo.private and not owner):
            self.fail(404 if self.user else 401, "RepoNotFound", "Repository not found")
        elif repo.gated and not owner:
            self.fail(403 if self.user else 401, "GatedRepo", f"Access to model {repo_id} is restricted")
        elif write and not owner:
            self.fail(403 if self.user else 401, "", "You do not have the right to write here")
        else:
            return repo
        return None

    def resolve(self, repo_id: str, rest: list[str]) -> None:
        if (repo := self.open_repo(repo_id)) is None:
            return
        sha, name = repo.find(rest[0]), "/".join(rest[1:])
        if sha is None:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {rest[0]}")
        if (data := repo.commits[sha].get(name)) is None:
            return self.fail(404, "EntryNotFound", "Entry not found", X_Repo_Commit=sha)
        mark = f'"{etag(name, data)}"'
        headers = {"ETag": mark, "X-Repo-Commit": sha}
        size, fault, status, start = None, self.fault, 200, 0
        data = data if fault.body is None else fault.body
        claimed = len(data) if fault.claim_size is None else fault.claim_size
        if is_large(name):
            headers |= {"X-Linked-Etag": mark, "X-Linked-Size": str(claimed)}
        if (wanted := self.headers.get("Range", "")).startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(data) - 1}/{len(data)}"
        if fault.claim_size is not None:
            size = claimed - start
        if fault.cut_after is not None:
            size, data = len(data) - start, data[: fault.cut_after]
        self.answer(status, data[start:], size=size, **headers)

    def api(self, parts: list[str]) -> None:
        if parts == ["repos", "create"]:
            return self.create(json.loads(self.body))
        if parts == ["validate-yaml"]:
            return self.answer(200, {"errors": [], "warnings": []})
        repo_id, route, rest = "/".join(parts[1:3]), "".join(parts[3:4]), "/".join(parts[4:])
        if (repo := self.open_repo(repo_id, write=self.command == "POST")) is None:
            return
        revision = rest or "main"
        if route == "branch":
            if revision in repo.branches:
                return self.fail(409, "", "Reference already exists")
            repo.branches[revision] = repo.branches["main"]
            return self.answer(200, {})
        if (sha := repo.find(revision)) is None:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits[sha]
        if route in ("", "revision"):
            names = [{"rfilename": name} for name in files]
            self.answer(200, {"id": repo_id, "sha": sha, "siblings": names, "private": repo.private})
        elif route == "preupload":
            self.preupload({name: etag(name, data) for name, data in files.items()})
        elif route == "commit":
            self.commit(repo_id, repo, revision)
        else:
            self.fail(404, "", "no such route")

    def preupload(self, known: Mapping[str, str]) -> None:
        answers = []
        for name in (entry["path"] for entry in json.loads(self.body)["files"]):
            mode = "lfs" if is_large(name) else "regular"
            answers.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": known.get(name)})
        self.answer(200, {"files": answers})

    def create(self, wanted: dict[str, Any]) -> None:
        if self.user is None:
            return self.fail(401, "", "Invalid username or password.")
        repo_id = f"{wanted.get('organization') or self.user}/{wanted['name']}"
        if not repo_id.startswith(f"{self.user}/"):
            return self.fail(403, "", "You don't have the rights to create a model under this namespace")
        new = repo_id not in self.hub.repos
        if new:
            self.hub.add_repo(repo_id, {}, private=wanted.get("visibility") == "private")
        self.answer(200 if new else 409, {"url": f"{self.hub.url}/{repo_id}"})

    def lfs_batch(self, repo_id: str) -> None:
        if self.open_repo(repo_id, write=True) is None:
            return
        objects = json.loads(self.body)["objects"]
        for entry in objects:
            entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{entry['oid']}", "header": {}}}
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put_large(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.fail(400, "", "content does not match its oid")
        self.hub.large[oid] = self.body
        self.answer(200, b"")

    def commit(self, repo_id: str, repo: Repo, branch: str) -> None:
        files: dict[str, bytes] = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        sha = repo.commit(branch, files)
        self.answer(200, {"commitUrl": f"{self.hub.url}/{repo_id}/commit/{sha}", "commitOid": sha})
