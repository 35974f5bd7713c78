"""Hostile input: whatever a file, a name or an argument holds, it is taken or refused by an error of the library.

The same inputs by the hundred thousand: benchmarks/fuzz.py. What was found has a test of its own below.
"""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import fuzz
import fuzz_parts
from fuzz_data import SHARDS
from fuzz_inputs import outcome, safetensors
from fuzz_models import CONFIG, INFO

from gesture_zoo import with_msd
from gesture_zoo._hub_request import find_cache
from gesture_zoo.cards.results import number, read_results
from gesture_zoo.convert import convert_checkpoint
from gesture_zoo.data import create_dataset
from gesture_zoo.data.listing import inside
from gesture_zoo.data.media import clips_under
from gesture_zoo.data.shard_index import parse_index
from gesture_zoo.data.shard_stream import locate
from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.engine.recipes import load_recipe
from gesture_zoo.engine.run import check_free
from gesture_zoo.errors import DataError, GestureZooError, ModelError, TapError, WeightsError
from gesture_zoo.factory import create_model, read_saved_model
from gesture_zoo.labels import read_labels
from gesture_zoo.model_folder import load_safetensors
from gesture_zoo.packaged import packaged_file
from gesture_zoo.pickles import read_checkpoint
from gesture_zoo.pretrained import PretrainedCfg
from gesture_zoo.runtime import ModelInfo, open_exported
from gesture_zoo.web.onnx_metadata import onnx_metadata
from gesture_zoo.web.site import describe_model

# A model takes time to build, and so does reading YAML.
EXAMPLES = {"config.json, model built": 15, "recipe": 60}


@pytest.mark.parametrize("name", fuzz_parts.PARTS)
def test_nothing_but_our_own_errors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz.no_network(monkeypatch.setattr)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    part = fuzz_parts.PARTS[name](tmp_path / "folder", monkeypatch)

    @settings(
        max_examples=EXAMPLES.get(name, 200), derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.randoms(note_method_calls=False, use_true_random=False))
    def feed(rng: Random) -> None:
        given = part.make(rng)
        note(repr(given))
        outcome(part, given)

    feed()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"], "wrote beside its folder"
    assert not list(tmp_path.rglob("harm")), "something was run"


# What was found.

LONG = "/".join(["漢" * 60] * 30)  # longer than the system takes


