"""Parts of fuzz.py that read what users type: arguments, and names of models, files, repositories and addresses."""

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

from fuzz_inputs import Part, either, in_turn, joined, text

from gesture_zoo import registry
from gesture_zoo._url import download_url
from gesture_zoo.cli import build_parser
from gesture_zoo.data import create_dataset, shard_stream
from gesture_zoo.data.factory import READERS
from gesture_zoo.data.media import clips_under
from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.engine.recipes import load_recipe
from gesture_zoo.engine.run import check_free
from gesture_zoo.errors import GestureZooError
from gesture_zoo.factory import create_model
from gesture_zoo.hub import download
from gesture_zoo.labels import read_labels
from gesture_zoo.live import sources
from gesture_zoo.live.video import without_password
from gesture_zoo.model_folder import load_safetensors, read_config
from gesture_zoo.packaged import packaged_file
from gesture_zoo.pickles import read_checkpoint
from gesture_zoo.runtime import open_exported
from gesture_zoo.web.onnx_metadata import onnx_metadata
from gesture_zoo.web.site import describe_model


class Refused(GestureZooError):
    """The command line says what is wrong, and ends with exit code 2."""


def command_line(folder: Path, patch: Any) -> Part:
    """Arguments of every command, parsed and not run."""
    commands = next(action.choices for action in build_parser()._actions if action.choices)
    options = {name: [o for action in sub._actions for o in action.option_strings] for name, sub in commands.items()}
    numbers = ("1", "0", "-5", "1.5", "2x3", "train", "none")

    def make(rng: Random) -> list[str]:
        name = rng.choice(sorted(options))
        count = rng.randrange(7)
        words = [rng.choice((rng.choice(options[name]), text(rng), rng.choice(numbers))) for _ in range(count)]
        return [name, *words] if rng.random() < 0.9 else words

    def read(argv: list[str]) -> None:
        said, code = io.StringIO(), None
        with redirect_stdout(said), redirect_stderr(said):
            try:
                build_parser(argv).parse_args(argv)
            except SystemExit as end:
                code = end.code
        if code == 2:
            assert said.getvalue()
            raise Refused
        assert code in (None, 0)

    return Part(make, read)


def model_names(folder: Path, patch: Any) -> Part:
    """Names of models and patterns of names; nothing is built."""
    points = registry.entry_points(group=registry.PLUGIN_GROUP)
    patch.setenv("HF_HUB_OFFLINE", "1")
    # Asking the installed packages takes longer than all the rest.
    patch.setattr(registry, "entry_points", lambda group: points)
    pieces = ("tsm", "tea", "action", "_", "_resnet18", "resnet50", "_msd", "_online", ".in1k", ".", "*", "?", ":", "/")

    def read(name: str) -> None:
        registry.list_models(name, pretrained=len(name) % 2 == 0, exclude_filters=name[1:] or "x")
        if registry.is_model(name):
            assert callable(registry.model_entrypoint(name))
            registry.get_pretrained_cfg(name)
        else:
            create_model(name)

    return Part(joined(*pieces), read)


def urls(folder: Path, patch: Any) -> Part:
    """Addresses of weights, shards and streams; the caller keeps the network away."""
    patch.setattr(shard_stream, "RETRIES", 0)
    pieces = (
        "http://",
        "https://",
        "HTTP://",
        "ftp://",
        "rtsp://",
        "host",
        ":80",
        ":99999",
        "@",
        "/",
        "?a=b",
        "#",
        "%41",
    )

    def read(url: str) -> None:
        sources.is_camera(url)
        without_password(url)
        in_turn(
            lambda: sources.is_url(url),
            lambda: shard_stream.is_url(url) and shard_stream.shown(shard_stream.locate(url, "train", "index.json")),
            lambda: create_dataset("shards", url),
            lambda: download_url(url, cache_dir=folder),
        )

    made = joined(*pieces, ".pth", most=5)
    return Part(either(made, lambda rng: f"http://{made(rng)}.pth"), read)


def repositories(folder: Path, patch: Any) -> Part:
    """Names of Hub repositories, files, branches and servers, offline."""
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    good = ("me/model", "model.safetensors", "main", "http://127.0.0.1:9")

    def read(asked: tuple[str, str, str, str]) -> None:
        repo, file, revision, endpoint = asked
        os.environ["HF_ENDPOINT"] = endpoint.replace("\0", "").encode(errors="ignore").decode()
        download(repo, file, revision=revision, cache_dir=folder)

    return Part(lambda rng: tuple(said if rng.random() < 0.5 else text(rng) for said in good), read)


def file_names(folder: Path, patch: Any) -> Part:
    """Names of files and folders, for everything that opens one."""
    here = folder.resolve()

    def clips(name: str) -> None:
        # All of a disk is not to be searched.
        if not os.path.isdir(name) or Path(name).resolve() == here:
            clips_under(Path(name))

    def package(name: str) -> None:
        with packaged_file(name):
            pass

    readers: list[Callable[[str], object]] = [
        load_safetensors, read_config, read_checkpoint, read_labels, load_recipe, load_checkpoint, open_exported,
        onnx_metadata, describe_model, clips, package, check_free, lambda name: create_model(f"local-dir:{name}"),
        *(lambda name, data=data: create_dataset(data, name) for data in (*READERS, "shards")),
    ]  # fmt: skip
    suffixes = ("", ".onnx", ".xml", ".pt2", ".safetensors", ".yaml", ".pth", "/", "/config.json")

    def make(rng: Random) -> tuple[int, str]:
        return rng.randrange(len(readers)), text(rng) + text(rng) * rng.randrange(2) + rng.choice(suffixes)

    return Part(make, lambda asked: readers[asked[0]](asked[1]))
