"""What the parts of reliability.py share: tries, commands that can be watched and killed, small things to work on."""

import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.util import _exit_function
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from gesture_zoo.cli import main
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, render_clip
from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.errors import GestureZooError
from gesture_zoo.model_folder import load_safetensors

PATIENCE = 300.0  # seconds without a word after which a command counts as hanging
EPOCHS, BATCH, CLASSES = 2, 2, ("push", "pull")


class Try(NamedTuple):
    """One try: what was done, whether what should follow did, and what was seen."""

    what: str
    passed: bool
    seen: str


class Forked:
    """Work in a process forked from this one, which saves the time of importing everything.

    ``text`` is what it has said so far, ``code`` its exit code once it ended. ``file_size``: see ``limit_files``;
    ``patience``: seconds without a word after which it counts as hanging.
    """

    def __init__(
        self, work: Callable[[], int | None], *, file_size: int | None = None, patience: float = PATIENCE
    ) -> None:
        gc.collect()
        self.patience = patience
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            os.dup2(write, 1)
            os.dup2(write, 2)
            if file_size is not None:
                limit_files(0, file_size)
            code = 70
            try:
                code = work() or 0
            finally:
                _exit_function()  # ends the processes it has started
                sys.stdout.flush()
                os._exit(code)
        os.close(write)
        os.set_blocking(read, False)
        self.pipe, self.text, self.heard = read, "", time.monotonic()
        self.code: int | None = None

    def listen(self) -> None:
        """Take in what it has said, and whether it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        while True:
            try:
                data = os.read(self.pipe, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self.text += data.decode()
            self.heard = time.monotonic()

    def wait_for(self, *words: str) -> bool:
        """Wait until it has said one of these words; False if it ended without."""
        return self.wait(lambda: any(word in self.text for word in words))

    def wait(self, condition: Callable[[], bool] = lambda: False) -> bool:
        """Wait for a condition, or for its end; False where it ended, or hangs and is killed, first."""
        while True:
            self.listen()
            if condition():
                return True
            if self.code is not None:
                return False
            if time.monotonic() - self.heard > self.patience:
                self.kill()
                self.text += "\nhangs"
                return False
            time.sleep(0.005)

    def end(self) -> int | None:
        """Its exit code, when it has ended; None where it hung."""
        self.wait()
        os.close(self.pipe)
        return None if self.text.endswith("\nhangs") else self.code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill it, and wait until it is gone."""
        self.listen()
        if self.code is None:
            os.kill(self.pid, number)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def children(self) -> list[int]:
        """The processes it has started."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def error(self) -> str:
        """The line that says what went wrong."""
        lines = [line for line in self.text.replace("\0", "").splitlines() if line.startswith("gesture-zoo: ")]
        return lines[-1] if len(lines) == 1 else f"{len(lines)} lines of errors: {self.text[-300:]!r}"


def command(arguments: Sequence[object], *, file_size: int | None = None, patience: float = PATIENCE) -> Forked:
    """A ``gesture-zoo`` command."""
    return Forked(lambda: main([str(argument) for argument in arguments]), file_size=file_size, patience=patience)


def outcome(function: Callable[[], object], *, file_size: int | None = None) -> str:
    """What comes of a function in a process of its own: "done", or its error."""

    def work() -> None:
        try:
            function()
            print("done")
        except GestureZooError as error:
            print(f"GestureZooError: {error}")
        except Exception as error:
            print(f"unexpected {type(error).__name__}: {error}")

    forked = Forked(work, file_size=file_size)
    code = forked.end()
    lines = [line for line in forked.text.splitlines() if line.startswith(("done", "GestureZooError: ", "unexpected "))]
    return lines[-1] if code == 0 and lines else f"exit code {code}: {forked.text[-300:]}"


def limit_files(pid: int, size: int) -> None:
    """Let a process (0: this one) write no file beyond so many bytes: to it, that is a disk that is full."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def write_clips(root: Path, *, train: int, val: int = 4) -> Path:
    """Rendered clips with depth, as a folder of frames."""
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            name = CLASSES[number % len(CLASSES)]
            rgb, depth = render_clip(SYNTHETIC_CLASSES.index(name), seed=number, num_frames=4, size=40)
            folder = root / split / name
            for kind, frames in (("", rgb), (".depth", (255 * depth).astype(np.uint8))):
                (folder / f"{number:02d}{kind}").mkdir(parents=True)
                for index, frame in enumerate(frames):
                    suffix = "png" if kind else "jpg"
                    Image.fromarray(frame).save(folder / f"{number:02d}{kind}" / f"{index}.{suffix}")
    return root


def train_command(clips: Path, out: Path, *options: object) -> list[object]:
    """A training of a tiny network, with all that has state."""
    return [
        "train", "--model", "action_test_resnet", "--data", "folder", "--data-dir", clips, "--out", out,
        "--size", 32, "--num-segments", 2, "--epochs", EPOCHS, "--batch-size", BATCH, "--opt", "adamw",
        "--ema-decay", 0.9, "--drop-rate", 0.5, "--workers", 2, "--log-steps", 1, "--checkpoint-steps", 2,
        "--resume", "auto", *options,
    ]  # fmt: skip


def prepare_command(clips: Path, out: Path) -> list[object]:
    """Shards of one clip each."""
    return ["prepare", "folder", clips, out, "--clips-per-shard", 1]


def lines_of(steps: Iterable[int], *, an_epoch: int) -> list[str]:
    """What the log says after these steps of a run, counted from 1."""
    return [f"epoch {(n - 1) // an_epoch + 1} of {EPOCHS}, step {(n - 1) % an_epoch + 1} of" for n in steps]


def differences(ours: Path, theirs: Path) -> list[str]:
    """In what two runs differ: weights, what there is to go on from, and the history but for its times."""
    found = []
    for name in ("model.safetensors", "best/model.safetensors"):
        if not same(load_safetensors(ours / name), load_safetensors(theirs / name)):
            found.append(name)
    states = [load_checkpoint(path / "checkpoint.safetensors")["trainer"] for path in (ours, theirs)]
    for state in states:
        for name in ("seconds", "wait"):
            state["progress"]["sums"].pop(name, None)
        for generators in state["random"]:
            del generators["python"]  # which no run seeds, and nothing in it draws from
    if not same(*states):
        found.append("checkpoint")
    histories = [json.loads((path / "history.json").read_text())["history"] for path in (ours, theirs)]
    for history in histories:
        for record in history:
            record.pop("seconds", None)
            record.pop("wait_share", None)
    if not same(*histories):
        found.append("history")
    one, other = ({name for name in tree(run) if not name.startswith("tensorboard")} for run in (ours, theirs))
    return found + [f"{name} is in one of them" for name in sorted(one ^ other)]


def same(a: object, b: object) -> bool:
    """Whether two structures of tensors and plain values are equal."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def tree(folder: Path) -> dict[str, bytes]:
    """The files under a folder and what they hold."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def half_written(folder: Path) -> list[str]:
    """Files under a folder that no command leaves behind when it ends by itself."""
    return sorted(
        name for name in tree(folder) if Path(name).name.startswith(".") or name.endswith((".tmp", ".incomplete"))
    )
