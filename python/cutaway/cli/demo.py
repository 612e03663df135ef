"""cutaway demo: a real model answers, every stage is compared with its definition, and a planted fault is found."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from cutaway.cli.common import Progress, add_options, add_verb, open_model, positive, print_json
from cutaway.compare import compare
from cutaway.errors import ModelNotFoundError
from cutaway.model import Model
from cutaway.output import for_terminal

QUESTION = "What is the capital of France?"
STORY = "Tell me a short story about a fox and a well."
TEXT = "Once upon a time"


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "demo", run_demo, "run a real model, compare every stage with NumPy, plant a fault and find it",
        "cutaway demo",
        "manifest passed parts[name, passed, detail] answer story report fault[planted, found]",
    )  # fmt: skip
    p.add_argument("--model", metavar="MODEL", help="default smollm2, or tiny:llama where that is not installed")
    p.add_argument("-n", type=positive, default=90, metavar="N", help="most tokens of the story; default 90")
    add_options(p)


def run_demo(args: argparse.Namespace) -> int:
    shown = not args.json
    say = (lambda *words: print(*words, flush=True)) if shown else (lambda *words: None)
    model, name, chat = _load(args, say)
    say(f"{model}\n")
    out: dict[str, Any] = {"manifest": model.manifest(), "parts": []}

    def part(what: str, passed: bool, detail: str) -> None:
        out["parts"].append({"name": what, "passed": bool(passed), "detail": detail})
        say(f"{'PASS' if passed else 'FAIL'}  {what}: {detail}\n")

    if chat:
        out["answer"], end, _ = _talk(model, QUESTION, 40, shown)
        part("answer", "Paris" in out["answer"] and end == "eos", f"names Paris, stopped by {end}")
        out["story"], end, speed = _talk(model, STORY, args.n, shown)
        part("story", len(out["story"].split()) >= 20, f"{len(out['story'].split())} words, {speed:.0f} tok/s")
    else:
        out["answer"] = None
        out["story"], end, speed = _write(model, model.to_tokens("In the beginning"), 40, shown)
        part("text", len(out["story"].split()) >= 5, f"{len(out['story'].split())} words, {speed:.0f} tok/s")

    say(f"Every stage against its definition in NumPy float64, on the inputs its kernel saw, for {TEXT!r}.")
    say("An error of 1 unit is one rounding of a float32.\n")
    with Progress(args) as progress:
        report = compare(model, "numpy", TEXT, progress=progress.step)
    say(report.table())
    out["report"] = report.to_dict()
    part("stages", report.ok, report.summary())

    planted = f"blocks.{min(7, model.cfg.n_layers - 1)}.mlp.out"
    say(f"Now a fault: channel 3 of {planted} is made 1 % larger.")

    def fault(act: np.ndarray, hook: Any) -> None:
        act[..., 3] *= 1.01

    with Progress(args) as progress, model.hooks([(planted, fault)]):
        wrong = compare(model, "numpy", TEXT, progress=progress.step)
    found = [row.stage for row in wrong.rows if not row.ok]
    out["fault"] = {"planted": planted, "found": found}
    say(wrong.summary())
    part("fault", found == [planted], f"planted in {planted}, found in {', '.join(found) or 'no stage'}")

    out["passed"] = all(p["passed"] for p in out["parts"])
    if args.json:
        print_json(out)
    say("Try next:")
    say(f"  cutaway chat {name} --template chatml" if chat else f"  cutaway run {name} -p 'And God said' -n 40")
    say(f"  cutaway trace {name} -p '{TEXT}' -n 'blocks.*.resid_post' --stats")
    say(f"  python -c \"import cutaway as ct; print(ct.load('{name}').graph)\"")
    return 0 if out["passed"] else 1


def _load(args: argparse.Namespace, say: Any) -> tuple[Model, str, bool]:
    """The model, its name, and whether it answers questions."""
    name = args.model or "smollm2"
    started = time.monotonic()
    say(f"Loading {name} ...")
    try:
        model = open_model(args, name)
    except ModelNotFoundError as error:
        if args.model:
            raise
        name = "tiny:llama"
        say(f"smollm2 is not installed ({error.hint}); this is {name}, a model of 0.6 MB that knows some Bible verses.")
        model = open_model(args, name)
    say(f"loaded in {time.monotonic() - started:.1f} s")
    return model, name, "<|im_start|>" in (model.tokenizer.chat_template or "")


def _talk(model: Model, question: str, most: int, shown: bool) -> tuple[str, str, float]:
    if shown:
        print(f"> {question}")
    text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    return _write(model, model.to_tokens(text, bos=False, parse_special=True), most, shown)


def _write(model: Model, prompt: Any, most: int, shown: bool) -> tuple[str, str, float]:
    """Streams a text: the text, why it ended, tokens per second after the first."""
    words, end, times = [], "length", []
    for step in model.stream(prompt, max_new_tokens=most):
        times.append(time.perf_counter())
        words.append(step.text)
        end = step.stop or end
        if shown:
            print(for_terminal(step.text, sys.stdout), end="", flush=True)
    if shown:
        print()
    span = times[-1] - times[0]
    return "".join(words), end, (len(times) - 1) / span if span else 0.0
