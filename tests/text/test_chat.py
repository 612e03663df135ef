"""Chat templates: what they render to, and that a hostile one costs no more than it may."""

import time
from datetime import datetime

import pytest
from cutaway.chat import render_chat
from cutaway.errors import ArgumentError, TemplateError

pytest.importorskip("jinja2", reason="chat templates need the extra `chat`")
pytestmark = pytest.mark.native  # a template's process may take so much memory and no more

HELLO = [{"role": "user", "content": "hé <b>"}]
CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_chatml():
    assert render_chat(CHATML, HELLO) == "<|im_start|>user\nhé <b><|im_end|>\n<|im_start|>assistant\n"
    assert render_chat(CHATML, HELLO, add_generation_prompt=False) == "<|im_start|>user\nhé <b><|im_end|>\n"


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "hé <b>"}'),  # no \u, no HTML escapes
        ("{{ messages | tojson(indent=1) }}", '[\n {\n  "role": "user",\n  "content": "hé <b>"\n }\n]'),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),  # trim_blocks and lstrip_blocks
        (
            "{% for i in range(9) %}{% if i < 2 %}{% continue %}{% endif %}{{ i }}{% break %}{% endfor %}",
            "2",
        ),
        ("{% generation %}{{ bos_token }}x{{ eos_token }}{% endgeneration %}", "<s>x</s>"),
        ("{% set n = namespace(i=0) %}{% for m in messages %}{% set n.i = n.i + 2 %}{% endfor %}{{ n.i }}", "2"),
        ("{{ tools is none }} {{ unheard_of is defined }} {{ style }}", "True False brief"),
        ("{{ '\\ud800' }}", "\ud800"),
        ("", ""),
    ],
)
def test_templates_render_as_their_authors_expect(template, text):
    got = render_chat(
        template, HELLO, bos_token="<s>", eos_token="</s>", now=datetime(2024, 7, 26), variables={"style": "brief"}
    )
    assert got == text


@pytest.mark.parametrize("name", ["reasoning_content", "thinking", "reasoning"])
def test_reasoning_by_any_of_its_names(name):
    """gpt-oss's template reads "thinking", Qwen3's "reasoning_content"; transformers 5 fills in both."""
    said = [{"role": "assistant", "content": "b", name: "a"}]
    template = "{{ messages[0].thinking }}{{ messages[0].reasoning_content }}{{ messages[0].content }}"
    assert render_chat(template, said) == "aab" and said == [{"role": "assistant", "content": "b", name: "a"}]
    assert render_chat("{{ messages[0].keys() | list }}", HELLO) == "['role', 'content']"


@pytest.mark.parametrize(
    "template, says",
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% if %}", "wrong at line 1"),
        ("{{ ''.__class__.__mro__ }}", "sandbox"),
        ("{{ cycler.__init__.__globals__ }}", "sandbox"),  # G39
        ("{{ messages.append(1) }}", "sandbox"),
        ("{{ unheard_of.x }}", "unheard_of"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ 'a' * 10 ** 10 }}", "memory"),
        (
            "{% set n = namespace(x='abc') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "memory",
        ),
        ("{% for i in range(9999) %}{{ 'a' * 10000 }}{% endfor %}", "more than 16777216 bytes"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "still running"),
        ("{{ range(10 ** 9) }}", "range"),
        ("{{ '[' * 100000 }}{{ " + "[" * 5000, "recursion"),
    ],
)
def test_what_a_template_may_not(template, says):
    begin = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        render_chat(template, HELLO, seconds=1.0, memory_bytes=1 << 28)
    assert says.lower() in str(caught.value).lower()
    assert time.monotonic() - begin < 20  # the budget, and a busy machine's start of Python


def test_a_huge_template_is_refused_before_anything_runs():
    with pytest.raises(TemplateError, match="62914560 bytes, expected at most 1048576"):
        render_chat("x" * (60 << 20), HELLO)  # G39


def test_messages_are_plain_data():
    for bad in ([{"role": "user", "content": object()}], [{"role": {1, 2}}]):
        with pytest.raises(ArgumentError, match="plain data"):
            render_chat(CHATML, bad)
    with pytest.raises(ArgumentError, match="expected at most"):
        render_chat(CHATML, [{"role": "user", "content": "x" * 4096}], input_bytes=4096)


def test_templates_of_a_file(vocabulary, tokenizer_of, byte_vocab):
    qwen2 = vocabulary("qwen2")
    text = qwen2.render_chat([{"role": "user", "content": "hi"}])
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = qwen2.chat_tokens([{"role": "user", "content": "hi"}])
    assert ids[0] == qwen2.token_id("<|im_start|>") and qwen2.decode(ids) == text

    named = tokenizer_of(
        {**byte_vocab, "tokenizer.chat_template": "", "tokenizer.chat_template.tools": "{{ tools[0] }}"}
    )
    assert sorted(named.chat_templates) == ["default", "tools"]
    assert named.render_chat(HELLO, name="tools", tools=["t"]) == "t"
    with pytest.raises(TemplateError, match="'rag'; it has default, tools"):
        named.render_chat(HELLO, name="rag")
    with pytest.raises(TemplateError, match="none at all"):
        vocabulary("gpt-2").render_chat(HELLO)


def test_a_template_that_writes_bos_gets_no_second_one(vocabulary):
    phi3 = vocabulary("phi-3")
    ids = phi3.chat_tokens([{"role": "user", "content": "hi"}]).tolist()
    assert phi3.add_bos and ids.count(phi3.bos_id) == 1 and ids[0] == phi3.bos_id
