"""What was planted in files of others stays asleep: no pickle runs, no path leaves its folder, no config names code."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from layouts import nvgesture_line

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.convert import convert_checkpoint
from gesture_zoo.data import create_dataset
from gesture_zoo.data.listing import inside
from gesture_zoo.data.shard_index import FORMAT
from gesture_zoo.data.shards import ShardedClips
from gesture_zoo.engine import Recipe, load_recipe
from gesture_zoo.engine.run import read_run
from gesture_zoo.errors import DataError, GestureZooError, WeightsError
from gesture_zoo.labels import read_labels
from gesture_zoo.pickles import check_checkpoint, read_checkpoint
from gesture_zoo.runtime import open_exported
from gesture_zoo.web.site import describe_model

MODEL = "tsm_test_resnet"
CONFIG = {"architecture": MODEL, "num_classes": 3, "model_args": {"num_segments": 4}}


class Planted:
    """Unpickled as pickles are, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def planted(mark: Path) -> dict[str, bytes]:
    """The same thing in every way in which a checkpoint may be pickled."""
    contents = {"bare": pickle.dumps(Planted(mark)), "old": pickle.dumps({"state_dict": Planted(mark)}, protocol=0)}
    for name, zipped in (("zip", True), ("legacy", False)):
        file = io.BytesIO()
        state = {"state_dict": {"fc.weight": torch.zeros(2)}, "optimizer": Planted(mark)}
        torch.save(state, file, _use_new_zipfile_serialization=zipped)
        contents[name] = file.getvalue()
    return contents


# Everything that opens a file of weights, given one.
ENTRIES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "convert": ("a.pth", lambda path: convert_checkpoint(path, "tsm_resnet18", path.with_name("out"))),
    "convert .tar": ("a.pth.tar", lambda path: convert_checkpoint(path, "tsm_resnet18", path.with_name("out"))),
    "read_checkpoint": ("a.bin", read_checkpoint),
    "check_checkpoint": ("a.ckpt", lambda path: check_checkpoint(path, source="it")),
    "local-dir": ("model.safetensors", lambda path: gesture_zoo.create_model(f"local-dir:{path.parent}")),
    "checkpoint_path": ("a.safetensors", lambda path: gesture_zoo.create_model(MODEL, checkpoint_path=path)),
    "checkpoint_path .pth": ("a.pth", lambda path: gesture_zoo.create_model(MODEL, checkpoint_path=path)),
    "file": ("a.pth", lambda path: gesture_zoo.create_model(MODEL, True, pretrained_cfg={"file": str(path)})),
    "folder": ("model.safetensors", lambda p: gesture_zoo.create_model(MODEL, True, pretrained_cfg={"file": p.parent})),
    "resume": ("checkpoint.safetensors", lambda path: read_run(path.parent, "auto", Recipe(), 4, subject={})),
    "onnx": ("a.onnx", open_exported),
    "openvino": ("a.xml", open_exported),
    "torch.export": ("a.pt2", open_exported),
    "web": ("a.onnx", describe_model),
    "labels": ("a.txt", read_labels),
    "labels in JSON": ("a.json", read_labels),
    "recipe": ("a.yaml", load_recipe),
    "config": ("config.json", lambda path: gesture_zoo.create_model(f"local-dir:{path.parent}")),
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_pickle_runs(entry: str, tmp_path: Path) -> None:
    name, use = ENTRIES[entry]
    for kind, content in planted(tmp_path / "mark").items():
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG))
        (folder / "pytorch_model.bin").write_bytes(content)
        (folder / name).write_bytes(content)
        with pytest.raises(GestureZooError):
            use(folder / name)
    assert not (tmp_path / "mark").exists()
    pickle.loads(planted(tmp_path / "mark")["bare"])
    assert (tmp_path / "mark").exists(), "the trap itself works"


def test_no_pickle_of_a_server_runs(hub: HubServer, tmp_path: Path) -> None:
    for kind, content in planted(tmp_path / "mark").items():
        repo = f"me/{kind}"
        files = dict.fromkeys(("a.pth", "a.safetensors", "model.safetensors", "pytorch_model.bin"), content)
        hub.add_repo(repo, {**files, "config.json": json.dumps(CONFIG).encode()})
        with pytest.raises(WeightsError):
            gesture_zoo.create_model(f"hf-hub:{repo}")
        for cfg in (
            {"url": f"{hub.url}/{repo}/resolve/main/a.pth"},
            {"url": f"{hub.url}/{repo}/resolve/main/a.safetensors"},
            {"hf_hub_id": repo},
            {"hf_hub_id": repo, "hf_hub_filename": "pytorch_model.bin"},
        ):
            with pytest.raises(WeightsError):
                gesture_zoo.create_model(MODEL, True, pretrained_cfg=cfg, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "mark").exists()


