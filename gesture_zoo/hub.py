"""Models on the Hugging Face Hub: fetched, and uploaded from their folders.

With ``_hub_request`` this is the only code that talks to the Hub. Settings are read when a function is called, not when
the module is imported: ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``, ``HF_HUB_CACHE`` and ``HF_HOME`` keep their meaning and may
be set at any time. Pickled weights are never fetched.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import CommitOperationAdd, HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from ._hub_request import (
    CLIENT_ERRORS,
    check_sum,
    explain,
    find_cache,
    hub_error,
    is_offline,
    make_request,
)
from .errors import HubError
from .files import user_path
from .model_folder import CARD_NAME, CONFIG_NAME, CONVERT, HERE, PICKLE_SUFFIXES, WEIGHTS_NAME, is_own_card

COMMIT_MESSAGE = "Upload model with gesture_zoo"
SILENCE = 12.0  # seconds after which it is said that the Hub does not answer

_logger = logging.getLogger(__name__)


def download(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """The path of one file of a Hub repository in the local cache, fetched when it is not there.

    ``revision`` is a branch, tag or commit id (default: the branch "main"). When the Hub cannot be reached, or
    ``HF_HUB_OFFLINE=1`` is set, a cached copy is used. A new file is compared with the checksum the Hub gives for it; a
    download that fails leaves no part of the file behind, and older files in the cache in place. A file that cannot be
    had is a HubError that says why, where, and what would help.

    >>> path = download("user/model", "model.safetensors")  # doctest: +SKIP
    >>> download("user/model", "pytorch_model.bin")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.HubError: 'pytorch_model.bin' of 'user/model' is refused: it is a pickle, ...
    """
    if filename.lower().endswith(PICKLE_SUFFIXES):
        raise hub_error(
            f"'{filename}' of '{repo_id}' is refused: it is a pickle, and unpickling a download can run any"
            f" code; expected a .safetensors file ({CONVERT})"
        )
    cache = find_cache(cache_dir)
    ask = make_request(repo_id, revision, filename=filename, cache=cache, token=token)
    folder = cache / repo_folder_name(repo_id=repo_id, repo_type="model")
    known = set(os.listdir(folder / "blobs")) if os.path.isdir(folder / "blobs") else set()
    try:
        with _keep_reference(folder, ask.revision, filename), _saying_if_silent(folder, ask.endpoint):
            cached = hf_hub_download(
                repo_id,
                filename,
                revision=ask.revision,
                cache_dir=cache,
                local_files_only=local_files_only or is_offline(),
                token=token,
                endpoint=ask.endpoint,
            )
            path = Path(cached)
            if path.is_symlink() and (blob := path.parent / os.readlink(path)).name not in known:
                check_sum(path, blob, ask)
    except HubError:
        raise
    except CLIENT_ERRORS as error:
        raise explain(error, ask) from error
    return path


@contextmanager
def whole_model(repo_id: str, *, revision: str | None = None, cache_dir: str | Path | None = None) -> Iterator[None]:
    """Where both files of a saved model are fetched: what the branch means in the cache changes for both or neither.

    >>> with whole_model("user/model"):  # doctest: +SKIP
    ...     config, weights = (download("user/model", name) for name in (CONFIG_NAME, WEIGHTS_NAME))
    >>> with whole_model("no name"):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
    gesture_zoo.errors.HubError: 'no name' is not the id of a repository at ...
    """
    cache = find_cache(cache_dir)
    ask = make_request(repo_id, revision, cache=cache)
    folder = cache / repo_folder_name(repo_id=repo_id, repo_type="model")
    with _keep_reference(folder, ask.revision, CONFIG_NAME, WEIGHTS_NAME):
        yield


def push(
    directory: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    commit_message: str = COMMIT_MESSAGE,
    token: str | bool | None = None,
) -> str:
    """Upload a saved model directory to a Hub repository and return the address of the new commit.

    The repository, and the branch named by ``revision``, are made when they do not exist (``private`` counts only
    then). Only model.safetensors, config.json and README.md are uploaded; where the card loads the model from its
    folder, it then loads it from the repository. A README.md on the Hub that does not end with ``CARD_MARK`` stays. A
    directory that is no saved model, or a Hub that cannot be reached or
    refuses, is a HubError.

    >>> url = push("my_model", "user/model", private=True)  # doctest: +SKIP
    >>> push("no_such_folder", "user/model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.HubError: no_such_folder has no model.safetensors and no config.json: ...
    """
    directory = user_path(directory)
    missing = [name for name in (WEIGHTS_NAME, CONFIG_NAME) if not (directory / name).is_file()]
    if missing:
        raise hub_error(f"{directory} has no {' and no '.join(missing)}: save the model there before the upload")
    ask = make_request(repo_id, revision, token=token)
    if is_offline():
        raise explain(OfflineModeIsEnabled(), ask)
    api = HfApi(endpoint=ask.endpoint, token=token)
    try:
        # Asking first lets a token in that may write to this repository but may not create one.
        if "/" not in repo_id or not api.repo_exists(repo_id):
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if ask.revision != constants.DEFAULT_REVISION and not ask.revision.startswith("refs/"):
            api.create_branch(repo_id, branch=ask.revision, exist_ok=True)
        files: dict[str, Path | bytes] = {name: directory / name for name in (WEIGHTS_NAME, CONFIG_NAME)}
        if (card := directory / CARD_NAME).is_file() and not _has_own_card(api, repo_id, ask.revision):
            files[CARD_NAME] = card.read_bytes().replace(HERE.encode(), f"hf-hub:{repo_id}".encode())
        commit = api.create_commit(
            repo_id=repo_id,
            operations=[CommitOperationAdd(name, data) for name, data in files.items()],
            revision=ask.revision,
            commit_message=commit_message,
        )
    except CLIENT_ERRORS as error:
        raise explain(error, ask) from error
    return str(commit.commit_url)


def _has_own_card(api: HfApi, repo_id: str, revision: str) -> bool:
    with TemporaryDirectory() as folder:
        try:
            return is_own_card(Path(api.hf_hub_download(repo_id, CARD_NAME, revision=revision, cache_dir=folder)))
        except (EntryNotFoundError, RevisionNotFoundError):
            return False


@contextmanager
def _saying_if_silent(folder: Path, endpoint: str) -> Iterator[None]:
    """Say once that nothing comes: behind some firewalls the client waits and tries again for minutes, silently."""

    def count() -> int | None:
        with suppress(OSError):  # a part that became whole, and has another name now
            return sum(os.path.getsize(part) for part in (folder / "blobs").glob("*.incomplete"))
        return None

    begun = count()  # a download that was killed leaves its part, and a new one is there before its first byte

    def say() -> None:
        if count() == begun:  # else a transfer goes on, and has a bar of its own
            _logger.warning(
                "no answer from %s for %g seconds, trying on; with HF_HUB_OFFLINE=1 only the cache is asked",
                endpoint,
                SILENCE,
            )

    timer = threading.Timer(SILENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _keep_reference(folder: Path, revision: str, *filenames: str) -> Iterator[None]:
    """Point the branch back to the older commit when files of a newer one could not all be fetched.

    The client moves the branch to the new commit before it fetches a file. Left so, older files that are still in the
    cache could no longer be found offline.
    """
    reference = folder / "refs" / revision
    before = reference.read_text() if reference.is_file() else None
    try:
        yield
    except RemoteEntryNotFoundError:
        raise  # the newer commit has no such file: then the branch is right where it is
    except BaseException:
        if before is not None and reference.is_file():
            older, newer = (folder / "snapshots" / commit for commit in (before, reference.read_text()))
            had, has = (all((commit / name).exists() for name in filenames) for commit in (older, newer))
            if had and not has:
                reference.write_text(before)
        raise
