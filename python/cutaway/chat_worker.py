"""Renders one chat template and exits; started by cutaway.chat, never imported.

Reads a JSON request from standard input, writes {"text": ...} or {"error": ...} to standard output. Once everything is
imported it gives up, for good, the right to more memory, time, files and sockets than the request grants.
"""

import codecs
import json
import pprint  # noqa: F401  for the filter of that name
import resource
import signal
import sys
import unicodedata  # noqa: F401  for str methods
from datetime import datetime
from typing import Any


def environment(now: datetime) -> Any:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} marks what the model says, for training; it renders as what is inside."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message):
        raise TemplateError(str(message))

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )  # unlike Jinja's own: no HTML escapes

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation], cache_size=0
    )
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda form: now.strftime(form))
    return env


def restrict(seconds: float, memory_bytes: int) -> None:
    def out_of_time(_signal, _frame):
        raise TimeoutError

    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    cpu_s = int(seconds) + 1 + int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
    limits = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),  # for one long call, which no Python signal handler can cut short
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 3),
    ]
    for limit, value in limits:
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def render(request: dict[str, Any]) -> dict[str, str]:
    try:
        import jinja2
        import jinja2.constants
        import jinja2.debug
    except ImportError as error:
        return {"error": f"jinja2 cannot be imported: {error}", "hint": "pip install 'cutaway[chat]'"}
    if tuple(int(part) for part in jinja2.__version__.split(".")[:3] if part.isdigit()) < (3, 1, 6):
        wanted = "jinja2 >= 3.1.6, whose sandbox has no known hole"
        return {"error": f"jinja2 is {jinja2.__version__}, expected {wanted}", "hint": "pip install -U jinja2"}
    env = environment(datetime.fromisoformat(request["now"]))
    # Jinja and Python open some of their files only when a template asks for them; soon nothing can be opened.
    codecs.lookup("unicode_escape")
    env.from_string("{% for x in [1] %}{{ 'a\\n' ~ x | string | trim }}{{ strftime_now('%Y') }}{% endfor %}").render()
    try:
        restrict(request["seconds"], request["memory_bytes"])
        parts, size = [], 0
        for part in env.from_string(request["template"]).generate(request["values"]):
            size += len(part.encode("utf-8", "surrogatepass"))
            if size > request["output_bytes"]:
                return {"error": f"the chat template wrote more than {request['output_bytes']} bytes"}
            parts.append(part)
        return {"text": "".join(parts)}
    except MemoryError:
        return {"error": f"the chat template needed more than {request['memory_bytes']} bytes of memory"}
    except jinja2.exceptions.SecurityError as error:
        return {"error": f"the chat template reached for what the sandbox keeps from it: {error}"}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"the chat template is wrong at line {error.lineno}: {error.message}"}
    except jinja2.TemplateError as error:
        return {"error": f"the chat template says: {error.message}"}
    except TimeoutError:
        raise
    except Exception as error:
        return {"error": f"the chat template failed: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    request = json.loads(sys.stdin.buffer.read())
    sys.path[:] = request["sys_path"]
    try:
        answer = render(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeoutError:  # out here, since the alarm may fall into any line of render()
        answer = {"error": f"the chat template was still running after {request['seconds']:g} s"}
    sys.stdout.write(json.dumps(answer))
