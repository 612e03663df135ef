"""Report: the stages of a comparison as a table, a picture, a page, or plain values."""

from __future__ import annotations

import difflib
import html
import json
import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cutaway.errors import ArgumentError
from cutaway.output import table, write_whole

if TYPE_CHECKING:
    from cutaway.compare import Row


@dataclass
class Report:
    """What ct.compare and ct.check give. Truthy when everything holds; `.first` is the first row that does not."""

    title: str
    mode: str
    rows: list[Row]  # in the graph's order
    tokens: list[int] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Row | None:
        """The first row that does not hold, or None."""
        return next((r for r in self.rows if not r.ok), None)

    @property
    def ok(self) -> bool:
        """Whether every row holds."""
        return self.first is None

    def __bool__(self) -> bool:
        return self.ok

    def __getitem__(self, stage: str) -> Row:
        """The row of a stage. Raises ArgumentError, with near names, where the report has none."""
        for r in self.rows:
            if r.stage == stage:
                return r
        near = difflib.get_close_matches(stage, [r.stage for r in self.rows], 3)
        hint = f"near it: {', '.join(near)}" if near else ".table() lists its rows"
        raise ArgumentError(f"the report has no row {stage!r}", hint=hint, name=stage, matches=near)

    def error(self, r: Row) -> float:
        """A row's error in the mode's measure: units of rounding, or the accumulated relative error."""
        return r.units if self.mode == "isolate" else r.rel

    def error_text(self, r: Row) -> str:
        """The same in words, with its tolerance."""
        if self.mode == "isolate":
            return f"{r.units:.4g} units, tolerance {r.tolerance:g}"
        return f"relative error {r.rel:.2e}, limit {r.tolerance:.0e}"

    def _share(self, r: Row) -> float:
        """Error over tolerance; what is not a number is worst."""
        share = self.error(r) / max(r.tolerance, 1e-9)
        return math.inf if math.isnan(share) else share

    def worst(self, most: int = 60) -> list[Row]:
        """At most `most` rows, in order: all, or the wrong ones and then the worst of each kind of stage."""
        if len(self.rows) <= most:
            return list(self.rows)
        kinds: dict[str, Row] = {}
        for r in self.rows:
            kind = re.sub(r"^blocks\.\d+\.", "blocks.*.", r.stage)
            if kind not in kinds or self._share(r) > self._share(kinds[kind]):
                kinds[kind] = r
        by_share = sorted(kinds.values(), key=self._share, reverse=True)
        chosen = [*[r for r in self.rows if not r.ok], *by_share]
        keep = set(list(dict.fromkeys(map(id, chosen)))[:most])
        return [r for r in self.rows if id(r) in keep]

    def cells(self, r: Row) -> tuple[str, ...]:
        """A row as the table prints it; see `header`."""
        if self.mode == "check":
            return (r.kernel, "same bits" if r.ok else f"first differs at {r.stage}", "", "", f"{r.rel:.1e}", r.verdict)
        error = f"{r.units:.2f}" if self.mode == "isolate" and not r.units >= 1e6 else f"{self.error(r):.2e}"
        limit = f"{r.tolerance:g}" if self.mode == "isolate" else f"{r.tolerance:.0e}"
        return (r.stage, r.kernel, error, limit, f"{r.rel:.1e}", r.verdict)

    @property
    def header(self) -> tuple[str, ...]:
        """The table's column names in this mode."""
        if self.mode == "check":
            return ("check", "logits", "", "", "relative", "verdict")
        return ("stage", "kernel", "units" if self.mode == "isolate" else "error", "tolerance", "relative", "verdict")

    def table(self, most: int | None = None) -> str:
        """Every stage with the kernel that ran, its error, its tolerance and a verdict.

        most: only the wrong ones and so many of those nearest to their tolerance."""
        rows = self.rows
        if most is not None:
            keep = set(map(id, sorted(rows, key=self._share, reverse=True)[:most]))
            rows = [r for r in rows if id(r) in keep or not r.ok]
        cells = [self.header, *[self.cells(r) for r in rows]]
        return table(cells, right=(2, 3, 4))

    def summary(self) -> str:
        """One or two lines: does it hold, and if not where it goes wrong."""
        r = self.first
        if self.mode == "check":
            if r is None:
                return f"all {len(self.rows)} checks hold: the logits are the same bits"
            where = f"{r.stage}, at {r.at}: {r.actual:.9g} and {r.expected:.9g}"
            return f"{r.kernel} changes the logits: the first stage with other bits is {where}"
        if r is None:
            if not self.rows:
                return "no stages were compared"
            worst = max(self.rows, key=self._share)
            return (
                f"all {len(self.rows)} stages hold; nearest to its tolerance is {worst.stage} ({worst.kernel}): "
                f"{self.error_text(worst)}"
            )
        wrong = sum(not r.ok for r in self.rows)
        place = ", ".join(map(str, r.at))
        return (
            f"first wrong stage: {r.stage} ({r.kernel}): {self.error_text(r)}\n"
            f"  at [{place}]: got {r.actual:.6g}, expected {r.expected:.6g}; "
            f"{wrong} of {len(self.rows)} stages {'is' if wrong == 1 else 'are'} wrong"
            + (f"; it reads {r.weights}" if r.weights else "")
        )

    def __repr__(self) -> str:
        few = len(self.rows) <= 80
        left_out = "" if few else "\nthe wrong stages and those nearest to their tolerance; .table() has all"
        return f"{self.title}, mode {self.mode}{left_out}\n{self.table(None if few else 20)}\n{self.summary()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values: title, mode, ok, first, stages, tokens, manifest."""
        from cutaway.compare import row_dict

        return {
            "title": self.title,
            "mode": self.mode,
            "ok": self.ok,
            "first": None if self.first is None else row_dict(self.first),
            "stages": [row_dict(r) for r in self.rows],
            "tokens": self.tokens,
            "manifest": self.manifest,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes to_dict() as JSON. Raises SaveError; the file is whole or what it was."""
        write_whole(path, lambda f: f.write(json.dumps(self.to_dict(), indent=1, allow_nan=False).encode("utf-8")))

    def plot(self, ax: Any = None) -> Any:
        """The divergence ladder on Matplotlib axes (extra `plot`): stages in order, error on log y, tolerances.

        A report of ct.check has no errors to draw, only a table."""
        from cutaway import plot

        return plot.stage_table(self, ax) if self.mode == "check" else plot.ladder(self, ax)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """A page of its own, without scripts or other files: summary, ladder, table; also written to `path`.

        Raises SaveError; the file is whole or what it was."""
        page = (
            f'<!doctype html><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<body>{self._repr_html_()}</body>"
        )
        if path is not None:
            write_whole(path, lambda f: f.write(page.encode("utf-8")))
        return page

    def _html_table(self, rows: list[Row]) -> str:
        first = self.first
        body = "".join(
            f'<tr class="{"" if r.ok else "wrong first" if r is first else "wrong"}">'
            + "".join(f"<td>{html.escape(c)}</td>" for c in self.cells(r))
            + "</tr>"
            for r in rows
        )
        head = "".join(f"<th>{h}</th>" for h in self.header)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_html_(self) -> str:
        from cutaway import plot

        shown = self.worst()
        ladder = "" if self.mode == "check" else plot.ladder_svg(self)
        tables = self._html_table(shown)
        if len(shown) < len(self.rows):
            tables = (
                f"<p>{len(shown)} of {len(self.rows)} stages: the wrong ones and the worst of each kind</p>{tables}"
                f"<details><summary>all {len(self.rows)} stages</summary>{self._html_table(self.rows)}</details>"
            )
        return (
            f'<div class="cutaway"><style>{plot.STYLE}</style><h3>{html.escape(self.title)}, mode {self.mode}</h3>'
            f'<p class="{"good" if self.ok else "bad"}">{html.escape(self.summary())}</p>{ladder}'
            f"{tables}</div>"
        )
