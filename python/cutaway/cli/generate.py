"""Verbs that write text: run and chat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from cutaway import session as generation
from cutaway.cli.common import (
    Usage,
    add_model,
    add_options,
    add_tokens,
    add_verb,
    open_model,
    positive,
    print_json,
    tokens_of,
)
from cutaway.errors import ContextLengthExceeded, CutawayError, UnsupportedOperation
from cutaway.model import Model
from cutaway.output import counted, escape, for_terminal, table
from cutaway.session import Generation, Session, Step


def add(verbs: Any) -> None:
    p = add_verb(
        verbs, "run", run_run, "continue a text, streaming it as it comes",
        "cutaway run smollm2 -p 'Once upon a time' -n 60 --temperature 0.8 --seed 7",
        "text ids prompt_ids stop logprobs top_logprobs stats manifest",
    )  # fmt: skip
    add_model(p)
    add_tokens(p)
    _add_sampling(p)
    add_options(p)

    p = add_verb(
        verbs, "chat", run_chat, "talk with a model, a line of standard input per turn, or one turn per -p",
        "cutaway chat smollm2 --template chatml -p 'What is the capital of France?'",
        "turns[user, assistant, ids, stop, stats, reused_tokens] manifest",
    )  # fmt: skip
    add_model(p)
    p.add_argument("-p", "--prompt", metavar="TEXT", action="append", help="what the user says; again for more turns")
    p.add_argument("--system", metavar="TEXT", help="what comes before the conversation")
    p.add_argument(
        "--template", choices=("model", "chatml", "plain"), default="model",
        help="model: the file's own (extra `chat`); chatml: <|im_start|>role .. <|im_end|>; plain: only the words",
    )  # fmt: skip
    _add_sampling(p)
    add_options(p)


def _add_sampling(p: Any) -> None:
    group = p.add_argument_group("what it writes")
    group.add_argument("-n", type=positive, default=128, metavar="N", help="most new tokens; default 128")
    group.add_argument(
        "--temperature", type=float, default=0.0, metavar="X", help="default 0: always the likeliest token"
    )
    group.add_argument("--top-k", type=int, default=0, metavar="K", help="sample from the K likeliest; 0: all")
    group.add_argument(
        "--top-p", type=float, default=1.0, metavar="X", help="from the likeliest that make up X of the mass"
    )
    group.add_argument(
        "--min-p", type=float, default=0.0, metavar="X", help="from those at least X times the likeliest"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="default 0; the same seed gives the same text")
    group.add_argument("--stop", action="append", metavar="TEXT", help="end before this text; may be given again")
    group.add_argument(
        "--logprobs", type=int, metavar="N", help="log-probabilities of the tokens and of the N likeliest"
    )


def _stream(
    args: argparse.Namespace, model: Model, ids: np.ndarray, wanted: int, session: Session | None = None
) -> Iterator[tuple[Step, Generation | None]]:
    """Each step as it comes, and with the last one everything together."""
    collect: dict[str, Any] = {}
    steps = []
    stream = model.stream(
        ids,
        max_new_tokens=wanted,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        seed=args.seed,
        stop=args.stop,
        logprobs=args.logprobs,
        session=session,
        _collect=collect,
    )
    for step in stream:
        steps.append(step)
        if step.stop is None:
            yield step, None
    if steps:
        yield steps[-1], generation.finish(model, steps, collect, args.logprobs, None)


def _write(args: argparse.Namespace, steps: Iterator[tuple[Step, Generation | None]]) -> Generation:
    """Prints a text as it comes and its speed; gives everything together."""
    done = None
    for step, whole in steps:
        done = whole
        if not args.json:
            sys.stdout.write(for_terminal(step.text, sys.stdout))
            sys.stdout.flush()
    assert done is not None  # -n is at least 1, so there is a last step
    if not args.json:
        print(flush=True)
        s = done.stats
        prompt, new = int(s["prompt_tokens"]), int(s["new_tokens"])
        speed = f", {s['decode_tokens_per_s']:.1f} tok/s" if new > 1 else ""  # the first one ends the prompt's time
        print(
            f"prompt {counted(prompt, 'token')}, {s['prefill_tokens_per_s']:.1f} tok/s; "
            f"new {counted(new, 'token')}{speed}; stopped by {done.stop}",
            file=sys.stderr,
        )
    return done


def run_run(args: argparse.Namespace) -> int:
    model = open_model(args)
    done = _write(args, _stream(args, model, tokens_of(args, model), args.n))
    if args.json:
        print_json(
            {
                "text": done.text,
                "ids": done.ids,
                "prompt_ids": done.prompt_ids,
                "stop": done.stop,
                "logprobs": done.logprobs,
                "top_logprobs": done.top_logprobs,
                "stats": done.stats,
                "manifest": model.manifest(),
            }
        )
    elif args.logprobs is not None:
        piece = lambda i: escape(model.tokenizer.piece(i).decode("utf-8", "replace"))
        rows: list[tuple[Any, ...]] = [("token", "piece", "logprob", "likeliest")]
        for id_, logprob, top in zip(done.ids, done.logprobs or [], done.top_logprobs or [], strict=True):
            rows.append((id_, repr(piece(id_)), f"{logprob:.4f}", ", ".join(f"{piece(i)!r} {x:.4f}" for i, x in top)))
        print(table(rows, right=(0, 2)))
    return 0


class _Chat:
    """A conversation and the session that holds it; what a turn shares with the one before is not run again."""

    def __init__(self, args: argparse.Namespace, model: Model) -> None:
        self.args, self.model = args, model
        self.session = model.session()
        self.held: list[int] = []  # the tokens whose keys and values the session has
        self.messages = [{"role": "system", "content": args.system}] if args.system else []

    def ids(self) -> np.ndarray:
        """The conversation so far as int32 ids [T], by --template."""
        tokenizer, how = self.model.tokenizer, self.args.template
        if how == "plain":
            return tokenizer.encode("".join(m["content"] + "\n" for m in self.messages)).ids
        if how == "chatml":
            tokenizer.token_id("<|im_start|>")  # raises where the model has none
            text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in self.messages)
            return tokenizer.encode(text + "<|im_start|>assistant\n", bos=False, parse_special=True).ids
        try:
            return tokenizer.chat_tokens(self.messages).ids
        except UnsupportedOperation as error:
            error.hint = "pip install 'cutaway[chat]', or --template chatml"
            raise

    def turn(self, user: str) -> dict[str, Any]:
        """Answers; a turn that fails leaves the conversation as it was. Raises ContextLengthExceeded, TemplateError."""
        self.messages.append({"role": "user", "content": user})
        try:
            ids = self.ids()
            room = self.model.n_ctx - len(ids)
            if room < 1:
                raise ContextLengthExceeded(
                    f"the conversation is {len(ids)} tokens long and the context holds {self.model.n_ctx}",
                    hint="begin anew, or load with a larger --n-ctx",
                    length=len(ids),
                    max=self.model.n_ctx,
                )
            shared = 0
            while shared < min(len(ids) - 1, len(self.held)) and ids[shared] == self.held[shared]:
                shared += 1
            self.session.rewind(shared)
            done = _write(self.args, _stream(self.args, self.model, ids, min(self.args.n, room), self.session))
        except BaseException:
            self.messages.pop()
            self.held = self.held[: self.session.length()]
            raise
        self.held = [*done.prompt_ids, *done.ids][: self.session.length()]
        self.messages.append({"role": "assistant", "content": done.text})
        return {
            "user": user,
            "assistant": done.text,
            "ids": done.ids,
            "stop": done.stop,
            "stats": done.stats,
            "reused_tokens": shared,
        }


def run_chat(args: argparse.Namespace) -> int:
    model = open_model(args)
    chat, turns = _Chat(args, model), []
    if sys.stdin is None and not args.prompt:
        raise Usage("a chat reads standard input, which is closed", "give the turns with -p")
    terminal = not args.prompt and sys.stdin.isatty()
    for user in args.prompt or _lines(terminal):
        try:
            turns.append(chat.turn(user))
        except CutawayError as error:
            if not terminal:
                raise
            print(f"cutaway: {error}", file=sys.stderr)
    if args.json:
        print_json({"turns": turns, "manifest": model.manifest()})
    return 0


def _lines(terminal: bool) -> Iterator[str]:
    """The lines of standard input that are not blank; on a terminal a blank one ends them."""
    if terminal:
        print("an empty line or Ctrl-D ends the conversation", file=sys.stderr)
    while True:
        if terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or (terminal and not line.strip()):
            return
        if line.strip():
            yield line.rstrip("\n")