def test_no_pickle_runs_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = planted(tmp_path / "mark")["zip"]
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for name in ("a.pth", "a.pt2", "model.safetensors"):
        (tmp_path / name).write_bytes(content)
    for command in (
        ["convert", str(tmp_path / "a.pth"), str(tmp_path / "out"), "--arch", "tsm_resnet18"],
        ["predict", str(tmp_path), "--checkpoint", str(tmp_path)],
        ["predict", "clip.mp4", "--onnx", str(tmp_path / "a.pt2")],
        ["info", f"local-dir:{tmp_path}"],
    ):
        assert main(command) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "mark").exists()


def test_no_archive_fills_the_memory(tmp_path: Path) -> None:
    torch.save({"state_dict": {"fc.weight": torch.zeros(1 << 20)}}, tmp_path / "good.pth")
    assert read_checkpoint(tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as good, zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as packed:
        for name in good.namelist():
            packed.writestr(name, good.read(name))
    with pytest.raises(WeightsError, match=r"a\.pth unpacks to more than 10 times its size"):
        read_checkpoint(tmp_path / "a.pth")


# Paths.

LEAVING = (
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "..\\..\\b",
    "a\\..\\b",
    "C:\\b",
    "c:b",
    "\\\\host\\b",
    "a\0b",
    "..",
    "./..",
    "a/... /b",
)


@pytest.mark.parametrize("path", LEAVING)
def test_no_path_of_a_list_leaves_its_folder(path: str, tmp_path: Path) -> None:
    assert inside(path) is None
    table = path.replace('"', '""')
    for name, file, text in (
        ("isogd", "train_list.txt", f"{path} b.avi 1\n"),
        ("isogd", "train_list.txt", f"a.avi {path} 1\n"),
        (
            "nvgesture",
            "nvgesture_train_correct_cvpr2016_v2.lst",
            nvgesture_line("x", 1).replace("./Video_data/x", path),
        ),
        ("jester", "jester-v1-train.csv", f"{path};No gesture\n"),
        ("folder", "train.csv", f'path,label\n"{table}",wave\n'),
        ("folder", "train.csv", f'path,label,depth_path\na.mp4,wave,"{table}"\n'),
    ):
        (tmp_path / file).write_text(text)
        with pytest.raises(DataError, match="line [12]: "):
            create_dataset(name, tmp_path)


def write_shards(folder: Path, member: tarfile.TarInfo, name: str = "a.tar") -> Path:
    """Shards of one clip whose only frame is this member."""
    (folder / "train").mkdir()
    described = json.dumps({"id": "a", "label": 0, "class_name": "wave", "num_frames": 1}).encode()
    with tarfile.open(folder / "train" / "a.tar", "w") as tar:
        info = tarfile.TarInfo("00000000.json")
        info.size = len(described)
        tar.addfile(info, io.BytesIO(described))
        tar.addfile(member)
    index = {
        "format": FORMAT, "gesture_zoo": "0", "class_names": ["wave"], "flips": {}, "depth": {}, "skipped": [],
        "shards": [{"name": name, "clips": 1, "size": (folder / "train/a.tar").stat().st_size, "sha256": "0"}],
        "keys": ["00000000"], "ids": ["a"], "labels": [0], "frames": [1], "depth_bits": [0],
    }  # fmt: skip
    (folder / "train" / "index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_in_a_shard_is_not_followed(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("00000000.0000.jpg")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="is damaged"):
        list(ShardedClips(write_shards(tmp_path, member), num_segments=1))


@pytest.mark.parametrize("path", LEAVING)
def test_no_shard_is_outside_its_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file inside the folder"):
        ShardedClips(write_shards(tmp_path, tarfile.TarInfo("x"), name=path))


# Configs.


@pytest.mark.parametrize(
    "architecture",
    [
        "os.system",
        "builtins:eval",
        "planted",
        "planted.Model",
        "../planted",
        "timm.create_model",
        "hf-hub:a/b",
        "__import__",
        "",
    ],
)
def test_a_config_names_no_code(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("planted.py", "modeling.py", "configuration.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    code = {
        "auto_map": {"AutoModel": "modeling.Model"},
        "custom_load": "planted:load",
        "entry": "planted",
        "file": "planted.py",
    }
    config = {**CONFIG, **code, "architecture": architecture, "pretrained_cfg": code, "gesture_zoo": code}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="which gesture_zoo does not know"):
        gesture_zoo.create_model(f"local-dir:{tmp_path}")
    for arguments in ({"net": "os.system"}, {"taps": [{"name": "__class__"}]}, {"block": "planted.Model"}):
        (tmp_path / "config.json").write_text(
            json.dumps({**config, "architecture": f"{MODEL}_msd", "model_args": arguments})
        )
        with pytest.raises(GestureZooError):
            gesture_zoo.create_model(f"local-dir:{tmp_path}")
    assert not (tmp_path / "mark").exists() and "planted" not in sys.modules
