"""The parts of reliability.py in which a disk is full: no file of a process may grow beyond a number of bytes."""

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from reliability_kills import AN_EPOCH, last_step, whole_training
from reliability_net import NAME, REPO, WEIGHTS, hub_server, url_of
from reliability_tools import (
    EPOCHS,
    Try,
    command,
    differences,
    half_written,
    limit_files,
    lines_of,
    outcome,
    prepare_command,
    train_command,
    tree,
    write_clips,
)

import gesture_zoo
from gesture_zoo._url import download_url
from gesture_zoo.hub import download

FORMATS = (".onnx", ".xml", ".pt2")


def disk(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """A disk that is full from a random moment on, for trainings and shards."""
    yield from training(folder, tries, draw)
    yield from shards(folder / "shards", tries, draw)


def training(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """A training whose disk fills up goes on, ends with an error, and can be gone on with once there is room."""
    clips, whole = whole_training(folder)
    size = (whole / "checkpoint.safetensors").stat().st_size
    for number in range(tries):
        out = folder / f"full{number}"
        running = command(train_command(clips, out, "--workers", 0))
        running.wait_for(*lines_of([draw.randint(3, (EPOCHS - 1) * AN_EPOCH)], an_epoch=AN_EPOCH))
        step = last_step(out)
        limit_files(running.pid, draw.randrange(size) if number else 0)
        code, error = running.end(), running.error()
        kept, left = last_step(out), half_written(out)
        refused = code == 2 and ("cannot be saved" in error or "cannot write" in error)
        # A checkpoint is larger than a model: where there is room for that one alone, the run comes to its end.
        ended = code == 0 and differences(out, whole) == ["checkpoint"]
        passed = "what was there stays" in running.text and (refused or ended) and kept >= step and not left
        fault = f"exit code {code}, checkpoints of {step} and {kept}, {error}, {left}"
        seen = re.sub(r"\S*/full\d+", "OUT", error) if refused else "its end, with all files but the last checkpoint"
        yield Try("train: full while it runs", passed, seen if passed else fault)
        again = command(train_command(clips, out, "--workers", 0))
        found = differences(out, whole) if again.end() == 0 else [again.text[-300:]]
        found += [] if f"going on after {kept} steps" in again.text else ["did not go on from its checkpoint"]
        seen = "; ".join(found) or "the weights of a run never disturbed"
        yield Try("that run with room, --resume auto", not found, seen)


def shards(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """Shards for which there is no room."""
    clips, whole = write_clips(folder / "clips", train=6, val=2), folder / "whole"
    if command(prepare_command(clips, whole)).end() != 0:
        raise RuntimeError("prepare does not work at all")
    expected = tree(whole)
    largest = max(map(len, expected.values()))
    for number in range(tries):
        out = folder / f"full{number}"
        running = command(prepare_command(clips, out), file_size=draw.randrange(largest) if number else 0)
        code, error = running.end(), running.error()
        found = tree(out)
        wrong = half_written(out) + [n for n in found if n.endswith((".tar", ".json")) and found[n] != expected[n]]
        passed = code == 2 and f"cannot write {out}" in error and not wrong
        fault = f"exit code {code}, {error}, {wrong}"
        yield Try("prepare: full", passed, re.sub(r"\S*/full\d+\S*", "OUT/...", error) if passed else fault)
        code = command(prepare_command(clips, out)).end()
        passed = code == 0 and tree(out) == expected
        seen = "the bytes of shards made in one go" if passed else f"exit code {code}"
        yield Try("prepare again with room", passed, seen)


def files(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """Files that are written whole or not at all: exports and saved models over older ones, and downloads."""
    model = gesture_zoo.create_model("tsm_test_resnet_online", num_classes=5, num_segments=2).eval()
    with hub_server(folder) as hub:
        ways: dict[str, Callable[[Path], Any]] = {
            f"export_model to {suffix}": lambda out, suffix=suffix: gesture_zoo.export_model(
                model, out / f"model{suffix}", size=(32, 32)
            )
            for suffix in FORMATS
        }
        ways["save_pretrained"] = lambda out: gesture_zoo.save_pretrained(model, out)
        ways["download from the Hub"] = lambda out: download(REPO, NAME, cache_dir=out)
        ways["download from a URL"] = lambda out: download_url(url_of(hub), cache_dir=out)
        for what, way in ways.items():
            out = folder / re.sub(r"\W", "_", what)
            out.mkdir(parents=True)
            work = partial(way, out)
            if "download" not in what and (answer := outcome(work)) != "done":
                raise RuntimeError(f"{what} does not work at all: {answer}")
            before = kept_of(out)
            size = max(map(len, before.values()), default=len(WEIGHTS))
            for number in range(tries):
                answer = outcome(work, file_size=draw.randrange(size - 1) if number else 0)
                kept = kept_of(out)
                seen = answer.replace(str(out), "OUT")
                left = f"; not as before: {sorted(kept.keys() ^ before.keys())}" if kept != before else ""
                yield Try(f"{what}: full", answer.startswith("GestureZooError: ") and not left, seen + left)
            answer = outcome(work)
            yield Try(f"{what}: again with room", answer == "done", answer)


def kept_of(folder: Path) -> dict[str, bytes]:
    """What is under a folder, but for the small notes that the Hub's client keeps beside what it fetched."""
    notes = (".locks/", "/refs/", "CACHEDIR.TAG")
    return {name: data for name, data in tree(folder).items() if not any(note in name for note in notes)}
