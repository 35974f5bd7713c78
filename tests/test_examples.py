"""Every example runs as it says, and what it prints is true."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from hub_server import HubServer
from layouts import write_folder
from safetensors.torch import save_file

import gesture_zoo
from gesture_zoo.cli import build_parser, main
from gesture_zoo.engine import predict_video
from gesture_zoo.layers import TemporalModule

EXAMPLES = Path(__file__).parents[1] / "examples"


class Ran(NamedTuple):
    """What a script left behind: its variables and its output."""

    names: dict[str, Any]
    out: str


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run an example in this process, which is faster than one of its own and lets us look inside."""

    def run(name: str, *arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        names = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return Ran(names, capsys.readouterr().out)

    return run


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)


def temporal_modules(model: torch.nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, TemporalModule)]


def test_the_table_names_every_example_and_its_commands_are_understood() -> None:
    table = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"examples/{path.name}" in table
    for path in re.findall(r"examples/[\w./]+", table):
        assert (EXAMPLES.parent / path).exists(), path
    commands = [
        command
        for script in EXAMPLES.rglob("*.py")
        for command in re.findall(r"^gesture-zoo (.*)", script.read_text(), flags=re.MULTILINE)
    ]
    assert commands
    for command in commands:
        build_parser().parse_args(shlex.split(command))


# A CNN of torchvision, of timm, of one's own.


def test_a_torchvision_resnet(example: Callable[..., Ran]) -> None:
    names, out = example("wrap_torchvision_resnet.py")
    assert re.search(r"a training step: ce \d\.\d+, res1 0\.\d+, layer4 0\.\d+\n", out)
    assert "12.3 M parameters in training, 11.2 M left, logits (2, 25) from RGB alone" in out
    assert float(re.search(r"played backwards, logits differ by up to (\S+)", out)[1]) > 1e-3
    plain = gesture_zoo.with_temporal(torchvision.models.resnet18(), "tsm", num_classes=25).eval()
    plain.load_state_dict(names["deploy"].state_dict())
    with torch.inference_mode():
        assert torch.equal(plain(names["clip"]), names["logits"])
        assert torch.equal(names["model"].eval()(names["clip"]), names["logits"])


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_torchvision_resnet_from_a_file(example: Callable[..., Ran], tmp_path: Path, suffix: str) -> None:
    state, file = torchvision.models.resnet18().state_dict(), tmp_path / f"resnet18.{suffix}"
    state["bn1.running_mean"] += 30
    (torch.save if suffix == "pth" else save_file)(state, file)
    names, _ = example("wrap_torchvision_resnet.py", "--weights", file)
    mean = names["deploy"].state_dict()["base_model.bn1.running_mean"]
    assert (mean - 27).abs().max() < 2, "nine tenths of what the file says, after a step"


def test_weights_of_torchvision_that_do_not_exist(example: Callable[..., Ran], capsys: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        example("wrap_torchvision_resnet.py", "--weights", "IMAGENET22K")
    assert stop.value.code == 2
    assert "IMAGENET22K is neither a file nor one of IMAGENET1K_V1, DEFAULT\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        ((), "efficientnet_b0: tsm went to 9 places, blocks.1.1.conv_pw to blocks.5.3.conv_pw"),
        (
            ("test_resnet", "--temporal", "action"),
            "test_resnet: action went to 4 places, layer1.0.conv1 to layer4.0.conv1",
        ),
    ],
)
def test_a_timm_model(example: Callable[..., Ran], arguments: tuple[str, ...], places: str) -> None:
    names, out = example("wrap_a_timm_model.py", *arguments)
    assert places in out
    assert temporal_modules(names["deploy"].base_model) == names["places"]
    assert "stripped: (2, 25) logits from RGB alone" in out
    assert "\napart from those of the model that was trained by 0.0\n" in out
    assert "never had decoders, with the same weights, by 0.0\n" in out
    assert torch.isfinite(names["logits"]).all() and names["logits"].std() > 0


