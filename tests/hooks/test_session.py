"""Sessions: the same bits however the tokens are cut, forked, rewound or shared among threads; ids that are none."""

import copy
import pickle
import threading

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import (
    ArgumentError,
    ContextLengthExceeded,
    InvalidTokenId,
    ModelNotFoundError,
    ModelNotLoaded,
    SessionBusyError,
    SessionClosedError,
    UnsupportedOperation,
)
from cutaway.gguf import write_gguf
from cutaway.inspect import Metadata

TEXT = "And the LORD said unto Moses, Go"
IDS = list(range(40, 60))


def same(a, b):
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("target", ct._core.targets())
def test_the_cache_keeps_the_nearest_float16(model, target):  # ties to even, subnormals, what is too large, NaN
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    edges = np.float32(
        [65504, 65519.996, 65520, 1e30, np.inf, np.nan, 2**-14, 2**-24, 2**-25, 1.5 * 2**-25, 2**-26, 1e-40]
    )
    between = (halves[:0x7BFF] + halves[1:0x7C00]) / 2
    beside = [np.nextafter(between[::61], np.float32(to)) for to in (0, np.inf)]
    some = np.concatenate([halves[::97], between[::31], *beside, edges, -edges])
    given = {}

    def fill(act, hook):
        act[...] = np.resize(some[len(given) * act.size :], act.shape)
        given[hook.name] = act[0].copy()

    m = model("llama", target=target)
    ids = np.arange(40, 64)
    layers = [name for name in m.stages() if name.endswith("attn.v")]
    assert len(layers) * m.run_with_cache(ids, names_filter=layers[0])[1][layers[0]].size >= len(some)
    with m.hooks([(name, fill) for name in layers]), m.session() as s:
        s.forward([ids])
        for layer, name in enumerate(layers):
            with np.errstate(over="ignore"):
                nearest = given[name].astype(np.float16)
            quiet = np.where(np.isnan(nearest), 0x200, 0)  # as processors make every NaN
            kept = s._core.cache(0, layer, True).astype(np.float16).view(np.uint16)
            np.testing.assert_array_equal(kept, nearest.view(np.uint16) | quiet)


