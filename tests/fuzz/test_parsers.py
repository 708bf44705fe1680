"""A small share of the attack on the parsers; `python -m tests.fuzz.parsers` is the whole."""

import numpy as np

from tests.fuzz import parsers


def test_damaged_files_give_a_value_or_one_sentence(tmp_path):
    results, findings = parsers.fuzz(600, 1, tmp_path)
    assert not findings, "\n".join(findings)
    assert results["refused"] > 200 and results["read"] > 20, "the damage is too weak or too strong to find anything"


def test_the_attack_finds_tracebacks_long_messages_and_endless_work(tmp_path, monkeypatch):
    def endless(path):
        while path.read_bytes() != b"whole":
            pass

    def several_lines(path):
        if path.read_bytes() != b"whole":
            raise parsers.UserError("one\ntwo")

    def traceback(path):
        assert path.read_bytes() == b"whole"

    monkeypatch.setattr(parsers, "LIMIT_S", 0.05)
    readers = {"endless": endless, "several lines": several_lines, "traceback": traceback}
    seed = lambda path: path.write_bytes(b"whole")  # noqa: E731
    monkeypatch.setattr(parsers, "PARSERS", [parsers.Parser(name, seed, read) for name, read in readers.items()])
    monkeypatch.setattr(parsers, "damaged", lambda data, rng: b"damaged")
    results, findings = parsers.fuzz(3, 0, tmp_path, tmp_path / "kept")
    assert results == {"found": 3}
    assert ["more than" in findings[0], "several lines: " in findings[1], "AssertionError" in findings[2]] == [True] * 3
    assert (tmp_path / "kept/2_traceback").read_bytes() == b"damaged"


def test_damage_is_repeatable_and_changes_files():
    content = bytes(range(200))
    first = [parsers.damaged(content, np.random.default_rng(seed)) for seed in range(20)]
    assert first == [parsers.damaged(content, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(data != content for data in first) > 15