@pytest.mark.parametrize("name", [LONG, "~nobody-of-this-name/x", "a\0b", "~a\0b", "\ud800"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    for use in (
        load_safetensors, read_checkpoint, read_labels, onnx_metadata, describe_model, clips_under, packaged_file_of,
        lambda name: open_exported(f"{name}.onnx"), lambda name: create_model(f"local-dir:{name}"),
        lambda name: create_model("tsm_test_resnet", True, pretrained_cfg={"file": name}),
        lambda name: convert_checkpoint(name, "tsm_resnet18", tmp_path / "out"),
        *(partial(create_dataset, dataset) for dataset in ("isogd", "folder", "shards")),
    ):  # fmt: skip
        with pytest.raises(GestureZooError):
            use(name)
    assert find_cache("~nobody-of-this-name/x").name == "x"


def packaged_file_of(name: str) -> None:
    with packaged_file(name):
        pass


@pytest.mark.parametrize("name", ["../errors.py", "/etc/passwd", ".", "", "a" * 300, "a\0b", "\ud800"])
def test_files_of_the_package_are_those_of_their_folder(name: str) -> None:
    with pytest.raises(WeightsError, match="is missing from the installed gesture_zoo"):
        packaged_file_of(name)


def test_a_path_of_a_list_is_counted_in_bytes() -> None:
    assert inside("/".join(["漢" * 60] * 5)) is not None
    assert inside(LONG) is None and inside("a/.. /b") is None and inside("\ud800") == "\ud800"


@pytest.mark.parametrize("change", [{"near": 10**400}, {"far": -(10**400)}, {"valid": [0, 10**400]}])
def test_depth_of_shards_without_end(change: dict[str, Any]) -> None:
    encoding = {"near": 255, "far": 0, "valid": [1, 255], "aligned": True, **change}
    index = {**SHARDS, "depth": {"8": encoding}}
    with pytest.raises(DataError, match="depth has to map"):
        parse_index(json.dumps(index).encode(), "index.json")


@pytest.mark.parametrize("frames", [0, 10**12])
def test_a_clip_of_shards_without_frames_or_end(frames: int) -> None:
    with pytest.raises(DataError, match="a clip has no frames, or more than"):
        parse_index(json.dumps({**SHARDS, "frames": [frames] * len(SHARDS["frames"])}).encode(), "index.json")


def test_a_url_of_half_a_character() -> None:
    with pytest.raises(DataError, match=r"'http://127.0.0.1/\\ud800' is no URL"):
        locate("http://127.0.0.1/\ud800", "index.json")


@pytest.mark.parametrize("value", [[[0.5] * 3], [{"a": 1}], {"a": 1}])
def test_a_config_of_lists_in_lists_says_nothing(value: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "pretrained_cfg": {"mean": value}}))
    cfg = read_saved_model("local-dir", str(tmp_path))[1]
    assert cfg.mean == PretrainedCfg().mean


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        ("", {"num_classes": 10**9}, "num_classes from 0 to 100000, not 1000000000"),
        ("", {"num_classes": "3"}, "num_classes from 0"),
        ("", {"num_classes": 3.0}, "num_classes from 0"),
        ("", {"label_names": ["a", "b", "\x1b[2J"]}, "label_names of plain text"),
        ("", {"label_names": ["a", "b", "\ud800"]}, "is not valid JSON"),
        ("pretrained_cfg", {"input_size": [3, 10**9, 64]}, "an input_size of three positive integers of at most 8192"),
        ("pretrained_cfg", {"input_size": [True, 64, 64]}, "an input_size"),
        ("pretrained_cfg", {"test_input_size": "big"}, "an test_input_size"),
        ("pretrained_cfg", {"mean": "half"}, "a mean of numbers, not 'half'"),
        ("pretrained_cfg", {"mean": [10**400] * 3}, "a mean of numbers"),
        ("pretrained_cfg", {"std": [0.5, 0, 0.5]}, "a std of numbers"),
        ("pretrained_cfg", {"std": [0.5, 1e-320, 0.5]}, "a std of numbers"),
        ("pretrained_cfg", {"crop_pct": [1]}, "a crop_pct above 0"),
        ("pretrained_cfg", {"interpolation": 3}, "an interpolation of nearest, nearest-exact, bilinear"),
        ("gesture_zoo", {"num_segments": "x"}, "num_segments from 1"),
        ("gesture_zoo", {"frame_rate": 10**400}, "a frame_rate of frames a second"),
        ("model_args", {"num_segments": 10**9}, "num_segments must be at most 4096"),
        ("model_args", {"in_chans": 10**9}, "in_chans must be at most 1024"),
    ],
)
def test_a_config_that_cannot_be(place: str, change: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = {**CONFIG, **change} if not place else {**CONFIG, place: {**CONFIG[place], **change}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=re.escape(said)):
        read_saved_model("local-dir", str(tmp_path))


@pytest.mark.parametrize(
    "taps", [3, None, {"res1": 1}, [{"name": "res1", "weight": 10**400}], [{"name": "res1", "widths": [10**9]}]]
)
def test_taps_that_cannot_be(taps: Any) -> None:
    with pytest.raises(TapError):
        with_msd(create_model("tsm_test_resnet", num_classes=2), taps)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["a", 3]}, "have to be plain text"),
        ({"labels": ["a", "\x1b[2J"]}, "have to be plain text"),
        ({"labels": ["a", "\ud800"]}, "surrogates not allowed"),
        ({"version": None}, "have to be plain text"),
        ({"kind": ["clip"]}, "kind is one of clip, stream"),
        ({"input_size": [3, 10**6, 10**6]}, "no clip can be"),
        ({"input_size": [3, 8, True]}, "no clip can be"),
        ({"input_size": [3, 8]}, "input_size is channels, height and width"),
        ({"num_segments": 10**9}, "no clip can be"),
        ({"mean": ["a"] * 3}, "mean has to be a number of each channel"),
        ({"mean": [10**400] * 3}, "mean has to be"),
        ({"std": [0, 1, 1]}, "std has to be"),
        ({"std": [1, 1, 1e-320]}, "std has to be"),  # 0 in single precision
        ({"crop_pct": "x"}, "crop_pct is a share"),
        ({"frame_rate": -1}, "frame_rate is frames a second"),
        ({"states": [{"input": 3, "output": "x", "shape": [1]}]}, "no state can be"),
        ({"states": [{"input": "x", "output": "x", "shape": [10**9]}]}, "no state can be"),
        ({"states": [{"input": "x", "output": "x", "shape": [1 << 27]}] * 3}, "its states are too large"),
    ],
)
def test_a_description_that_cannot_be(change: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError, match=f"^it does not describe a model of gesture_zoo: .*{re.escape(said)}"):
        ModelInfo.from_json(json.dumps({**INFO, **change}), where="it")


