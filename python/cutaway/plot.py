"""Pictures: the divergence ladder and the stage table on Matplotlib axes, and the ladder as inline SVG."""

from __future__ import annotations

import html
import math
from typing import Any

from cutaway.errors import UnsupportedOperation

STYLE = """
.cutaway { font: 13px/1.4 system-ui, sans-serif; color: #222; background: #fff; max-width: 1100px; padding: 2px 6px }
.cutaway table { border-collapse: collapse; font-family: ui-monospace, monospace; font-size: 12px }
.cutaway td, .cutaway th { padding: 2px 10px; text-align: right; border-bottom: 1px solid #eee }
.cutaway td:nth-child(-n+2), .cutaway th:nth-child(-n+2) { text-align: left }
.cutaway tr.wrong { background: #fde3e1; font-weight: 600; color: #b3261e }
.cutaway tr.first td { border-bottom: 2px solid #b3261e }
.cutaway summary { cursor: pointer; margin: 10px 0; color: #444 }
.cutaway .good { color: #0a7a33 }
.cutaway .bad { color: #b3261e; white-space: pre-wrap; font-weight: 600 }
"""
GOOD, BAD, POINT, GREY = "#0a7a33", "#b3261e", "#1f5fa8", "#666666"
FLOOR = {"isolate": 1e-2, "accumulate": 1e-9}  # errors up to here are drawn as 0: many stages have none at all


def _points(report: Any) -> tuple[list[float], list[float], float | None]:
    """Error and tolerance of each row as drawn on a log scale, and the height of what is not finite (None: all is)."""
    low = FLOOR[report.mode]
    errors = [report.error(r) for r in report.rows]
    limits = [max(low, r.tolerance) for r in report.rows]
    highest = max([e for e in errors if math.isfinite(e)] + limits, default=1.0)
    lost = None if all(math.isfinite(e) for e in errors) else 30 * highest
    return [max(low, e) if math.isfinite(e) else lost or highest for e in errors], limits, lost


def _layers(report: Any) -> list[tuple[int, str]]:
    """Where each layer begins: (row, layer)."""
    out: list[tuple[int, str]] = []
    for i, r in enumerate(report.rows):
        parts = r.stage.split(".")
        if len(parts) > 2 and parts[0] == "blocks" and (not out or out[-1][1] != parts[1]):
            out.append((i, parts[1]))
    return out


def _ticks(report: Any, low: float, high: float, lost: float | None) -> list[tuple[float, str]]:
    """Heights and their labels: powers of ten, 0 at the floor, and what is not finite."""
    floor = FLOOR[report.mode]
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    every = max(1, math.ceil(len(powers) / 9))
    shown = [p for p in powers if 10.0**p > floor * 1.5 and p % every == 0 and (lost is None or 10.0**p < lost / 2)]
    out = [(10.0**p, f"1e{p}" if p < -2 or p > 3 else f"{10.0**p:g}") for p in shown]
    return [(floor, "0"), *out] + ([(lost, "nan, inf")] if lost else [])


def _label(report: Any) -> str:
    return "error, units of rounding" if report.mode == "isolate" else "accumulated relative error"


def _title(report: Any) -> str:
    return f"{report.title}, mode {report.mode}"


