"""Hooks: what they are given, what they may return, and that nothing is left behind when they fail."""

import itertools
import resource
import signal
import time

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError, HookError, HookReturnError, NonFiniteError, SessionBusyError

TEXT = "And the LORD said unto Moses, Go"
Q = "blocks.1.attn.q"


def bits(a):
    return np.ascontiguousarray(a).tobytes()


def same(a, b):
    return a.shape == b.shape and bits(a) == bits(b)


# --- what a hook does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1", "q4_k", "q6_k"])
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_a_hook_that_returns_none_changes_no_bit_whatever_its_stage(model, name, numerics):
    m = model(name, numerics=numerics)
    plain = m.run(TEXT)
    seen = []
    for stage in m.stages():
        logits = m.run_with_hooks(TEXT, [(stage, lambda act, hook: seen.append(hook.name))])
        assert same(logits, plain), stage
    assert seen == m.stages()
    order = []
    with m.hooks([(None, lambda act, hook: order.append(hook.name))]):
        assert same(m.run(TEXT), plain)
    assert sorted(order) == sorted(m.stages())


def test_a_hook_sees_what_the_cache_keeps(model):
    m = model("llama")
    _, cache = m.run_with_cache(TEXT)
    seen = {}
    m.run_with_hooks(TEXT, [(None, lambda act, hook: seen.update({hook.name: (act, hook)}))])
    assert list(cache) == m.stages()
    for name, (act, hook) in seen.items():
        assert same(act, cache[name]), name
        assert act.dtype == np.float32
        assert hook.layer == m.graph[name].layer and hook.step == 0 and hook.lengths == [len(m.to_tokens(TEXT))]


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1"])
def test_a_hook_point_names_the_kernel_that_computed_its_tensor(model, name):
    m = model(name)
    seen = {}

    def see(act, hook):
        seen[hook.name] = hook.kernel

    with m.session() as s, m.hooks([(None, see)]):
        out = s.forward([m.to_tokens(TEXT).ids], record=True)
    ran = {e["stage"]: f"{e['op']}/{e['target']}" for e in out.executed if e["covers"]}
    assert seen == ran and len(seen) == len(m.graph)
    assert seen["blocks.1.attn.z"] == ran["blocks.1.attn.z"] and seen["blocks.1.attn.z"].startswith("attention/")

    def double(act, hook):
        return act * np.float32(2)

    # Where a hook changed what a fused kernel hides, the stages behind it come from kernels of their own.
    m.run_with_hooks(TEXT, [("blocks.1.attn.pattern", double), ("blocks.1.attn.z", see)])
    assert seen["blocks.1.attn.z"].startswith("attention_mix/")


def test_a_hook_point_says_where_its_rows_stand(model):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids
    seen = []

    def see(act, hook):
        assert hook.positions.shape == act.shape[:1] + act.shape[hook.axis : hook.axis + 1]
        seen.append(hook.positions.tolist())

    with m.session(sequences=3) as s:
        s.forward([ids[:4], [], ids[:1]])
        with m.hooks([(["blocks.2.mlp.post", "blocks.2.attn.pattern"], see)]):
            s.forward([ids[4:7], ids[:2], []])  # the third has no rows, and no place in the batch
    assert seen == [[[4, 5, 6], [0, 1, -1]]] * 2
    seen.clear()
    with m.hooks([("ln_final.out", see)]):
        m.generate(TEXT, max_new_tokens=3)  # behind the layers only the rows that give logits run
    assert seen == [[[len(ids) - 1]], [[len(ids)]], [[len(ids) + 1]]]


def test_a_hook_point_prints_in_one_line(model):
    m = model("llama")
    points = []
    m.run_with_hooks([[5, 6, 7], [8]], [(Q, lambda act, hook: points.append(hook))])
    kernel = points[0].kernel
    assert repr(points[0]) == f"HookPoint(blocks.1.attn.q, {kernel}, positions 0..2, 0..0, step 0)"