@pytest.mark.parametrize("target", ct._core.targets())
def test_the_cache_keeps_rows_of_any_width(tmp_path, target):  # in pieces of sixteen numbers, and what is left
    D, V = 6, 9
    rng = np.random.default_rng(0)
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), (D, D))
    shapes |= {"attn_norm": (D,), "ffn_norm": (D,)}
    tensors = {f"blk.0.{name}.weight": rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    tensors |= {"token_embd.weight": rng.standard_normal((V, D)).astype(np.float32)}
    tensors |= {"output_norm.weight": np.ones(D, np.float32)}
    numbers = {"block_count": 1, "embedding_length": D, "feed_forward_length": D, "context_length": 64}
    numbers |= {"attention.head_count": 1, "attention.head_count_kv": 1, "attention.layer_norm_rms_epsilon": 1e-6}
    metadata = {"general.architecture": "llama"} | {f"llama.{key}": value for key, value in numbers.items()}
    write_gguf(tmp_path / "narrow.gguf", metadata, tensors)
    with ct.load(tmp_path / "narrow.gguf", target=target) as m:
        for T in (1, 7, 8):
            ids = np.arange(T)
            v = m.run_with_cache(ids)[1]["blocks.0.attn.v"][0]
            with m.session() as s:
                s.forward([ids])
                np.testing.assert_array_equal(s._core.cache(0, 0, True), v.astype(np.float16))


# --- the same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1", "q4_k", "q6_k"])
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_prefill_is_decode_bit_for_bit_however_it_is_cut(model, name, numerics):
    m = model(name, numerics=numerics)
    whole = m.run(IDS)[0]
    for cuts in ([1] * 20, [19, 1], [1, 19], [7, 6, 5, 2]):
        with m.session() as s:
            at = 0
            for n in cuts:
                rows = s.forward([np.array(IDS[at : at + n])], all_rows=True).logits
                assert same(rows, whole[at : at + n]), (cuts, at)
                at += n
    with m.session() as s:
        s.prefill(IDS[:12])
        for at in range(12, 20):
            assert same(s.decode(IDS[at])[0], whole[at])


def test_rewind_forgets_and_fork_copies(model):
    m = model("llama")
    with m.session() as s:
        first = s.prefill(IDS)
        s.rewind(5)
        assert s.length() == 5
        assert same(s.prefill(IDS[5:]), first)
        other = s.fork()
        assert other == 1 and s.length(1) == 20
        both = s.decode([7, 9])
    assert same(both[0], m.run([*IDS, 7])[0, -1]) and same(both[1], m.run([*IDS, 9])[0, -1])


@pytest.mark.parametrize(("length", "sequence"), [(-1, 0), (21, 0), (5, 1), (5, -1)])
def test_a_rewind_that_cannot_be_leaves_the_cache_alone(model, length, sequence):
    m = model("llama")
    with m.session() as s:
        s.prefill(IDS)
        with pytest.raises(ArgumentError):
            s.rewind(length, sequence)
        assert s.length() == 20
        assert same(s.decode(3)[0], m.run([*IDS, 3])[0, -1])
        with pytest.raises(ArgumentError):
            s.fork(7)


def test_a_call_that_fails_leaves_the_session_as_it_was(model):
    m = model("llama")
    with m.session(n_ctx=30) as s:
        s.prefill(IDS)
        for bad, error in (([1] * 11, ContextLengthExceeded), ([1, 5000], InvalidTokenId), ([], ArgumentError)):
            with pytest.raises(error):
                s.prefill(bad)
        with pytest.raises(ArgumentError):
            s.decode([1, 2])
        assert s.length() == 20
        assert same(s.prefill([3] * 10)[0], m.run([*IDS, *[3] * 10])[0, -1])
        with pytest.raises(ContextLengthExceeded):
            s.decode(3)


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "q4_k"])
def test_eight_threads_on_one_model_give_the_bits_of_one(model, name):
    m = model(name, threads=2)
    prompts = [IDS[i:] for i in range(8)]
    expected = [m.generate(p, max_new_tokens=8, logprobs=2, capture="blocks.1.resid_post") for p in prompts]
    runs = [m.run(p) for p in prompts]
    found, barrier = [[] for _ in prompts], threading.Barrier(len(prompts))

    def work(i):
        barrier.wait()
        for _ in range(3):
            g = m.generate(prompts[i], max_new_tokens=8, logprobs=2, capture="blocks.1.resid_post")
            found[i].append((g.ids, g.logprobs, g.cache["resid_post", 1], m.run(prompts[i])))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(prompts))]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    for i, g in enumerate(expected):
        assert len(found[i]) == 3
        for ids, logprobs, resid, logits in found[i]:
            assert ids == g.ids and logprobs == g.logprobs
            assert same(resid, g.cache["resid_post", 1]) and same(logits, runs[i])


def test_two_threads_in_one_session_is_an_error_not_a_crash(model):
    m = model("llama")
    inside, done = threading.Event(), threading.Event()

    def hold(act, hook):
        inside.set()
        assert done.wait(20)

    def run():
        with m.hooks([("embed", hold)]):
            s.prefill(IDS)

    with m.session() as s:
        thread = threading.Thread(target=run)
        thread.start()
        assert inside.wait(20)
        try:
            for call in (lambda: s.decode(1), s.length, lambda: s.rewind(0), s.fork, s.close):
                with pytest.raises(SessionBusyError):
                    call()
        finally:
            done.set()
            thread.join(20)
        assert s.length() == 20
        s.decode(1)


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_closed_model_says_so_everywhere(tiny):
    m = ct.load(tiny("llama") / "llama-F16.gguf")
    s = m.session()
    s.prefill(IDS)
    stream = m.stream(IDS, max_new_tokens=5)
    next(stream)
    m.close()
    m.close()
    assert "closed" in repr(m)
    for call in (
        lambda: m.run(TEXT),
        lambda: m.run_with_cache(TEXT),
        lambda: m.generate(TEXT),
        lambda: m.session(),
        lambda: s.decode(1),
        lambda: next(stream),
        lambda: m.numerics,
    ):
        with pytest.raises(ModelNotLoaded, match="closed"):
            call()
    s.close()