def test_a_cnn_of_ones_own(example: Callable[..., Ran]) -> None:
    names, out = example("wrap_your_own_cnn.py")
    assert "by the rule: blocks.0.squeeze, blocks.1.squeeze, blocks.2.squeeze\n" in out
    assert "by name: blocks.0.squeeze, blocks.1.spread, blocks.2.spread\n" in out
    assert temporal_modules(names["deploy"].base_model) == ["blocks.0.squeeze", "blocks.1.spread", "blocks.2.spread"]
    assert names["deploy"].classifier.name == "answer"
    assert "masks: blocks.0 (2, 8, 1, 64, 64), blocks.2 (2, 8, 1, 16, 16)\n" in out
    assert names["losses"][-1] < names["losses"][0] - 0.1
    assert "stripped: (2, 4) logits from RGB alone, a ClipModel around your OwnCNN" in out


# A file for other programs.


def test_an_exported_stream_in_a_program_of_ones_own(example: Callable[..., Ran]) -> None:
    names, out = example("export_and_stream.py")
    assert re.search(r"\d\.\d MB, at most \de-0[6-9] of the largest logit from PyTorch\n", out)
    stream = gesture_zoo.to_streaming(names["model"])
    for frame in names["seen"]:
        logits = stream.step(torch.from_numpy(frame))
    torch.testing.assert_close(torch.from_numpy(names["answer"]["logits"]), logits, rtol=1e-4, atol=1e-5)
    assert f"16 frames, {len(names['events'])} events" in out


# Clips of one's own.


def test_training_on_a_folder(example: Callable[..., Ran], tmp_path: Path, capsys: Any) -> None:
    clips, run = write_folder(tmp_path / "clips"), tmp_path / "run"
    options = ("--epochs", 1, "--size", 32, "--model", "tsm_test_resnet_msd")
    _, out = example("train_on_your_clips.py", clips, run, *options)
    assert out.startswith("3 clips of fist, wave; validated on the split 'val'\n")
    loss, top1, depth = (
        re.search(pattern, out)
        for pattern in (
            r"\ntrained in \d+ s, loss of the last epoch (\d\.\d+): ",
            r"\ntop-1 from RGB alone (\S+), best \1 after epoch 1: ",
            r"\ndepth error at res1: 0\.\d+ before, 0\.\d+ after; the mean depth: (0\.\d+)\n",
        )
    )
    assert 0.3 < float(loss[1]) < 2
    assert top1[1] in ("0.0%", "33.3%", "66.7%", "100.0%"), "three clips to validate on"
    assert float(depth[1]) == pytest.approx(0.25, abs=0.01), "half of every picture at 0.25, half at 0.75"
    clip = clips / "val" / "wave" / "a.mp4"
    for folder in (run, run / "best"):
        found = predict_video(gesture_zoo.create_model(f"local-dir:{folder}"), clip)
        assert {prediction.label for prediction in found} == {"fist", "wave"}
        assert sum(prediction.score for prediction in found) == pytest.approx(1)
    advice = re.search(r"^next: gesture-zoo (.*)", out, flags=re.MULTILINE)[1]
    assert main(shlex.split(advice.replace("CLIP.mp4", str(clip)))) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"fist", "wave"}


# A package of one's own.

TRAIN_AND_SAVE = """
import sys, torch, gesture_zoo
assert "gesture_zoo_tempdiff" not in sys.modules
assert gesture_zoo.list_models("tempdiff_*", exclude_filters="*_msd") == [
    "tempdiff_mobilenetv2_100", "tempdiff_resnet18", "tempdiff_resnet50"
]
assert gesture_zoo.get_pretrained_cfg("tempdiff_resnet50_msd").hf_hub_id == "timm/resnet50.tv_in1k"
torch.manual_seed(0)
model = gesture_zoo.create_model("tempdiff_resnet18_msd", num_classes=4, num_segments=2)
clip, depth = torch.rand(2, 2, 3, 64, 64), torch.rand(2, 2, 1, 64, 64)
assert torch.equal(model.eval()(clip), model(clip.flip(1))), "from the start time plays no part"
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
gesture_zoo.MSDLoss()(model.train()(clip), torch.tensor([0, 3]), depth).backward()
optimizer.step()
logits = model.eval()(clip)
assert not torch.allclose(logits, model(clip.flip(1)), atol=1e-4), "after a step it does"
gesture_zoo.save_pretrained(model, sys.argv[1])
torch.save((clip, logits), sys.argv[1] + "/answer.pt")
"""

