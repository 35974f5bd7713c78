"""Parts of fuzz.py that read models: configurations, weights, checkpoints, exported files, and cards of them."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz_inputs import (
    Part,
    as_json,
    damaged,
    edited,
    either,
    in_turn,
    json_files,
    leaf,
    onnx,
    safetensors,
    safetensors_files,
    text,
    value,
)
from huggingface_hub import ModelCard

from gesture_zoo import registry, save_pretrained
from gesture_zoo.cards.hub_card import model_card
from gesture_zoo.data import create_transform, resolve_data_config
from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.factory import create_model, read_saved_model
from gesture_zoo.live.events import EventDetector, no_gesture_labels
from gesture_zoo.model_folder import load_safetensors
from gesture_zoo.pickles import check_checkpoint
from gesture_zoo.runtime import ModelInfo, preprocess
from gesture_zoo.runtime.info import METADATA_KEY
from gesture_zoo.runtime.runner import GraphRunner
from gesture_zoo.saving import model_config
from gesture_zoo.web.onnx_metadata import onnx_metadata
from gesture_zoo.web.site import describe_model

CONFIG: dict[str, Any] = {
    "architecture": "tsm_test_resnet_msd",
    "num_classes": 3,
    "num_features": 64,
    "label_names": ["wave", "point", "fist"],
    "pretrained_cfg": {
        "input_size": [3, 64, 64], "test_input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center", "num_classes": 3, "license": "mit",
        "first_conv": "conv1", "classifier": "fc", "url": "http://x/a.pth", "file": "/etc/passwd", "hf_hub_id": "a/b",
    },
    "model_args": {
        "num_segments": 4, "in_chans": 3, "drop_rate": 0.1, "shift_div": 8,
        "taps": [{"name": "res1", "scale": 1.0, "weight": 1.0, "widths": [8]}, "layer4"],
    },
    "gesture_zoo": {
        "version": "0.1", "num_segments": 4, "dataset": "mine", "frame_rate": 30.0, "checkpoint": "best",
        "origin_url": "http://x",
    },
}  # fmt: skip


def config(folder: Path, patch: Any) -> Part:
    """config.json of a local directory, which is also that of the Hub: what is taken can be used."""
    path = folder / "config.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        architecture, cfg, arguments = read_saved_model("local-dir", str(folder))
        assert registry.is_model(architecture) and isinstance(arguments, dict)
        assert (cfg.file, cfg.url, cfg.hf_hub_id) == (str(folder / "model.safetensors"), None, None)
        create_transform(resolve_data_config(pretrained_cfg=cfg.to_dict()))

    return Part(json_files(CONFIG), read)


def built(folder: Path, patch: Any) -> Part:
    """A saved model whose config.json was edited: it is built and filled, or refused."""
    model = create_model("tsm_test_resnet_msd", num_classes=3, num_segments=4, taps=CONFIG["model_args"]["taps"])
    save_pretrained(model, folder)

    def read(document: dict[str, Any]) -> None:
        (folder / "config.json").write_bytes(as_json(document))
        made = create_model(f"local-dir:{folder}")
        create_transform(resolve_data_config(model=made))
        model_card(made, model_config(made))

    return Part(edited(CONFIG), read)


def card(folder: Path, patch: Any) -> Part:
    """The card of a model whose config.json came from elsewhere: whatever that says, the front matter is ours."""
    model = create_model("tsm_test_resnet", num_classes=3, num_segments=4)
    own = dict(model.pretrained_cfg)
    good = {**CONFIG, "architecture": "tsm_test_resnet", "model_args": {"num_segments": 4}, "metrics": {"top-1": 0.5}}

    def make(rng: Random) -> dict[str, Any]:
        names = [f"{text(rng)}{number}" for number in range(3)]
        scores = {text(rng): leaf(rng) for _ in range(rng.randrange(3))}
        said = {"dataset": text(rng), "checkpoint": text(rng), "origin_url": text(rng)}
        return {**good, "label_names": names, "metrics": scores, "gesture_zoo": said}

    def read(document: dict[str, Any]) -> None:
        (folder / "config.json").write_bytes(as_json(document))
        _, cfg, _ = read_saved_model("local-dir", str(folder))
        said = {**cfg.to_dict(), "architecture": "tsm_test_resnet", "model_args": own["model_args"]}
        model.pretrained_cfg = {**own, **said}
        if cfg.num_classes != 3:
            model.pretrained_cfg.pop("label_names", None)
        scores = document.get("metrics")
        written = model_card(model, model_config(model) | {"metrics": scores if isinstance(scores, dict) else {}})
        data = ModelCard(written).data
        assert data.library_name == "gesture_zoo" and data.license in (None, "other")

    return Part(either(edited(good), make), read)


def tensors(folder: Path, patch: Any) -> Part:
    """Files of weights: a header in JSON, and its length before it."""
    path = folder / "model.safetensors"
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }

    def read(content: bytes) -> None:
        path.write_bytes(content)
        in_turn(lambda: load_safetensors(path), lambda: check_checkpoint(path, source="it"))

    return Part(safetensors_files(header), read)


STATE = {
    "trainer": {
        "model": {"w": {"$tensor": "a"}}, "random": [{"torch": {"$tensor": "b"}, "python": {"$tuple": [3, 1, None]}}],
        "optimizer": {"$dict": [[0, {"betas": {"$tuple": [0.9, 0.99]}}]]}, "dtype": {"$dtype": "bfloat16"},
    },
    "recipe": {"epochs": 3}, "clips": 2,
}  # fmt: skip


def training_state(folder: Path, patch: Any) -> Part:
    """The checkpoint of a run."""
    path = folder / "checkpoint.safetensors"
    blank = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "U8", "shape": [0], "data_offsets": [8, 8]},
    }
    names = ('{"$tensor": "c"}', '{"$dtype": "os"}', '{"$dtype": "nn"}', '{"$dict": [[[], 1]]}', '{"$tuple": 3}')
    changed = edited(STATE, either(value, lambda rng: json.loads(rng.choice(names))))

    def pack(state: Any) -> bytes:
        return safetensors({"__metadata__": {"state": as_json(state).decode()}, **blank}, 8)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        load_checkpoint(path)

    return Part(either(lambda rng: pack(changed(rng)), damaged(pack(STATE))), read)


INFO = {
    "architecture": "tsm_resnet18", "kind": "stream", "labels": ["wave", "no gesture"], "input_size": [3, 8, 8],
    "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "crop_pct": 0.875, "num_segments": 2,
    "frame_rate": 12.0, "version": "0.1", "precision": "float32",
    "states": [{"input": "state_0", "output": "next_0", "shape": [2, 4, 4]}], "later": 1,
}  # fmt: skip


def info(folder: Path, patch: Any) -> Part:
    """The description inside an exported file: a picture, the states and the events of what is taken can be made."""

    def read(content: bytes) -> None:
        described = ModelInfo.from_json(content.decode(errors="surrogateescape"))
        assert ModelInfo.from_json(described.to_json()) == described
        "\n".join((described.architecture, described.input_name, *described.labels)).encode()
        no_gesture_labels(described.labels)
        EventDetector(described.labels)
        if sum(np.prod(state.shape) for state in described.states) < 1e6:
            GraphRunner(described).initial_states()
        if described.input_size[0] == 3 and np.prod(described.input_size) < 1e5:
            preprocess(np.zeros((6, 9, 3), np.uint8), described)

    return Part(json_files(INFO), read)


def onnx_file(folder: Path, patch: Any) -> Part:
    """An ONNX file as the page reads it."""
    path = folder / "model.onnx"
    changed = json_files(INFO)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        onnx_metadata(path)
        json.dumps(describe_model(path)).encode()

    whole = onnx(json.dumps(INFO).encode(), METADATA_KEY)
    return Part(either(lambda rng: onnx(changed(rng), METADATA_KEY), damaged(whole)), read)