def test_a_closed_session_says_so(model):
    s = model("llama").session()
    s.close()
    s.close()
    for call in (lambda: s.prefill(IDS), lambda: s.decode(1), s.length, lambda: s.rewind(0), s.fork):
        with pytest.raises(SessionClosedError):
            call()
    assert "closed" in repr(s)


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_models_and_sessions_are_not_copied(model, how):
    m = model("llama")
    with m.session() as s:
        for it, words in ((m, "load it again"), (s, "fork")):
            with pytest.raises(TypeError, match=words):
                how(it)


# --- ids and arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, 1024, 2**31, 2**63, -(2**31)])
def test_ids_outside_the_vocabulary_are_named(model, bad):
    for tokens in ([1, bad, 2], [[1, 2], [3, bad]], np.array([1, bad, 2], object)):
        with pytest.raises((InvalidTokenId, ArgumentError)) as error:
            model("llama").run(tokens)
        if not isinstance(tokens, np.ndarray):
            assert isinstance(error.value, InvalidTokenId)
            assert error.value.details["index"] == 1 and error.value.details["value"] == bad


NO_TOKENS = [[1.5], [float("nan")], [None], None, [[1], [2, [3]]], [1, [2]], [1, "a"], {1, 2}, {1: 2}, 3.0, [True]]


@pytest.mark.parametrize("bad", [*NO_TOKENS, np.array(["a"]), [1 + 0j], np.zeros((2, 2, 2), np.int32)], ids=str)
def test_what_is_no_tokens_is_refused(model, bad):
    with pytest.raises((ArgumentError, InvalidTokenId)):
        model("llama").run(bad)


@pytest.mark.parametrize("empty", [[], [[]], [[1], []], "", np.array([], np.int32), np.zeros((2, 0), np.int32)])
def test_no_tokens_is_an_error(model, empty):
    m = model("gpt2")  # whose texts get no BOS
    for call in (m.run, m.run_with_cache, m.generate, m.score):
        with pytest.raises(ArgumentError):
            call(empty)


def test_the_context_is_filled_and_not_overrun(tiny, model):
    with ct.load(tiny("llama") / "llama-F16.gguf", n_ctx=20) as m:
        assert same(m.run(IDS), model("llama").run(IDS))
        with pytest.raises(ContextLengthExceeded) as error:
            m.run([*IDS, 1])
        assert error.value.details == {"length": 21, "max": 20}
        assert len(m.generate(IDS[:15], max_new_tokens=5).ids) == 5
        with pytest.raises(ContextLengthExceeded):
            m.generate(IDS[:15], max_new_tokens=6)
        with pytest.raises(ContextLengthExceeded):
            m.run("a " * 1000)


@pytest.mark.parametrize(
    "options",
    [
        {"n_ctx": 0},
        {"n_ctx": -1},
        {"n_ctx": 2**31},
        {"n_ctx": 1.5},
        {"n_ctx": True},
        {"threads": -1},
        {"threads": 10**6},
        {"threads": 1.0},
        {"numerics": "double"},
        {"kv": "q8"},
        {"target": "avx1024"},
    ],
)
def test_options_of_load_that_are_none(tiny, options):
    with pytest.raises((ArgumentError, UnsupportedOperation)):
        ct.load(tiny("llama") / "llama-F16.gguf", **options)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "", "CPU"])
def test_a_device_that_is_not_there_is_never_replaced(tiny, device):
    with pytest.raises(ct.errors.CutawayError, match="device|cutaway_cuda"):
        ct.load(tiny("llama") / "llama-F16.gguf", device=device)