LOAD = """
import sys, torch, gesture_zoo
model = gesture_zoo.create_model(f"local-dir:{sys.argv[1]}").eval()
assert type(model.model.base_model.layer1[0].conv1).__name__ == "TemporalDifference"
clip, logits = torch.load(sys.argv[1] + "/answer.pt")
assert torch.equal(model(clip), logits)
"""

FORMULA = """
import torch
from gesture_zoo_tempdiff import TemporalDifference
module = TemporalDifference(torch.nn.Conv2d(2, 3, 1), 3, start=0.5)
frames = torch.rand(6, 2, 4, 4)
for n in range(2):
    for t in range(3):
        now, before = frames[3 * n + t], frames[3 * n + max(t - 1, 0)]
        assert torch.allclose(module(frames)[3 * n + t], module.net((1.5 * now - 0.5 * before)[None])[0], atol=1e-6)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package of the example."""
    folder = tmp_path_factory.mktemp("package")
    # A copy: building leaves files beside the source.
    source = shutil.copytree(EXAMPLES / "your_temporal_module", folder / "source")
    # Without a network where setuptools is new enough to build by itself.
    offline = ["--no-build-isolation", "--no-index"] if int(version("setuptools").split(".")[0]) >= 77 else []
    done = python("-m", "pip", "install", "--quiet", "--no-deps", *offline, "--target", folder / "site", source)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_a_package_with_a_temporal_module(site: Path, tmp_path: Path) -> None:
    for code in (TRAIN_AND_SAVE, LOAD + FORMULA):
        done = python("-c", code, tmp_path / "model", PYTHONPATH=str(site))
        assert done.returncode == 0, done.stderr


# A Hub.


def test_sharing_on_a_hub(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2, num_segments=4).eval()
    model.pretrained_cfg.update(label_names=("fist", "wave"), input_size=(3, 48, 64))
    folder = gesture_zoo.save_pretrained(model, tmp_path / "model")
    arguments = (EXAMPLES / "share_on_a_hub.py", "me/gestures", "--private", "--model", f"local-dir:{folder}")
    done = python(*arguments, HF_TOKEN="hf_me")
    assert done.returncode == 0, done.stderr
    assert f"pushed: {hub.url}/me/gestures/commit/" in done.stdout
    assert "loaded: tsm_test_resnet, 2 classes (fist, wave)\n" in done.stdout
    assert done.stdout.endswith("that was pushed are 0.0 apart\n")
    assert hub.repos["me/gestures"].private
    monkeypatch.setenv("HF_TOKEN", "hf_me")
    back, clip = gesture_zoo.create_model("hf-hub:me/gestures").eval(), torch.rand(1, 4, 3, 48, 64)
    assert torch.equal(back(clip), model(clip))


@pytest.mark.parametrize(("options", "status"), [((), 401), (("--token", "hf_other"), 403)])
def test_sharing_without_the_right_to(hub: HubServer, options: tuple[str, ...], status: int) -> None:
    done = python(EXAMPLES / "share_on_a_hub.py", "me/gestures", *options)
    assert done.returncode == 1
    assert not done.stdout
    assert re.fullmatch(rf"error: upload to repository 'me/gestures' .*HTTP {status}; .*HF_TOKEN.*\n", done.stderr)
    assert "me/gestures" not in hub.repos
