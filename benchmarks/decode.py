"""Prefill and decode speed of SmolLM2 (or a MODEL given first), beside llama.cpp where llama_cpp is installed.

`python benchmarks/decode.py [MODEL] [options of cutaway bench]`; sides take turns in one run, with equal threads."""

import sys

from cutaway.cli import main

if __name__ == "__main__":
    words = sys.argv[1:]
    model = [] if words and not words[0].startswith("-") else ["smollm2"]
    sys.exit(main(["bench", *model, "--hooks", "blocks.*.resid_post", *words]))
