"""Parts of fuzz.py that read lists of clips, class names, recipes and results files."""

from pathlib import Path
from random import Random
from typing import Any

from fuzz_inputs import Part, as_json, damaged, either, in_turn, joined, json_files, value

from gesture_zoo.cards.rendered_results import RealResults
from gesture_zoo.cards.results import read_results
from gesture_zoo.data import create_dataset
from gesture_zoo.data.shard_clip import ClipDecoder
from gesture_zoo.data.shard_index import parse_index
from gesture_zoo.engine.recipes import load_recipe
from gesture_zoo.labels import read_labels

# Where every reader looks for its annotation, and good lines, to be damaged here and in tests/test_annotations.py.
ANNOTATIONS = {
    "egogesture": ("labels-final-revised1/subject03/Scene1/Group1.csv", "7,1,3\n83,4.0,12.0\n2,NaN,NaN\n"),
    "folder": ("train.csv", 'path,label,start,end,depth_path\na.mp4,wave,1,9,b.mkv\n"x, y",fist,,,\n'),
    "isogd": ("train_list.txt", "train/001/M_00001.avi train/001/K_00001.avi 26\na b\n"),
    "jester": ("jester-v1-train.csv", "34870;Drumming Fingers\n1;No gesture\n"),
    "nvgesture": (
        "nvgesture_train_correct_cvpr2016_v2.lst",
        "path:./Video_data/class_01/subject3_r0 depth:sk_depth:2:10 color:sk_color:2:10 label:1 \n",
    ),
}


def annotation(name: str, folder: Path, patch: Any) -> Part:
    """The list of a dataset; its clips are inside its folder alone."""
    file, good = ANNOTATIONS[name]
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "egogesture":
        for kind in ("Color/rgb1", "Depth/depth1"):
            (folder / "Subject03" / "Scene1" / kind).mkdir(parents=True)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for record in create_dataset(name, folder, strict=False).records:
            for media in filter(None, (record.rgb, record.depth)):
                assert ".." not in media.path.parts and media.path.is_relative_to(folder)
                assert "\0" not in str(media.path)
        create_dataset(name, folder)

    lines = joined("\n", "\n", *good.splitlines(), most=6)
    return Part(either(damaged(good.encode()), lambda rng: lines(rng).encode(errors="surrogatepass")), read)


def beside_clips(file: str, good: str, folder: Path, patch: Any) -> Part:
    """classes.txt or flips.csv beside clips of one's own."""
    clip = folder / "train" / "wave" / "a.mp4"
    clip.parent.mkdir(parents=True)
    clip.touch()

    def read(content: bytes) -> None:
        (folder / file).write_bytes(content)
        create_dataset("folder", folder)

    return Part(damaged(good.encode()), read)


SHARDS = {
    "format": "gesture_zoo shards 1", "gesture_zoo": "0.1", "dataset": "folder", "split": "train", "quality": 95,
    "class_names": ["fist", "wave"], "flips": {"fist": "fist"},
    "depth": {"8": {"near": 255, "far": 0, "valid": [1, 255], "aligned": True}},
    "shards": [{"name": "shard-000000.tar", "clips": 2, "size": 10240, "sha256": "0" * 64}],
    "skipped": [{"ordinal": 2, "id": "x", "error": "y"}],
    "keys": ["00000000", "00000001"], "ids": ["a", "b"], "labels": [0, 1], "frames": [9, 12], "depth_bits": [8, 0],
    "clip_rate": 0.5,
}  # fmt: skip


def shard_index(folder: Path, patch: Any) -> Part:
    """The index.json of shards; the clips of what is taken can be sampled."""

    def read(content: bytes) -> None:
        index = parse_index(content, "index.json")
        assert index.depth is not None
        for shard in index.shards:
            assert (folder / shard.name).resolve().is_relative_to(folder.resolve())
        decoder = ClipDecoder(index, "shards", "train")
        for ordinal in range(len(index.clips)):
            decoder.draw(ordinal)

    return Part(json_files(SHARDS), read)


RESULTS = """Command: `python benchmarks/rendered_real.py --model mine.tag`, commit abc.

| answer by | exact | of 3 mapped | decided |
|---|---|---|---|
| events | 1 | 5 of 7: 71 % (36 to 92) | 2 of 7: 3 % (1 to 9) |

| class | beside |
|---|---|
| a | b |

| recording | ours |
|---|---|
| subject3_r0 | Swiping Left (1) |

| answer by | Swiping Left / Swiping Right |
|---|---|
| events | 5 of 7: 71 % (36 to 92) |

| where | minutes | events | a minute |
|---|---|---|---|
| car | 3.5 | 2 | 0.6 |
"""


def results(folder: Path, patch: Any) -> Part:
    """A results file, of which the model cards are made."""
    path = folder / "rendered_real.md"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = RealResults(read_results(path))
        _ = found.model, found.tested, found.people, found.among, found.which(), found.guess()
        list(found.directions())
        found.alarms()

    return Part(damaged(RESULTS.encode()), read)


def class_names(folder: Path, patch: Any) -> Part:
    """A file of class names, as lines or JSON."""

    def read(content: bytes) -> None:
        lines, listed = folder / "a.txt", folder / "a.json"
        for path in (lines, listed):
            path.write_bytes(content)
        in_turn(lambda: read_labels(lines), lambda: read_labels(listed))

    return Part(damaged(b'["wave", "fist"]', b"wave\nfist\r\n\n"), read)


def recipe(folder: Path, patch: Any) -> Part:
    """A recipe in YAML."""
    path = folder / "recipe.yaml"
    good = b"base: isogd\nepochs: 3\nlr: 1e-3\nmilestones: [1, 2]\nopt: adamw\nclip_grad: null\nval_split: val\n"
    # A few lines, and a list of billions.
    lists = [b"&a0 [x]", *(b"&a%d [%s]" % (n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12))]
    bomb = b"epochs: [" + b", ".join(lists) + b"]\n"
    fields = ("epochs", "lr", "milestones", "opt", "seed", "amp", "base", "hflip", "size", "val_split", "test_protocol")

    def make(rng: Random) -> bytes:
        return as_json({rng.choice(fields): value(rng) for _ in range(rng.randint(1, 4))})

    def read(content: bytes) -> None:
        path.write_bytes(content)
        load_recipe(path)

    return Part(either(damaged(good, bomb), make), read)
