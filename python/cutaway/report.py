"""Report: the stages of a comparison as a table, a picture, a page, or plain values."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What ct.compare and ct.check give. Truthy when everything holds; `.first` is the first row that does not."""

    title: str
    mode: str
    rows: list[Any]  # compare.Row, in the graph's order
    tokens: list[int] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Any | None:
        return next((r for r in self.rows if not r.ok), None)

    @property
    def ok(self) -> bool:
        return self.first is None

    def __bool__(self) -> bool:
        return self.ok

    def __getitem__(self, stage: str) -> Any:
        return next(r for r in self.rows if r.stage == stage)

    def _cells(self, r: Any) -> tuple[str, ...]:
        error = f"{r.units:.2f}" if self.mode == "isolate" else f"{r.rel:.2e}"
        limit = f"{r.tolerance:g}" if self.mode == "isolate" else f"{r.tolerance:.0e}"
        return (r.stage, r.kernel, error, limit, f"{r.rel:.1e}", r.verdict)

    @property
    def header(self) -> tuple[str, ...]:
        return ("stage", "kernel", "units" if self.mode == "isolate" else "error", "tolerance", "relative", "verdict")

    def table(self, most: int | None = None) -> str:
        """Every stage with the kernel that ran, its error, its tolerance and a verdict; `most` rows of the worst if given."""
        rows = self.rows
        if most is not None:
            keep = set(map(id, sorted(rows, key=lambda r: -r.units / max(r.tolerance, 1e-9))[:most]))
            rows = [r for r in rows if id(r) in keep or not r.ok]
        cells = [self.header, *[self._cells(r) for r in rows]]
        widths = [max(len(c[i]) for c in cells) for i in range(len(self.header))]
        lines = [
            "  ".join(
                c.rjust(w) if 2 <= i <= 4 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        return "\n".join(lines)

    def summary(self) -> str:
        """One or two lines: does it hold, and if not where it goes wrong."""
        r = self.first
        if r is None:
            if not self.rows:
                return "no stages were compared"
            worst = max(
                self.rows, key=lambda r: (r.units if self.mode == "isolate" else r.rel) / max(r.tolerance, 1e-300)
            )
            how = (
                f"{worst.units:.2f} of {worst.tolerance:g} units"
                if self.mode == "isolate"
                else f"relative error {worst.rel:.1e}"
            )
            return f"all {len(self.rows)} stages hold; the largest share of its tolerance is {worst.stage} ({worst.kernel}): {how}"
        wrong = sum(not r.ok for r in self.rows)
        how = (
            f"{r.units:.4g} units, tolerance {r.tolerance:g}"
            if self.mode == "isolate"
            else f"relative error {r.rel:.2e}, limit {r.tolerance:.0e}"
        )
        place = ", ".join(map(str, r.at))
        return f"first wrong stage: {r.stage} ({r.kernel}): {how}\n  at [{place}]: got {r.actual:.6g}, expected {r.expected:.6g}; {wrong} of {len(self.rows)} stages are wrong"

    def __repr__(self) -> str:
        return f"{self.title}, mode {self.mode}\n{self.table(None if len(self.rows) <= 80 else 20)}\n{self.summary()}"

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

    def save(self, path: str) -> None:
        """Writes to_dict() as JSON."""
        with open(path, "w") as f:
            json.dump(self.to_dict(), f, indent=1)

    def plot(self, ax: Any = None) -> Any:
        """The divergence ladder on Matplotlib axes (extra `plot`): stages in order, error on a log scale, tolerances drawn."""
        from cutaway import plot

        return plot.ladder(self, ax)

    def to_html(self, path: str | None = None) -> str:
        """A page of its own, without scripts or other files: summary, ladder, table."""
        page = f'<!doctype html><meta charset="utf-8"><title>{html.escape(self.title)}</title><body>{self._repr_html_()}</body>'
        if path is not None:
            with open(path, "w") as f:
                f.write(page)
        return page

    def _repr_html_(self) -> str:
        from cutaway import plot

        rows = "".join(
            f'<tr class="{"" if r.ok else "wrong"}">'
            + "".join(f"<td>{html.escape(c)}</td>" for c in self._cells(r))
            + "</tr>"
            for r in self.rows
        )
        head = "".join(f"<th>{h}</th>" for h in self.header)
        return (
            f'<div class="cutaway"><style>{plot.STYLE}</style><h3>{html.escape(self.title)}, mode {self.mode}</h3>'
            f'<p class="{"good" if self.ok else "bad"}">{html.escape(self.summary())}</p>{plot.ladder_svg(self)}'
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
