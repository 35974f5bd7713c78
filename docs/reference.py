"""The API reference as web pages, made of the docstrings:  python docs/reference.py site

Public is what a module names in its ``__all__``: modules without one have no page. The pages are for a browser, from
the folder or from any web server (python -m http.server -d site). Needs pdoc: pip install -e ".[docs]".
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import typing
from pathlib import Path
from types import ModuleType

import jinja2

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gesture_zoo"
TEMPLATES = Path(__file__).parent / "templates"
# A piece of code, or a star outside of one.
CODE_OR_STAR = re.compile(r"(`+).+?\1|\*", re.DOTALL)
FOR_DOCTEST = re.compile(r" *# doctest: .*")


def public_modules() -> list[ModuleType]:
    """The modules of gesture_zoo that say what of them is public, the package itself first."""
    files = [path for path in PACKAGE.rglob("*.py") if names_public(path)]
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files)
    return [importlib.import_module(name) for name in sorted(names)]


def names_public(path: Path) -> bool:
    """Whether a file sets ``__all__``; told without importing it, which may need packages that are not here."""
    targets = [node.targets for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for group in targets for target in group)


def write_pages(folder: Path) -> None:
    """Write index.html and a page for every public module to ``folder``."""
    import pdoc.extract

    modules = public_modules()
    for module in modules:
        make_plain(module)
    names = [module.__name__ for module in modules]
    # A public function can have the name of the file it is in, which then passes for a public module.
    others = set(pdoc.extract.walk_specs(names)) - set(names)
    pdoc.render.configure(docformat="google", template_directory=TEMPLATES)
    pdoc.render.env.filters["to_markdown"] = to_markdown
    pdoc.pdoc(*names, *(f"!{re.escape(name)}" for name in others), output_directory=folder)


def make_plain(module: ModuleType) -> None:
    """Let pdoc see what Python does: names that are imported late, and what the fields of a named tuple are."""
    for name in module.__all__:
        value = module.__dict__.setdefault(name, getattr(module, name))
        if isinstance(value, type) and issubclass(value, tuple):
            value.__new__.__annotations__ = typing.get_type_hints(value)


@jinja2.pass_context
def to_markdown(context: jinja2.runtime.Context, docstring: str) -> str:
    """pdoc's filter, for docstrings that are plain text."""
    from pdoc.render_helpers import to_markdown_with_context

    return to_markdown_with_context(context, as_markdown(docstring))


def as_markdown(docstring: str) -> str:
    """A docstring in which the stars of (N*T, C, H, W) stay stars, and examples have no comments for doctest."""
    parts = FOR_DOCTEST.sub("", docstring).split("\n\n")
    return "\n\n".join(part if ">>> " in part else CODE_OR_STAR.sub(_escape, part) for part in parts)


def _escape(found: re.Match[str]) -> str:
    return r"\*" if found[0] == "*" else found[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write the pages to")
    write_pages(parser.parse_args().folder)
