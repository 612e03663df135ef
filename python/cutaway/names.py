"""Names of stages: ours, and those that other tools use for the same tensors."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Any

from cutaway.errors import ArgumentError


def _no_match(graph: Any, query: str) -> ArgumentError:
    known = [s.name for s in graph] + list(graph.aliases)
    near = difflib.get_close_matches(query, known, 4, 0.5)
    return ArgumentError(
        f"{query!r} matches no stage" + (f"; near it are {', '.join(near)}" if near else ""),
        hint="model.stages() lists every stage",
        name=query,
        near=near,
    )


def resolve_one(graph: Any, key: Any) -> str:
    """The stage that `key` means: a name, or (part, layer). Raises ArgumentError with near matches."""
    if isinstance(key, tuple) and len(key) == 2:
        key = f"blocks.{key[1]}.{key[0]}"
    if not isinstance(key, str):
        raise ArgumentError(f"a stage's name is text or (text, layer), got {key!r}")
    if key in graph:
        return graph.aliases.get(key, key)
    raise _no_match(graph, key)


def select(graph: Any, names_filter: Any) -> list[str]:
    """The stages that a filter means, in the graph's order: a name, glob, regular expression, callable, or a list of these.

    None means every stage. A filter that matches nothing raises ArgumentError with near matches."""
    everything = [s.name for s in graph]
    if names_filter is None:
        return everything
    if isinstance(names_filter, (str, tuple, re.Pattern)) or callable(names_filter):
        names_filter = [names_filter]
    if not isinstance(names_filter, Iterable):
        raise ArgumentError(
            f"a names filter is text, a regular expression, a function or a list of these, got {names_filter!r}"
        )
    wanted: set[str] = set()
    for one in names_filter:
        found = _match(graph, everything, one)
        if not found:
            raise _no_match(graph, str(getattr(one, "pattern", one)))
        wanted.update(found)
    return [n for n in everything if n in wanted]


def _match(graph: Any, everything: list[str], one: Any) -> list[str]:
    if isinstance(one, re.Pattern):
        return [n for n in everything if one.search(n)]
    if isinstance(one, Callable):  # type: ignore[arg-type]
        return [n for n in everything if one(n)]
    if isinstance(one, str) and any(c in one for c in "*?["):
        direct = fnmatch.filter(everything, one)
        return direct + [graph.aliases[a] for a in fnmatch.filter(graph.aliases, one)]
    return [resolve_one(graph, one)]
