"""Reports as text, pictures, pages and plain values."""

import json
import math
import re
import sys
from xml.etree import ElementTree

import pytest
from cutaway.compare import Row
from cutaway.errors import ArgumentError, SaveError, UnsupportedOperation
from cutaway.report import Report

NOT_FINITE = {"units": math.inf, "rel": math.nan, "actual": math.nan, "ok": False}


def row(stage, units=1.0, rel=1e-8, ok=True, op="matmul", **more):
    fields = {"tolerance": 24.0, "at": [0, 1], "actual": 1.0, "expected": 1.0, **more}
    return Row(stage, op, f"{op}/avx2", "numpy", units, rel=rel, ok=ok, **fields)


def report(layers=3, mode="isolate", **changed):
    """A report with three stages a layer; `changed` replaces fields of blocks.1.attn.z."""
    rows = [row("embed", 0.0, 0.0)]
    for n in range(layers):
        rows += [row(f"blocks.{n}.attn.q"), row(f"blocks.{n}.attn.z", 2.0), row(f"blocks.{n}.resid_post", 0.0, 0.0)]
    if changed:
        rows[5] = row("blocks.1.attn.z", **{"units": 2.0, **changed})
    return Report("a on cpu against NumPy", mode, rows, [1, 2], {"a": {}, "b": "numpy"})


WRONG = {"units": 3e5, "rel": 1e-2, "ok": False, "actual": 1.5}


def svg_of(page):
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.S).group())


def test_first_is_the_first_wrong_row():
    assert report().ok and report().first is None and bool(report())
    r = report(**WRONG)
    assert not r and r.first.stage == "blocks.1.attn.z"
    assert "first wrong stage: blocks.1.attn.z (matmul/avx2): 3e+05 units, tolerance 24" in r.summary()
    assert "got 1.5, expected 1; 1 of 10 stages is wrong" in r.summary()


def test_table_marks_the_row_and_lines_up():
    lines = report(**WRONG).table().splitlines()
    assert len(lines) == 11
    assert [line.split()[0] for line in lines if line.endswith("WRONG")] == ["blocks.1.attn.z"]
    assert len({line.index(word) for line in lines[1:] for word in ("ok", "WRONG") if line.endswith(word)}) == 1


def test_repr_of_many_stages_keeps_the_wrong_one_and_says_what_it_left_out():
    text = repr(report(layers=100, **WRONG))
    assert len(text.splitlines()) < 30
    assert "blocks.1.attn.z" in text and "stages" in text and ".table() has all" in text


def test_worst_rows_are_the_wrong_ones_and_one_of_each_kind():
    r = report(layers=100, **WRONG)
    assert [x.stage for x in r.worst(60)] == ["embed", "blocks.0.attn.q", "blocks.0.resid_post", "blocks.1.attn.z"]
    r.rows[20] = row("blocks.6.attn.q", 5.0)
    assert "blocks.6.attn.q" in [x.stage for x in r.worst(60)]
    many = [row(f"blocks.{n}.attn.q", 1e5, ok=False) for n in range(100)]
    assert [x.stage for x in Report("", "isolate", many).worst(60)] == [x.stage for x in many[:60]]