def test_in_place_and_returned_changes_are_the_same_and_reach_the_logits(model):
    m = model("llama")

    def in_place(act, hook):
        act[:, :, 2] = 0

    def returned(act, hook):
        out = act.copy()
        out[:, :, 2] = 0
        return out

    a, b = (m.run_with_hooks(TEXT, [("blocks.1.attn.z", fn)]) for fn in (in_place, returned))
    c = m.run_with_hooks(TEXT, [(("z", 1), ct.edit.zero(head=2))])
    assert same(a, b) and same(a, c)
    assert not same(a, m.run(TEXT))


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_k"])
def test_a_change_moves_what_comes_after_and_nothing_before(model, name, numerics):
    m = model(name, numerics=numerics)
    _, clean = m.run_with_cache(TEXT)
    stages = m.stages()
    for stage in stages:

        def half(act, hook):
            return act * np.float32(0.5)

        with m.hooks([(stage, half)]):
            logits, cache = m.run_with_cache(TEXT)
        at = stages.index(stage)
        for before in stages[:at]:
            assert same(cache[before], clean[before]), (stage, before)
        assert same(cache[stage], clean[stage] * np.float32(0.5)), stage
        # Scores, scale and the normalised rows lead to the logits through others; all do change them.
        reached = {stage}
        for s in m.graph.stages[at + 1 :]:
            if reached & set(s.reads):
                reached.add(s.name)
        assert "logits" in reached
        if not stage.endswith("scale"):
            assert not same(logits, clean["logits"]), f"halving {stage} changed no logit"


def test_hooks_on_one_stage_run_in_order_each_given_what_the_last_left(model):
    m = model("llama")
    given = []

    def add_one(act, hook):
        given.append(act.copy())
        return act + np.float32(1)

    m.run_with_hooks(TEXT, [(Q, add_one), (Q, add_one)])
    assert same(given[1], given[0] + np.float32(1))


def test_a_hook_on_an_alias_or_another_tools_name_is_called_with_ours(model):
    m = model("llama")
    for name in ("blocks.1.attn.in", "attn_norm-1", "model.layers[1].input_layernorm"):
        seen = []
        m.run_with_hooks(TEXT, [(name, lambda act, hook, seen=seen: seen.append(hook.name))])
        assert seen == ["blocks.1.ln1.out"]


def test_hooks_inside_generate_are_called_at_every_step(model):
    m = model("llama")
    steps = []
    with m.hooks([("blocks.0.resid_post", lambda act, hook: steps.append((hook.step, act.shape[1])))]):
        g = m.generate(TEXT, max_new_tokens=4)
    n = len(g.prompt_ids)
    assert steps == [(0, n), (1, 1), (2, 1), (3, 1)]


def test_hooks_of_one_thread_are_not_called_in_another(model):
    import threading

    m = model("llama")
    plain, other = m.run(TEXT), []
    with m.hooks([(Q, ct.edit.zero())]):
        thread = threading.Thread(target=lambda: other.append(m.run(TEXT)))
        thread.start()
        thread.join()
        assert not same(m.run(TEXT), plain)
    assert same(other[0], plain)


# --- what a hook may return (H02, H03, H04, H06, H07) -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint16, np.bool_, ">f4"])
def test_exact_conversions_are_taken(model, dtype):
    m = model("llama")
    values = {}

    def fn(act, hook):
        values["new"] = np.round(act).astype(dtype)
        return values["new"]

    with m.hooks([(Q, fn)]):
        _, cache = m.run_with_cache(TEXT, Q)
    assert same(cache[Q], values["new"].astype(np.float32))


def test_views_of_the_input_are_taken(model):
    m = model("llama")
    _, clean = m.run_with_cache(TEXT, Q)
    with m.hooks([(Q, lambda act, hook: act[..., ::-1])]):
        _, cache = m.run_with_cache(TEXT, Q)
    assert same(cache[Q], clean[Q][..., ::-1])


