"""The rules of the house that a machine can hold: which part may import which, and what happens at import."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).parents[1] / "gesture_zoo"
# A part may import itself, what is listed and what is open to all.
OPEN = {"_late", "copies", "dryrun", "errors", "grouping", "media_names", "outputs", "plugins"}
MAY_IMPORT = {
    "layers": set(),
    "msd": set(),
    "data": {"files", "locks", "shown"},
    "models": {"labels", "layers", "msd", "packaged", "pretrained", "registry"},
    "labels": {"files"},
    "packaged": set(),
    "pretrained": set(),
    "registry": {"pretrained"},
    "saved_config": {"labels", "pretrained"},
    "hub": {"_hub_request", "files", "model_folder"},
    "model_arguments": {"registry", "saved_config"},
    "model_folder": {"files"},
    "weights": {"layers", "mobilenet_keys", "msd"},
    "mmaction_keys": set(),
    "official": {"layers", "mmaction_keys", "mobilenet_keys", "registry", "weights"},
    "pickles": {"files", "model_folder"},
    "_url": {"files", "pickles"},
    "factory": {
        "_url",
        "files",
        "hub",
        "layers",
        "model_arguments",
        "model_folder",
        "models",
        "msd",
        "official",
        "packaged",
        "pickles",
        "pretrained",
        "registry",
        "saved_config",
        "weights",
    },
    "convert": {
        "factory",
        "files",
        "labels",
        "model_arguments",
        "model_folder",
        "models",
        "official",
        "pickles",
        "pretrained",
        "registry",
        "saving",
        "weights",
    },
    "cards": {"model_folder", "packaged", "pretrained", "registry", "render"},
    "files": set(),
    "locks": set(),
    "shown": set(),
    "render": {"data"},
    "streaming": {"layers", "models", "msd"},
    "runtime": {"__version__", "data", "labels", "streaming"},
    "export": {"data", "engine", "live", "models", "msd", "runtime", "streaming"},
    "live": {"files", "runtime", "shown"},
    "web": {"files", "live", "runtime"},
    "visualize": {"data", "files", "msd"},
    "engine": {"data", "files", "labels", "locks", "memory", "model_folder", "msd", "saving", "visualize"},
}


def imports(path: Path) -> set[str]:
    """Top-level parts of gesture_zoo that a file imports, wherever in the file."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= {(node.module or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
            names = [f"{module}.{alias.name}" if module else alias.name for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("gesture_zoo.")}
    return found


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_imports_point_one_way(part: str) -> None:
    files = list((PACKAGE / part).rglob("*.py")) if (PACKAGE / part).is_dir() else [PACKAGE / f"{part}.py"]
    assert files
    for file in files:
        forbidden = imports(file) - MAY_IMPORT[part] - {part} - OPEN
        assert not forbidden, f"{file.name} imports {forbidden}"


def test_public_names_are_sorted_and_documented() -> None:
    import gesture_zoo

    assert gesture_zoo.__all__ == sorted(gesture_zoo.__all__)
    assert all(getattr(gesture_zoo, name).__doc__ for name in gesture_zoo.__all__)


@pytest.mark.parametrize("part", ["packaged", "runtime", "live", "web"])
def test_what_runs_exported_files_leaves_torch_alone(part: str) -> None:
    code = f"import sys, gesture_zoo.{part}; assert not {{'torch', 'timm', 'torchvision'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_and_a_typo_are_answered_without_what_runs() -> None:
    code = "import sys; from gesture_zoo.cli import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "torchvision", "matplotlib", "huggingface_hub"} & set(done.stdout.split())


@pytest.mark.parametrize("part", [file.parent.name for file in PACKAGE.glob("*/_api.py")])
def test_names_that_are_handed_out_late(part: str) -> None:
    package = importlib.import_module(f"gesture_zoo.{part}")
    api = importlib.import_module(f"gesture_zoo.{part}._api")
    assert all(getattr(package, name).__doc__ for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    own = {name for name, value in vars(api).items() if not name.startswith("_") and not isinstance(value, ModuleType)}
    assert own <= set(package.__all__)
    # Once a module is imported, it would be what the package has by that name.
    assert not {file.stem for file in (PACKAGE / part).glob("*.py")} & set(package.__all__)
    with pytest.raises(AttributeError, match=f"module 'gesture_zoo.{part}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_import_leaves_timm_alone_and_prints_nothing() -> None:
    code = "import timm; before = timm.list_models(); import gesture_zoo; assert timm.list_models() == before"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout
