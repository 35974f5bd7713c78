"""timm's parameter groups, seen from a model that holds another one."""

from __future__ import annotations

from typing import Any


def prefix_matcher(matcher: Any, prefix: str) -> Any:
    r"""Move a timm group matcher (regular expressions, or a function of the name) below ``prefix``.

    >>> prefix_matcher({"stem": r"^conv1|bn1"}, "base_model.")
    {'stem': '^base_model\\.(?:conv1|bn1)'}
    """
    if callable(matcher):
        return lambda name: matcher(name.removeprefix(prefix))
    escaped = prefix.replace(".", r"\.")

    def move(pattern: str) -> str:
        return rf"^{escaped}(?:{pattern.removeprefix('^')})"

    def moved(spec: Any) -> Any:
        if spec is None or isinstance(spec, str):
            return spec and move(spec)
        return [(move(pattern), ordinal) for pattern, ordinal in spec]

    return {group: moved(spec) for group, spec in matcher.items()}
