"""Chat templates: the text of a conversation, in the words of a model's own Jinja2 template.

A template comes with the model and is untrusted code. It is rendered only when asked for, and in a process of its own
(chat_worker.py), inside Jinja's immutable sandbox. The sandbox keeps it from Python's objects; the process limits time,
memory, files and sockets, which no sandbox of expressions can: two nested loops, or a string doubled forty times, are
lawful Jinja. Needs the extra `chat` (jinja2).
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cutaway.errors import ArgumentError, TemplateError, UnsupportedOperation

WORKER = Path(__file__).with_name("chat_worker.py")
STARTUP_S = 20.0  # for Python and jinja2 to start on a busy machine; 0.1 s on an idle one


def template_of(templates: Mapping[str, str], name: str = "default") -> str:
    """One of a file's templates by name. Raises TemplateError listing those it has."""
    if name in templates:
        return templates[name]
    has = ", ".join(sorted(templates)) or "none at all"
    raise TemplateError(f"the file has no chat template {name!r}; it has {has}", hint="pass a template of your own")


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    tools: Sequence[Any] | None = None,
    documents: Sequence[Any] | None = None,
    bos_token: str = "",
    eos_token: str = "",
    now: datetime | None = None,
    variables: Mapping[str, Any] | None = None,
    seconds: float = 2.0,
    source_bytes: int = 1 << 20,
    input_bytes: int = 1 << 24,
    output_bytes: int = 1 << 24,
    memory_bytes: int = 1 << 30,
) -> str:
    """The text that the template makes of the messages.

    messages      dicts with "role" and "content", and whatever else the template reads; plain data only. Reasoning
                  under any of its names, "reasoning_content", "thinking" or "reasoning", goes by the first two, as in
                  transformers
    now           what strftime_now() shows; None: the present
    variables     more names for the template
    seconds, source_bytes, input_bytes, output_bytes, memory_bytes
                  what a template and its data may cost; rendering that would cost more is stopped

    Raises TemplateError for a template that is wrong, refuses the messages (raise_exception), leaves the sandbox or
    costs too much; ArgumentError for messages that are no plain data; UnsupportedOperation without jinja2.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise UnsupportedOperation("chat templates need jinja2", hint="pip install 'cutaway[chat]'")
    size = len(template.encode("utf-8", "surrogatepass"))
    if size > source_bytes:
        raise TemplateError(
            f"the chat template has {size} bytes, expected at most {source_bytes}", hint="pass a template of your own"
        )
    values = {
        **(variables or {}),
        "messages": [_with_reasoning(message) for message in messages],
        "tools": tools,
        "documents": documents,
        "add_generation_prompt": add_generation_prompt,
        "bos_token": bos_token,
        "eos_token": eos_token,
    }
    try:
        data = json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"messages, tools, documents and variables must be plain data: {error}",
            hint="dicts, lists, str, numbers, bool and None",
        ) from error
    if len(data) > input_bytes:
        raise ArgumentError(f"the conversation has {len(data)} bytes as JSON, expected at most {input_bytes}")
    answer = _run(
        {
            "sys_path": [p for p in sys.path if p],
            "template": template,
            "values": values,
            "now": (now or datetime.now()).isoformat(),
            "seconds": seconds,
            "output_bytes": output_bytes,
            "memory_bytes": memory_bytes,
        }
    )
    if "text" in answer:
        return answer["text"]
    raise TemplateError(answer["error"], hint=answer.get("hint", "pass a template of your own"))


def _with_reasoning(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    said = [message[key] for key in ("reasoning_content", "thinking", "reasoning") if message.get(key) is not None]
    return {"thinking": said[0], **message, "reasoning_content": said[0]} if said else message


def _run(request: dict[str, Any]) -> dict[str, str]:
    """What the worker answers. A worker that dies or outstays its time has answered too."""
    seconds = request["seconds"]
    if not sys.executable:
        raise UnsupportedOperation("chat templates are rendered by a second Python, and sys.executable names none")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(WORKER)],
            input=json.dumps(request).encode("ascii"),
            capture_output=True,
            timeout=seconds + STARTUP_S,
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"the chat template was still running after {seconds:g} s"}
    except ValueError:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return {"error": f"the chat template ended the process that rendered it: {why[0]}"}
