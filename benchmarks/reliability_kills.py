"""The parts of reliability.py that kill a training, prepare or readers of clips, and that of two writers."""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from reliability_tools import (
    BATCH,
    EPOCHS,
    Forked,
    Try,
    command,
    differences,
    half_written,
    lines_of,
    prepare_command,
    train_command,
    tree,
    write_clips,
)

from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.model_folder import CHECKPOINT_NAME

CLIPS = 32
AN_EPOCH = CLIPS // BATCH


def whole_training(folder: Path) -> tuple[Path, Path]:
    """Clips, and a training on them that nothing disturbs: beside ``folder``, the same for all parts."""
    clips, whole = folder.parent / "clips", folder.parent / "whole"
    if not whole.exists():
        running = command(train_command(write_clips(clips, train=CLIPS), whole))
        if running.end() != 0:
            raise RuntimeError(f"training does not work at all: {running.text[-500:]}")
    return clips, whole


def last_step(out: Path) -> int:
    """The step after which the checkpoint was written; 0 without one. A damaged one is an error."""
    path = out / CHECKPOINT_NAME
    return load_checkpoint(path)["trainer"]["progress"]["updates"] if path.exists() else 0


def train(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """SIGKILL a training shortly after a random step, and let it go on, again and again."""
    clips, whole = whole_training(folder)
    out = folder / "killed"
    what = "train: SIGKILL after a random step, then --resume auto"
    for step in sorted(draw.sample(range(1, EPOCHS * AN_EPOCH + 1), tries)):
        before = last_step(out)
        running = command(train_command(clips, out))
        came = running.wait_for(*lines_of(range(step, EPOCHS * AN_EPOCH + 1), an_epoch=AN_EPOCH))
        time.sleep(draw.uniform(0, 0.1))  # into the next step, a checkpoint, a validation, the end
        running.kill()
        after = last_step(out)
        went_on = before == 0 or f"going on after {before} steps" in running.text
        passed = came and went_on and before <= after and step - 2 <= after
        fault = f"killed after step {step}, checkpoints of {before} and {after}: {running.text[-300:]}"
        yield Try(what, passed, "checkpoint whole" if passed else fault)
    running = command(train_command(clips, out))
    code = running.end()
    found = [f"exit code {code}: {running.text[-300:]}"] if code else differences(out, whole)
    found += half_written(out)
    yield Try("the run so killed, at its end", not found, "; ".join(found) or "the weights of a run never killed")


def prepare(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """SIGKILL the making of shards at random moments, and start it again, again and again."""
    clips = write_clips(folder / "clips", train=2 * tries, val=2)
    whole, out = folder / "whole", folder / "killed"
    if command(prepare_command(clips, whole)).end() != 0:
        raise RuntimeError("prepare does not work at all")
    shards = tree(whole)
    what = "prepare: SIGKILL at a random shard, then again"
    for number in sorted(draw.sample(range(2 * tries), tries)):
        running = command(prepare_command(clips, out))
        came = running.wait((out / f"train/shard-{number:06d}.tar").exists)
        time.sleep(draw.uniform(0, 0.02))
        running.kill()
        found = tree(out)
        wrong = [name for name, data in found.items() if name.endswith(".tar") and data != shards[name]]
        # On a quick machine the last shards are done, and the command with them, before the signal arrives.
        passed = not wrong and (running.code == 0 or (came and running.code == -signal.SIGKILL))
        seen = "every shard whole" if passed else f"{', '.join(wrong)} {running.text[-300:]}"
        yield Try(what, passed, seen)
    code = command(prepare_command(clips, out)).end()
    passed = code == 0 and tree(out) == shards
    yield Try("the shards so made", passed, "the bytes of shards made in one go" if passed else f"exit code {code}")


def readers(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """Kill a process that reads clips for a training, at a random moment."""
    clips, whole = whole_training(folder)
    for number in range(tries):
        out = folder / f"dead{number}"
        how = draw.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT))
        running = command(train_command(clips, out))
        running.wait_for(*lines_of([draw.randint(1, (EPOCHS - 1) * AN_EPOCH)], an_epoch=AN_EPOCH))
        time.sleep(draw.uniform(0, 0.1))
        os.kill(draw.choice(running.children()), how)
        code, error = running.end(), re.sub(r"\(pid \d+\).*: [^;]*", "(pid N) ...", running.error())
        passed = code == 2 and "a process that reads clips died: DataLoader worker" in error and not half_written(out)
        fault = f"exit code {code}, {error}, {half_written(out)}"
        yield Try("train: a reader of clips killed", passed, error if passed else fault)
        again = command(train_command(clips, out))
        found = differences(out, whole) if again.end() == 0 else [again.text[-300:]]
        seen = "; ".join(found) or "the weights of a run never disturbed"
        yield Try("that run with --resume auto", not found, seen)


def writers(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """Two processes that write to one folder, and a folder whose writer was killed."""
    clips, _ = whole_training(folder)
    for number in range(tries):
        out = folder / f"run{number}"
        first = command(train_command(clips, out))
        first.wait_for(*lines_of([draw.randint(1, AN_EPOCH)], an_epoch=AN_EPOCH))
        yield refused("train: a second one with the same --out", command(train_command(clips, out)), out)
        first.kill()
        third = command(train_command(clips, out))
        went_on = third.wait_for(f"going on after {last_step(out)} steps" if last_step(out) else "step 1 of")
        yield Try("train: the first killed, another at once", went_on, "goes on" if went_on else third.error())
        third.kill()

        out = folder / f"shards{number}"
        first = command(prepare_command(clips, out))
        first.wait((out / "train/shard-000001.tar").exists)
        os.kill(first.pid, signal.SIGSTOP)
        yield refused("prepare: a second one with the same OUT", command(prepare_command(clips, out)), out)
        first.kill()
        third = command(prepare_command(clips, out))
        code = third.end()
        yield Try("prepare: the first killed, another at once", code == 0, "goes on" if code == 0 else third.error())


def refused(what: str, running: Forked, out: Path) -> Try:
    """Whether a command ended because another is writing to ``out``."""
    code, error = running.end(), running.error().replace(str(out), "OUT")
    expected = "another process is writing to OUT: wait until it has ended, or give another folder"
    passed = code == 2 and error == f"gesture-zoo: error: {expected}"
    return Try(what, passed, expected if passed else f"exit code {code}: {running.text[-300:]}")
