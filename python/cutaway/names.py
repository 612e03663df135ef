"""Names of stages: ours, and those that other tools use for the same tensors.

A name is looked up as ours, then in names_table.py (where names that mean something else here, or several things, are
refused), then with TransformerLens's "hook_" taken out.

>>> scheme("llama").meaning["attn_probs.{i}"]
'blocks.{i}.attn.pattern'
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cutaway.errors import ArgumentError
from cutaway.names_table import REFUSED, SHORT, SHORT_PART, SHORT_TYPE, TABLE, TOOLS

_LAYER = re.compile(r"(?<=[a-z_][.-])-?\d+(?=\.|$)")


class Names(dict[str, Any]):
    """A stage and its names in other tools."""

    def __repr__(self) -> str:
        return "\n".join(f"{tool:16} {', '.join(n) if isinstance(n, list) else n}" for tool, n in self.items())


class Table(list[Names]):
    """Every stage and its names in other tools."""

    def __repr__(self) -> str:
        return "\n\n".join(repr(row) for row in self)


class Scheme(NamedTuple):
    """What names mean in one architecture; {i} stands for the layer in all of them."""

    stages: dict[str, Names]  # stage -> its names
    meaning: dict[str, str]  # another tool's name -> stage
    refused: dict[str, tuple[str, list[str]]]  # name -> why, the stages that may be meant


def _cells(line: str) -> list[list[tuple[str, str]]]:
    """A line of TABLE as cells of (name, condition), abbreviations written out."""
    out = []
    for cell in line.split("|"):
        found = [re.fullmatch(r"([^\[]+?)\s*(?:\[(.*)\])?", n.strip()) for n in cell.split(",") if n.strip()]
        out.append([(_full(m[1]), m[2] or "") for m in found if m])
    return out


def _full(name: str) -> str:
    for short, long in (("b.", "blocks.{i}."), ("L.", "model.layers.{i}."), ("h.", "transformer.h.{i}.")):
        if name.startswith(short):
            return long + name[2:]
    return name


def _holds(name: str, condition: str, arch: str) -> bool:
    if name.startswith(("transformer.", "model.")) and name.startswith("transformer.") != (arch == "gpt2"):
        return False
    archs = condition.replace("!", "").split()
    return not condition or (arch in archs) != condition.startswith("!")


@functools.cache
def scheme(arch: str) -> Scheme:
    """TABLE and REFUSED as they hold for an architecture."""
    out = Scheme({}, {}, {})
    for line in TABLE.strip().splitlines():
        [[(stage, _)], *columns] = _cells(line)
        theirs = [[n for n, condition in column if _holds(n, condition, arch)] for column in columns]
        out.stages[stage] = Names({"stage": stage, **dict(zip(TOOLS, theirs, strict=True))})
        out.meaning.update({n: stage for column in theirs for n in column})
    for line in REFUSED.strip().splitlines():
        first, why, meant = line.split("|")
        [[(name, condition)]] = _cells(first)
        if _holds(name, condition, arch):
            out.refused[name] = why.strip(), [n for n, _ in _cells(meant)[0]]
    return out


def table(arch: str = "llama") -> Table:
    """What other tools call each stage of an architecture; {i} is the layer."""
    return Table(scheme(arch).stages.values())


def of(graph: Any, key: Any) -> Names:
    """What other tools call the stage that `key` means, and its aliases here."""
    name = resolve_one(graph, key)
    layer = graph[name].layer
    general = _LAYER.sub("{i}", name, count=1) if layer >= 0 else name
    row = scheme(graph.arch).stages.get(general, Names({"stage": general}))
    found = Names({k: [n.format(i=layer) for n in v] for k, v in row.items() if k != "stage"})
    return Names({"stage": name, "aliases": [a for a, n in graph.aliases.items() if n == name], **found})


def _no_match(graph: Any, query: str) -> ArgumentError:
    known = [s.name for s in graph] + list(graph.aliases)
    near = difflib.get_close_matches(query, known, 4, 0.5)
    first = next(
        (n for n in known if n.startswith("blocks.") and n.split(".", 2)[-1] == query.replace("hook_", "")), None
    )
    return ArgumentError(
        f"{query!r} matches no stage of this {graph.arch} model" + (f"; near it are {', '.join(near)}" if near else ""),
        hint=f"name the layer too, as in {first!r}" if first else "model.stages() lists every stage",
        name=query,
        near=near,
    )


def _refuse(name: str, why: str, meant: list[str]) -> ArgumentError:
    return ArgumentError(f"{name!r} {why}", hint=f"name the one you mean: {' or '.join(meant)}", name=name, meant=meant)


def _at_layer(graph: Any, query: str, name: str, layer: int | None) -> str:
    """The stage `name` of a layer; raises where the graph lacks the layer or the stage."""
    if layer is not None and "{i}" in name:
        layers = sorted({s.layer for s in graph if s.layer >= 0})
        if layer not in layers:
            whole = layers == list(range(len(layers)))
            valid = f"0 .. {layers[-1]}" if whole else ", ".join(map(str, layers))
            raise ArgumentError(f"{query!r} names layer {layer}; the layers are {valid}", name=query, layers=layers)
        name = name.format(i=layer)
    if name not in graph:
        error = _no_match(graph, name)
        raise (
            error
            if name == query
            else ArgumentError(
                f"{query!r} is {name} here, and this {graph.arch} model has no such stage", hint=error.hint, name=query
            )
        )
    return graph.aliases.get(name, name)


def _hidden_states(graph: Any, query: str, index: int) -> ArgumentError:
    last = max(s.layer for s in graph)
    meant = [f"blocks.{index}.resid_pre"] if 0 <= index <= last else ["ln_final.out", f"blocks.{last}.resid_post"]
    why = "counts from the embedding, and the last of them comes after the final norm, not out of the last layer"
    return _refuse(query, why, meant)


def _find(graph: Any, query: str) -> str | None:
    """The stage that a text means, or None; raises where it is refused or names a layer that is not there."""
    if query in graph:
        return graph.aliases.get(query, query)
    key = re.sub(r"\.?\[(-?\d+)\]", r".\1", query)
    if key.startswith(("model.", "transformer.", "lm_head")):
        key = re.sub(r"\.output(\.0)?$", "", key)
        if re.search(r"\.inputs?(\.0)?$", key):
            raise _refuse(
                query, "is what enters a module; a module's name means its output here", ["the stage before it"]
            )
    number = _LAYER.search(key)
    layer = int(number[0]) if number else None
    general = key[: number.start()] + "{i}" + key[number.end() :] if number else key
    if general == "hidden_states.{i}":
        raise _hidden_states(graph, query, int(layer or 0))
    known = scheme(graph.arch)
    if general in known.refused:
        why, meant = known.refused[general]
        here = [n.format(i=layer) for n in meant if n.format(i=layer) in graph]
        raise _refuse(query, why.replace("{i}", str(layer)), here or [n.format(i=layer) for n in meant])
    plain = general.replace("hook_", "")
    name = known.meaning.get(general) or next((n for n in (plain, general) if n in known.stages), None)
    if name is None:  # an alias, or a stage that an edited graph has
        ours = {_LAYER.sub("{i}", n, count=1) for n in [*graph.aliases, *(s.name for s in graph)]}
        name = plain if plain in ours else None
    return None if name is None else _at_layer(graph, query, name, layer)


def _find_short(graph: Any, query: Any, part: Any, layer: Any, kind: Any) -> str | None:
    """The stage that (part, layer) or (part, layer, kind) means: ours, TransformerLens's or interp-engine's."""
    whole = isinstance(layer, (int, np.integer)) and not isinstance(layer, bool)
    if not isinstance(part, str) or not (whole or layer is None) or not isinstance(kind, (str, type(None))):
        raise ArgumentError(f"a stage's name is text, (text, layer) or (text, layer, part), got {query!r}")
    if layer is None:
        return _find(graph, f"ln_final.{part}" if part in ("scale", "normalized") else part)
    short = SHORT.get(part, part)
    kind = SHORT_PART.get(short, SHORT_TYPE.get(kind or "", kind or ""))
    hook = f"blocks.{layer}.{kind + '.' if kind else ''}hook_{short}"
    found: list[str] = []
    refusals = []
    for text in (f"blocks.{layer}.{part}", hook) + (() if kind else (f"{part}.{layer}",)):
        try:
            name = _find(graph, text)
        except ArgumentError as error:
            refusals.append(error)
        else:
            found += [name] if name is not None and name not in found else []
    if refusals and not found:
        raise refusals[0]
    if refusals or any(not _same(graph, found[0], n) for n in found):
        meant = [graph.aliases.get(n, n) for r in refusals for n in r.details.get("meant", [])]
        meant = list(dict.fromkeys(found + meant))
        raise _refuse(str(query), "means different tensors in TransformerLens and in interp-engine", meant)
    return found[0] if found else None


def _same(graph: Any, a: Any, b: str) -> bool:
    """Whether two stages hold the same values because one copies the other."""
    return a == b or any(graph[x].op == "copy" and graph[x].reads == [y] for x, y in ((a, b), (b, a)))


def tap(graph: Any, key: Any, taps: Mapping[str, str] | None) -> str | None:
    """What kernels hold below a stage: the tap that a key like "blocks.3.mlp.pre@act_q8" means; None for other keys.

    taps: each name of a tap, and the tap; None where taps do not count. Raises ArgumentError where there is none."""
    text = key[0] if isinstance(key, tuple) and key else key
    if not isinstance(text, str) or "@" not in text:
        return None
    base, _, part = text.partition("@")
    stage = resolve_one(graph, (base, *key[1:]) if isinstance(key, tuple) else base)
    name = f"{stage}@{part}"
    if taps is None:
        raise ArgumentError(
            f"{name} lies inside a kernel: it can be watched, not changed", hint=f"change {stage}", name=name
        )
    if name not in taps:
        near = sorted({n.partition("@")[2] for n in taps if n.startswith(f"{stage}@")})
        raise ArgumentError(
            f"no kernel of this model holds {name}" + (f"; of this stage there is {', '.join(near)}" if near else ""),
            hint="model.stages(kernel_taps=True) lists what kernels hold; where numerics are exact they round nothing",
            name=name,
        )
    return taps[name]


def resolve_one(graph: Any, key: Any, taps: Mapping[str, str] | None = None) -> str:
    """The stage that `key` means: a name, ours or another tool's, or (part, layer); with `taps` also a kernel tap.

    Raises ArgumentError with near matches, or with the stages that an ambiguous name may mean."""
    below = tap(graph, key, taps)
    if below is not None:
        return below
    if isinstance(key, tuple) and len(key) in (2, 3):
        found = _find_short(graph, key, key[0], key[1], key[2] if len(key) == 3 else None)
    elif isinstance(key, str):
        found = _find(graph, key)
        if found is None and (m := re.fullmatch(r"([a-z_]+)(\d+)([a-z]*\d?)", key)):
            found = _find_short(graph, key, m[1], int(m[2]), m[3] or None)
    else:
        raise ArgumentError(f"a stage's name is text, (text, layer) or (text, layer, part), got {key!r}")
    if found is None:
        raise _no_match(graph, key if isinstance(key, str) else f"blocks.{key[1]}.{key[0]}")
    return found


def select(graph: Any, names_filter: Any, taps: Mapping[str, str] | None = None) -> list[str]:
    """The stages that a filter means, in the graph's order, and with `taps` the kernel taps, each behind its stage.

    A filter is a name, a glob, a regular expression, a function of a name, or a list of these; None means every stage.
    Globs and regular expressions are held against our names; where they say "hook_", against TransformerLens's; where
    they say "@", against those of kernel taps, which None and functions leave out.
    A filter that matches nothing raises ArgumentError with near matches."""
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
        found = _match(graph, everything, one, taps)
        if not found and callable(one):
            raise ArgumentError("the function chose no stage", hint="it is given our names, as in model.stages()")
        if not found:
            raise _no_match(graph, str(getattr(one, "pattern", one)))
        wanted.update(found)
    order = {n: i for i, n in enumerate(everything)}
    return sorted(wanted, key=lambda n: (order[n.partition("@")[0]], n))


def _match(graph: Any, everything: list[str], one: Any, taps: Mapping[str, str] | None) -> list[str]:
    if callable(one):
        return [n for n in everything if one(n)]
    module = isinstance(one, str) and re.search(r"(layers|\bh|states|attentions)\[-?\d+\]", one)
    glob = isinstance(one, str) and any(c in one for c in "*?[") and not module
    if not glob and not isinstance(one, re.Pattern):
        return [resolve_one(graph, one, taps)]
    text = one if glob else one.pattern
    accepts = re.compile(fnmatch.translate(one)).match if glob else one.search
    if "@" in str(text):
        if taps is None:
            raise ArgumentError(f"{str(text)!r} means what lies inside kernels: it can be watched, not changed")
        if not taps:
            raise ArgumentError(f"{str(text)!r} matches nothing: no kernel of this model rounds what it reads")
        return [n for alias, n in taps.items() if accepts(alias)]
    if "hook_" not in str(text):
        return [n for n in everything if accepts(n)] + [n for a, n in graph.aliases.items() if glob and accepts(a)]
    known = scheme(graph.arch)
    layers = sorted({s.layer for s in graph if s.layer >= 0})
    pairs = [(n, stage) for stage, row in known.stages.items() for n in row["TransformerLens"]]
    hits = [stage.format(i=i) for n, stage in pairs for i in layers if accepts(n.format(i=i))]
    hits = [n for n in hits if n in graph]
    for name, (why, meant) in known.refused.items() if not hits else ():
        if any(accepts(name.format(i=i)) for i in layers):
            raise _refuse(str(text), f"matches {name}, which {why}", meant)
    return hits
