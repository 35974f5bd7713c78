"""A .pt2 file is a program; one in which code was planted is refused before PyTorch's loader sees it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from test_planted import planted
from torch import nn

from gesture_zoo.errors import WeightsError
from gesture_zoo.runtime import ModelInfo, open_exported
from gesture_zoo.runtime.pt2_check import load_program

INFO = ModelInfo("mine", "clip", ("a", "b"), (3, 2, 2), (0.5,) * 3, (0.5,) * 3, num_segments=1)
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The members of a good file, by name without the folder that PyTorch puts them into."""
    path = tmp_path_factory.mktemp("program") / "a.pt2"
    batch = {"input": {0: torch.export.Dim("batch", min=1, max=64)}}
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(3, 2),), dynamic_shapes=batch)
    torch.export.save(program, str(path), extra_files={"gesture_zoo.json": INFO.to_json()})
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def write(members: Members, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"a/{name}", content)
    return path


def in_config(members: Members, kind: str, name: str) -> Members:
    """With one entry of a table of tensors that is a pickle called ``name``."""
    path = f"data/{kind}/model_{kind}_config.json"
    config = json.loads(members.get(path, b'{"config": {}}'))  # before PyTorch 2.9 there are no such tables
    entry = {"path_name": name, "is_param": False, "use_pickle": True, "tensor_meta": None}
    return {**members, path: json.dumps({"config": {**config["config"], "planted": entry}}).encode()}


def in_graph(members: Members, change: Callable[[Any], object]) -> Members:
    graph = json.loads(members["models/model.json"])
    change(graph)
    return {**members, "models/model.json": json.dumps(graph).encode()}


def call(graph: Any, target: str, argument: str = "touch mark") -> None:
    """Let the first node call another function."""
    node = graph["graph_module"]["graph"]["nodes"][0]
    node |= {"target": target, "inputs": [{"name": "command", "arg": {"as_string": argument}, "kind": 1}]}


def set_spec(graph: Any, spec: Any) -> None:
    graph["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, spec])


def set_size(graph: Any, text: str) -> None:
    values = graph["graph_module"]["graph"]["sym_int_values"]
    values["planted"] = {"as_expr": {"expr_str": text, "hint": None}}


ENUM = {"type": "builtins.dict", "context": '{"__enum__": true, "fqn": "planted:A", "name": "x"}', "children_spec": []}
NAMED = {"type": "torch.Size", "context": "null", "children_spec": []}
# How code comes into a file, given the good members and a pickle; and what is said of it.
WAYS: dict[str, tuple[Callable[[Members, bytes], Members], str]] = {
    "a pickled weight": (
        lambda good, evil: {**in_config(good, "weights", "weight_9"), "data/weights/weight_9": evil},
        "it holds a pickle, 'weight_9', and is not opened",
    ),
    "a pickled constant": (
        lambda good, evil: {**in_config(good, "constants", "tensor_9"), "data/constants/tensor_9": evil},
        "it holds a pickle, 'tensor_9'",
    ),
    "an opaque object": (
        lambda good, evil: {**in_config(good, "constants", "opaque_obj_0"), "data/constants/opaque_obj_0": evil},
        "it holds",
    ),
    "example inputs": (lambda good, evil: {**good, "data/sample_inputs/model.pt": evil}, "Weights only load failed"),
    "old weights": (lambda good, evil: {**good, "data/weights/model.pt": evil}, "Weights only load failed"),
    "compiled code": (lambda good, evil: {**good, "data/aotinductor/model/a.so": evil}, "it holds 'data/aotinductor"),
    "another graph": (lambda good, evil: {**good, "models/other.json": b"{}"}, "it holds 'models/other.json'"),
    "a function": (lambda good, evil: in_graph(good, lambda g: call(g, "torch.os.system")), "holds 'torch.os.system'"),
    "a loader": (lambda good, evil: in_graph(good, lambda g: call(g, "torch.load")), "holds 'torch.load'"),
    "a file": (
        lambda good, evil: in_graph(good, lambda g: call(g, "torch.ops.aten.from_file.default", "mark")),
        "holds 'torch.ops.aten.from_file",
    ),
    "a size": (
        lambda good, evil: in_graph(good, lambda g: set_size(g, "__import__('os').system('touch mark')")),
        "its graph holds",
    ),
    "a size that grows": (lambda good, evil: in_graph(good, lambda g: set_size(g, "9**9**9**9")), "its graph holds"),
    "a condition": (
        lambda good, evil: in_graph(good, lambda g: g.update(guards_code=["open('mark', 'w')"])),
        "its graph holds",
    ),
    "a name": (
        lambda good, evil: in_graph(good, lambda g: g["graph_module"]["graph"]["nodes"][0].update(name="a; b()")),
        "its graph holds",
    ),
    "a module by its enum": (lambda good, evil: in_graph(good, lambda g: set_spec(g, ENUM)), "takes or gives"),
    "a class": (lambda good, evil: in_graph(good, lambda g: set_spec(g, NAMED)), "takes or gives a 'torch.Size'"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_program_with_code_is_refused(
    way: str, members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plant, said = WAYS[way]
    path = write(plant(members, planted(tmp_path / "mark")["zip"]), tmp_path / "a.pt2")
    with pytest.raises(WeightsError, match=said) as error:
        open_exported(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "mark").exists()


def test_what_pytorch_does_with_it(members: Members, tmp_path: Path) -> None:
    """The traps would work; where they no longer do, PyTorch has become safer than our check needs it to be."""
    plant, _ = WAYS["example inputs"]
    path = write(plant(members, planted(tmp_path / "mark")["zip"]), tmp_path / "a.pt2")
    with suppress(Exception):
        torch.export.load(str(path))
    assert (tmp_path / "mark").exists()


def test_a_good_program_is_opened(members: Members, tmp_path: Path) -> None:
    program, text = load_program(write(members, tmp_path / "a.pt2"))
    assert text == INFO.to_json()
    assert program.module()(torch.ones(5, 2)).shape == (5, 2)
    assert open_exported(tmp_path / "a.pt2").info == INFO


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pt2").write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot read .*a\.pt2: "):
        open_exported(tmp_path / "a.pt2")