BAD = {
    "float64": lambda act: act.astype(np.float64),
    "int32": lambda act: act.astype(np.int32),
    "complex": lambda act: act.astype(np.complex64),
    "object": lambda act: act.astype(object),
    "text array": lambda act: act.astype("U8"),
    "list": lambda act: act.tolist(),
    "scalar": lambda act: 0.0,
    "numpy scalar": lambda act: np.float32(0),
    "text": lambda act: "zero",
    "generator": lambda act: (x for x in act),
    "tuple": lambda act: (act,),
    "rank": lambda act: act[0],
    "longer": lambda act: np.concatenate([act, act], axis=1),
    "shorter": lambda act: act[:, :-1],
    "transposed": lambda act: act.swapaxes(1, 2),
    "empty": lambda act: act[:0],
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_tensor_of_the_stage_is_refused_and_the_session_is_as_before(model, kind):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids
    with m.session() as s, m.session() as untouched:
        s.prefill(ids[:5]), untouched.prefill(ids[:5])
        with pytest.raises(HookReturnError) as error, m.hooks([(Q, lambda act, hook: BAD[kind](act))]):
            s.prefill(ids[5:])
        details = error.value.details
        assert details["hook"] == Q and details["got"] and details["expected"]
        assert Q in str(error.value)
        assert s.length() == 5
        assert same(s.prefill(ids[5:]), untouched.prefill(ids[5:]))


def test_an_array_that_numpy_cannot_read_is_refused_by_name(model):
    class Remote:
        def __dlpack__(self, **options):
            raise BufferError("it lies on another device")

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(HookReturnError, match="another device"):
        model("llama").run_with_hooks(TEXT, [(Q, lambda act, hook: Remote())])


def test_nan_from_a_hook_is_taken_and_the_finite_check_blames_the_hook(model):
    m = model("llama")

    def poison(act, hook):
        act[:, 3] = np.nan

    assert np.isnan(m.run_with_hooks(TEXT, [("blocks.1.resid_mid", poison)])[0, 3:]).all()
    with pytest.raises(NonFiniteError) as error, m.hooks([("blocks.1.resid_mid", poison)]):
        m.run(TEXT, check="finite")
    assert error.value.details["stage"] == "blocks.1.resid_mid" and error.value.details["token"] == 3
    assert "hook" in str(error.value)
    m.run(TEXT, check="finite")


def test_kept_arrays_stay_valid_after_the_model_is_closed(tiny):
    kept = []
    with ct.load(tiny("llama") / "llama-F16.gguf") as m:
        m.run_with_hooks(TEXT, [(None, lambda act, hook: kept.append((act, act.copy())))])
        m.run("Something else, long enough to use the same memory again")
    for act, copy in kept:
        assert same(act, copy)


# --- hooks that fail (H05) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), StopIteration(), MemoryError(), GeneratorExit()]
)
@pytest.mark.parametrize("where", ["embed", "blocks.2.attn.pattern", "logits"])
def test_what_a_hook_raises_comes_out_as_it_is_and_the_session_is_as_before(model, what, where):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids

    def fail(act, hook):
        act[...] = 7  # nothing of this may remain
        raise what

    with m.session() as s, m.session() as untouched:
        s.prefill(ids[:5]), untouched.prefill(ids[:5])
        with pytest.raises(type(what)) as error, m.hooks([(where, fail)]):
            s.prefill(ids[5:])
        assert error.value is what
        assert any(frame.name == "fail" for frame in error.traceback), "the traceback leads to the hook"
        assert s.length() == 5
        assert same(s.prefill(ids[5:]), untouched.prefill(ids[5:]))
        s.rewind(5), s.prefill(ids[5:])
    assert m._active.hooks == [] and m._active.muted == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
