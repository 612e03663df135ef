"""TransformerLens's run_with_cache of every residual on GPT-2's shape, for report.py, which asks by lines of JSON.

Needs torch and transformer-lens 2, in an environment of their own. Weights are random: nothing is downloaded."""

import json
import sys
import time
from importlib.metadata import version

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

SHAPE = dict(n_layers=12, d_model=768, n_heads=12, d_head=64, d_mlp=3072, d_vocab=50257, n_ctx=1024, act_fn="gelu_new")


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    model = HookedTransformer(HookedTransformerConfig(**SHAPE, normalization_type="LN", device="cpu"))
    model.eval()
    for line in sys.stdin:
        request = json.loads(line)
        if "ids" in request:
            ids = torch.tensor([request["ids"]])
            started = time.perf_counter()
            logits, cache = model.run_with_cache(ids, names_filter=lambda name: "hook_resid_" in name)
            answer = {"seconds": time.perf_counter() - started, "kept": len(cache), "logits": list(logits.shape)}
        else:
            answer = {"version": version("transformer-lens"), "torch": torch.__version__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
