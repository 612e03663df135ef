"""Names of other tools: each means the stage it should, and those that would mislead are refused."""

import re

import cutaway as ct
import pytest
from cutaway.errors import ArgumentError
from cutaway.names import resolve_one, scheme, select
from cutaway.names_table import REFUSED, TABLE

# stage -> names for the same tensor, written out by hand from the other tools' sources, not from the table under test.
BOTH = {
    "embed": ["inp_embd"],
    "blocks.3.resid_pre": ["blocks.3.hook_resid_pre", "blocks.3.hook_in", "resid_pre.3", ("resid_pre", 3)],
    "blocks.3.ln1.scale": ["blocks.3.ln1.hook_scale", ("scale", 3, "ln1"), "scale3ln1"],
    "blocks.3.ln1.out": [
        "blocks.3.attn.in",
        "blocks.3.attn.hook_in",
        "attn_in.3",
        "attn_norm-3",
        "blocks.3.ln1.hook_out",
    ],
    "blocks.3.attn.q": [
        "blocks.3.attn.hook_q",
        "blocks.3.attn.q.hook_out",
        ("q", 3),
        ("q", 3, "attn"),
        "q3",
        ("query", 3),
    ],
    "blocks.3.attn.k": ["blocks.3.attn.hook_k", "blocks.3.attn.k.hook_out", ("k", 3), ("k", 3, "a"), "k3", ("key", 3)],
    "blocks.3.attn.v": [
        "blocks.3.attn.hook_v",
        "blocks.3.attn.v.hook_out",
        ("v", 3),
        "value.3",
        ("value", 3),
        "Vcur-3",
    ],
    "blocks.3.attn.scores": ["blocks.3.attn.hook_attn_scores", "attn_scores.3", ("attn_scores", 3), ("attn_logits", 3)],
    "blocks.3.attn.pattern": [
        "blocks.3.attn.hook_pattern",
        "attn_probs.3",
        ("attn_probs", 3),
        ("pattern", 3),
        ("attn", 3),
        "attentions[3]",
        "kq_soft_max_ext-3",
        "kq_soft_max-3",
    ],
    "blocks.3.attn.z": ["blocks.3.attn.hook_z", "z.3", ("z", 3), "z3", "kqv_merged_cont-3"],
    "blocks.3.attn.out": [
        "blocks.3.attn.hook_out",
        "blocks.3.attn.o.hook_out",
        "attn_out.3",
        "attn_out-3",
        ("attn.out", 3),
    ],
    "blocks.3.attn.out_post": ["blocks.3.hook_attn_out", "attn_out_post.3", ("attn_out_post", 3)],
    "blocks.3.resid_mid": ["blocks.3.hook_resid_mid", "resid_mid.3", ("resid_mid", 3)],
    "blocks.3.ln2.scale": ["blocks.3.ln2.hook_scale", ("scale", 3, "ln2")],
    "blocks.3.ln2.out": ["blocks.3.mlp.in", "blocks.3.mlp.hook_in", "mlp_in.3", "blocks.3.ln2.hook_out"],
    "blocks.3.mlp.out": [
        "blocks.3.mlp.hook_out",
        "blocks.3.mlp.out.hook_out",
        "mlp_out.3",
        ("mlp.out", 3),
    ],
    "blocks.3.mlp.out_post": ["blocks.3.hook_mlp_out", "mlp_out_post.3"],
    "blocks.3.resid_post": [
        "blocks.3.hook_resid_post",
        "blocks.3.hook_out",
        "resid_post.3",
        ("resid_post", 3),
        "l_out-3",
    ],
    "ln_final.scale": ["ln_final.hook_scale", ("scale", None)],
    "ln_final.out": ["ln_final.hook_out", "final_norm", "result_norm"],
    "unembed.out": ["unembed.hook_out", "lm_head", "lm_head.output"],
    "logits": ["result_output"],
}
DENSE = {
    "blocks.3.mlp.pre": ["blocks.3.mlp.hook_pre", "mlp_pre.3", ("pre", 3), "pre3", ("mlp_pre", 3)],
    "blocks.3.mlp.post": ["blocks.3.mlp.hook_post", "mlp_act.3", ("post", 3), ("mlp_post", 3), ("post", 3, "m")],
    "blocks.3.mlp.out": ["ffn_out-3"],
}
BARE = {"embed": ["hook_embed", "embed.hook_out", "embeddings"], "blocks.3.resid_mid": ["ffn_inp-3"]}
BARE |= {"blocks.3.attn.out_post": [("attn_out", 3)], "blocks.3.mlp.out_post": [("mlp_out", 3)]}
ROTARY = {
    "blocks.3.ln1.normalized": ["blocks.3.ln1.hook_normalized", ("normalized", 3, "ln1")],
    "blocks.3.ln1.out": ["model.layers.3.input_layernorm"],
    "blocks.3.attn.rot_q": ["blocks.3.attn.hook_rot_q", ("rot_q", 3)],
    "blocks.3.attn.rot_k": ["blocks.3.attn.hook_rot_k", ("rot_k", 3)],
    "blocks.3.attn.out": [
        "model.layers.3.self_attn",
        "model.layers.3.self_attn.o_proj",
        "model.layers[3].self_attn.output[0]",
    ],
    "blocks.3.ln2.normalized": ["blocks.3.ln2.hook_normalized"],
    "blocks.3.mlp.out": ["model.layers.3.mlp", "model.layers[3].mlp.output"],
    "blocks.3.resid_post": ["model.layers.3", "model.layers[3]"],
    "ln_final.normalized": ["ln_final.hook_normalized", ("normalized", None)],
    "ln_final.out": ["model.norm"],
}
EMBED = {"embed": ["model.embed_tokens"]}
APART = {f"blocks.3.attn.{x}": [f"model.layers.3.self_attn.{x}_proj"] for x in "qkv"}
HEAD_NORMS = {
    f"blocks.3.attn.{x}_norm": [
        f"blocks.3.attn.{x}_norm.hook_out",
        f"blocks.3.attn.hook_{x}_normed",
        f"{x}_norm_out.3",
        f"model.layers.3.self_attn.{x}_norm",
        f"{x.upper()}cur_normed-3",
    ]
    for x in "qk"
}
LLAMA_NORM = {"blocks.3.ln2.out": ["model.layers.3.post_attention_layernorm"]}
GATED = {
    "blocks.3.mlp.pre": ["blocks.3.mlp.gate.hook_out"],
    "blocks.3.mlp.pre_linear": [
        "blocks.3.mlp.hook_pre_linear",
        "mlp_pre_linear.3",
        ("pre_linear", 3),
        "blocks.3.mlp.in.hook_out",
    ],
    "blocks.3.mlp.post": ["ffn_gate_par-3"],
}
SWIGLU = {"blocks.3.mlp.post": ["ffn_swiglu-3"], "blocks.3.ln2.out": ["ffn_norm-3"]}
BRANCHES = {
    "blocks.3.mlp.pre": ["model.layers.3.mlp.gate_proj", "ffn_gate-3"],
    "blocks.3.mlp.pre_linear": ["model.layers.3.mlp.up_proj", "ffn_up-3"],
}
DOWN = {"blocks.3.mlp.out": ["model.layers.3.mlp.down_proj"]}