@pytest.mark.parametrize(
    "options",
    [
        *({"temperature": t} for t in (-1, float("nan"), float("inf"), "hot")),
        *({"top_p": p} for p in (-0.1, 1.5, float("nan"))),
        *({"top_k": k} for k in (-1, 1.5)),
        *({"min_p": p} for p in (-0.1, 1.1, float("nan"))),
        *({"repetition_penalty": p} for p in (0, -1, float("nan"), float("inf"))),
        *({"max_new_tokens": n} for n in (-1, 2**63, 1.5, None)),
        *({"seed": s} for s in (-1, 2**64, 1.5)),
        {"logit_bias": {5000: 1.0}},
        {"logit_bias": {1: float("nan")}},
        {"stop": ""},
        {"stop_ids": [5000]},
        {"stop_ids": [-1]},
        {"logprobs": -1},
    ],
)
def test_options_of_generate_that_mean_nothing_are_refused_before_anything_runs(model, options):
    with pytest.raises((ArgumentError, InvalidTokenId, ContextLengthExceeded)):
        model("llama").stream(TEXT, **{"max_new_tokens": 3, **options})


def test_ids_are_enough_where_there_is_no_tokenizer(model, data):
    m = ct.load(data / "tiny/llama/hf")
    with pytest.raises(ModelNotFoundError, match="has no tokenizer.json") as caught:
        m.generate(TEXT)
    assert "token ids" in caught.value.hint
    ids = model("llama").to_tokens(TEXT)
    g = m.generate(ids, max_new_tokens=5)
    assert (g.ids, g.text, g.stop) == (model("llama").generate(ids, max_new_tokens=5).ids, "", "length")
    assert m.generate(ids, max_new_tokens=5, stop_ids=[g.ids[1]]).stop == "stop"
    with pytest.raises(ModelNotFoundError):
        m.generate(ids, stop="a")
    with pytest.raises(ArgumentError, match="ids are a dict") as caught:
        m.generate([{"role": "user", "content": "hi"}])
    assert "chat_tokens" in caught.value.hint


def test_options_of_generate_at_their_edges(model):
    m = model("llama")
    greedy = m.generate(TEXT, max_new_tokens=5).ids
    assert m.generate(TEXT, max_new_tokens=5, temperature=1.0, top_k=1).ids == greedy
    assert m.generate(TEXT, max_new_tokens=5, temperature=1e-45).ids == greedy
    assert m.generate(TEXT, max_new_tokens=5, temperature=1.0, top_p=0.0).ids == greedy
    hot = m.generate(TEXT, max_new_tokens=5, temperature=1e30, top_k=10**6, seed=2**64 - 1)
    assert hot.ids == m.generate(TEXT, max_new_tokens=5, temperature=1e30, top_k=0, seed=2**64 - 1).ids
    none = m.generate(TEXT, max_new_tokens=0, capture="logits")
    assert none.ids == [] and none.text == "" and none.stop == "length" and len(none.cache) == 0
    assert len(m.generate(TEXT, max_new_tokens=5, seed=None, temperature=1.0).ids) >= 1


def test_a_forward_pass_reads_no_vocabulary_into_python(model, monkeypatch):
    """It took 20 ms and 10 MB of a first token, when `cfg` held all of the file's metadata."""
    asked = []
    monkeypatch.setattr(Metadata, "__getitem__", lambda self, key: asked.append(key))
    m = model("llama")
    vars(m).pop("cfg", None)  # made again
    m.run(TEXT)
    assert isinstance(m.cfg.gguf, Metadata) and asked == []


def test_what_was_watched_is_there_after_the_model_was_closed():
    model = ct.load("tiny:llama")
    with model.session(n_ctx=8) as session:
        out = session.forward([np.array([5, 6, 7], np.int32)], watch=["blocks.0.resid_post"])
    model.close()
    assert out.cache["blocks.0.resid_post"].shape == (1, 3, 64) and out.cache.manifest["file"] == "llama.gguf"
