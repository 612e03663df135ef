"""llama.cpp in a process of its own, for speed beside ours; started by cutaway.peer, never imported, and in need of
llama_cpp alone, so that any interpreter that has it will do.

Reads one JSON request a line from standard input and answers each with a line: {"load": path, ..} opens a model,
{"prompt": ids, "new": ids, "flash": bool} runs one. All by the package's C calls: Python's share is like ours."""

import os
import sys

sys.path.pop(0)  # this folder, whose modules have names of the standard library's

import ctypes
import json
import time
from typing import Any

# What a library prints goes to standard error, whoever prints it.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import llama_cpp as lib  # type: ignore[import-not-found, unused-ignore]  # noqa: E402


@lib.llama_log_callback
def silent(level: int, text: bytes, data: Any) -> None:
    """Takes what llama.cpp would log."""


def resident(key: str) -> int:
    """Bytes of this process in memory: VmHWM, the most so far, or VmRSS."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(key))


class Peer:
    """A model, and a context with flash attention and one without: which is faster depends on the work."""

    def __init__(self, path: str, n_ctx: int, threads: int) -> None:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise OSError(f"llama.cpp could not load {path}")
        self.n_ctx, self.threads = n_ctx, threads
        self.contexts: dict[bool, Any] = {}

    def context(self, flash: bool) -> Any:
        """The context, made when it is first asked for. Prompts run in one batch (n_ubatch)."""
        if flash not in self.contexts:
            params = lib.llama_context_default_params()
            params.n_ctx = params.n_batch = params.n_ubatch = self.n_ctx
            params.n_threads = params.n_threads_batch = self.threads
            params.flash_attn_type = int(flash)
            self.contexts[flash] = lib.llama_init_from_model(self.model, params)
            if not self.contexts[flash]:
                raise OSError("llama.cpp could not make a context")
        return self.contexts[flash]

    def decode(self, context: Any, ids: list[int]) -> float:
        """Seconds until the logits of the last of these tokens are there."""
        tokens = (lib.llama_token * len(ids))(*ids)
        started = time.perf_counter()
        if code := lib.llama_decode(context, lib.llama_batch_get_one(tokens, len(ids))):
            raise OSError(f"llama_decode returned {code} for {len(ids)} tokens")
        lib.llama_get_logits(context)  # waits for them
        return time.perf_counter() - started

    def times(self, prompt: list[int], new: list[int], flash: bool) -> dict[str, Any]:
        """One run from an empty cache."""
        context = self.context(flash)
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        return {"prefill": self.decode(context, prompt), "tokens": [self.decode(context, [i]) for i in new]}


def main() -> None:
    lib.llama_log_set(silent, ctypes.c_void_p())
    peer = None
    imported = resident("VmRSS")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "load" in request:
                started = time.perf_counter()
                peer = Peer(request["load"], request["n_ctx"], request["threads"])
                first = peer.times(request["first"], [], False) if "first" in request else {}
                seconds = time.perf_counter() - started
                features = [f.split(" = ")[0] for f in lib.llama_print_system_info().decode().split(" | ")]
                answer = {"version": lib.__version__, "features": " ".join(features).strip(), "seconds": seconds}
                answer |= {"first": first, "imported": imported, "peak": resident("VmHWM")}
            else:
                assert peer
                answer = peer.times(request["prompt"], request["new"], request["flash"])
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