def test_a_description_of_lists_in_lists() -> None:
    for depth in (900, 990, 100_000):
        with pytest.raises(WeightsError, match="does not describe a model"):
            ModelInfo.from_json(f'{{"labels": {"[" * depth}{"]" * depth}}}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: [isogd]", "has the base ['isogd']; choose one of"),
        ("base: {a: 1}", "has the base a dict; choose one of"),
        ("epochs: [1, [2]]", "epochs must be a whole number, got a list"),
        ("milestones: [1, [2]]", "milestones are epochs such as [10, 15, 20], got a list"),
        (f"epochs: {10**20}", f"epochs must be a whole number, got {10**20}"),
    ],
)
def test_a_recipe_of_lists_and_endless_epochs(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ModelError, match=re.escape(said)):
        load_recipe(tmp_path / "a.yaml")


def test_a_recipe_that_refers_to_itself(tmp_path: Path) -> None:
    """A list of 9 lists of 9 lists and so on: written out, it would fill the memory."""
    lists = ["&a0 [x]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    (tmp_path / "a.yaml").write_text(f"epochs: [{', '.join(lists)}]\n")
    with pytest.raises(ModelError, match="epochs must be a whole number, got a list"):
        load_recipe(tmp_path / "a.yaml")


@pytest.mark.parametrize("dtype", ["nn", "os", "_inductor", "load"])
def test_a_type_of_a_checkpoint_is_a_type(dtype: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(safetensors({"__metadata__": {"state": json.dumps({"a": {"$dtype": dtype}})}}, 0))
    with pytest.raises(WeightsError, match=f"there is no type '{dtype}'"):
        load_checkpoint(tmp_path / "a")


def test_a_table_with_cells_too_few(tmp_path: Path) -> None:
    head = "Command: `x`, commit abc.\n\n| a | b |\n|---|---|\n"
    (tmp_path / "a.md").write_text(f"{head}| 1 |\n")
    with pytest.raises(GestureZooError, match=r"has the columns \| a \| b \|, and the row '\| 1 \|'"):
        read_results(tmp_path / "a.md")
    (tmp_path / "a.md").write_text(f"{head}| 1 | 1.2.3 |\n")
    row = read_results(tmp_path / "a.md").table("b")[0]
    with pytest.raises(GestureZooError, match="has no column 'c'; it has a, b"):
        row["c"]
    with pytest.raises(GestureZooError, match=r"expected a number .* got '1\.2\.3'"):
        number(row["b"])


@pytest.mark.parametrize("name", [LONG, "a\0b"])
def test_a_run_in_a_folder_that_cannot_be(name: str) -> None:
    check_free(name)  # what cannot be made is said when it is made
