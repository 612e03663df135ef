"""The command `cutaway VERB`; `cutaway VERB --help` has an example of each.

Exit codes: 0 pass, 1 a check failed, 2 could not run, 130 interrupted. With --json there is one object on standard
output and nothing else; if the verb could not run it is {"error": {"code", "type", "message", "hint", "details"}}."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cutaway._core import __version__
from cutaway.cli import bench, demo, files, generate, look
from cutaway.cli.common import Parser, Usage, print_error
from cutaway.errors import CutawayError


def parser() -> Parser:
    top = Parser(
        prog="cutaway",
        description="A language-model engine with the lid off: run a model, watch any stage, know what is right.",
        epilog="A MODEL is a path to a GGUF file, tiny:llama or tiny:gpt2 (bundled), smollm2 or gemma3-270m (if their "
        "packages are installed).\nExit codes: 0 pass, 1 a check failed, 2 could not run.\n\nexample: cutaway demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cutaway {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for module in (files, generate, look, bench, demo):
        module.add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in argv
    try:
        try:
            args = parser().parse_args(argv)
            code = args.run(args)
        except (CutawayError, Usage, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            print_error(error, as_json)
            code = 2
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read us has gone, as in `| head`; what Python still flushes at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
