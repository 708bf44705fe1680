"""A small share of the kills of writers; `python -m tests.fuzz.kills` kills trainings too."""

import os

import pytest

from tests.fuzz import kills

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_killed_writers_leave_whole_files_alone(tmp_path):
    results, failures = kills.run_trials(10, 3, tmp_path, training_share=0)
    assert not failures, "\n".join(failures)
    assert sum(results.values()) == 10


def test_a_writer_that_leaves_halves_is_found(tmp_path, monkeypatch):
    def careless(folder, number):
        with (folder / "a.txt").open("w") as file:
            for _ in range(50_000):
                file.write(f"{number}\n")

    monkeypatch.setattr(kills, "WRITERS", {"text": (careless, kills.check_text, "a.txt")})
    _, failures = kills.run_trials(10, 0, tmp_path, training_share=0)
    assert failures and "check_text" in failures[0]
