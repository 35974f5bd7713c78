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
from gesture_zoo.cards.catalogue import is_zoo_model, zoo_models
from gesture_zoo.errors import ModelError
from gesture_zoo.layers import TEMPORAL

EXAMPLE = Path(__file__).parents[1] / "examples" / "your_temporal_module"
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
    registry.load_plugins()  # where no test before this one has asked for a model
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_RESOLVERS", list(registry._RESOLVERS))
    monkeypatch.setattr(registry, "_PLUGINS", set())
    before, modules = dict(TEMPORAL), set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, code, **options: install(tmp_path, name, code, **options)
    TEMPORAL.clear()
    TEMPORAL.update(before)
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and tmp_path in Path(sys.modules[name].__file__).parents:
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
        "ModelError: model 'tsm_resnet18' is registered already, by gesture_zoo.models.tsm; choose another name",
    ),
    "takes a model's name after others": (
        GOOD.format(name="half_done") + GOOD.format(name="tsm_resnet18"),
        "ModelError: model 'tsm_resnet18' is registered already, by gesture_zoo.models.tsm; choose another name",
    ),
    "ends the program": ("raise SystemExit('no licence key')", "SystemExit: no licence key"),
    "takes a temporal module's name": (
        "from gesture_zoo.layers import register_temporal\nregister_temporal('tsm')(object)",
        "ModelError: temporal module 'tsm' is registered already, by gesture_zoo.layers.temporal_shift; choose another",
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


TEMPORAL_MODULE = """
import gesture_zoo

@gesture_zoo.register_temporal("plugged")
class Plugged(gesture_zoo.TemporalModule):
    def __init__(self, net, num_segments=8):
        super().__init__(num_segments)
        self.net = net

    def forward(self, frames):
        return self.net(frames)
"""
FAMILY = f"{TEMPORAL_MODULE}\ngesture_zoo.register_family('plugged', 'test_resnet')\n"
RESOLVER = """
from gesture_zoo.registry import get_entry, register_resolver
register_resolver(lambda name: get_entry("tsm_test_resnet") if name == "plug_rule" else None)
"""


def test_what_is_left_out_leaves_nothing_behind(plugin: Installer, caplog: pytest.LogCaptureFixture) -> None:
    plugin("plug_broken", f"{GOOD.format(name='plug_net')}{FAMILY}{RESOLVER}\nraise RuntimeError('no GPU here')")
    assert gesture_zoo.list_models("plug*") == []
    assert not any(map(gesture_zoo.is_model, ("plug_net", "plugged_test_resnet", "plugged_resnet18", "plug_rule")))
    assert "plugged" not in TEMPORAL
    with pytest.raises(ModelError, match="unknown temporal module 'plugged'"):
        gesture_zoo.register_family("plugged", ["resnet18"])


# Whatever else has been imported by then, in whatever order entry points are found.
ORDERS = [("plug_app", "plug_lib"), ("plug_lib", "plug_app"), ("plug_app",)]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_a_broken_package_takes_no_other_with_it(
    plugin: Installer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    """What a package imported before it failed is imported, so nobody will register its models once more."""
    plugin("plug_lib", GOOD.format(name="plug_lib_net") + FAMILY)
    plugin("plug_app", f"import plug_lib\n{GOOD.format(name='plug_net')}\nraise RuntimeError('no GPU here')")
    found = {point.value: point for point in registry.entry_points(group=registry.PLUGIN_GROUP)}
    monkeypatch.setattr(registry, "entry_points", lambda group: [found[name] for name in order])
    assert gesture_zoo.list_models("plug*") == ["plug_lib_net", "plugged_test_resnet", "plugged_test_resnet_msd"]
    assert gesture_zoo.is_model("plugged_resnet18")
    (warning,) = warnings(caplog)
    assert "plug_app are left out: RuntimeError" in warning


def test_a_package_of_modules_is_left_out_whole(
    plugin: Installer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Python keeps the modules of a package whose own import failed; another entry point imports them once more."""
    (tmp_path / "plug_deep").mkdir()
    (tmp_path / "plug_deep" / "models.py").write_text(GOOD.format(name="plug_net"))
    (tmp_path / "plug_deep" / "__init__.py").write_text(
        "from . import models\nimport os\nif os.environ.pop('PLUG_DEEP', None): raise RuntimeError('no GPU here')"
    )
    plugin("plug_first", "import os; os.environ['PLUG_DEEP'] = '1'; import plug_deep")
    assert gesture_zoo.list_models("plug*") == []
    plugin("plug_second", "import plug_deep")
    assert gesture_zoo.list_models("plug*") == ["plug_net"]


REGISTER = "def register():\n    " + GOOD.format(name="plug_net").strip().replace("\n", "\n    ") + "\n"


def test_a_function_that_an_entry_point_names_is_called(plugin: Installer, caplog: pytest.LogCaptureFixture) -> None:
    plugin("plug_function", REGISTER, value="plug_function:register")
    assert gesture_zoo.list_models("plug*") == ["plug_net"]
    assert gesture_zoo.create_model("plug_net").out_features == 3
    with pytest.raises(
        ModelError, match=r"'plug_net' is registered already, by plug_function:register; choose another"
    ):
        gesture_zoo.register_model(name="plug_net")(dict)
    assert not warnings(caplog)


@pytest.mark.parametrize("name", ["plug_net", "Plugged", "NUMBER"])
def test_what_an_entry_point_names_besides_is_not_called(
    plugin: Installer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    code = f"{FAMILY}NUMBER = 3\n{GOOD.format(name='plug_net').replace('return', 'raise RuntimeError; return')}"
    plugin("plug_good", code, value=f"plug_good:{name}")
    assert gesture_zoo.list_models("plug*") == ["plug_net", "plugged_test_resnet", "plugged_test_resnet_msd"]
    assert not warnings(caplog)


def test_a_function_that_fails_is_left_out(plugin: Installer, caplog: pytest.LogCaptureFixture) -> None:
    plugin(
        "plug_function", f"{REGISTER}    raise RuntimeError('no GPU here')\n{FAMILY}", value="plug_function:register"
    )
    plugin("plug_good", "import plug_function")
    plugin("plug_needy", "def register(models): pass", value="plug_needy:register")
    assert gesture_zoo.list_models("plug_*") == []
    assert [warning.partition(" are left out: ")[2] for warning in sorted(warnings(caplog))] == [
        "RuntimeError: no GPU here",
        "TypeError: register() missing 1 required positional argument: 'models'",
    ]


def test_an_interrupted_package_is_tried_again(plugin: Installer, tmp_path: Path) -> None:
    plugin("plug_slow", f"{GOOD.format(name='plug_net')}\nraise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        gesture_zoo.list_models()
    assert "plug_net" not in registry._REGISTRY
    (tmp_path / "plug_slow.py").write_text(f"{GOOD.format(name='plug_net')}\n# with more patience")
    assert gesture_zoo.list_models("plug*") == ["plug_net"]


def test_two_packages_with_one_name(plugin: Installer, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("plug_one", "plug_two"):
        plugin(name, GOOD.format(name="plug_net"))
    assert gesture_zoo.list_models("plug*") == ["plug_net"]
    (warning,) = warnings(caplog)
    holder = gesture_zoo.model_entrypoint("plug_net").__module__
    assert f"'plug_net' is registered already, by {holder}; choose another name" in warning
    assert {"plug_one", "plug_two"} == {holder, warning.partition(" = ")[2].partition(" are ")[0]}


def test_the_example_leaves_the_cards_as_they_are(plugin: Installer) -> None:
    names = zoo_models()
    plugin("gesture_zoo_tempdiff", (EXAMPLE / "gesture_zoo_tempdiff.py").read_text())
    plugin("plug_backbone", "import gesture_zoo; gesture_zoo.register_family('tsm', ['resnet10t'])")
    assert "tempdiff_resnet18" in gesture_zoo.list_models() and "tsm_resnet10t" in gesture_zoo.list_models()
    assert zoo_models() == names
    assert is_zoo_model("tsm_resnet10t"), "a model of ours, whoever lists it"
    assert not is_zoo_model("tempdiff_resnet18") and not is_zoo_model("tempdiff_resnet10t_msd")


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
