"""Verbs that run no model: inspect, plan, tokenize, kernels."""

import cutaway as ct


def test_inspect(run, as_json):
    found = as_json("inspect", "tiny:llama")
    assert set(found) == {
        "path", "parts", "kind", "bytes", "header_bytes", "summary", "missing", "warnings", "metadata", "types",
        "formats", "layers", "tensors",
    }  # fmt: skip
    assert found["summary"]["architecture"] == "llama"
    assert len(as_json("inspect", "tiny:llama", "--tensors", "blk.1.*")["tensors"]) == 9
    assert as_json("inspect", "tiny:llama", "--key", "llama.block_count")["value"] == 4
    assert "blk.3.ffn_down.weight" in run("inspect", "tiny:llama", "--tensors", "blk.3.*", "--sort", "bytes")[1]
    assert run("inspect", "tiny:llama", "--layers")[1].startswith("layer")
    assert "general.architecture" in run("inspect", "tiny:llama", "--metadata")[1]
    code, _, err = run("inspect", "tiny:llama", "--key", "llama.block_cuont")
    assert code == 2 and "llama.block_count" in err


def test_plan_says_whether_it_fits_by_its_exit_code(run, as_json):
    found = as_json("plan", "tiny:llama", "--n-ctx", 128, "--batch", 2)
    assert set(found) == {
        "file", "device", "need", "budget", "limit", "fits", "parts", "weights", "options", "remedies",
    }  # fmt: skip
    assert found["options"]["batch"] == 2
    assert as_json("plan", "tiny:llama", "--max-ram", "100KiB", code=1)["fits"] is False
    assert run("plan", "tiny:llama")[1].startswith("model needs")


def test_tokenize(run, as_json):
    found = as_json("tokenize", "tiny:llama", "In the beginning", "--roundtrip")
    assert set(found) == {"ids", "pieces", "bytes_hex", "bos_added", "text", "roundtrip", "against"}
    assert found["roundtrip"] is True and found["bos_added"] is True
    without = as_json("tokenize", "tiny:llama", "In the beginning", "--bos", "no")
    assert without["ids"] == found["ids"][1:]
    assert b"".join(bytes.fromhex(h) for h in without["bytes_hex"]) == b"In the beginning"
    assert run("tokenize", "tiny:llama", "--ids", ",".join(map(str, without["ids"])))[1] == "In the beginning\n"
    assert run("tokenize", "tiny:llama", "x", "--ids", "1")[0] == 2


def test_tokenize_against_another(run, as_json):
    same = as_json("tokenize", "tiny:llama", "In the beginning", "--against", "tiny:llama")["against"]
    assert same["same"] is True and same["first"] is None
    found = as_json("tokenize", "tiny:llama", "In 1611", "--bos", "no", "--against", "tiny:gpt2", code=1)["against"]
    assert found["same"] is False and (found["first"], found["at"]) == (4, 5)  # digits go by threes in one of the two
    assert (found["a"]["pieces"], found["b"]["pieces"]) == (["1", "1"], ["11"])
    assert "parts at token" in run("tokenize", "tiny:llama", "In 1611", "--against", "tiny:gpt2")[1]
    assert run("tokenize", "tiny:llama", "--ids", "1", "--against", "tiny:gpt2")[0] == 2


def test_kernels(run, as_json):
    found = as_json("kernels")
    assert set(found) == {"cpu", "cores", "targets", "default_target", "why", "ops"}
    by_name = {op["name"]: op for op in found["ops"]}
    assert set(by_name) == {op["name"] for op in ct._core.ops()}
    for op in by_name.values():
        assert op["runs"] in op["targets"] and op["runs"] in found["targets"]
    assert as_json("kernels", "--target", "scalar")["ops"][0]["runs"] == "scalar"
    assert as_json("kernels", "--target", "neon9", code=2)["error"]["type"] == "Usage"
    assert "mean(x[t]^2)" in run("kernels", "--op", "rms_norm")[1]
    assert "rms_norm" in run("kernels", "--op", "rms_nrm")[2]


def test_kernels_names_the_kernel_that_a_model_runs(as_json):
    runs = {op["name"]: op["runs"] for op in as_json("kernels")["ops"]}
    for step in ct.load("tiny:llama")._core.steps():
        assert runs[step["op"]] == step["target"]