def joined(*parts):
    out = {}
    for part in parts:
        for stage, names in part.items():
            out[stage] = [*out.get(stage, []), *names]
    return out


LLAMA = (DENSE, BARE, EMBED, ROTARY, APART, LLAMA_NORM, GATED, SWIGLU, BRANCHES, DOWN)
ONLY = {
    "llama": joined(*LLAMA),
    "qwen3": joined(*LLAMA, HEAD_NORMS),
    "phi3": joined(DENSE, BARE, EMBED, ROTARY, LLAMA_NORM, GATED, SWIGLU, DOWN),
    "gemma3": joined(
        DENSE,
        ROTARY,
        APART,
        HEAD_NORMS,
        GATED,
        BRANCHES,
        DOWN,
        {
            "blocks.3.ln1_post.scale": ["blocks.3.ln1_post.hook_scale"],
            "blocks.3.ln1_post.normalized": ["blocks.3.ln1_post.hook_normalized"],
            "blocks.3.attn.out_post": [
                "model.layers.3.post_attention_layernorm",
                "attn_post_norm-3",
                "blocks.3.ln1_post.out",
            ],
            "blocks.3.resid_mid": ["sa_out-3"],
            "blocks.3.ln2.out": ["model.layers.3.pre_feedforward_layernorm", "ffn_norm-3"],
            "blocks.3.mlp.post": ["ffn_geglu-3"],
            "blocks.3.ln2_post.scale": ["blocks.3.ln2_post.hook_scale"],
            "blocks.3.ln2_post.normalized": ["blocks.3.ln2_post.hook_normalized"],
            "blocks.3.mlp.out_post": [
                "model.layers.3.post_feedforward_layernorm",
                "ffn_post_norm-3",
                "blocks.3.ln2_post.out",
            ],
        },
    ),
    "gpt-oss": joined(
        BARE,
        EMBED,
        ROTARY,
        APART,
        LLAMA_NORM,
        {
            "blocks.3.attn.sink": [],
            "blocks.3.ln2.out": ["attn_post_norm-3"],
            "blocks.3.moe.router_logits": ["blocks.3.mlp.router.hook_out", "router_logits.3", "ffn_moe_probs-3"],
            "blocks.3.moe.expert_indices": ["blocks.3.mlp.hook_expert_indices", "expert_indices.3", "ffn_moe_topk-3"],
            "blocks.3.moe.expert_weights": ["expert_weights.3", "ffn_moe_weights_softmax-3"],
            "blocks.3.moe.experts.pre": ["ffn_moe_gate_biased-3"],
            "blocks.3.moe.experts.pre_linear": ["ffn_moe_up_biased-3"],
            "blocks.3.moe.experts.post": ["ffn_moe_swiglu_oai-3"],
            "blocks.3.moe.experts.out": ["ffn_moe_down_biased-3"],
            "blocks.3.mlp.out": ["ffn_moe_out-3"],
        },
    ),
    "gpt2": joined(
        DENSE,
        BARE,
        {
            "embed": ["transformer.wte"],
            "pos_embed": ["hook_pos_embed", "pos_embed.hook_out", "transformer.wpe", "pos_embd"],
            "blocks.3.ln1.normalized": [],  # TransformerLens's name is refused below
            "blocks.3.ln1.out": ["transformer.h.3.ln_1"],
            "blocks.3.attn.q": ["Qcur-3"],
            "blocks.3.attn.k": ["Kcur-3"],
            "blocks.3.attn.out": ["transformer.h.3.attn", "transformer.h.3.attn.c_proj"],
            "blocks.3.ln2.normalized": [],
            "blocks.3.ln2.out": ["transformer.h.3.ln_2", "ffn_norm-3"],
            "blocks.3.mlp.pre": ["transformer.h.3.mlp.c_fc", "ffn_up_b-3", "blocks.3.mlp.in.hook_out"],
            "blocks.3.mlp.post": ["transformer.h.3.mlp.act", "ffn_gelu-3"],
            "blocks.3.mlp.out": ["transformer.h.3.mlp", "transformer.h.3.mlp.c_proj"],
            "blocks.3.resid_post": ["transformer.h.3", "transformer.h[3].output[0]"],
            "ln_final.normalized": [],
            "ln_final.out": ["transformer.ln_f"],
        },
    ),
}
# name -> stages that the message must show
TRAPS = {
    "kqv_out-3": ["blocks.3.attn.z", "blocks.3.attn.out"],
    "kq-3": ["blocks.3.attn.scores"],
    "norm-3": ["blocks.3.ln1.normalized", "blocks.3.ln2.normalized"],
    "blocks.3.mlp.hook_expert_weights": ["blocks.3.moe.expert_weights"],
    "hidden_states[2]": ["blocks.2.resid_pre"],
    "blocks.3.hook_attn_in": ["blocks.3.resid_pre", "blocks.3.attn.in"],
    "blocks.3.hook_mlp_in": ["blocks.3.resid_mid", "blocks.3.mlp.in"],
    "blocks.3.hook_q_input": ["blocks.3.resid_pre"],
    "blocks.3.attn.hook_result": ["blocks.3.attn.z", "blocks.3.attn.out"],
    "ffn_moe_logits-3": ["blocks.3.moe.router_logits", "ffn_moe_probs-3"],
    ("attn_in", 3): ["blocks.3.resid_pre", "blocks.3.ln1.out"],
    ("mlp_in", 3): ["blocks.3.resid_mid", "blocks.3.ln2.out"],
    ("scale", 3): ["blocks.3.ln1.scale", "blocks.3.ln2.scale"],
    ("normalized", 3): ["blocks.3.ln1.normalized", "blocks.3.ln2.normalized"],
    ("result", 3): ["blocks.3.attn.z"],
}
ROTARY_TRAPS = {
    "Qcur-3": ["blocks.3.attn.q", "blocks.3.attn.rot_q"],
    "Kcur-3": ["blocks.3.attn.k", "blocks.3.attn.rot_k"],
    "model.layers.3.self_attn.qkv_proj": ["blocks.3.attn.q", "blocks.3.attn.k", "blocks.3.attn.v"],
    "model.layers.3.mlp.input": ["stage before"],
}
OF_4_LAYERS = {
    "hidden_states[-1]": ["ln_final.out", "blocks.3.resid_post"],
    "hidden_states[4]": ["ln_final.out", "blocks.3.resid_post"],
}
GATED_TRAPS = {
    "model.layers.3.mlp.act_fn": ["blocks.3.mlp.pre", "blocks.3.mlp.post"],
    "model.layers.3.mlp.gate_up_proj": ["blocks.3.mlp.pre", "blocks.3.mlp.pre_linear"],
}
SCALED = ["embed", "blocks.0.resid_pre"]
TRAPS_ONLY = {
    "llama": OF_4_LAYERS | ROTARY_TRAPS | GATED_TRAPS,
    "qwen3": OF_4_LAYERS | ROTARY_TRAPS | GATED_TRAPS,
    "phi3": OF_4_LAYERS | ROTARY_TRAPS | GATED_TRAPS | {"ffn_up-3": ["blocks.3.mlp.pre", "blocks.3.mlp.pre_linear"]},
    "gemma3": ROTARY_TRAPS
    | GATED_TRAPS
    | {name: SCALED for name in ("hook_embed", "embed.hook_out", "embeddings", "model.embed_tokens")}
    | {
        "inp_scaled": ["blocks.0.resid_pre"],
        "hidden_states[7]": ["ln_final.out", "blocks.6.resid_post"],
        ("attn_out", 3): ["blocks.3.attn.out_post", "blocks.3.attn.out"],
        ("mlp_out", 3): ["blocks.3.mlp.out_post", "blocks.3.mlp.out"],
    },
    "gpt-oss": OF_4_LAYERS
    | ROTARY_TRAPS
    | {
        "model.layers.3.mlp.router": ["router_logits", "expert_weights", "expert_indices"],
        "ffn_moe_gate-3": ["blocks.3.moe.experts.pre", "ffn_moe_gate_biased-3"],
        "ffn_moe_up-3": ["blocks.3.moe.experts.pre_linear"],
        "ffn_moe_down-3": ["blocks.3.moe.experts.out"],
        "ffn_moe_weights-3": ["blocks.3.moe.expert_weights"],
        "ffn_norm-3": [],
        "blocks.3.mlp.hook_pre": [],
    },
    "gpt2": OF_4_LAYERS
    | {
        "blocks.3.ln1.hook_normalized": ["blocks.3.ln1.normalized", "blocks.3.ln1.out"],
        "blocks.3.ln2.hook_normalized": ["blocks.3.ln2.normalized", "blocks.3.ln2.out"],
        ("normalized", 3, "ln1"): ["blocks.3.ln1.normalized", "blocks.3.ln1.out"],
        "ln_final.hook_normalized": ["ln_final.normalized", "ln_final.out"],
        "blocks.*.ln1.hook_normalized": ["ln1.normalized", "ln1.out"],
        "transformer.h.3.attn.c_attn": ["blocks.3.attn.q", "blocks.3.attn.k", "blocks.3.attn.v"],
        "ffn_up-3": ["blocks.3.mlp.pre", "ffn_up_b-3"],
    },
}
ARCHS = ("llama", "gpt2", "qwen3", "phi3", "gemma3", "gpt-oss")


@pytest.mark.parametrize("arch", ARCHS)
def test_every_name_means_its_stage(model, arch):
    graph = model(arch).graph
    for expected in (BOTH, ONLY[arch]):
        for stage, theirs in expected.items():
            for name in [stage, *theirs]:
                assert resolve_one(graph, name) == stage, name


@pytest.mark.parametrize("arch", ARCHS)
def test_every_stage_and_every_row_of_the_table_is_tested(model, arch):
    tested = {n: {stage, *theirs} for part in (BOTH, ONLY[arch]) for stage, theirs in part.items() for n in [stage]}
    for part in (BOTH, ONLY[arch]):
        for stage, theirs in part.items():
            tested[stage] |= set(theirs)
    graph = model(arch).graph
    assert {s.name for s in graph if s.layer in (3, -1)} == set(tested)
    rows = scheme(arch).stages
    for name in tested:
        for tool, theirs in rows[name.replace("blocks.3", "blocks.{i}")].items():
            for their in theirs if tool != "stage" else ():
                variants = {their.format(i=3), re.sub(r"\.3$", "[3]", their.format(i=3))}
                assert variants & tested[name], f"{tool}'s {their} for {name} has no test"


@pytest.mark.parametrize("arch", ARCHS)
def test_names_with_another_meaning_are_refused(model, arch):
    graph = model(arch).graph
    for name, meant in (TRAPS | TRAPS_ONLY[arch]).items():
        with pytest.raises(ArgumentError) as error:
            select(graph, [name])
        for stage in meant:
            assert stage in str(error.value), (name, str(error.value))


@pytest.mark.parametrize("arch", ARCHS)
def test_no_name_has_two_meanings(arch):
    known = scheme(arch)
    all_names = [n for row in known.stages.values() for tool, names in row.items() if tool != "stage" for n in names]
    twice = {n for n in all_names if all_names.count(n) > 1} - {"lm_head"}  # both tools' name for the same module
    assert not twice
    assert not set(all_names) & set(known.refused), "refused and accepted"
    # Where stripping "hook_" gives one of our names, the table agrees with it.
    for name, stage in known.meaning.items():
        plain = name.replace("hook_", "")
        assert plain not in known.stages or plain == stage or name == plain, name


def test_norms_around_the_layers_of_gemma3_and_gpt_oss_differ_from_llama():
    norm = "model.layers.{i}.post_attention_layernorm"
    meaning = {arch: scheme(arch).meaning for arch in ("llama", "gemma3", "gpt-oss")}
    assert meaning["llama"][norm] == "blocks.{i}.ln2.out"
    assert meaning["gemma3"][norm] == "blocks.{i}.attn.out_post"
    assert meaning["gemma3"]["attn_post_norm-{i}"] == "blocks.{i}.attn.out_post"
    assert meaning["gpt-oss"]["attn_post_norm-{i}"] == "blocks.{i}.ln2.out"
    assert "attn_post_norm-{i}" not in meaning["llama"]
    assert "model.embed_tokens" in scheme("gemma3").refused
    assert all(line.count("|") == 4 for line in TABLE.strip().splitlines())
    assert all(line.count("|") == 2 for line in REFUSED.strip().splitlines())


