"""Verbs that run no model: inspect, plan, tokenize, kernels."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from typing import Any

from cutaway import _core
from cutaway.cli.common import (
    Usage,
    add_model,
    add_options,
    add_verb,
    positive,
    print_json,
    read_ids,
    read_text,
)
from cutaway.inspect import Inspection, Rows
from cutaway.inspect import inspect as inspect_file
from cutaway.loading import find
from cutaway.output import counted, escape, for_terminal, table
from cutaway.plan import plan as make_plan
from cutaway.text import Tokenizer, tokenize_diff


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "inspect", run_inspect, "print what a model file holds, from its header",
        "cutaway inspect model.gguf --tensors 'blk.0.*'",
        "path parts kind bytes header_bytes summary missing warnings metadata types formats layers tensors; "
        "with --key: key type value",
    )  # fmt: skip
    add_model(p)
    part = p.add_mutually_exclusive_group()
    part.add_argument("--key", metavar="NAME", help="one metadata value, whole")
    part.add_argument("--metadata", action="store_true", help="all metadata")
    part.add_argument("--tensors", metavar="GLOB", nargs="?", const="*", help="the tensors whose names match")
    part.add_argument("--layers", action="store_true", help="bytes by layer")
    p.add_argument("--sort", choices=("name", "format", "bytes", "offset"), help="of the tensors; bytes: largest first")

    p = add_verb(
        verbs, "plan", run_plan, "print the memory a model needs and whether it fits; exit 1 if not",
        "cutaway plan model.gguf --n-ctx 8192 --batch 4",
        "file device need budget limit fits parts weights options remedies",
    )  # fmt: skip
    add_model(p)
    add_options(p, runs=False)
    p.add_argument("--batch", type=positive, default=1, metavar="N", help="sequences that run at once; default 1")
    p.add_argument("--max-ram", metavar="SIZE", help="a smaller budget, like 2GiB")

    p = add_verb(
        verbs, "tokenize", run_tokenize, "turn text into token ids, or ids into text",
        "cutaway tokenize tiny:llama 'In the beginning'",
        "ids pieces bytes_hex bos_added text roundtrip against",
    )  # fmt: skip
    add_model(p)
    p.add_argument("text", metavar="TEXT", nargs="?", help="- or nothing reads standard input")
    p.add_argument("--ids", metavar="1,2,3", help="ids to decode, instead of text")
    p.add_argument(
        "--bos",
        choices=("model", "yes", "no"),
        default="model",
        help="a begin token in front; default as the model says",
    )
    p.add_argument("--special", action="store_true", help="words like <|im_start|> are control tokens")
    p.add_argument("--roundtrip", action="store_true", help="exit 1 unless the ids decode to the same bytes")
    p.add_argument(
        "--against", metavar="OTHER", help="a second model or folder: exit 1 at the first token that differs"
    )

    p = add_verb(
        verbs, "kernels", run_kernels, "list every op and its kernels, which one this machine runs, and why",
        "cutaway kernels --op matmul",
        "cpu cores targets default_target why ops[name, targets, runs, why]",
    )  # fmt: skip
    p.add_argument("--op", metavar="NAME", help="one op only, with its formula")
    p.add_argument("--target", default="", help="as if this target had been asked for")


def run_inspect(args: argparse.Namespace) -> int:
    found = inspect_file(find(args.model))
    if args.key is not None:
        value = found.key(args.key)
        if args.json:
            print_json({"key": args.key, "type": found.metadata.type(args.key), "value": value})
        else:
            print(escape(value) if isinstance(value, str) else value)
    elif args.json:
        out = found.to_dict()
        if args.tensors is not None or args.sort:
            out["tensors"] = _tensors(found, args).to_dict()
        print_json(out)
    elif args.tensors is not None or args.sort:
        print(_tensors(found, args))
    elif args.layers:
        print(found.layers())
    elif args.metadata:
        print(found.metadata)
    else:
        print(found)
    return 0


def _tensors(found: Inspection, args: argparse.Namespace) -> Rows:
    """The tensors of --tensors and --sort. Raises Usage where the glob matches none of those that are there."""
    glob = "*" if args.tensors is None else args.tensors
    rows = found.tensors(glob, sort=args.sort)
    if not rows and len(found.tensors()):
        near = difflib.get_close_matches(glob, [t["name"] for t in found.tensors()], 3)
        hint = f"near it: {', '.join(map(escape, near))}" if near else "`cutaway inspect MODEL --tensors` lists all"
        raise Usage(f"--tensors {glob!r} matches none of {counted(len(found.tensors()), 'tensor')}", hint)
    return rows


def run_plan(args: argparse.Namespace) -> int:
    plan = make_plan(
        args.model, n_ctx=args.n_ctx, device=args.device, numerics=args.numerics, kv=args.kv, batch=args.batch,
        max_ram=args.max_ram,
    )  # fmt: skip
    print_json(plan.to_dict()) if args.json else print(plan)
    return 0 if plan else 1


def run_tokenize(args: argparse.Namespace) -> int:
    if args.text is not None and args.ids is not None:
        raise Usage("give TEXT or --ids, not both")
    if args.against is not None and args.ids is not None:
        raise Usage("--against compares what becomes of TEXT; give no --ids")
    tokenizer = Tokenizer(args.model)
    trip, diff, bos_added = None, None, False
    if args.ids is not None:
        ids = read_ids(args.ids)
        text = tokenizer.decode(ids)
    else:
        given = read_text("-" if args.text is None else args.text)
        bos: Any = {"yes": True, "no": False}.get(args.bos, "model")
        tokens = tokenizer.encode(given, bos=bos, parse_special=args.special)
        ids, bos_added = tokens.tolist(), tokens.bos_added
        text = given if isinstance(given, str) else given.decode("utf-8", "replace")
        if args.roundtrip:
            trip = tokenizer.roundtrip(given, parse_special=args.special)
        if args.against is not None:
            diff = tokenize_diff(tokenizer, args.against, given, bos=args.bos != "no", parse_special=args.special)
    pieces = [tokenizer.piece(i) for i in ids]
    if args.json:
        print_json(
            {
                "ids": ids,
                "pieces": [p.decode("utf-8", "replace") for p in pieces],
                "bytes_hex": [p.hex() for p in pieces],
                "bos_added": bos_added,
                "text": text,
                "roundtrip": None if trip is None else bool(trip),
                "against": None if diff is None else diff.to_dict(),
            }
        )
    elif args.ids is not None:
        print(for_terminal(text, sys.stdout))
    else:
        rows = [("id", "piece", "bytes")]
        rows += [(i, escape(p.decode("utf-8", "replace")), p.hex(" ")) for i, p in zip(ids, pieces, strict=True)]  # type: ignore[misc]
        print(table(rows, right=(0,)))
        print(counted(len(ids), "token") + (", a begin token was added" if bos_added else ""))
        if trip is not None:
            print(trip)
        if diff is not None:
            print(diff)
    return 0 if all(check is None or check for check in (trip, diff)) else 1


def run_kernels(args: argparse.Namespace) -> int:
    default, runnable = args.target or _core.default_target(), _core.targets()
    if default not in runnable:
        raise Usage(f"target {default!r} does not run here", f"this CPU runs {', '.join(runnable)}")
    forced = args.target or os.environ.get("CUTAWAY_TARGET")
    why = f"{'--target' if args.target else 'CUTAWAY_TARGET'} asks for it" if forced else "the best this CPU runs"
    ops = []
    for op in sorted(_core.ops(), key=lambda o: o["name"]):
        if args.op is not None and op["name"] != args.op:
            continue
        runs = next(t for t in op["targets"] if t in runnable and runnable.index(t) >= runnable.index(default))
        ops.append(
            {"name": op["name"], "targets": list(op["targets"]), "runs": runs, "why": _reason(runs, default, op)}
        )
    if not ops:
        from cutaway import ops as table_of_ops

        table_of_ops.describe(args.op)  # raises with near names
    out = {
        "cpu": _core.cpu(),
        "cores": _core.cores(),
        "targets": runnable,
        "default_target": default,
        "why": why,
        "ops": ops,
    }
    if args.json:
        print_json(out)
        return 0
    everything = list(dict.fromkeys([*runnable, *(t for op in ops for t in op["targets"])]))
    print(f"{_core.cpu()}, {_core.cores()} cores; targets {', '.join(runnable)}; in use {default}: {why}")
    rows: list[tuple[Any, ...]] = [("op", *everything, "runs here", "why")]
    for op in ops:
        marks = ("yes" if t in op["targets"] else "-" for t in everything)
        rows.append((op["name"], *marks, f"{op['name']}/{op['runs']}", op["why"]))
    print(table(rows))
    if args.op:
        from cutaway.ops import formula

        print(f"\n{formula(args.op)}")
    return 0


def _reason(runs: str, default: str, op: dict[str, Any]) -> str:
    if runs == default:
        return "the target in use"
    return f"has no kernel for {default}; the next best" if default not in op["targets"] else "the best that runs"
