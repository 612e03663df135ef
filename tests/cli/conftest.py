"""The command as tests call it: in this process, as text or as the object of --json."""

import json

import pytest
from cutaway.cli import main


@pytest.fixture
def run(capsys):
    """run("inspect", ..) -> exit code, standard output, standard error."""

    def call(*words):
        code = main([str(w) for w in words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def as_json(run):
    def call(*words, code=0):
        got, out, _ = run(*words, "--json")
        assert got == code, out
        assert out.count("\n") == 1
        return json.loads(out)

    return call
