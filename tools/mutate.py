"""Which faults of a kernel would nobody notice? Plants small ones in kernels/, one at a time, and sees who finds them.

    .venv/bin/python tools/mutate.py kernels/rope kernels/row.h -n 20 --seed 1
    .venv/bin/python tools/mutate.py kernels/rope --judge probe       # what `cutaway probe` alone would find
    .venv/bin/python tools/mutate.py kernels/rope --judge compare     # which stage `cutaway compare` would name

Works on a copy of the tree with a build of its own (build/mutants/), so nothing here can be left broken. Each mutation
changes one place by one rule below, on all CPU targets or, in files compiled once per target, on one of them; what
does not compile is left out. "killed" says by what; "SURVIVED" prints the change. Then either the change is no fault (a
bound that a later branch makes up for, an order that gives the same bits), or a test is missing.
"""

import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 600  # more than any judge takes: the mutation loops for ever

# (name, what to find in a line of code, what to put there: each match is one mutation)
SWAPS = {
    " < ": [" <= "], " <= ": [" < "], " > ": [" >= "], " >= ": [" > "], " == ": [" != "], " != ": [" == "],
    " + ": [" - "], " - ": [" + "], " * ": [" + "], " / ": [" * "], " % ": [" / "], " += ": [" = ", " -= "],
    " << ": [" >> "], " >> ": [" << "], " & ": [" | "], " | ": [" & ", " ^ "], " && ": [" || "], " || ": [" && "],
}  # fmt: skip
WORDS = [
    ("lo", "hi"), ("low", "high"), ("first", "last"), ("even", "odd"), ("min", "max"), ("x1", "x2"), ("y1", "y2"),
    ("cosines", "sines"), ("K", "N"), ("T", "H"), ("H", "G"), ("E", "G"), ("S", "E"), ("E", "half"), ("x", "y"),
    ("whole", "D"), ("d", "dmin"), ("scales", "minimums"), ("scale", "minimum"), ("gate", "up"), ("p", "q"),
    ("c", "s"), ("part", "total"), ("load_f16", "load_bf16"), ("keys", "values"), ("unpackhi", "unpacklo"),
    ("column", "row"), ("quad", "in_quad"), ("tail", "16"), ("begin", "0"), ("n", "16"), ("scores", "values"),
]  # fmt: skip
ONLY = {  # the preprocessor's word for "this file is being compiled for that target"
    "scalar": "!defined(__AVX2__)",
    "avx2": "defined(__AVX2__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)",
    "avx2vnni": "defined(__AVXVNNI__)",
    "avx512": "defined(__AVX512F__) && !defined(__AVX512VNNI__)",
    "avx512vnni": "defined(__AVX512VNNI__)",
}


