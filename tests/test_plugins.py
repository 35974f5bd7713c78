"""Models of other installed packages: found when a name is looked up, and no harm to ours if they are broken."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gesture_zoo
from gesture_zoo import registry
from gesture_zoo.errors import ModelError
from gesture_zoo.layers import TEMPORAL

GOOD = """
import gesture_zoo
from torch import nn

@gesture_zoo.register_model
def {name}(*, num_classes: int = 3) -> nn.Module:
    return nn.Linear(4, num_classes)
"""


def install(site: Path, name: str, code: str, *, value: str | None = None) -> None:
    """What pip leaves of a package with one module and an entry point: the module, and a folder that tells of it."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.PLUGIN_GROUP}]\n{name}_models = {value or name}\n")


Installer = Callable[..., None]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Install packages that this process finds; what they register is gone after the test."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_PLUGINS", set())
    before, modules = dict(TEMPORAL), set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, code, **options: install(tmp_path, name, code, **options)
    TEMPORAL.clear()
    TEMPORAL.update(before)
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == tmp_path:
            del sys.modules[name]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_models_of_a_package_are_there_without_importing_it(
    plugin: Installer, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("plug_good", GOOD.format(name="plug_net"))
    assert "plug_good" not in sys.modules
    assert gesture_zoo.is_model("plug_net")
    assert "plug_net" in gesture_zoo.list_models("plug_*")
    assert gesture_zoo.create_model("plug_net", num_classes=5).out_features == 5
    assert not warnings(caplog)


BROKEN = {
    "raises": ("raise RuntimeError('no GPU here')", "RuntimeError: no GPU here"),
    "needs another package": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    "is no Python": ("def (", "SyntaxError: invalid syntax"),
    "takes a model's name": (
        GOOD.format(name="tsm_resnet18"),
        "ModelError: model 'tsm_resnet18' is registered already; choose another name",
    ),
    "takes a model's name after others": (
        GOOD.format(name="half_done") + GOOD.format(name="tsm_resnet18"),
        "ModelError: model 'tsm_resnet18' is registered already; choose another name",
    ),
    "ends the program": ("raise SystemExit('no licence key')", "SystemExit: no licence key"),
    "takes a temporal module's name": (
        "from gesture_zoo.layers import register_temporal\nregister_temporal('tsm')(object)",
        "ModelError: temporal module 'tsm' is registered already; choose another name",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_package_is_a_warning(plugin: Installer, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    code, reason = BROKEN[kind]
    names, factory = gesture_zoo.list_models(), gesture_zoo.model_entrypoint("tsm_resnet18")
    plugin("plug_broken", code)
    plugin("plug_good", GOOD.format(name="plug_net"))
    assert gesture_zoo.list_models(exclude_filters="plug_*") == names
    assert gesture_zoo.model_entrypoint("tsm_resnet18") is factory
    assert gesture_zoo.is_model("plug_net"), "the other package's models are there"
    (warning,) = warnings(caplog)
    assert warning.startswith(f"the models of entry point plug_broken_models = plug_broken are left out: {reason}")
    with pytest.raises(ModelError, match="unknown model 'tsm_resnet5'; did you mean tsm_resnet50"):
        gesture_zoo.create_model("tsm_resnet5")
    assert len(warnings(caplog)) == 1, "said once"


def test_an_entry_point_without_its_module(plugin: Installer, caplog: pytest.LogCaptureFixture) -> None:
    plugin("plug_moved", "", value="plug_moved.models")
    assert "tsm_resnet18" in gesture_zoo.list_models()
    (warning,) = warnings(caplog)
    assert "plug_moved_models = plug_moved.models are left out: ModuleNotFoundError: No module named" in warning


def test_packages_are_loaded_once(plugin: Installer, tmp_path: Path) -> None:
    count = "\nfrom pathlib import Path\nwith Path(__file__).with_suffix('.count').open('a') as file: file.write('x')\n"
    # It may also look at what there is.
    plugin("plug_good", f"{GOOD.format(name='plug_net')}\nassert 'plug_net' in gesture_zoo.list_models()\n{count}")
    plugin("plug_broken", f"{count}\nraise RuntimeError")
    for _ in range(2):
        gesture_zoo.list_models()
        assert not gesture_zoo.is_model("plug_other")
    assert (tmp_path / "plug_good.count").read_text() == (tmp_path / "plug_broken.count").read_text() == "x"


def test_importing_gesture_zoo_loads_no_package(tmp_path: Path) -> None:
    install(tmp_path, "plug_loud", f"print('the package is imported')\n{GOOD.format(name='plug_net')}")
    code = """
import gesture_zoo; print("gesture_zoo is imported")
gesture_zoo.create_model("tsm_test_resnet"); print("a model of ours is made")
gesture_zoo.list_models("plug_*"); print("names are listed")
"""
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "gesture_zoo is imported",
        "a model of ours is made",
        "the package is imported",
        "names are listed",
    ]


def test_the_command_line_lists_what_it_can(tmp_path: Path) -> None:
    install(tmp_path, "plug_good", GOOD.format(name="plug_net"))
    install(tmp_path, "plug_broken", "raise RuntimeError('no GPU here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from gesture_zoo.cli import main; main()"
    run = [sys.executable, "-c", code, "list", "plug_*"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "plug_net\n"
    assert done.stderr == (
        "the models of entry point plug_broken_models = plug_broken are left out: RuntimeError: no GPU here\n"
    )
