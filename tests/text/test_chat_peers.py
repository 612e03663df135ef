"""gpt-oss's tokenizer and conversations beside OpenAI's own programs, and templates beside transformers'.

The vocabulary is the published o200k_base; the package bpe-openai carries it, so that nothing is downloaded.
"""

import base64
import gzip
import importlib.util
import random
from datetime import datetime
from pathlib import Path

import pytest
from cutaway.text import Tokenizer
from text.folders import from_ranks, random_text, tiny, write_folder
from text.test_chat import CHATML
from text.test_split import O200K

HARMONY = (Path(__file__).parent / "harmony.jinja").read_text(encoding="utf-8")
SPECIALS = {199998: "<|startoftext|>", 199999: "<|endoftext|>", 200002: "<|return|>", 200003: "<|constrain|>"}
SPECIALS |= {200005: "<|channel|>", 200006: "<|start|>", 200007: "<|end|>", 200008: "<|message|>", 200012: "<|call|>"}
SPECIALS |= {200018: "<|endofprompt|>"}


@pytest.fixture(scope="module")
def ranks():
    spec = importlib.util.find_spec("bpe_openai")
    if spec is None:
        pytest.skip("extra `peers`: bpe-openai")
    lines = gzip.decompress((Path(spec.submodule_search_locations[0]) / "data/o200k_base.tiktoken.gz").read_bytes())
    pairs = (line.split() for line in lines.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


@pytest.fixture(scope="module")
def gpt_oss(ranks, tmp_path_factory):
    specials = {SPECIALS.get(id, f"<|reserved_{id}|>"): id for id in range(199998, 200019)}
    made = from_ranks("gpt-oss", ranks, specials, O200K)
    ends = {"eos_token_id": [200002, 199999, 200012]}
    made |= {"generation_config.json": ends, "chat_template.jinja": HARMONY}
    return Tokenizer(write_folder(tmp_path_factory.mktemp("gpt-oss"), {**tiny("gpt-oss"), **made}))


@pytest.mark.peers("tiktoken", "bpe_openai")
def test_o200k_as_tiktoken_has_it(gpt_oss, ranks):
    tiktoken = pytest.importorskip("tiktoken", reason="extra `peers`: tiktoken")
    specials = {text: id for id, text in SPECIALS.items()}
    theirs = tiktoken.Encoding("o200k", pat_str=O200K, mergeable_ranks=ranks, special_tokens=specials)
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(10_000):
        text = random_text(rng, [*specials])
        ids = gpt_oss.encode(text, bos=False, parse_special=True).tolist()
        assert ids == theirs.encode(text, allowed_special="all"), (seed, text)
        assert gpt_oss.decode(ids) == text, (seed, text)


@pytest.mark.peers("bpe_openai")
def test_the_template_refuses_what_it_does_not_know(gpt_oss):
    with pytest.raises(Exception, match="harmony has no role narrator"):
        gpt_oss.render_chat([{"role": "narrator", "content": "x"}])


CONVERSATION = [
    {"role": "developer", "content": "Speak plainly."},
    {"role": "user", "content": "What is the weather in Tōkyō?"},
    {"role": "assistant", "call": {"name": "get_weather", "arguments": {"city": "Tokyo"}}},
    {"role": "tool", "content": '{"sunny": true}'},
    {"role": "assistant", "content": "Sunny ☀."},
    {"role": "user", "content": "And <|end|> tomorrow?"},
]
TOOL = {
    "name": "get_weather",
    "description": "Gets the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city"},
            "days": {"type": "number", "description": "How many"},
        },
        "required": ["city"],
    },
}


@pytest.mark.peers("openai_harmony", "bpe_openai")
@pytest.mark.parametrize("n", [1, 2, 4, 5, 6])
def test_conversations_as_openai_harmony_writes_them(gpt_oss, ranks, tmp_path, monkeypatch, n):
    harmony = pytest.importorskip("openai_harmony", reason="extra `peers`: openai-harmony")
    lines = (base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())
    (tmp_path / "o200k_base.tiktoken").write_bytes(b"".join(lines))
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)

    message, role = harmony.Message, harmony.Role
    system = harmony.SystemContent.new().with_conversation_start_date("2025-08-28")
    tool = harmony.ToolDescription.new(TOOL["name"], TOOL["description"], TOOL["parameters"])
    developer = harmony.DeveloperContent.new().with_instructions("Speak plainly.").with_function_tools([tool])
    theirs = [
        message.from_role_and_content(role.DEVELOPER, developer),
        message.from_role_and_content(role.USER, CONVERSATION[1]["content"]),
        message.from_role_and_content(role.ASSISTANT, '{"city": "Tokyo"}')
        .with_channel("commentary")
        .with_recipient("functions.get_weather")
        .with_content_type("<|constrain|>json"),
        message.from_author_and_content(harmony.Author.new(role.TOOL, "functions.get_weather"), '{"sunny": true}')
        .with_recipient("assistant")
        .with_channel("commentary"),
        message.from_role_and_content(role.ASSISTANT, "Sunny ☀.").with_channel("final"),
        message.from_role_and_content(role.USER, "And  tomorrow?"),
    ]
    whole = harmony.Conversation.from_messages([message.from_role_and_content(role.SYSTEM, system), *theirs[:n]])
    want = encoding.render_conversation_for_completion(whole, role.ASSISTANT)
    ours = [{**m, "content": m["content"].replace("<|end|>", "")} if "content" in m else m for m in CONVERSATION[:n]]
    got = gpt_oss.chat_tokens(ours, tools=[TOOL], now=datetime(2025, 8, 28))
    assert got.tolist() == want, f"\n{gpt_oss.decode(got)}\n{encoding.decode(want)}"
    assert set(encoding.stop_tokens_for_assistant_actions()) <= set(gpt_oss.end_ids)
    assert gpt_oss.token_id("<|end|>") not in gpt_oss.end_ids


TEMPLATES = {
    "chatml": CHATML,
    "llama": "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\n\n' }}"
    "{{ m.content | trim }}{{ eos_token }}{% endfor %}",
    "blocks": "{% for m in messages %}\n  {% if loop.first %}\n    {%- continue %}\n  {% endif %}\n{{ m | tojson }}\n"
    "{% endfor %}\n{{ tools is none }} {{ tools is defined }} {{ documents is defined }} {{ x is defined }}",
    "generation": "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %}{% endfor %}",
    "macros": "{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{% set ns = namespace(n=0) %}"
    "{% for m in messages %}{% set ns.n = ns.n + m.content | length %}{% endfor %}{{ f(ns.n) }}"
    "{{ messages | map(attribute='role') | join(',') }}{{ messages[0].content.split(' ')[0].upper() }}",
}


@pytest.mark.peers("transformers")
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("prompt", [False, True])
def test_templates_as_transformers_renders_them(tmp_path, name, prompt):
    transformers = pytest.importorskip("transformers", reason="extra `peers`: transformers")
    path = write_folder(tmp_path, {**tiny("llama3"), "chat_template.jinja": TEMPLATES[name]})
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(path)
    ours = Tokenizer(path)
    messages = [{"role": "user", "content": " Hé <b> & 'q' "}, {"role": "assistant", "content": "x\n y"}]
    text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    assert ours.render_chat(messages, add_generation_prompt=prompt) == text
    ids = theirs.apply_chat_template(messages, add_generation_prompt=prompt, return_dict=False)
    assert ours.chat_tokens(messages, add_generation_prompt=prompt).tolist() == ids
