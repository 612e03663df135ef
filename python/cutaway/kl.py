"""ct.kl: what one model's predictions lose against another's on a text, read side by side with no file of logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cutaway.errors import ArgumentError
from cutaway.model import Model
from cutaway.output import counted, plain

PERCENTILES = (1, 5, 25, 50, 75, 90, 95, 99, 99.9, 100)
ROWS = 64  # tokens that both models run at a time


@dataclass
class KL:
    """Model a against the base b, token by token. Truthy when a is within `limit` of b.

    Errors are standard errors of the mean over tokens, the difference's over the paired differences; tokens of one
    text are not independent, so take them for a lower bound."""

    a: str
    b: str
    tokens: int  # that were predicted
    nll_a: float  # mean negative log-likelihood: the log of the perplexity
    nll_b: float
    difference: float  # nll_a - nll_b
    difference_error: float
    kl: float  # mean over tokens of sum over words of p_b (log p_b - log p_a)
    kl_error: float
    kl_percentiles: dict[str, float]
    same_top: float  # share of tokens whose likeliest word is the same
    same_top_error: float
    limit: float  # 0.01: a perplexity at most 1 % above b's counts as within

    @property
    def within(self) -> bool:
        """Whether the perplexity of a is at most (1 + limit) times b's: difference <= ln(1 + limit)."""
        return self.difference <= math.log1p(self.limit)

    @property
    def certain(self) -> bool:
        """Whether the text decides that: the border lies outside the difference's 95 % interval."""
        return abs(self.difference - math.log1p(self.limit)) > 1.96 * self.difference_error

    def __bool__(self) -> bool:
        return self.within

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return plain({**asdict(self), "ppl_a": math.exp(self.nll_a), "ppl_b": math.exp(self.nll_b),
                      "within": self.within, "certain": self.certain})  # fmt: skip

    def summary(self) -> str:
        """The verdict in a sentence."""
        border = math.log1p(self.limit)
        sure = "" if self.certain else f"; the text is too short to be sure, its error is {self.difference_error:.4f}"
        return (
            f"{self.a} is {'within' if self.within else 'NOT within'} {100 * self.limit:g} % of {self.b}: the log of "
            f"its perplexity is {self.difference:+.5f} +- {self.difference_error:.5f} off, at most {border:.5f} counts"
            + sure
        )

    def __repr__(self) -> str:
        quantiles = ", ".join(f"{k} % {v:.2e}" for k, v in self.kl_percentiles.items())
        return (
            f"{counted(self.tokens, 'token')}: perplexity {math.exp(self.nll_a):.4f} (a: {self.a}), "
            f"{math.exp(self.nll_b):.4f} (b: {self.b}), "
            f"ratio {math.exp(self.difference):.5f}\n"
            f"log-perplexity {self.nll_a:.5f} and {self.nll_b:.5f}, difference {self.difference:+.5f} +- "
            f"{self.difference_error:.5f}\n"
            f"KL(b||a) {self.kl:.5f} +- {self.kl_error:.5f}; percentiles {quantiles}\n"
            f"same likeliest word {100 * self.same_top:.2f} % +- {100 * self.same_top_error:.2f} %\n{self.summary()}"
        )


