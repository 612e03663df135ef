"""The verb bench: how fast a model runs here, beside llama.cpp."""

from __future__ import annotations

import argparse
from typing import Any

from cutaway.cli.common import Progress, add_model, add_options, add_verb, open_model, positive, print_json
from cutaway.output import table


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "bench", run_bench, "measure prefill and decode speed as a share of this machine's memory peak",
        "cutaway bench smollm2 -p 128 -n 128 --hooks 'blocks.*.resid_post'",
        "model manifest prompt new runs peak bytes_per_token sides[name: prefill_tok_s, decode_tok_s, "
        "decode_tok_s_runs, gbs, share] watched ratios peer_absent",
    )  # fmt: skip
    add_model(p)
    p.add_argument("-p", type=positive, default=128, metavar="N", help="tokens of the prompt; default 128")
    p.add_argument("-n", type=positive, default=128, metavar="N", help="new tokens; default 128")
    p.add_argument("--runs", type=positive, default=5, metavar="N", help="the medians of N runs count; default 5")
    p.add_argument("--hooks", metavar="GLOB", action="append", help="also with these stages watched")
    p.add_argument("--no-peers", action="store_true", help="without llama.cpp, also where llama_cpp can be imported")
    add_options(p)


def run_bench(args: argparse.Namespace) -> int:
    from cutaway.speed import measure

    model = open_model(args)
    with Progress(args) as progress:
        found = measure(
            model, prompt=args.p, new=args.n, runs=args.runs, hooks=args.hooks, peers=not args.no_peers,
            progress=progress.say,
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
        f"{moved['cache'] / 1e6:.1f} cache); memory peak {peak['gbs']:.1f} GB/s",
        f"({peak['method']}, {peak['buffer_bytes'] >> 20} MiB)",
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
    if any(name.startswith("llama") for name in found["sides"]):
        lines.append("GB/s of llama.cpp counts our bytes of a token; its own layout of the weights may differ a little")
    if found["peer_absent"]:
        lines.append(f"llama.cpp was not measured: {found['peer_absent']}")
    return "\n".join(lines)
