"""Encoding and loading beside `tokenizers`: MB/s of both, in runs that take turns.

    python benchmarks/tokenizing.py FOLDER_OR_TOKENIZER_JSON... [--text FILE] [--runs 5]

The text is this repository's Python and Markdown unless another is named; once cut at line ends into documents of about
4 kB, encoded one by one, and once as a whole. Needs the package tokenizers; nothing runs in parallel.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
from cutaway.text import Tokenizer

ROOT = Path(__file__).parent.parent


def own_text() -> str:
    files = sorted(
        p
        for end in ("py", "md")
        for folder in ("python", "tests", "kernels")
        for p in (ROOT / folder).rglob(f"*.{end}")
    )
    return "".join(path.read_text(encoding="utf-8") for path in files)


def documents(text: str, size: int = 4096) -> list[str]:
    out = [""]
    for line in text.splitlines(keepends=True):
        if len(out[-1]) + len(line) > size and out[-1]:
            out.append("")
        out[-1] += line
    return out


def seconds(call, *args) -> float:
    begin = time.perf_counter()
    call(*args)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8") if args.text else own_text()
    parts = documents(text)
    megabytes = len(text.encode()) / 1e6
    print(f"{megabytes:.2f} MB, {len(parts)} documents, medians of {args.runs}")
    print(f"ours / tokenizers {tokenizers.__version__}")
    print(f"{'tokenizer':24} {'load s':>14} {'4 kB, MB/s':>16} {'whole, MB/s':>16}")
    for path in args.files:
        file = path / "tokenizer.json" if path.is_dir() else path
        load: dict[str, list[float]] = {"ours": [], "theirs": []}
        speed: dict[str, list[float]] = {f"{who} {what}": [] for who in load for what in ("4 kB", "whole")}
        for _ in range(args.runs):
            load["ours"].append(seconds(Tokenizer, file))
            load["theirs"].append(seconds(tokenizers.Tokenizer.from_file, str(file)))
        ours, theirs = Tokenizer(file), tokenizers.Tokenizer.from_file(str(file))
        calls = {
            "ours": lambda part, t=ours: t.encode(part, bos=False, parse_special=True).ids,
            "theirs": lambda part, t=theirs: t.encode(part, add_special_tokens=False).ids,
        }
        assert calls["ours"](text).tolist() == calls["theirs"](text)
        for _ in range(args.runs):
            for who, call in calls.items():
                took = seconds(lambda call=call: [call(part) for part in parts])
                speed[f"{who} 4 kB"].append(megabytes / took)
                speed[f"{who} whole"].append(megabytes / seconds(call, text))
        m = {key: statistics.median(values) for key, values in (load | speed).items()}
        name = file.parent.name if file.name == "tokenizer.json" else file.stem
        print(
            f"{name:24} {m['ours']:6.2f} / {m['theirs']:5.2f} {m['ours 4 kB']:7.1f} / {m['theirs 4 kB']:5.1f}"
            f"  {m['ours whole']:7.1f} / {m['theirs whole']:5.1f}"
        )


if __name__ == "__main__":
    main()
