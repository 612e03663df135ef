"""Verbs that make models of models, and say what they lost: quantize, convert, verify, kl."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cutaway.cli.common import (
    Progress,
    Usage,
    add_model,
    add_options,
    add_verb,
    open_model,
    print_json,
    read_ids,
    read_text,
)
from cutaway.loading import find
from cutaway.output import escape
from cutaway.quantize import MIXES, quantize


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "quantize", run_quantize,
        "write a model as a GGUF file with its weights in another format, and say what each tensor lost",
        "cutaway quantize model/ model-q4_k_m.gguf --format q4_k_m",
        "path source format rows[tensor, shape, source, format, bits, rel, worst, worst_block, note] bytes elements "
        "notes bits",
    )  # fmt: skip
    add_model(p)
    p.add_argument("out", metavar="OUT", help="the GGUF file to write")
    p.add_argument("--format", required=True, metavar="NAME",
                   help=f"a format, which every matrix takes: q8_0, mxfp4, f16, ..; a mix: {', '.join(MIXES)}; "
                   "or keep: as the source has it")  # fmt: skip
    p.add_argument("--threads", type=int, default=0, metavar="N", help="default every core this process may use")
    p.add_argument("--brief", action="store_true", help="print the summary only")

    p = add_verb(
        verbs, "convert", run_convert,
        "write a GGUF file as a Hugging Face folder, or a folder as a GGUF file, weights as they are",
        "cutaway convert smollm2 smollm2-hf",
        "path source tensors bytes dtype tokenizer notes; of a file made of a folder: those of quantize",
    )  # fmt: skip
    add_model(p)
    p.add_argument("out", metavar="OUT", help="the folder, which must not exist, or the file: NAME.gguf")
    p.add_argument("--dtype", choices=("keep", "f32", "f16", "bf16"), default="keep",
                   help="of the matrices; default keep: f16, bf16 stay, others become what holds them")  # fmt: skip

    p = add_verb(
        verbs, "verify", run_verify,
        "prove that a GGUF file is the model of a Hugging Face folder, by tensors and activations; exit 1 if not",
        "cutaway verify model.gguf model/",
        "gguf folder ok lossless numbers tensors[tensor, format, source, same, rel, limit, verdict] activations notes",
    )  # fmt: skip
    add_model(p, "gguf")
    p.add_argument("folder", metavar="HF_DIR", help="a folder with config.json and model.safetensors")
    p.add_argument("-p", "--prompt", metavar="TEXT", help="text to run; default 'Once upon a time'")
    p.add_argument("--ids", metavar="1,2,3", help="token ids to run, instead of text")
    p.add_argument("--brief", action="store_true", help="print the summary only")

    p = add_verb(
        verbs, "kl", run_kl,
        "compare the predictions of a model with those of another, its base, on a text; exit 1 if it is much worse",
        "cutaway kl model-mxfp4.gguf model-q4_k_m.gguf -f text.txt",
        "a b tokens nll_a nll_b difference difference_error kl kl_error kl_percentiles same_top same_top_error limit "
        "ppl_a ppl_b within certain manifest[a, b]",
    )  # fmt: skip
    add_model(p, "a")
    add_model(p, "b")
    text = p.add_mutually_exclusive_group(required=True)
    text.add_argument("-f", "--file", metavar="TEXT", help="a file with the text")
    text.add_argument("-p", "--prompt", metavar="TEXT", help="the text itself; - reads standard input")
    p.add_argument("--within", type=float, default=1.0, metavar="PERCENT",
                   help="how much larger A's perplexity may be; default 1")  # fmt: skip
    p.add_argument("--window", type=int, metavar="N", help="tokens of a piece; default what both hold, at most 1024")
    p.add_argument("--tokens", type=int, metavar="N", help="only the first N tokens of the text")
    add_options(p)


def run_quantize(args: argparse.Namespace) -> int:
    with Progress(args) as progress:
        report = quantize(
            args.model,
            args.out,
            args.format,
            threads=args.threads,
            progress=lambda done, total: progress.step(done, total, "tensors"),
        )
    if args.json:
        print_json(report.to_dict())
    else:
        print(escape_lines(report.summary() if args.brief else repr(report)))
    return 0


def run_convert(args: argparse.Namespace) -> int:
    from cutaway.to_hf import to_hf

    if os.path.isdir(find(args.model)):
        if not args.out.endswith(".gguf"):
            raise Usage(f"{args.model} is a folder, and OUT is {args.out}", "name a file that ends in .gguf")
        args.format, args.threads, args.brief = args.dtype, 0, True
        return run_quantize(args)
    if args.out.endswith(".gguf"):
        raise Usage(f"{args.model} is a GGUF file, and so would be {args.out}", "`cutaway quantize` writes GGUF files")
    with Progress(args) as progress:
        made = to_hf(
            args.model,
            args.out,
            dtype=args.dtype,
            progress=lambda done, total: progress.step(done, total, "tensors"),
        )
    if args.json:
        print_json(made.to_dict())
    else:
        print(escape_lines(repr(made)))
    return 0


def run_verify(args: argparse.Namespace) -> int:
    from cutaway.verify import verify

    tokens = args.prompt if args.ids is None else read_ids(args.ids)
    with Progress(args) as progress:
        found = verify(
            args.gguf, args.folder, tokens, progress=lambda done, total: progress.step(done, total, "tensors")
        )
    if args.json:
        print_json(found.to_dict())
    else:
        print(escape_lines(found.summary() if args.brief else repr(found)))
    return 0 if found else 1


def run_kl(args: argparse.Namespace) -> int:
    from cutaway.kl import kl

    if args.within < 0:
        raise Usage(f"--within is {args.within}, expected a percentage from 0")
    if args.tokens is not None and args.tokens < 2:
        raise Usage(f"--tokens is {args.tokens}, expected at least 2")
    if args.file is None:
        text: str | bytes = read_text(args.prompt)
    else:
        with open(args.file, "rb") as f:
            text = f.read()
    a, b = open_model(args, args.a), open_model(args, args.b)
    tokens: Any = text
    if args.tokens is not None:
        sides = [m.tokenizer.encode(text).ids[: args.tokens] for m in (a, b)]
        if sides[0].tolist() != sides[1].tolist():
            raise Usage("the models cut the text into other tokens", "`cutaway tokenize` shows the ids of each")
        tokens = sides[0]
    with Progress(args) as progress:
        result = kl(
            a, b, tokens, window=args.window, limit=args.within / 100,
            progress=lambda done, total: progress.step(done, total, "tokens"),
        )  # fmt: skip
    if args.json:
        print_json({**result.to_dict(), "manifest": {"a": a.manifest(), "b": b.manifest()}})
    else:
        print(escape_lines(repr(result)))
    return 0 if result else 1


def escape_lines(text: str) -> str:
    """A report whose names come from a file, as a terminal may get it."""
    return "\n".join(map(escape, text.split("\n")))