def changes(line: str):
    """(rule, changed line) for every place in a line of code that a rule fits."""

    def at(match, new):
        if line[: match.start()].count('"') % 2:
            return line  # words of a message are no kernel
        return line[: match.start()] + new + line[match.end() :]

    for old, news in SWAPS.items():
        for m in re.finditer(re.escape(old), line):
            for new in news:
                yield f"{old.strip()} to {new.strip()}", at(m, new)
    for pair in WORDS:
        for a, b in (pair, pair[::-1]):
            for m in re.finditer(
                rf"(?<![\w.]){re.escape(a)}\b(?!\()|(?<=\.){re.escape(a)}\b|\b{re.escape(a)}(?=\()", line
            ):
                yield f"{a} to {b}", at(m, b)
    for m in re.finditer(r"(?<![\w.])(0x[\da-f]+|\d+)u?(?![\w.])", line):
        value = int(m[1], 0)
        for new in (value + 1, value - 1):
            if new >= 0:
                yield f"{m[0]} to {new}", at(m, str(new))
    for m in re.finditer(r"(?<![\w.])(0x1\.?[\da-f]*p-?\d+|\d+\.\d*(?:e-?\d+)?)f?\b", line):
        value = float.fromhex(m[1]) if m[1].startswith("0x") else float(m[1])
        for new in (value * 1.001, value * 2 if value else 1.0):
            yield f"{m[0]} to {new!r}", at(m, f"{new!r}f" if m[0].endswith("f") else repr(new))
    for m in re.finditer(r"(?<=[(,=?:] )-(?=[\w(])|(?<=\()-(?=[\w(])|(?<=return )-(?=\w)", line):
        yield "sign dropped", at(m, "")
    for m in re.finditer(r"\(([^(),]+), ([^(),]+)(?=[,)])", line):
        yield "arguments swapped", at(m, f"({m[2]}, {m[1]}")
    for m in re.finditer(r"\[([^\]\[]+)\]", line):
        yield "index one further", at(m, f"[{m[1]} + 1]")
    for m in re.finditer(r"([\w.]+|\([^()]*\)) \? ", line):
        yield "condition turned round", at(m, f"!({m[1]}) ? ")
    for m in re.finditer(r"\bif (constexpr )?\(((?:[^()]|\([^()]*\))*)\)", line):
        for value in ("true", "false"):
            yield f"if ({value})", at(m, f"if ({value})")
    if re.fullmatch(r"\s*([\w.\[\]>*+ -]+ [-+*|&]?= .*|\w+\(.*\));", line) and not re.match(
        r"\s*(const |auto |return |using |u?int|float |f32x16 |i32x16 |__m)", line
    ):
        yield "statement dropped", re.match(r"\s*", line)[0] + ";"


def mutations(file: Path, rng: random.Random, only: bool):
    """(line number, rule, text of the whole file) of every mutation of a file."""
    lines = file.read_text().split("\n")
    for i, line in enumerate(lines):
        code = line.split("//")[0].rstrip()
        if not code.strip() or re.match(
            r"\s*(#|using |namespace|static_assert|template|extern|struct \w+;|throw|\")", code
        ):
            continue
        if re.search(r'check_shape|Error\(|make_op<|^ +".*"|std::to_string', code):  # words of refusals
            continue
        for rule, new in dict.fromkeys(changes(code)):
            if new == code:
                continue
            target = rng.choice([None, None, *ONLY]) if only else None
            changed = [f"#if {ONLY[target]}", new, "#else", line, "#endif"] if target else [new]
            if target and code.endswith("\\"):
                continue
            where = f" on {target} only" if target else ""
            yield i + 1, rule + where, new, "\n".join(lines[:i] + changed + lines[i + 1 :])


def judges(file: Path, judge: str) -> list[list[str]]:
    """Commands, any of which may fail, that should notice a fault in a file; the quick ones first."""
    folder, python = file.parent, sys.executable
    formats = folder.parent.name == "formats"
    shared = folder.name in ("kernels", "formats")
    if judge == "compare":
        models = ["tiny:llama", "tiny:gpt2", *(f"tests/data/tiny/llama-k/llama-k-{q}.gguf" for q in ("Q4_K", "Q8_0"))]
        return [[python, "-m", "cutaway", "compare", m, "numpy", "-p", "And the LORD said unto Moses"] for m in models]
    if judge == "probe":
        if formats or folder.name == "formats":
            named = (
                [f"embed --format {folder.name}", f"matmul --format {folder.name}"] if formats else ["embed", "matmul"]
            )
        else:
            named = (
                sorted(p.name for p in (ROOT / "kernels").iterdir() if (p / f"{p.name}.py").exists())
                if shared
                else [folder.name]
            )
        return [[python, "-m", "cutaway", "probe", *name.split()] for name in named]
    pytest = [
        python,
        "-m",
        "pytest",
        "-q",
        "-x",
        "--no-header",
        "--tb=line",
        "-m",
        "not slow and not model and not peers and not cuda",
    ]
    first = (
        [f"kernels/formats/{folder.name}", "kernels/formats/test_formats.py"]
        if formats
        else ["kernels"]
        if shared
        else [str(folder)]
    )
    if folder.name in ("matmul", "silu_mul"):
        first.append("kernels/gated_matmul")
    if folder.name == "formats":
        first = ["kernels/formats", "kernels/embed", "kernels/matmul"]
    if file.name == "op.cpp" or file.name == "op.h":
        first.append("tests/test_ops.py")
    last = [
        "kernels/matmul",
        "kernels/embed",
        "tests/test_compare.py::test_a_right_model_has_no_first_wrong_stage",
        "tests/test_compare.py::test_check_holds",
        "tests/test_ops.py",
        "tests/graph",
    ]
    return [[*pytest, *first], [*pytest, *last]]


