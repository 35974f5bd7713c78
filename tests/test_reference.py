"""The reference: every public name has an example that runs, and the pages hold the public names and no others."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest

import gesture_zoo

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
assert SPEC and SPEC.loader
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every public function and class with the name that users import it by; constants have no docstrings."""
    for module in reference.public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            is_alias = get_origin(value) is not None  # of a type: Python 3.10 calls it a class
            if (inspect.isclass(value) or inspect.isroutine(value)) and not is_alias:
                yield f"{module.__name__}.{name}", value


def has_example(value: Any) -> bool:
    """Whether a docstring has a line that is run, and not only shown."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")
    return any(not example.options.get(doctest.SKIP) for example in examples)


def test_every_public_name_has_an_example_that_runs() -> None:
    names = dict(public_objects())
    assert len(names) > 150
    lacking = [name for name, value in names.items() if not has_example(value)]
    assert not lacking, f"no line of the docstring starts with '>>>' and is run: {', '.join(lacking)}"


def test_public_names_exist_once_and_no_module_is_one() -> None:
    for module in reference.public_modules():
        assert len(set(module.__all__)) == len(module.__all__), module.__name__
        for name in module.__all__:
            assert not name.startswith("_") and not inspect.ismodule(getattr(module, name)), f"{module.__name__}.{name}"


def test_docstrings_are_no_markdown() -> None:
    text = "(N*T, C) to (N*T, K), ``x * y``.\n\n>>> 2 * 3  # doctest: +SKIP\n6"
    assert reference.as_markdown(text) == r"(N\*T, C) to (N\*T, K), ``x * y``." + "\n\n>>> 2 * 3\n6"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages by the name of their module."""
    pytest.importorskip("pdoc", reason="the pages are made by pdoc: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reference.write_pages(folder)
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text() for path in folder.rglob("*.html")
    }


def test_public_modules_have_a_page_and_no_others(pages: dict[str, str]) -> None:
    assert set(pages) == {module.__name__ for module in reference.public_modules()} | {"index"}


def test_every_public_name_has_an_entry(pages: dict[str, str]) -> None:
    for module in reference.public_modules():
        for name in module.__all__:
            assert f'id="{name}"' in pages[module.__name__], f"{module.__name__}.{name}"
    assert f'id="{gesture_zoo.__all__[0]}"' in pages["gesture_zoo"]


def test_nothing_private_is_shown(pages: dict[str, str]) -> None:
    for page, text in pages.items():
        shown = [part for entry in re.findall(r'<section id="([\w.]+)"', text) for part in entry.split(".")]
        assert not [name for name in shown if name.startswith("_") and name != "__init__"], page
