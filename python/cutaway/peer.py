"""llama.cpp beside us, in a process of its own: its threads sleep while ours run, and its memory is its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.errors import ForwardPassFailed

WORKER = Path(__file__).with_name("llama_cpp_worker.py")


class Worker:
    """A process that answers lines of JSON with lines of JSON."""

    def __init__(self, python: str, script: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [python, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request. Raises ForwardPassFailed with the process's words where it has none."""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {}
        if not line or "error" in answer:
            said = answer.get("error") or (self.process.stderr.read().strip().splitlines() or ["it ended"])[-1]
            raise ForwardPassFailed(said)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


class LlamaCpp(Worker):
    """A file in llama.cpp, by an interpreter that has llama_cpp.

    Raises ForwardPassFailed where the interpreter has no llama_cpp or llama.cpp refuses the file."""

    def __init__(self, path: str, n_ctx: int, threads: int, python: str = sys.executable) -> None:
        super().__init__(python, WORKER)
        try:
            self.loaded = self.ask(load=path, n_ctx=n_ctx, threads=threads)
        except ForwardPassFailed:
            self.close()
            raise
        self.version: str = self.loaded["version"]
        self.features: str = self.loaded["features"]

    def times(self, prompt: np.ndarray, new: np.ndarray, flash: bool) -> tuple[float, list[float]]:
        """One run from an empty cache: seconds of the prompt, and of each new token."""
        out = self.ask(prompt=prompt.tolist(), new=new.tolist(), flash=flash)
        return out["prefill"], out["tokens"]
