"""Pictures: the divergence ladder on Matplotlib axes, and as inline SVG for pages that need no other file."""

from __future__ import annotations

import html
import math
from typing import Any

STYLE = (
    ".cutaway{font:13px/1.4 system-ui,sans-serif;color:#222;max-width:1100px}.cutaway table{border-collapse:collapse;"
    "font-family:ui-monospace,monospace;font-size:12px}.cutaway td,.cutaway th{padding:2px 10px;text-align:right;border-bottom:1px "
    "solid #eee}.cutaway td:nth-child(-n+2),.cutaway th:nth-child(-n+2){text-align:left}.cutaway tr.wrong{background:#fde3e1;"
    "font-weight:600}.cutaway .good{color:#0a7a33}.cutaway .bad{color:#b3261e;white-space:pre-wrap;font-weight:600}"
)
FLOOR = 1e-2  # units below this are drawn here: exact stages have none at all


def _points(report: Any) -> tuple[list[float], list[float]]:
    """Error and tolerance of each row as they are drawn, on a log scale."""
    isolated = report.mode == "isolate"
    low = FLOOR if isolated else 1e-9
    cap = 1e9
    errors = [
        min(cap, max(low, (r.units if isolated else r.rel))) if not math.isnan(r.rel) else cap for r in report.rows
    ]
    return errors, [max(low, r.tolerance) for r in report.rows]


def ladder(report: Any, ax: Any = None) -> Any:
    """Stages in forward order (x), error on log y, tolerance as a band, the first wrong stage marked. Returns the axes."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(11, 4), constrained_layout=True)
    errors, limits = _points(report)
    x = list(range(len(errors)))
    ax.fill_between(
        x, min(errors + limits) / 2, limits, color="#0a7a33", alpha=0.10, step="mid", label="within tolerance"
    )
    good = [i for i in x if report.rows[i].ok]
    bad = [i for i in x if not report.rows[i].ok]
    ax.scatter(good, [errors[i] for i in good], s=9, color="#1f5fa8", label="stage")
    ax.scatter(bad, [errors[i] for i in bad], s=30, color="#b3261e", marker="x", label="wrong stage")
    if report.first is not None:
        i = bad[0]
        r = report.rows[i]
        left = i > len(x) / 2
        ax.annotate(
            f"{r.stage}\n{r.kernel}",
            (i, errors[i]),
            xytext=(-12 if left else 12, -4),
            textcoords="offset points",
            color="#b3261e",
            fontsize=9,
            ha="right" if left else "left",
            va="top",
        )
    starts = [i for i, r in enumerate(report.rows) if r.stage.endswith(".resid_pre")]
    step = max(1, len(starts) // 15)
    ax.set_xticks(starts[::step], [report.rows[i].stage.split(".")[1] for i in starts[::step]])
    ax.set_yscale("log")
    ax.set_xlim(-1, len(x))
    ax.set_xlabel("stages in forward order (ticks: layers)")
    ax.set_ylabel("error, units of rounding" if report.mode == "isolate" else "accumulated relative error")
    ax.set_title(report.title + f", mode {report.mode}", fontsize=10)
    ax.legend(loc="upper left", fontsize=8, framealpha=0.9)
    return ax


def ladder_svg(report: Any, width: int = 1060, height: int = 240) -> str:
    """The same picture as SVG text; every point says its stage when pointed at."""
    if not report.rows:
        return ""
    errors, limits = _points(report)
    low, high = min(errors + limits) / 2, max(errors + limits) * 3
    left, top, bottom = 64, 10, 34

    def y(value: float) -> float:
        return top + (math.log10(high) - math.log10(value)) / (math.log10(high) - math.log10(low)) * (
            height - top - bottom
        )

    def x(i: int) -> float:
        return left + (i + 0.5) / len(errors) * (width - left - 10)

    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="divergence ladder">'
    ]
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        parts.append(
            f'<line x1="{left}" x2="{width - 10}" y1="{y(10.0**power):.1f}" y2="{y(10.0**power):.1f}" stroke="#e6e6e6"/>'
        )
        parts.append(
            f'<text x="{left - 6}" y="{y(10.0**power) + 4:.1f}" font-size="10" text-anchor="end" fill="#666">1e{power}</text>'
        )
    band = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(limits))
    parts.append(
        f'<polygon points="{x(0):.1f},{height - bottom} {band} {x(len(limits) - 1):.1f},{height - bottom}" fill="#0a7a33" opacity="0.10"/>'
    )
    starts = [i for i, r in enumerate(report.rows) if r.stage.endswith(".resid_pre")]
    for i in starts[:: max(1, len(starts) // 15)]:
        parts.append(
            f'<text x="{x(i):.1f}" y="{height - 18}" font-size="10" text-anchor="middle" fill="#666">{html.escape(report.rows[i].stage.split(".")[1])}</text>'
        )
    for i, r in enumerate(report.rows):
        color, size = ("#1f5fa8", 2) if r.ok else ("#b3261e", 5)
        note = html.escape(f"{r.stage} {r.kernel} {errors[i]:.3g}")
        parts.append(
            f'<circle cx="{x(i):.1f}" cy="{y(errors[i]):.1f}" r="{size}" fill="{color}"><title>{note}</title></circle>'
        )
    label = "units of rounding" if report.mode == "isolate" else "relative error"
    parts.append(
        f'<text x="{left}" y="{height - 4}" font-size="11" fill="#444">stages in forward order (numbers: layers); {label}, log scale; green: within tolerance</text></svg>'
    )
    return "".join(parts)