def test_an_interrupt_from_outside_ends_a_run_and_leaves_the_session_usable(model):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with m.session() as s:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            started = time.monotonic()
            with pytest.raises(KeyboardInterrupt), m.hooks([(Q, lambda act, hook: None)]):
                while time.monotonic() - started < 20:
                    s.rewind(0)
                    s.prefill(ids)
            s.rewind(0)
            assert same(s.prefill(ids), m.run(ids)[:, -1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.native
def test_ten_thousand_hooks(model):
    m = model("llama")
    calls = []
    started = time.process_time()
    with m.hooks([(Q, lambda act, hook: calls.append(1))] * 10_000):
        m.run(TEXT)
    assert len(calls) == 10_000
    assert time.process_time() - started < 0.6  # 0.11 s of CPU; comparing each hook with every other took 1.2 s


# --- runs within hooks (H08, C10) -------------------------------------------------------------------------------------


def test_a_hook_on_a_copy_leaves_what_it_is_a_copy_of(model):
    """resid_pre is resid_post of the layer before, without a copy being made. Here a later stage reads that one too."""
    m = model("llama")
    graph = m.graph.copy()
    assert graph["blocks.2.resid_pre"].op == "copy"
    graph["blocks.2.resid_mid"].reads[0] = "blocks.1.resid_post"
    doubled = graph.copy()
    doubled["blocks.2.resid_pre"].op, doubled["blocks.2.resid_pre"].attributes = "scale", {"factor": 2.0}
    expected = m.with_graph(doubled).run(TEXT)
    got = m.with_graph(graph).run_with_hooks(TEXT, [("blocks.2.resid_pre", ct.edit.scale(2.0))])
    assert same(got, expected) and not same(got, m.with_graph(graph).run(TEXT))


def test_ever_new_sets_of_hooked_stages_take_no_memory(model):
    """What a run keeps ready serves every set of hooks, and each set has the bits that it has in a new model."""

    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def double(act, hook):
        act *= 2

    m = model("llama", threads=1)
    names = m.stages()
    sets = [(a,) for a in names] + list(itertools.combinations(names, 2))[::20]
    assert len(sets) >= 200
    of_new = {s: bits(m.with_graph(m.graph).run_with_hooks(TEXT, [(n, double) for n in s])) for s in sets[::29]}
    for s in sets[:20]:
        m.run_with_hooks(TEXT, [(n, double) for n in s])
    before = resident()
    for s in sets:
        logits = m.run_with_hooks(TEXT, [(n, double) for n in s])
        assert bits(logits) == of_new.get(s, bits(logits)), s
    assert resident() - before < 2**20  # seen 0.2 MB; with a plan made ready for each set 31


def test_a_hook_that_calls_its_own_session_is_refused(model):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids
    with m.session() as s:
        for call in (
            lambda: s.prefill(ids),
            lambda: s.rewind(0),
            lambda: s.fork(),
            lambda: s.close(),
            lambda: s.length(),
        ):
            with pytest.raises(SessionBusyError), m.hooks([(Q, lambda act, hook, call=call: call())]):
                s.prefill(ids)
        assert s.length() == 0
        s.prefill(ids)


def test_a_hook_may_run_another_session_and_calls_no_hook_of_its_own_block(model):
    m = model("llama")
    plain, inner = m.run(TEXT), []

    def fn(act, hook):
        inner.append(m.run(TEXT))
        with m.hooks([("blocks.0.mlp.out", ct.edit.zero())]):
            inner.append(m.run(TEXT))
        inner.append(m.generate(TEXT, max_new_tokens=2).text)

    assert same(m.run_with_hooks(TEXT, [(Q, fn)]), plain)
    assert len(inner) == 3 and same(inner[0], plain)
    assert same(inner[1], m.run_with_hooks(TEXT, [("blocks.0.mlp.out", ct.edit.zero())]))


def test_a_block_opened_by_a_hook_holds_from_the_next_call(model):
    import contextlib

    m = model("llama")
    plain = m.run(TEXT)
    with contextlib.ExitStack() as stack:
        once = []

        def fn(act, hook):
            if not once:
                once.append(stack.enter_context(m.hooks([("blocks.2.mlp.out", ct.edit.zero())])))

        with m.hooks([(Q, fn)]):
            assert same(m.run(TEXT), plain)
            assert same(m.run(TEXT), m.run(TEXT))
            later = m.run(TEXT)
    assert same(later, m.run_with_hooks(TEXT, [("blocks.2.mlp.out", ct.edit.zero())]))
    assert same(m.run(TEXT), plain)


# --- hooks that say nothing -------------------------------------------------------------------------------------------


def test_a_hook_that_never_fired_raises(model):
    m = model("llama")
    never = pytest.raises(HookError, match=r"blocks\.3\.resid_post were never called")
    with never, m.hooks([("blocks.3.resid_post", ct.edit.zero())]):
        pass
    with never, m.hooks([("blocks.*.resid_post", ct.edit.scale(1.0))]):
        m.run_with_cache(TEXT, "blocks.0.resid_post", stop_at_layer=3)
    with pytest.raises(KeyError, match="mine"), m.hooks([(Q, ct.edit.zero())]):
        raise KeyError("mine")  # the first error is the one to see
    assert m._active.hooks == []


@pytest.mark.parametrize(
    "hooks",
    [
        [("blocks.9.attn.q", print)],
        [("blocks.1.ln1.out@act_q8", print)],
        [("*@act_q8", print)],
        [("no.such", print)],
        [(Q, None)],
        [Q],
        [(Q,)],
        (Q, print),
        [(print, Q)],
    ],
)
def test_hooks_that_are_no_hooks_are_refused_before_anything_runs(model, hooks):
    with pytest.raises(ArgumentError):
        model("llama").run_with_hooks(TEXT, hooks)