def _new_axes(width: float, height: float) -> Any:
    """Axes of a figure of their own, in inches. Raises UnsupportedOperation without Matplotlib."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise UnsupportedOperation(f"plots need Matplotlib: {error}", hint="pip install 'cutaway[plot]'") from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def ladder(report: Any, ax: Any = None) -> Any:
    """Stages in order (x), error on log y, tolerance as a band, the first wrong stage marked. Returns the axes.

    Raises UnsupportedOperation where `ax` is None and Matplotlib (extra `plot`) is not installed."""
    if ax is None:
        ax = _new_axes(11, 4)
    if not report.rows:
        ax.set_title(_title(report), fontsize=10, loc="left")
        return ax
    errors, limits, lost = _points(report)
    low, high = FLOOR[report.mode] / 2, max(errors + limits) * 4
    x = list(range(len(errors)))
    edges = [i - 0.5 for i in x] + [len(x) - 0.5]
    ax.fill_between(
        edges, low, [*limits, limits[-1]], step="post", color=GOOD, alpha=0.12, linewidth=0, label="within tolerance"
    )
    good = [i for i in x if report.rows[i].ok]
    bad = [i for i in x if not report.rows[i].ok]
    ax.scatter(good, [errors[i] for i in good], s=12 if len(x) < 300 else 5, color=POINT, label="stage", zorder=3)
    if bad:
        ax.scatter(bad, [errors[i] for i in bad], s=36, color=BAD, marker="x", label="wrong stage", zorder=4)
        _mark(ax, report, bad[0], errors[bad[0]])
    starts = _layers(report)
    for i, _ in starts:
        ax.axvline(i - 0.5, color="#dddddd", linewidth=0.6, zorder=0)
    shown = starts[:: max(1, math.ceil(len(starts) / 16))]
    ax.set_xticks([i for i, _ in shown], [layer for _, layer in shown])
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ticks = _ticks(report, low, high, lost)
    ax.set_yticks([t for t, _ in ticks], [name for _, name in ticks])
    ax.set_yticks([], minor=True)
    ax.set_xlim(-1, len(x))
    words = "stages in forward order; ticks: first stage of a layer" if starts else "cases, as in the table"
    ax.set_xlabel(words, loc="left", fontsize=9)
    ax.set_ylabel(_label(report), fontsize=9)
    ax.tick_params(labelsize=8)
    ax.set_title(_title(report), fontsize=10, loc="left")
    # Below the axes, beside the label: no point is ever under it.
    ax.legend(loc="upper right", bbox_to_anchor=(1.0, -0.08), ncol=3, fontsize=8, frameon=False)
    return ax


def _mark(ax: Any, report: Any, i: int, height: float) -> None:
    r = report.rows[i]
    left = i > len(report.rows) / 2
    ax.axvline(i, color=BAD, linewidth=0.8, linestyle=":", zorder=1)
    ax.annotate(
        f"first wrong: {r.stage}\n{r.kernel}\n{report.error_text(r)}",
        (i, height),
        xytext=(-10 if left else 10, -16),
        textcoords="offset points",
        color=BAD,
        fontsize=9,
        ha="right" if left else "left",
        va="top",
        zorder=5,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
    )


def stage_table(report: Any, ax: Any = None, most: int = 60) -> Any:
    """The stage table on Matplotlib axes, wrong rows in red. Returns the axes.

    Of more than `most` stages it shows the wrong ones and the worst layer of each kind."""
    rows = report.worst(most)
    cells = [report.header, *[report.cells(r) for r in rows]]
    widths = [max(len(c[i]) for c in cells) for i in range(len(report.header))]
    starts = [1 + sum(w + 2 for w in widths[:i]) for i in range(len(widths))]
    total = starts[-1] + widths[-1] + 1
    if ax is None:
        ax = _new_axes(total * 0.083, 0.8 + 0.17 * len(cells))
    box = ax.get_window_extent()
    inches = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    # A character of DejaVu Sans Mono is 0.602 of its size wide.
    size = max(3.0, min(9.0, inches[0] * 72 / (0.61 * total), inches[1] * 72 / (1.3 * len(cells))))
    for at, line in enumerate(cells):
        row = rows[at - 1] if at else None
        if row is not None and not row.ok:
            ax.axhspan(at - 0.5, at + 0.5, color=BAD, alpha=0.12, linewidth=0)
        for i, (text, width, start) in enumerate(zip(line, widths, starts, strict=True)):
            right = 2 <= i <= 4
            verdict = i == len(line) - 1 and row is not None
            color = "black" if row is None or (row.ok and not verdict) else GOOD if row.ok else BAD
            ax.text(
                start + width if right else start, at, text, family="monospace", fontsize=size, color=color,
                ha="right" if right else "left", va="center", weight="bold" if row is None or not row.ok else "normal",
            )  # fmt: skip
    ax.axhline(0.5, color=GREY, linewidth=0.6)
    ax.set_xlim(0, total)
    ax.set_ylim(len(cells) - 0.4, -0.6)
    ax.set_axis_off()
    few = f" ({len(rows)} of {len(report.rows)} stages: the worst of each kind)" if len(rows) < len(report.rows) else ""
    ax.set_title(_title(report) + few, fontsize=9, loc="left")
    return ax


def ladder_svg(report: Any, width: int = 1060, height: int = 240) -> str:
    """The ladder as SVG text; every point says its stage when pointed at."""
    if not report.rows:
        return ""
    errors, limits, lost = _points(report)
    low, high = FLOOR[report.mode] / 2, max(errors + limits) * 4
    left, right, top, bottom = 64, 10, 10, 34
    pitch = (width - left - right) / len(errors)

    def y(value: float) -> float:
        share = (math.log10(high) - math.log10(value)) / (math.log10(high) - math.log10(low))
        return top + share * (height - top - bottom)

    def x(i: float) -> float:
        return left + (i + 0.5) * pitch

    def text(at_x: float, at_y: float, words: str, anchor: str = "middle", color: str = GREY, size: int = 10) -> str:
        return (
            f'<text x="{at_x:.1f}" y="{at_y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}">'
            f"{html.escape(words)}</text>"
        )

    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="100%" style="max-width:{width}px" role="img" '
        'aria-label="divergence ladder">'
    ]
    for value, name in _ticks(report, low, high, lost):
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ececec"/>'
        )
        parts.append(text(left - 6, y(value) + 4, name, "end"))
    band = "".join(f"V{y(v):.1f}H{x(i + 0.5):.1f}" for i, v in enumerate(limits))
    base = height - bottom
    parts.append(f'<path d="M{x(-0.5):.1f},{base}{band}V{base}Z" fill="{GOOD}" opacity="0.12"/>')
    starts = _layers(report)
    every = max(1, math.ceil(len(starts) / 16))
    for n, (i, layer) in enumerate(starts):
        at = x(i - 0.5)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{base}" stroke="#e2e2e2" stroke-width="0.6"/>')
        if n % every == 0:
            parts.append(text(x(i), height - 20, layer))
    for i, r in enumerate(report.rows):
        color, size = (POINT, 2 if len(errors) < 300 else 1.5) if r.ok else (BAD, 5)
        note = html.escape(f"{r.stage}  {r.kernel}  {report.error_text(r)}")
        parts.append(
            f'<circle cx="{x(i):.1f}" cy="{y(errors[i]):.1f}" r="{size}" fill="{color}"><title>{note}</title></circle>'
        )
    if report.first is not None:
        i = next(i for i, r in enumerate(report.rows) if not r.ok)
        behind = i > len(errors) / 2
        parts.append(
            text(x(i) + (-9 if behind else 9), y(errors[i]) + 4, f"first wrong: {report.rows[i].stage}",
                 "end" if behind else "start", BAD, 12)
        )  # fmt: skip
    order = "stages in forward order (numbers: layers)" if starts else "cases, as in the table"
    words = f"{order}; {_label(report)}, log scale; green: within tolerance"
    return "".join([*parts, text(left, height - 5, words, "start", "#444444", 11), "</svg>"])
