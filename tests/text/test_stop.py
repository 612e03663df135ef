"""The stop matcher against a naive search, over every way to cut a text into pieces."""

import pytest
from cutaway import _core, errors
from hypothesis import example, given, settings
from hypothesis import strategies as st


def naive(text, stops):
    """What may be emitted, and which stop string ended it: the first to end, the longest of those that end there."""
    for end in range(1, len(text) + 1):
        here = [s for s in stops if text[:end].endswith(s)]
        if here:
            longest = max(here, key=len)
            return text[: end - len(longest)], stops.index(longest)
    return text, -1


def run(pieces, stops):
    """Emitted bytes and the match; on the way, that nothing is given out early and nothing held back without need."""
    matcher, out, seen = _core.StopMatcher(stops), b"", b""
    for piece in pieces:
        out += matcher.push(piece)
        seen += piece
        if matcher.matched < 0:
            held = seen[len(out) :]
            begins = [n for s in stops for n in range(1, len(s)) if seen.endswith(s[:n])]
            assert seen.startswith(out) and len(held) == max(begins, default=0)
    return out + matcher.flush(), matcher.matched


few = st.text("ab", max_size=30).map(str.encode)  # two letters, so that beginnings recur inside stop strings


@settings(max_examples=500, deadline=None)
@given(few, st.lists(st.text("ab", min_size=1, max_size=6).map(str.encode), max_size=4), st.lists(st.integers(0, 30)))
@example(b"aabaaab", [b"aaab"], [2, 3])
@example(b"abcd", [b"abcd", b"bc"], [1])
@example(b"xabc", [b"c", b"abc", b"bc"], [])
def test_any_split_gives_what_a_search_of_the_whole_text_gives(text, stops, cuts):
    cuts = [0, *sorted(c for c in cuts if c <= len(text)), len(text)]
    pieces = [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    emitted, match = run(pieces, stops)
    expected, index = naive(text, stops)
    assert emitted == expected
    assert (stops[match] if match >= 0 else None) == (stops[index] if index >= 0 else None)


def test_half_a_character_is_matched_on_bytes():
    matcher = _core.StopMatcher([b"\x82"])
    assert matcher.push("1€".encode()) == b"1\xe2" and matcher.matched == 0


def test_after_a_match_nothing_comes():
    matcher = _core.StopMatcher("</s>")
    assert [matcher.push(b) for b in (b"ab<", b"/s>cd", b"ef")] == [b"ab", b"", b""]
    assert matcher.flush() == b"" and matcher.matched == 0


def test_flush_starts_anew():
    matcher = _core.StopMatcher("abc")
    assert matcher.push(b"xab") == b"x" and matcher.flush() == b"ab"
    assert matcher.push(b"c") == b"c" and matcher.matched == -1


def test_no_stop_strings_hold_nothing():
    for none in (None, []):
        assert _core.StopMatcher(none).push(b"\x00abc") == b"\x00abc"


def test_lengths():
    _core.StopMatcher([b"x" * 65536])
    for bad, index in ((["ok", ""], 1), ([b"x" * 65537], 0), (b"", 0), ("x" * (1 << 20), 0)):
        with pytest.raises(errors.ArgumentError, match=rf"stop\[{index}\]"):
            _core.StopMatcher(bad)
    for bad in (5, [5], {"a": 1}, "\ud800"):
        with pytest.raises(errors.ArgumentError, match="stop is"):
            _core.StopMatcher(bad)


def test_time_is_linear():
    """The worst text for a search that starts over: 64 KiB of a, then no b, a thousand times in pieces."""
    matcher = _core.StopMatcher([b"a" * 65535 + b"b"])
    out = sum(len(matcher.push(b"a" * 4096)) for _ in range(1024))
    assert out == 4 * 1024 * 1024 - 65535
