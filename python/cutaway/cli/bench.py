"""The verb bench: how fast a model runs here, beside llama.cpp."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cutaway.cli.common import Progress, add_model, add_options, add_verb, open_model, positive, print_json
from cutaway.output import table

MOST = 12  # rows of a table of stages


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "bench", run_bench, "measure prefill and decode speed as a share of this machine's memory peak",
        "cutaway bench smollm2 -p 128 -n 128 --hooks 'blocks.*.resid_post'",
        "model manifest prompt new runs peak bytes_per_token sides[name: prefill_tok_s, decode_tok_s, "
        "prefill_tok_s_runs, decode_tok_s_runs, gbs, share] watched ratios peer_features peer_absent stages",
    )  # fmt: skip
    add_model(p)
    p.add_argument("-p", type=positive, default=128, metavar="N", help="tokens of the prompt; default 128")
    p.add_argument("-n", type=positive, default=128, metavar="N", help="new tokens; default 128")
    p.add_argument("--runs", type=positive, default=5, metavar="N", help="the medians of N runs count; default 5")
    p.add_argument("--hooks", metavar="GLOB", action="append", help="also with these stages watched")
    p.add_argument("--peer", metavar="PYTHON", help="the interpreter that has llama_cpp; default this one")
    p.add_argument("--no-stages", action="store_true", help="without the time of each stage")
    p.add_argument("--no-peers", action="store_true", help="without llama.cpp, also where llama_cpp can be imported")
    add_options(p)


def run_bench(args: argparse.Namespace) -> int:
    from cutaway.speed import measure

    model = open_model(args)
    with Progress(args) as progress:
        found = measure(
            model, prompt=args.p, new=args.n, runs=args.runs, hooks=args.hooks, peers=not args.no_peers,
            peer_python=args.peer or sys.executable, stages=not args.no_stages, progress=progress.say,
        )  # fmt: skip
    print_json(found) if args.json else print(text(found))
    return 0


def text(found: dict[str, Any]) -> str:
    """What measure gives, for people."""
    peak, moved = found["peak"], found["bytes_per_token"]
    lines = [
        f"{found['model']}, {found['manifest']['numerics']}, {peak['threads']} threads: "
        f"prompt {found['prompt']}, {found['new']} new tokens, medians of {found['runs']} runs",
        f"a new token reads {moved['all'] / 1e6:.1f} MB ({moved['weights'] / 1e6:.1f} weights, "
        f"{moved['cache'] / 1e6:.1f} cache); peaks measured between the runs: {peak['gbs']:.1f} GB/s,",
        f"{peak['int8'] / 1e9:.0f} GOP/s of 8-bit products, {peak['float32'] / 1e9:.0f} GFLOP/s ({peak['target']})",
        "",
    ]
    rows: list[tuple[Any, ...]] = [("", "prefill tok/s", "decode tok/s", "GB/s", "of peak", "decode, all runs")]
    for name, s in found["sides"].items():
        spread = f"{min(s['decode_tok_s_runs']):.1f} to {max(s['decode_tok_s_runs']):.1f}"
        rows.append(
            (
                name,
                f"{s['prefill_tok_s']:.1f}",
                f"{s['decode_tok_s']:.1f}",
                f"{s['gbs']:.1f}",
                f"{s['share']:.0%}",
                spread,
            )
        )
    lines.append(table(rows, right=(1, 2, 3, 4)))
    for name, r in found["ratios"].items():
        lines.append(f"cutaway over {name}: prefill {r['prefill']:.2f}, decode {r['decode']:.2f}")
    if found["peer_features"]:
        lines.append(f"llama.cpp's build: {found['peer_features']}")
        lines.append("GB/s of llama.cpp counts our bytes of a token; its own layout of the weights may differ a little")
    if found["peer_absent"]:
        lines.append(f"llama.cpp was not measured: {found['peer_absent']}")
    for phase, rows_of in found["stages"].items():
        lines += ["", *_stages(phase, rows_of)]
    if found["stages"]:
        lines += [
            "",
            "busy: of all threads' time the share spent in the kernel; in the rest they waited for each other",
        ]
    return "\n".join(lines)


def _stages(phase: str, rows: list[dict[str, Any]]) -> list[str]:
    """The stages that take most of a pass, and the three that lose most against their floors."""
    total = sum(r["seconds"] for r in rows)
    what = "prompt" if phase == "prefill" else "new token"
    lines = [f"{phase}: kernels take {total * 1e3:.2f} ms of a {what}; floor {sum(r['floor'] for r in rows) * 1e3:.2f}"]
    cells: list[tuple[Any, ...]] = [
        ("stage", "kernel", "calls", "us", "of all", "GB/s", "GOP/s", "of peak", "bound", "busy")
    ]
    for r in rows[:MOST]:
        rate = r["operations"] / r["seconds"] / 1e9
        cells.append(
            (r["stage"], r["kernel"], r["calls"], f"{r['seconds'] * 1e6:.1f}", f"{r['seconds'] / total:.0%}",
             f"{r['gbs']:.1f}", f"{rate:.1f}", f"{r['share']:.0%}", r["bound"], f"{r['busy']:.0%}")
        )  # fmt: skip
    lines.append(table(cells, right=(*range(2, 8), 9)))
    losing = sorted(rows, key=lambda r: -r["lost"])[:3]
    lost = ", ".join(f"{r['stage']} {r['lost'] * 1e6:.0f} us" for r in losing)
    return [*lines, f"most is lost, over the floor, in {lost}"]
