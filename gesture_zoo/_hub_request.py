"""A request to the Hugging Face Hub: its settings, and one clear line for every way in which it can fail."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # the base error of the HTTP library in use, whichever that is
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from .errors import HubError, one_line
from .model_folder import CONVERT, PICKLE_SUFFIXES

CLIENT_ERRORS = (HTTPError, OSError, ValueError, RuntimeError)

_LOGIN = "`hf auth login` or HF_TOKEN"
_LISTING_TIMEOUT = 10.0  # seconds
_MAX_LISTED = 6


@dataclass(frozen=True)
class HubRequest:
    """What was asked of the Hub: a download of ``filename``, or an upload when that is None."""

    repo_id: str
    endpoint: str
    revision: str
    filename: str | None = None
    cache: Path | None = None
    token: str | bool | None = None

    @property
    def repo(self) -> str:
        return f"repository '{self.repo_id}' at {self.endpoint}"

    @property
    def what(self) -> str:
        return f"upload to {self.repo}" if self.filename is None else f"'{self.filename}' of {self.repo}"


def hub_error(message: str) -> HubError:
    """A HubError whose message is one line."""
    return HubError(one_line(message))


def make_request(
    repo_id: str,
    revision: str | None,
    *,
    filename: str | None = None,
    cache: Path | None = None,
    token: str | bool | None = None,
) -> HubRequest:
    """The request; malformed parts, which become part of paths, are a HubError."""
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not _is_address(endpoint):
        shown = re.sub(r"//[^/]*@", "//***@", endpoint)
        raise hub_error(f"'{repo_id}' cannot be asked for at HF_ENDPOINT '{shown}': expected https://host")
    try:
        validate_repo_id(repo_id or "")
    except HFValidationError as error:
        raise hub_error(
            f"'{repo_id}' is not the id of a repository at {endpoint}: expected 'user/name' of letters,"
            " digits, '-', '_' and '.', without '--' and '..'"
        ) from error
    revision = revision or constants.DEFAULT_REVISION
    if ".." in revision or revision.startswith("/"):
        raise hub_error(f"'{revision}' is not a revision of '{repo_id}': expected a branch, tag or commit id")
    if filename is not None and not {"", ".", ".."}.isdisjoint(re.split(r"[/\\]", filename)):
        raise hub_error(f"'{filename}' is not the name of a file in '{repo_id}': expected 'name' or 'folder/name'")
    return HubRequest(repo_id, endpoint, revision, filename=filename, cache=cache, token=token)


def _is_address(endpoint: str) -> bool:
    """Whether it can be the address of a server; the client's own error for another is none of its usual ones."""
    try:
        parts = urlsplit(endpoint)
        there = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return there and re.fullmatch(r"https?://[^\s/@\x00-\x1f\x7f]+(/[^\s\x00-\x1f\x7f]*)?", endpoint) is not None


def find_cache(cache_dir: str | Path | None) -> Path:
    """The folder of the Hub cache: the one given, or the one the environment names now."""
    home = os.environ.get("HF_HOME")
    default = os.environ.get("HF_HUB_CACHE") or (os.path.join(home, "hub") if home else constants.HF_HUB_CACHE)
    return Path(os.path.expanduser(os.path.expandvars(str(cache_dir or default)))).absolute()


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set now."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES


def check_sum(path: Path, blob: Path, ask: HubRequest) -> None:
    """Remove a file whose content does not have the checksum that the Hub gave as its name."""
    # The Hub names large files by their SHA-256 and small ones as git does; a mirror may use other names.
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        digest = hashlib.sha256()
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        digest = hashlib.sha1(f"blob {blob.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return
    with open(blob, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != blob.name:
        path.unlink()
        blob.unlink()
        raise hub_error(f"{ask.what}: the content does not match its checksum; nothing of it was kept, try again")


def explain(error: BaseException, ask: HubRequest) -> HubError:
    """The HubError that tells what went wrong with a request, from the error the client raised."""
    # The client wraps what happened in "not in the cache" or "error while uploading".
    while isinstance(error, LocalEntryNotFoundError | RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
        return hub_error(_offline(ask))
    if isinstance(error, HfHubHTTPError):
        return hub_error(_refused(error, ask))
    if isinstance(error, FileMetadataError):
        return hub_error(
            f"{ask.what}: {ask.endpoint} does not answer like a Hugging Face Hub (it gives no ETag or no"
            " commit); check HF_ENDPOINT and the proxy"
        )
    if isinstance(error, LocalTokenNotFoundError):
        return hub_error(f"{ask.what}: no token is stored on this machine; log in with {_LOGIN}")
    if isinstance(error, HTTPError | ConnectionError | TimeoutError):
        return hub_error(_no_connection(error, ask))
    if "consistency check" in str(error).lower():
        found = re.search(r"size (\d+) but has size (\d+)", str(error))
        reason = f"{found[2]} bytes of {found[1]}" if found else str(error)
        return hub_error(f"{ask.what}: the download is incomplete ({reason}); nothing of it was kept, try again")
    if isinstance(error, OSError) and ask.cache is not None and not type(error).__name__.startswith("Xet"):
        return hub_error(f"{ask.what}: cannot be stored in the cache {ask.cache} ({error}); check space and rights")
    return hub_error(f"{ask.what}: failed ({error or type(error).__name__})")


def _offline(ask: HubRequest) -> str:
    if ask.filename is None:
        return f"{ask.what}: offline mode is on (HF_HUB_OFFLINE); unset it to upload"
    return (
        f"{ask.what}: not in the cache {ask.cache} (revision '{ask.revision}'), and offline mode is on"
        " (HF_HUB_OFFLINE or local_files_only); fetch it once while online"
    )


def _no_connection(error: BaseException, ask: HubRequest) -> str:
    name = type(error).__name__
    if "/xet-" in str(error):  # a mirror that does not speak the Hub's protocol for large files
        return f"{ask.what}: {ask.endpoint} has no Xet ({error}); do without it: HF_HUB_DISABLE_XET=1"
    if "Timeout" in name:
        reason = f"the connection timed out ({name})"
    elif "Connect" in name:
        reason = f"no connection ({error})"
    elif "LocalProtocol" in name:  # its text would show the token
        return f"{ask.what}: the request could not be sent; check that the token is a single word"
    elif "Protocol" in name or "Read" in name:
        return f"{ask.what}: the connection broke off ({error or name}); nothing of it was kept, try again"
    else:
        reason = f"{name}: {error}"
    advice = "check the network, the proxy and HF_ENDPOINT"
    if ask.filename is None:
        return f"{ask.what}: {ask.endpoint} cannot be reached, {reason}; {advice}"
    return (
        f"{ask.what}: the Hub cannot be reached, {reason}, and the file is not in the cache {ask.cache};"
        f" {advice} (files in the cache keep working, also with HF_HUB_OFFLINE=1)"
    )


def _refused(error: HfHubHTTPError, ask: HubRequest) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return (
            f"{ask.what}: the repository is gated; request access at {ask.endpoint}/{ask.repo_id}, then"
            f" log in with {_LOGIN}"
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{ask.what}: the repository has no revision '{ask.revision}'; expected one of its branches, tags"
            " or full commit ids"
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return _no_file(ask)
    if ask.filename is None and status in (401, 403, 404):
        return (
            f"{ask.what}: refused with HTTP {status}; log in ({_LOGIN}) with a token that may write to '{ask.repo_id}'"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{ask.what}: the repository does not exist or is private (HTTP {status}); check the id"
            f" 'user/name', and log in with {_LOGIN} when it is private"
        )
    if status in (401, 403):
        reason = error.server_message or "no reason given"
        return f"{ask.what}: refused with HTTP {status} ({reason}); log in ({_LOGIN}) with a token that may read"
    if status == 429:
        return (
            f"{ask.what}: too many requests (HTTP 429); wait some minutes and try again, or log in ({_LOGIN})"
            " for a higher limit"
        )
    if status >= 500:
        return f"{ask.what}: the Hub failed (HTTP {status}); try again later"
    return f"{ask.what}: the Hub answered HTTP {status} ({error.server_message or 'no reason given'})"


def _no_file(ask: HubRequest) -> str:
    start = f"{ask.what}: the repository has no such file at revision '{ask.revision}'"
    try:
        # Of the calls that list files only this one takes a timeout and does not retry.
        info = HfApi(endpoint=ask.endpoint).model_info(
            ask.repo_id, revision=ask.revision, timeout=_LISTING_TIMEOUT, token=ask.token
        )
        files = sorted(sibling.rfilename for sibling in info.siblings or [])
    except CLIENT_ERRORS:
        return start  # that the file is missing is the news, not that the listing failed
    pickles = [name for name in files if name.lower().endswith(PICKLE_SUFFIXES)]
    safe = any(name.endswith(".safetensors") for name in files)
    if pickles and not safe and str(ask.filename).endswith(".safetensors"):
        return (
            f"{start}, only pickled weights ({_listed(pickles)}); these are refused, as unpickling a download"
            f" can run any code: convert them to safetensors ({CONVERT})"
        )
    return f"{start}; it holds {_listed(files) or 'no files'}"


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
