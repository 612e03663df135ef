"""What the verbs share: options, loading a model, tokens, progress, output."""

from __future__ import annotations

import argparse
import glob
import json
import math
import os
import sys
import time
from typing import Any, NoReturn

import numpy as np

from cutaway.loading import find, load
from cutaway.model import Model
from cutaway.output import escape, plain


class Usage(Exception):
    """The words after `cutaway` cannot be understood."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Parser(argparse.ArgumentParser):
    """argparse, but that wrong words raise Usage, and no option is guessed from its first letters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise Usage(message, f"`{self.prog} --help` has the options and an example")


def add_verb(verbs: Any, name: str, run: Any, summary: str, example: str, keys: str) -> Parser:
    """A verb with what all have: --json, --progress, an example, the keys of its object."""
    p = verbs.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}\n\nkeys with --json: {keys}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    p.add_argument("--progress", action="store_true", help="say on standard error what takes long, also in a pipe")
    p.set_defaults(run=run)
    return p


def add_model(p: Parser, name: str = "model") -> None:
    p.add_argument(
        name,
        metavar=name.upper(),
        help="a GGUF file, a Hugging Face folder, or a name: tiny:llama, tiny:gpt2, smollm2, gemma3-270m",
    )


def positive(text: str) -> int:
    """An argument that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer from 1")
    return int(text)


def add_options(p: Parser, runs: bool = True) -> None:
    """The options of ct.load; where the model does not run, those of its size."""
    group = p.add_argument_group("how the model runs")
    group.add_argument(
        "--numerics", choices=("fast", "exact"), default="fast", help="default fast; exact: all in float32"
    )
    if runs:
        group.add_argument(
            "--threads", type=int, default=0, metavar="N", help="default every core this process may use"
        )
        group.add_argument("--target", default="", help="CPU target; `cutaway kernels` lists those of this machine")
    group.add_argument("--device", default="cpu", help="cpu or cuda; default cpu")
    group.add_argument(
        "--n-ctx", type=int, metavar="N", help="most tokens of a sequence; default the model's, at most 8192"
    )
    group.add_argument("--kv", choices=("f16", "f32"), help="format of keys and values; default f16, f32 with exact")


def add_tokens(p: Parser, required: bool = True) -> None:
    group = p.add_mutually_exclusive_group(required=required)
    group.add_argument("-p", "--prompt", metavar="TEXT", help="text to run; - reads standard input")
    group.add_argument("--ids", metavar="1,2,3", help="token ids to run, instead of text")
    p.add_argument("--special", action="store_true", help="words like <|im_start|> in the text are control tokens")


def open_model(args: argparse.Namespace, name: str | None = None, **other: Any) -> Model:
    """The model that the arguments mean; `other` replaces some options of ct.load."""
    name = name or args.model
    options = {k: getattr(args, k) for k in ("numerics", "threads", "target", "device", "n_ctx", "kv")} | other
    path, started = find(name), time.monotonic()
    with Progress(args) as progress:
        files = [path] if os.path.isfile(path) else glob.glob(os.path.join(glob.escape(path), "*.safetensors"))
        megabytes = sum(map(os.path.getsize, files)) / 1e6
        progress.say(f"loading {name}, {megabytes:.0f} MB")
        model = load(path, **options)
        progress.say(f"loaded {name} in {time.monotonic() - started:.1f} s")
    return model


def read_text(text: str) -> str | bytes:
    """A text as given, or standard input for "-"."""
    if text != "-":
        return text
    if sys.stdin is None:
        raise Usage("- reads standard input, which is closed")
    return sys.stdin.buffer.read()


def read_ids(text: str) -> list[int]:
    """The integers of --ids, between commas or blanks. Raises Usage."""
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise Usage(f"--ids is {text!r}, expected integers like 504,3575,282") from None


def tokens_of(args: argparse.Namespace, model: Model, default: str | None = None) -> np.ndarray:
    """int32 ids [T] of -p or --ids. Raises Usage where there are none, InvalidTokenId for one out of range."""
    if args.ids is not None:
        ids = model._ids(read_ids(args.ids))
    else:
        text = default if args.prompt is None else read_text(args.prompt)
        ids = model.tokenizer.encode(text or "", parse_special=args.special, max_tokens=model.n_ctx).ids
    if not len(ids):
        raise Usage("there are no tokens to run", "give a text with -p, or ids with --ids")
    return ids


class Progress:
    """A line on standard error that is rewritten, on a terminal; whole lines at most every second with --progress.

    A terminal that says it is dumb, and none at all, get no cursor movements. There are no colours anywhere."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not args.json
        self.on = self.terminal or args.progress
        self.shown, self.at = False, -math.inf

    def say(self, text: str) -> None:
        """Shows a step."""
        self.at = time.monotonic()
        if self.terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # a longer line would wrap and stay
            print(f"\r\x1b[K{escape(text)[: width - 1]}", end="", file=sys.stderr, flush=True)
            self.shown = True
        elif self.on:
            print(escape(text), file=sys.stderr, flush=True)

    def step(self, done: int, total: int, what: str = "stages") -> None:
        """Shows how far a loop is, not more often than one can read."""
        if self.on and time.monotonic() - self.at >= (0.1 if self.terminal else 1.0):
            self.say(f"{done} of {total} {what}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One object on standard output."""
    print(json.dumps(plain(value), allow_nan=False))


def print_error(error: BaseException, as_json: bool) -> None:
    """What went wrong, for people on standard error or for programs on standard output."""
    if as_json:
        code, details = getattr(error, "code", "E000"), getattr(error, "details", {})
        message = getattr(error, "message", None) or str(error)
        print_json(
            {
                "error": {
                    "code": code,
                    "type": type(error).__name__,
                    "message": message,
                    "hint": getattr(error, "hint", ""),
                    "details": details,
                }
            }
        )
        return
    text = str(error)
    if isinstance(error, Usage) and error.hint:
        text += f"\n  hint: {error.hint}"
    print(f"cutaway: {text}", file=sys.stderr)
