"""Verbs that look inside: trace, compare, probe, check."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.cli.common import (
    Progress,
    Usage,
    add_model,
    add_options,
    add_tokens,
    add_verb,
    open_model,
    print_json,
    tokens_of,
)
from cutaway.output import refuse_path, table
from cutaway.sizes import size

PROMPT = "Once upon a time"
REPORT = (  # the keys of Report.to_dict()
    "title mode ok first stages[stage, op, kernel, reference, units, tolerance, rel, at, actual, expected, ok, "
    "weights, verdict] tokens manifest"
)


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "trace", run_trace, "run a text and print or save what the stages hold; exit 1 if a value is not finite",
        "cutaway trace tiny:llama -p 'In the beginning' -n 'blocks.*.resid_post' --stats -o run.safetensors",
        "tokens stages[stage, op, shape, min, max, rms, masked, non_finite] file manifest",
    )  # fmt: skip
    add_model(p)
    add_tokens(p)
    p.add_argument(
        "-n", "--names", metavar="GLOB", action="append", help="stages to keep; may be given again; default all"
    )
    p.add_argument("-o", "--output", metavar="FILE", help="save the tensors as .npz or .safetensors")
    p.add_argument("--stats", action="store_true", help="min, max, rms and what is not finite; default without -o")
    p.add_argument("--budget", default="4GiB", metavar="SIZE", help="most bytes to keep; default 4GiB")
    add_options(p)

    p = add_verb(
        verbs, "compare", run_compare, "compare two models, or a model with NumPy, stage by stage; exit 1 if they part",
        "cutaway compare smollm2 numpy -p 'Once upon a time' --html report.html", REPORT,
    )  # fmt: skip
    add_model(p, "a")
    p.add_argument("b", metavar="B", help="numpy, or another model")
    add_tokens(p, required=False)
    p.add_argument("--mode", choices=("isolate", "accumulate"), default="isolate",
                   help="isolate: every stage on the inputs its kernel saw; accumulate: from the tokens")  # fmt: skip
    p.add_argument("--html", metavar="FILE", help="write the report as a page")
    p.add_argument("--numerics-b", choices=("fast", "exact"), help="of B; default as A")
    p.add_argument("--target-b", metavar="TARGET", help="CPU target of B; default as A")
    add_options(p)

    p = add_verb(
        verbs, "probe", run_probe, "run one kernel alone against its reference; exit 1 if it is wrong",
        "cutaway probe rms_norm --target avx2", REPORT,
    )  # fmt: skip
    p.add_argument("kernel", metavar="KERNEL", help="an op, rms_norm, or a kernel, rms_norm/avx2")
    p.add_argument("--target", help="one target; default every one that this machine runs")
    p.add_argument("--shapes", metavar="JSON", help="tokens and width of the inputs, like [[4, 576]]; may be several")
    p.add_argument("--format", metavar="NAME", help="of the weights, like q4_1; default every format")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the random inputs; default 0")

    p = add_verb(
        verbs, "check", run_check, "check that a model gives the same numbers however it is run; exit 1 if not",
        "cutaway check tiny:llama -p 'In the beginning'", REPORT,
    )  # fmt: skip
    add_model(p)
    add_tokens(p, required=False)
    p.add_argument("--only", metavar="NAME", action="append", help="one check; may be given again; default all")
    add_options(p)


# --- trace ------------------------------------------------------------------------------------------------------------


def run_trace(args: argparse.Namespace) -> int:
    suffix = Path(args.output).suffix if args.output else ""
    if args.output and suffix not in (".npz", ".safetensors"):
        raise Usage(f"-o is {args.output}, expected a name that ends in .npz or .safetensors")
    if args.output:
        refuse_path(args.output)
    model = open_model(args)
    ids = tokens_of(args, model)
    _, cache = model.run_with_cache(ids, args.names, budget=args.budget)
    rows = [_stats(name, _op(model, name), values) for name, values in cache.items()]
    if args.output:
        with Progress(args) as progress:
            progress.say(f"writing {args.output}, {size(cache.nbytes())}")
            cache.save(args.output)
    bad = [row for row in rows if row["non_finite"]]
    if args.json:
        print_json({"tokens": ids.tolist(), "stages": rows, "file": args.output, "manifest": model.manifest()})
        return 1 if bad else 0
    if args.stats or not args.output:
        cells: list[tuple[Any, ...]] = [("stage", "op", "shape", "min", "max", "rms", "masked", "not finite")]
        for r in rows:
            numbers = [f"{r[k]:.6g}" for k in ("min", "max", "rms")]
            shape = " x ".join(map(str, r["shape"]))
            cells.append((r["stage"], r["op"], shape, *numbers, r["masked"] or "", r["non_finite"] or ""))
        print(table(cells, right=(3, 4, 5, 6, 7)))
    if args.output:
        print(f"{args.output}: {len(rows)} tensors, {size(cache.nbytes())}")
    if bad:
        print(f"first stage with a value that is not finite: {bad[0]['stage']}")
    return 1 if bad else 0


def _op(model: Any, name: str) -> str:
    return "quantize_q8" if "@" in name else model.graph[name].op


def _stats(name: str, op: str, values: np.ndarray) -> dict[str, Any]:
    """A row of the trace: the extremes and the root mean square of what is finite, in float64, and how much is not."""
    finite = values[np.isfinite(values)].astype(np.float64)
    # Scores ahead of a token are -inf because they are masked.
    masked = int(np.isneginf(values).sum()) if op == "attention_scores" else 0
    return {
        "stage": name,
        "op": op,
        "shape": list(values.shape),
        "min": float(finite.min()) if finite.size else float("nan"),
        "max": float(finite.max()) if finite.size else float("nan"),
        "rms": float(np.sqrt((finite**2).mean())) if finite.size else float("nan"),
        "masked": masked,
        "non_finite": int(values.size - finite.size - masked),
    }


# --- compare, probe, check --------------------------------------------------------------------------------------------


def run_compare(args: argparse.Namespace) -> int:
    from cutaway.compare import compare

    if args.html:
        refuse_path(args.html)
    a = open_model(args, args.a)
    changed = {k: v for k, v in (("numerics", args.numerics_b), ("target", args.target_b)) if v is not None}
    if args.b == "numpy" and changed:
        raise Usage("NumPy takes its numerics from A and has no targets: leave --numerics-b and --target-b away")
    b = "numpy" if args.b == "numpy" else open_model(args, args.b, **changed)
    ids = tokens_of(args, a, PROMPT)
    with Progress(args) as progress:
        report = compare(a, b, ids, mode=args.mode, progress=progress.step)
    return _show(args, report, args.html)


def run_probe(args: argparse.Namespace) -> int:
    from cutaway.probe import probe

    try:
        shapes = None if args.shapes is None else [tuple(shape) for shape in json.loads(args.shapes)]
    except (ValueError, TypeError) as error:
        raise Usage(f"--shapes is {args.shapes!r}, expected pairs like [[4, 576]]: {error}") from None
    return _show(args, probe(args.kernel, target=args.target, shapes=shapes, format=args.format, seed=args.seed))


def run_check(args: argparse.Namespace) -> int:
    from cutaway.check import check

    model = open_model(args)
    return _show(args, check(model, tokens_of(args, model, PROMPT), args.only))


def _show(args: argparse.Namespace, report: Any, page: str | None = None) -> int:
    if page:
        report.to_html(page)
    if args.json:
        print_json(report.to_dict())
    else:
        print(f"{report.title}\n{report.table()}\n{report.summary()}")
        if page:
            print(f"the page is {page}")
    return 0 if report.ok else 1