def test_html_needs_nothing_else_and_has_one_point_per_row(tmp_path):
    r = report(layers=40, **WRONG)
    page = r.to_html(str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page
    for word in ("http", "<script", "src=", "@import", "url(", "<link"):
        assert word not in page, word
    points = svg_of(page).findall("circle")
    assert len(points) == len(r.rows) == 121
    assert sum(p.get("fill") == "#b3261e" for p in points) == 1
    assert page.count("<td>") == 6 * (121 + len(r.worst()))  # the short table and the whole one
    assert "all 121 stages" in page
    assert r._repr_html_() in page


def test_points_lie_inside_the_picture():
    for r in (report(**WRONG), report(**NOT_FINITE), report(mode="accumulate", **WRONG), report(layers=100)):
        svg = svg_of(r.to_html())
        _, _, width, height = map(float, svg.get("viewBox").split())
        for p in svg.findall("circle"):
            assert 0 < float(p.get("cx")) < width and 0 < float(p.get("cy")) < height


def test_names_are_escaped():
    r = report()
    r.title = '<b>&"x"</b>'
    r.rows[0] = row("<script>alert(1)</script>", ok=False)
    page = r.to_html()
    assert "<script" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page
    svg_of(page)


def test_dict_is_valid_json_with_stable_keys(tmp_path):
    r = report(**NOT_FINITE)
    text = json.dumps(r.to_dict(), allow_nan=False)  # NaN and infinity are no JSON
    assert list(json.loads(text)) == ["title", "mode", "ok", "first", "stages", "tokens", "manifest"]
    assert list(r.to_dict()["first"]) == [
        "stage", "op", "kernel", "reference", "units", "tolerance", "rel", "at", "actual", "expected", "ok", "weights",
        "verdict",
    ]  # fmt: skip
    assert r.to_dict()["first"]["units"] == "inf" and r.to_dict()["first"]["rel"] == "nan"
    r.save(str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(text)


@pytest.mark.parametrize("mode", ["isolate", "accumulate"])
def test_what_is_not_finite_is_shown_as_the_worst(mode):
    r = report(layers=100, mode=mode, **NOT_FINITE)
    assert [line.split()[0] for line in r.table(1).splitlines()] == ["stage", "blocks.1.attn.z"]
    assert "blocks.1.attn.z" in r.summary()
    assert r.worst(2)[0].stage == "blocks.1.attn.z" or r.worst(2)[1].stage == "blocks.1.attn.z"
    heights = [float(p.get("cy")) for p in svg_of(r.to_html()).findall("circle")]
    assert min(heights) == heights[5] and heights.count(heights[5]) == 1
    assert "nan, inf" in r.to_html()


def test_accumulated_rows_are_ranked_by_their_error():
    r = report(layers=100, mode="accumulate")
    for x in r.rows:
        x.units, x.tolerance = math.nan, 0.2
    r.rows[50].rel = 0.1
    assert r.table(1).splitlines()[1].startswith(r.rows[50].stage + " ")
    assert r.rows[50].stage in r.summary()


def test_an_empty_report_draws_too():
    r = Report("nothing", "isolate", [])
    assert r.summary() == "no stages were compared"
    assert "<svg" not in r.to_html() and r.table()


def checks(ok=True):
    rows = [
        row("", rel=0.0, op="repeat"),
        row("" if ok else "blocks.0.attn.z", rel=0.0 if ok else 1e-6, op="chunks", ok=ok),
    ]
    return Report("a on cpu: 8 tokens", "check", rows)


@pytest.mark.parametrize("ok", [True, False])
def test_a_report_of_checks_is_a_table_without_a_ladder(ok):
    page = checks(ok).to_html()
    assert "<svg" not in page and page.count("<td>") == 12 and ("blocks.0.attn.z" in page) != ok


# --- Matplotlib ---------------------------------------------------------------------------------------------


@pytest.fixture
def plt(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install cutaway[plot]")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("a library does not call plt.show"))
    yield plt
    plt.close("all")


def drawings():
    from cutaway import plot

    return [plot.ladder, plot.stage_table]


@pytest.mark.parametrize("n", [0, 1])
def test_axes_are_returned_and_ax_is_honoured(plt, n):
    draw = drawings()[n]
    own = draw(report(**WRONG))
    assert isinstance(own, plt.Axes)
    figure, (left, right) = plt.subplots(1, 2)
    assert draw(report(**WRONG), right) is right
    assert not left.texts and not left.collections
    assert draw(report(**WRONG), ax=left) is left
    assert len(plt.get_fignums()) == 2
    figure.canvas.draw()


@pytest.mark.parametrize("changed", [{}, WRONG, NOT_FINITE])
@pytest.mark.parametrize("mode", ["isolate", "accumulate"])
def test_pictures_of_every_kind_of_report_draw(plt, mode, changed):
    for draw in drawings():
        for r in (report(mode=mode, **changed), report(layers=100, mode=mode, **changed), Report("", mode, [])):
            draw(r).figure.canvas.draw()


def test_plots_of_checks_and_probes(plt):
    for ok in (True, False):
        checks(ok).plot().figure.canvas.draw()
    cases = Report("rms_norm alone", "isolate", [row(f"[{n}, 64]") for n in range(3)])
    cases.plot().figure.canvas.draw()
    assert "layer" not in cases.plot().get_xlabel() and len(svg_of(cases.to_html()).findall("circle")) == 3


def test_ladder_marks_the_first_wrong_stage_and_the_legend_covers_no_point(plt):
    r = report(layers=30, **WRONG)
    ax = r.plot()
    assert any("blocks.1.attn.z" in t.get_text() for t in ax.texts)
    assert not report().plot().texts
    assert sum(len(c.get_offsets()) for c in ax.collections if hasattr(c, "get_sizes") and len(c.get_sizes())) == 91
    ax.figure.canvas.draw()
    assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())
    low, high = ax.get_ylim()
    assert low < min(max(x.units, 1e-2) for x in r.rows) and max(x.units for x in r.rows) < high


def test_stage_table_writes_every_cell_inside_its_axes(plt):
    from cutaway import plot

    for r in (report(**WRONG), report(layers=100, **WRONG)):
        ax = plot.stage_table(r)
        ax.figure.canvas.draw()
        rows = r.worst(60)
        assert len(ax.texts) == 6 * (len(rows) + 1) and len(rows) <= 60
        verdicts = {t.get_text(): t.get_color() for t in ax.texts if t.get_text() in ("ok", "WRONG")}
        assert verdicts["ok"] != verdicts["WRONG"]
        frame = ax.figure.bbox
        for t in ax.texts:
            box = t.get_window_extent()
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1, t


def test_a_row_by_its_stage():
    assert report()["blocks.0.attn.q"].stage == "blocks.0.attn.q"
    with pytest.raises(ArgumentError) as caught:
        report()["blocks.0.atn.q"]
    assert "blocks.0.attn.q" in caught.value.hint


def test_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(SaveError):
        report().to_html(tmp_path)
    with pytest.raises(SaveError):
        report().save(tmp_path / "no" / "r.json")


def test_plots_without_matplotlib_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UnsupportedOperation) as caught:
        report().plot()
    assert "cutaway[plot]" in caught.value.hint