def kl(
    a: Model,
    b: Model,
    tokens: Any,
    *,
    window: int | None = None,
    limit: float = 0.01,
    progress: Callable[[int, int], object] | None = None,
) -> KL:
    """Compares model a with the base b on a text: perplexities, KL divergence, how often the likeliest word agrees.

    tokens    a text, ids, or a list of these: sequences, of which the first token is given and each other one predicted
    window    longer sequences are cut into pieces of so many tokens, each beginning anew (with the BOS that the
              tokenizer adds, if it does); default what both models hold, at most 1024
    limit     how much larger a's perplexity may be to count as within: 0.01 is 1 %
    progress  called with (tokens done, all)

    Both models run the same few tokens at a time, so memory holds the logits of those only. Raises ArgumentError where
    the two have other vocabularies or cut the text into other tokens, or no token is predicted.

    >>> import cutaway as ct
    >>> m = ct.load("tiny:llama")
    >>> result = ct.kl(m, m, "In the beginning God created the heaven and the earth.")
    >>> result.difference, result.kl, result.same_top, result.within
    (0.0, 0.0, 1.0, True)
    """
    for side in (a, b):
        if not isinstance(side, Model):
            raise ArgumentError(f"kl compares two models, got {side!r}", hint="ct.load(path) makes one")
    if a.graph.V != b.graph.V:
        raise ArgumentError(f"{a.name} has {a.graph.V} words and {b.name} {b.graph.V}, expected the same vocabulary")
    if not isinstance(limit, int | float) or isinstance(limit, bool) or not 0 <= limit < math.inf:
        raise ArgumentError(f"limit is {limit!r}, expected a number from 0, like 0.01")
    window = min(a.n_ctx, b.n_ctx, 1024) if window is None else window
    if not isinstance(window, int) or isinstance(window, bool) or not 2 <= window <= min(a.n_ctx, b.n_ctx):
        raise ArgumentError(f"window is {window!r}, expected 2 to {min(a.n_ctx, b.n_ctx)}, what both models hold")
    pieces = [piece for ids, bos in _sequences(a, b, tokens) for piece in _cut(ids, bos, window)]
    total, done, parts = sum(len(p) - 1 for p in pieces), 0, []
    for piece in pieces:
        for part in _pairs(a, b, piece):
            parts.append(part)
            done += len(part)
            if progress:
                progress(done, total)
    if not parts:
        raise ArgumentError("no token is predicted", hint="give at least two tokens")
    nll_a, nll_b, divergence, same = np.concatenate(parts).T
    return KL(
        a=a.path.name,
        b=b.path.name,
        tokens=total,
        nll_a=float(nll_a.mean()),
        nll_b=float(nll_b.mean()),
        difference=float((nll_a - nll_b).mean()),
        difference_error=_error(nll_a - nll_b),
        kl=float(divergence.mean()),
        kl_error=_error(divergence),
        kl_percentiles={f"{p:g}": float(np.percentile(divergence, p)) for p in PERCENTILES},
        same_top=float(same.mean()),
        same_top_error=_error(same),
        limit=float(limit),
    )


def _sequences(a: Model, b: Model, tokens: Any) -> Iterator[tuple[np.ndarray, bool]]:
    """The ids of each sequence, and whether a BOS was put in front."""
    many = isinstance(tokens, list | tuple) and tokens and not isinstance(tokens[0], int | np.integer)
    for one in tokens if many else [tokens]:
        if not isinstance(one, str | bytes):
            yield b._ids(one), False
            continue
        ours, theirs = a.tokenizer.encode(one), b.tokenizer.encode(one)
        if not np.array_equal(ours.ids, theirs.ids):
            raise ArgumentError(
                f"{a.name} cuts the text into {len(ours)} tokens and {b.name} into {len(theirs)} others",
                hint="ct.tokenize_diff(a, b, text) shows where they part; ids can be compared as they are",
            )
        yield theirs.ids, theirs.bos_added


def _cut(ids: np.ndarray, bos: bool, window: int) -> Iterator[np.ndarray]:
    """Pieces of at most `window` tokens; with a BOS, each begins with it."""
    if len(ids) <= window:
        yield ids
        return
    step = window - bos
    for at in range(int(bos), len(ids), step):
        piece = ids[at : at + step]
        yield np.concatenate([ids[:1], piece]) if bos else piece


def _pairs(a: Model, b: Model, ids: np.ndarray) -> Iterator[np.ndarray]:
    """Of each predicted token nll under a and b, KL(b||a) of its distribution, and whether the likeliest is the same:
    float64 [tokens, 4]."""
    with a.session(max(a._room(len(ids)), len(ids))) as x, b.session(max(b._room(len(ids)), len(ids))) as y:
        for at in range(0, len(ids) - 1, ROWS):
            part = ids[at : min(at + ROWS, len(ids) - 1)]
            p, q = (_log_softmax(s.forward([part], all_rows=True).logits) for s in (x, y))
            rows, given = np.arange(len(part)), ids[at + 1 : at + 1 + len(part)]
            with np.errstate(invalid="ignore"):
                terms = np.exp(q) * (q - p)
            divergence = np.where(np.isneginf(q), 0, terms).sum(-1)  # what b gives no chance adds nothing
            yield np.stack([-p[rows, given], -q[rows, given], divergence, p.argmax(-1) == q.argmax(-1)], axis=1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _error(values: np.ndarray) -> float:
    """The standard error of the mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf
