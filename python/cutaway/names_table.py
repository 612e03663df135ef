"""What other tools call our stages, and which of their names mean something else: the data behind names.py."""

# ruff: noqa: E501 (a stage is a line)
from __future__ import annotations

TOOLS = ("TransformerLens", "interp-engine", "Hugging Face", "llama.cpp")

# One stage a line, then its names in TOOLS' order. {i} is the layer; b., L. and h. stand for blocks.{i}.,
# model.layers.{i}. and transformer.h.{i}.; [a b] after a name: only in these architectures, [! a b]: in all others.
# A Hugging Face name is a module and means its output; names that begin with transformer belong to gpt2, those that
# begin with model to the others.
TABLE = """
embed              | hook_embed [! gemma3], embed.hook_out [! gemma3] | embeddings [! gemma3] | model.embed_tokens [! gemma3], transformer.wte | inp_embd
pos_embed          | hook_pos_embed, pos_embed.hook_out | | transformer.wpe | pos_embd
b.resid_pre        | b.hook_resid_pre, b.hook_in | resid_pre.{i} | |
b.ln1.scale        | b.ln1.hook_scale | | |
b.ln1.normalized   | b.ln1.hook_normalized [! gpt2] | | |
b.ln1.out          | b.attn.hook_in, b.ln1.hook_out | attn_in.{i} | L.input_layernorm, h.ln_1 | attn_norm-{i}
b.attn.q           | b.attn.hook_q, b.attn.q.hook_out | | L.self_attn.q_proj [! phi3] | Qcur-{i} [gpt2]
b.attn.k           | b.attn.hook_k, b.attn.k.hook_out | | L.self_attn.k_proj [! phi3] | Kcur-{i} [gpt2]
b.attn.v           | b.attn.hook_v, b.attn.v.hook_out | value.{i} | L.self_attn.v_proj [! phi3] | Vcur-{i}
b.attn.q_norm      | b.attn.q_norm.hook_out, b.attn.hook_q_normed | q_norm_out.{i} | L.self_attn.q_norm | Qcur_normed-{i}
b.attn.k_norm      | b.attn.k_norm.hook_out, b.attn.hook_k_normed | k_norm_out.{i} | L.self_attn.k_norm | Kcur_normed-{i}
b.attn.rot_q       | b.attn.hook_rot_q | | |
b.attn.rot_k       | b.attn.hook_rot_k | | |
b.attn.scores      | b.attn.hook_attn_scores | attn_scores.{i} | |
b.attn.pattern     | b.attn.hook_pattern | attn_probs.{i} | attentions.{i} | kq_soft_max_ext-{i}, kq_soft_max-{i}
b.attn.sink        | | | |
b.attn.z           | b.attn.hook_z | z.{i} | | kqv_merged_cont-{i}
b.attn.out         | b.attn.hook_out, b.attn.o.hook_out | attn_out.{i} | L.self_attn, L.self_attn.o_proj, h.attn, h.attn.c_proj | attn_out-{i}
b.ln1_post.scale   | b.ln1_post.hook_scale | | |
b.ln1_post.normalized | b.ln1_post.hook_normalized | | |
b.attn.out_post    | b.hook_attn_out | attn_out_post.{i} | L.post_attention_layernorm [gemma3] | attn_post_norm-{i} [gemma3]
b.resid_mid        | b.hook_resid_mid | resid_mid.{i} | | ffn_inp-{i} [! gemma3], sa_out-{i} [gemma3]
b.ln2.scale        | b.ln2.hook_scale | | |
b.ln2.normalized   | b.ln2.hook_normalized [! gpt2] | | |
b.ln2.out          | b.mlp.hook_in, b.ln2.hook_out | mlp_in.{i} | L.post_attention_layernorm [! gemma3], L.pre_feedforward_layernorm [gemma3], h.ln_2 | ffn_norm-{i} [! gpt-oss], attn_post_norm-{i} [gpt-oss]
b.mlp.pre          | b.mlp.hook_pre, b.mlp.gate.hook_out [! gpt2], b.mlp.in.hook_out [gpt2] | mlp_pre.{i} | L.mlp.gate_proj [! phi3], h.mlp.c_fc | ffn_gate-{i} [! gpt2 phi3], ffn_up_b-{i} [gpt2]
b.mlp.pre_linear   | b.mlp.hook_pre_linear, b.mlp.in.hook_out [! gpt2] | mlp_pre_linear.{i} | L.mlp.up_proj [! phi3] | ffn_up-{i} [! gpt2 phi3]
b.mlp.post         | b.mlp.hook_post | mlp_act.{i} | h.mlp.act | ffn_gate_par-{i} [! gpt2], ffn_swiglu-{i} [! gpt2 gemma3], ffn_geglu-{i} [gemma3], ffn_gelu-{i} [gpt2]
b.moe.router_logits | b.mlp.router.hook_out | router_logits.{i} | | ffn_moe_probs-{i}
b.moe.expert_indices | b.mlp.hook_expert_indices | expert_indices.{i} | | ffn_moe_topk-{i}
b.moe.expert_weights | | expert_weights.{i} | | ffn_moe_weights_softmax-{i}
b.moe.experts.pre  | | | | ffn_moe_gate_biased-{i}
b.moe.experts.pre_linear | | | | ffn_moe_up_biased-{i}
b.moe.experts.post | | | | ffn_moe_swiglu_oai-{i}
b.moe.experts.out  | | | | ffn_moe_down_biased-{i}
b.mlp.out          | b.mlp.hook_out, b.mlp.out.hook_out | mlp_out.{i} | L.mlp, L.mlp.down_proj [! gpt-oss], h.mlp, h.mlp.c_proj | ffn_out-{i} [! gpt-oss], ffn_moe_out-{i} [gpt-oss]
b.ln2_post.scale   | b.ln2_post.hook_scale | | |
b.ln2_post.normalized | b.ln2_post.hook_normalized | | |
b.mlp.out_post     | b.hook_mlp_out | mlp_out_post.{i} | L.post_feedforward_layernorm [gemma3] | ffn_post_norm-{i} [gemma3]
b.resid_post       | b.hook_resid_post, b.hook_out | resid_post.{i} | model.layers.{i}, transformer.h.{i} | l_out-{i}
ln_final.scale     | ln_final.hook_scale | | |
ln_final.normalized | ln_final.hook_normalized [! gpt2] | | |
ln_final.out       | ln_final.hook_out | final_norm | model.norm, transformer.ln_f | result_norm
unembed.out        | unembed.hook_out | lm_head | lm_head |
logits             | | | | result_output
"""

# Names that would give another tensor than the one meant: what they are elsewhere, and which stages may be meant.
REFUSED = """
Qcur-{i} [! gpt2]  | fires several times in a layer: for the projection, its bias and the rotated one | b.attn.q, b.attn.rot_q
Kcur-{i} [! gpt2]  | fires several times in a layer: for the projection, its bias and the rotated one | b.attn.k, b.attn.rot_k
kqv_out-{i}        | lay behind the output projection in old builds of llama.cpp and lies before it in new ones | b.attn.z, b.attn.out
kq-{i}             | is neither scaled nor masked in llama.cpp; ours are | b.attn.scores
norm-{i}           | fires for both norms of a layer | b.ln1.normalized, b.ln2.normalized
ffn_up-{i} [gpt2]  | is before the bias in llama.cpp (ffn_up_b-{i} is after it) | b.mlp.pre
ffn_up-{i} [phi3]  | holds both branches side by side in llama.cpp | b.mlp.pre, b.mlp.pre_linear
ffn_moe_logits-{i} | is before the bias in llama.cpp (ffn_moe_probs-{i} is after it) | b.moe.router_logits
ffn_moe_gate-{i}   | is before the bias in llama.cpp (ffn_moe_gate_biased-{i} is after it) | b.moe.experts.pre
ffn_moe_up-{i}     | is before the bias in llama.cpp (ffn_moe_up_biased-{i} is after it) | b.moe.experts.pre_linear
ffn_moe_down-{i}   | is before the bias in llama.cpp (ffn_moe_down_biased-{i} is after it) | b.moe.experts.out
ffn_moe_weights-{i} | fires before and after the weights are made to sum to 1 | b.moe.expert_weights
L.mlp.router       | gives logits, weights and choice together | b.moe.router_logits, b.moe.expert_weights, b.moe.expert_indices
b.mlp.hook_expert_weights | is the softmax over all experts in TransformerLens; ours are the chosen experts' weights | b.moe.expert_weights, b.moe.router_logits
b.ln1.hook_normalized [gpt2] | is after the gain and bias in TransformerLens's LayerNorm, before them in its LayerNormPre | b.ln1.normalized, b.ln1.out
b.ln2.hook_normalized [gpt2] | is after the gain and bias in TransformerLens's LayerNorm, before them in its LayerNormPre | b.ln2.normalized, b.ln2.out
ln_final.hook_normalized [gpt2] | is after the gain and bias in TransformerLens's LayerNorm, before them in its LayerNormPre | ln_final.normalized, ln_final.out
b.hook_attn_in     | is the residual, once per head, before the norm | b.resid_pre, b.attn.in
b.hook_mlp_in      | is the residual before the norm | b.resid_mid, b.mlp.in
b.hook_q_input     | is the residual, once per head, before the norm | b.resid_pre, b.attn.in
b.hook_k_input     | is the residual, once per head, before the norm | b.resid_pre, b.attn.in
b.hook_v_input     | is the residual, once per head, before the norm | b.resid_pre, b.attn.in
b.attn.hook_result | is each head's share of the output, which no stage holds: z of the head times its part of the weight | b.attn.z, b.attn.out
b.hook_scale       | does not say which norm: ("scale", {i}, "ln1") or ("scale", {i}, "ln2") | b.ln1.scale, b.ln2.scale
b.hook_normalized  | does not say which norm: ("normalized", {i}, "ln1") or ("normalized", {i}, "ln2") | b.ln1.normalized, b.ln2.normalized
hook_embed [gemma3] | is scaled in TransformerLens, ours is the bare row | embed, blocks.0.resid_pre
inp_scaled [gemma3] | is what enters the first layer | blocks.0.resid_pre
embeddings [gemma3] | is scaled in Hugging Face, ours is the bare row | embed, blocks.0.resid_pre
embed.hook_out [gemma3] | is scaled in Hugging Face, ours is the bare row | embed, blocks.0.resid_pre
model.embed_tokens [gemma3] | is scaled in Hugging Face, ours is the bare row | embed, blocks.0.resid_pre
L.mlp.act_fn       | is the activated gate before it meets the up branch, which no stage holds | b.mlp.pre, b.mlp.post
L.self_attn.qkv_proj | holds q, k and v side by side | b.attn.q, b.attn.k, b.attn.v
L.mlp.gate_up_proj | holds both branches side by side | b.mlp.pre, b.mlp.pre_linear
h.attn.c_attn      | holds q, k and v side by side | b.attn.q, b.attn.k, b.attn.v
"""

# TransformerLens's short names: get_act_name("q", 3), cache["q", 3], "k6", "scale4ln1".
SHORT = {"attn": "pattern", "attn_logits": "attn_scores", "key": "k", "query": "q", "value": "v"}
SHORT |= {"mlp_pre": "pre", "mlp_post": "post"}
SHORT_PART = {n: "attn" for n in ("q", "k", "v", "z", "rot_q", "rot_k", "result", "pattern", "attn_scores")}
SHORT_PART |= {n: "mlp" for n in ("pre", "post", "pre_linear")}
SHORT_TYPE = {"a": "attn", "attention": "attn", "m": "mlp", "b": "", "block": "", "blocks": ""}