def run(command: list[str], tree: Path, seconds: int = SECONDS) -> tuple[int, str]:
    """Exit code and output; -1 for one that took too long."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tree / 'python'}:{os.environ.get('PYTHONPATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    memory = 8 << 30  # a wrong size may ask for all there is
    process = subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )  # fmt: skip
    try:
        return (process.returncode, out) if (out := process.communicate(timeout=seconds)[0]) is not None else (1, "")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return -1, "took too long"


def reason(code: int, out: str) -> str:
    """One line of what a failed judge said."""
    if code < 0:
        return "took too long" if code == -1 else f"crashed, signal {-code}"
    named = [line for line in out.splitlines() if re.match(r"FAILED|first wrong", line)]
    return (named or out.strip().splitlines() or ["?"])[-1][:200]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=["kernels"], help="files or folders of kernels/; default: all")
    parser.add_argument("-n", type=int, default=20, help="mutations to try; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", choices=["tests", "probe", "compare"], default="tests")
    parser.add_argument("--tree", type=Path, default=ROOT / "build/mutants", help="where the copy is kept")
    args = parser.parse_args()

    tree, rng = args.tree.resolve(), random.Random(args.seed)
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        to = tree / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists() or to.read_bytes() != (ROOT / name).read_bytes():
            shutil.copy(ROOT / name, to)
    print(f"--- building {tree}", flush=True)
    build = [str(tree / "tools/dev_build.sh"), "-DCUTAWAY_CUDA=OFF", "-DCUTAWAY_KERNEL_LEVEL=-O1"]
    subprocess.run(build, cwd=tree, env={**os.environ, "PYTHON": sys.executable}, check=True, stdout=subprocess.DEVNULL)
    ninja = [shutil.which("ninja", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"), "-C", "build/dev"]

    files = [f for p in args.paths for f in ([ROOT / p] if (ROOT / p).is_file() else sorted((ROOT / p).rglob("*")))]
    planned = []
    for file in files:
        if file.suffix in (".cpp", ".h") and "cuda" not in file.name and file.name != "format.cpp":
            # compare runs one target, and headers with a part for each target have their mutations in one anyway
            once = args.judge != "compare" and (file.name.endswith("_cpu.cpp") or file.name.startswith("row_"))
            planned += [(file.relative_to(ROOT), *m) for m in mutations(file, rng, once)]
    rng.shuffle(planned)
    killed, survived = 0, []
    for file, number, rule, new, text in planned:
        if args.n and killed + len(survived) == args.n:
            break
        original = (tree / file).read_text()
        (tree / file).write_text(text)
        code, out = run(ninja, tree, 600)
        if code == 0:
            verdict = next((reason(*r) for j in judges(file, args.judge) if (r := run(j, tree))[0]), None)
            print(f"{'killed  ' if verdict else 'SURVIVED'} {file}:{number} {rule}: {verdict or ''}", flush=True)
            if verdict:
                killed += 1
            else:
                print(f"    - {original.splitlines()[number - 1].strip()}\n    + {new.strip()}", flush=True)
                survived.append(file)
        (tree / file).write_text(original)
    print(f"{killed + len(survived)} mutations of {len(planned)} possible: {killed} killed, {len(survived)} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
