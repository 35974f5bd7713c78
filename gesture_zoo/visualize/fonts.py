"""Names of classes in any script: matplotlib's own font has no Chinese, Japanese or Korean, and more is missing."""

from __future__ import annotations

import functools
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

# Of Linux, Windows and macOS; those that are there are asked, in this order, for what is not in matplotlib's own.
FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS",
)  # fmt: skip

_logger = logging.getLogger(__name__)


def every_script(draw: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Let a function that makes a figure use this machine's fonts for letters that the usual one lacks."""

    @functools.wraps(draw)
    def with_fallbacks(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        import matplotlib
        from matplotlib import font_manager

        there = set(font_manager.get_font_names())
        fonts = [*matplotlib.rcParams["font.family"], *(name for name in FALLBACKS if name in there)]
        with matplotlib.rc_context({"font.family": fonts}):
            return draw(*args, **kwargs)

    return with_fallbacks


@contextmanager
def naming_missing_letters() -> Iterator[None]:
    """Say in one line which letters no font has, where matplotlib warns of each of them with a place in its code."""
    missing: dict[str, None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        if found := re.match(r"Glyph (\d+) .*missing from", str(one.message)):
            missing[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if missing:
        _logger.warning(
            "no font of this machine has %s: boxes are drawn for such letters; fonts of many scripts are called Noto",
            "".join(missing),
        )