def test_attn_out_of_two_tools_is_refused_where_the_tensors_differ(model):
    graph = model("llama").graph.copy()
    assert resolve_one(graph, ("attn_out", 1)) == "blocks.1.attn.out_post"  # a copy of attn.out: the same values
    graph["blocks.1.attn.out_post"].op = "gain"  # as behind Gemma's norm
    with pytest.raises(ArgumentError, match="different tensors") as error:
        resolve_one(graph, ("attn_out", 1))
    assert "blocks.1.attn.out_post or blocks.1.attn.out" in str(error.value)
    assert resolve_one(graph, "attn_out.1") == "blocks.1.attn.out"
    assert resolve_one(graph, "blocks.1.hook_attn_out") == "blocks.1.attn.out_post"


@pytest.mark.parametrize(
    "key", ["blocks.4.attn.q", "blocks.-1.attn.q", ("resid_post", 4), ("q", -1), "l_out-4", "z.4", "q4"]
)
def test_a_layer_that_is_not_there_lists_the_layers(model, key):
    with pytest.raises(ArgumentError, match=r"the layers are 0 \.\. 3"):
        resolve_one(model("llama").graph, key)


def test_a_dropped_layer_is_not_listed(model):
    graph = model("llama").graph.copy()
    graph.drop_layer(2)
    with pytest.raises(ArgumentError, match=r"the layers are 0, 1, 3"):
        resolve_one(graph, ("resid_post", 2))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("blocks.1.attn.pattrn", "blocks.1.attn.pattern"),
        ("resid_post", "name the layer too, as in 'blocks.0.resid_post'"),
        ("hook_resid_post", "name the layer too"),
        ("blocks.*.attn_outt", "blocks"),
        ("blocks.{i}.attn.q", "near it are"),
        ("", "matches no stage"),
        (("foo", 2), "near it are"),
        ("ffn_moe_logits-3", "blocks.3.moe.router_logits"),
        (("q", 1.0), "text, layer"),
        (("q", True), "text, layer"),
        ((3, "q"), "text, layer"),
        (7, "names filter"),
        (lambda name: False, "function chose no stage"),
        (re.compile("nothing"), "matches no stage"),
        ([], None),
    ],
)
def test_what_matches_nothing_raises(model, key, words):
    graph = model("llama").graph
    if words is None:
        assert select(graph, key) == []  # an empty list asks for nothing, and gets it
        return
    with pytest.raises(ArgumentError) as error:
        select(graph, key)
    assert words in str(error.value)


