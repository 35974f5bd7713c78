"""What takes long shows on a terminal how far it is, and elsewhere nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import HubServer

import gesture_zoo
from gesture_zoo._url import download_url
from gesture_zoo.cli.predict_events import print_event, progress
from gesture_zoo.contact_sheet import save_contact_sheet
from gesture_zoo.data import create_dataset
from gesture_zoo.engine import Recipe, for_testing, train
from gesture_zoo.live import Event, Source


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO], ids=["terminal", "file"])
def screen(request: pytest.FixtureRequest) -> io.StringIO:
    """Where bars go: a test says so itself, because pytest sets sys.stderr anew when a test begins."""
    return request.param()


def download(folder: Path) -> None:
    with HubServer() as server:
        buffer = io.BytesIO()
        torch.save({"fc.weight": torch.zeros(512)}, buffer)
        server.add_repo("me/a", {"a.pth": buffer.getvalue()})
        download_url(f"{server.url}/me/a/resolve/main/a.pth", cache_dir=folder)


def contact_sheet(folder: Path) -> None:
    data = create_dataset("synthetic", num_segments=1, size=32, num_clips=12)
    save_contact_sheet(data, folder / "sheet.png", progress=True)


def training(folder: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=12, num_segments=2)
    model.pretrained_cfg["input_size"] = (3, 32, 32)
    data = create_dataset("synthetic", num_segments=2, size=32, num_clips=4)
    data = for_testing(data, gesture_zoo.resolve_data_config(model=model))
    train(model, data, data, recipe=Recipe(epochs=1, batch_size=2, workers=0), progress=True)


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (download, ["download"]),
        (contact_sheet, ["contact sheet"]),
        (training, ["train", "evaluate"]),
    ],
)
def test_steps_that_take_long(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: Callable[[Path], None], names: list[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    step(tmp_path)
    for name in names:
        assert (f"{name}: " in screen.getvalue()) == screen.isatty(), f"{name}: {screen.getvalue()!r}"


def test_a_file_that_is_followed_says_how_much_of_it_is_left(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    with progress(Source("clips/long.mp4", length=60.0), limit=30.0) as bar:
        bar.update(15.0)
        print_event(Event("push", 0.9, 1.0, 1.5, 1.1), None)
    assert ("long.mp4: " in screen.getvalue() and " of 30 s" in screen.getvalue()) == screen.isatty()


def test_what_has_no_end_has_no_bar(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    live = Source("camera 0", length=60.0)
    live.live = True
    for source in (live, Source("stream")):
        with progress(source, limit=float("inf")) as bar:
            bar.update(1.0)
    assert not screen.getvalue()
