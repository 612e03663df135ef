"""The command `cutaway VERB`; `cutaway VERB --help` has an example of each.

Exit codes: 0 pass, 1 a check failed, 2 could not run, 130 interrupted, 141 nobody reads the output any more. With
--json there is one object on standard output and nothing else; if the verb could not run it is
{"error": {"code", "type", "message", "hint", "details"}}."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

from cutaway._core import __version__
from cutaway.cli import bench, convert, demo, files, generate, look
from cutaway.cli.common import Parser, Usage, print_error
from cutaway.errors import CutawayError, InternalError


def parser() -> Parser:
    top = Parser(
        prog="cutaway",
        description="A language-model engine with the lid off: run a model, watch any stage, know what is right.",
        epilog="A MODEL is a path to a GGUF file, tiny:llama or tiny:gpt2 (bundled), or, where their packages are\n"
        "installed, smollm2 or gemma3-270m.\n"
        "Exit codes: 0 pass, 1 a check failed, 2 could not run, 130 interrupted.\n"
        'With --json, what could not run prints {"error": {code, type, message, hint, details}}.\n\n'
        "example: cutaway demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cutaway {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for module in (files, generate, look, convert, bench, demo):
        module.add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    _ready_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except OSError as error:
        # Whoever read us has gone, as in `| head`, or the disk is full; what Python still flushes goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 141
        print(f"cutaway: {error}", file=sys.stderr)
        return 2


def _run(argv: list[str]) -> int:
    """As main, but for what keeps an error from being printed."""
    as_json = "--json" in argv
    try:
        args, unknown = parser().parse_known_args(argv)
        if unknown:
            raise Usage(f"unrecognized arguments: {' '.join(unknown)}", f"`cutaway {args.verb} --help` has the options")
        return args.run(args)
    except BrokenPipeError:
        raise
    except (CutawayError, Usage, OSError) as error:
        print_error(error, as_json)
    except Exception as error:  # a bug, which must not look like 1, a check that failed
        traceback.print_exc()
        print_error(InternalError(f"{type(error).__name__}: {error}"), as_json)
    return 2


def _ready_streams() -> None:
    """Standard streams that can take any text, also where the shell has closed them or speaks ASCII only."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")