def test_a_rotated_stage_of_a_model_without_rotation_is_named(model):
    with pytest.raises(ArgumentError, match="gpt2 model"):
        resolve_one(model("gpt2").graph, "blocks.3.attn.hook_rot_q")


def test_filters(model):
    graph = model("llama").graph
    every = [f"blocks.{i}.resid_post" for i in range(4)]
    assert select(graph, "blocks.*.resid_post") == every
    assert select(graph, "blocks.*.hook_resid_post") == every
    assert select(graph, re.compile(r"\.resid_post$")) == every
    assert select(graph, re.compile(r"hook_resid_post$")) == every
    assert select(graph, lambda name: name.endswith("resid_post")) == every
    assert select(graph, list(reversed(every))) == every, "the graph's order"
    assert select(graph, ["l_out-0", ("resid_post", 1), "blocks.[23].resid_post"]) == every
    assert select(graph, "blocks.*.attn.in") == [f"blocks.{i}.ln1.out" for i in range(4)]
    assert select(graph, "blocks.*.hook_attn_out") == [f"blocks.{i}.attn.out_post" for i in range(4)]
    assert select(graph, None) == [s.name for s in graph]


def test_a_hook_glob_is_held_against_transformerlens_names(model):
    """Without "hook_", blocks.*.out would be every norm's output too; blocks.*.hook_in is no alias of ours."""
    chosen = select(model("llama").graph, "blocks.?.hook_in")
    assert {n.split(".", 2)[2] for n in chosen} == {"resid_pre"}


def test_the_table_prints(model):
    m = model("llama")
    names = m.names("attn_probs.3")
    assert names["stage"] == "blocks.3.attn.pattern"
    assert names["TransformerLens"] == ["blocks.3.attn.hook_pattern"]
    assert "Hugging Face     attentions.3" in repr(names)
    assert m.names(("mlp.in", 0))["aliases"] == ["blocks.0.mlp.in"]
    assert "blocks.{i}.attn.z" in repr(ct.names.table())
    assert "transformer.h.{i}.mlp.c_fc" in repr(ct.names.table("gpt2"))
    for stage in m.stages():  # every name printed is one that may be used
        for tool, theirs in m.names(stage).items():
            for name in theirs if tool in ct.names.TOOLS else ():
                assert resolve_one(m.graph, name) == stage, (tool, name)
