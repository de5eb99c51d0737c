"""Diffie-Hellman groups: candidates of ours are screened by both, with the same groups found."""
import pathlib

import pytest

from lib.keygen import *

pytestmark = needs_theirs


def groups(path):
    """The lines without the time of day."""
    return [line.split(" ", 1)[1] for line in text(path).splitlines()]


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    path = tmp_path_factory.mktemp("moduli") / "candidates"
    start = "4E93FBE4919EB12C466AF6DC91927D95304EA768C3A846ED26F6B".ljust(128, "5")  # so that each run tries the same numbers
    good(OURS, "-q", "-M", "generate", "-O", "bits=512", "-O", "memory=1", "-O", "start=" + start, str(path))
    return path


def test_candidates_are_screened_by_both(candidates):
    lines = candidates.read_text().splitlines(keepends=True)
    assert len(lines) > 10000 and all(line.split()[1:6] == ["4", "2", "0", "510", "0"] for line in lines)
    pathlib.Path("some").write_text("# a comment\n\nnonsense\n" + "".join(lines[:200]))
    for program, out in ((OURS, "ours"), (THEIRS, "theirs")):
        good(program, "-M", "screen", "-f", "some", out)
    assert groups("ours") == groups("theirs") and len(groups("ours")) >= 1
    for generator in ("2", "5"):
        good(OURS, "-q", "-M", "screen", "-f", "some", "-O", "generator=" + generator, "only" + generator)
    assert sorted(groups("only2") + groups("only5")) == sorted(groups("ours"))
    assert all(line.split()[4] == "2" for line in groups("only2"))
    good(OURS, "-q", "-M", "screen", "-O", "prime-tests=4", "again", stdin=text("ours").encode())
    assert [line.split()[5] for line in groups("again")] == [line.split()[5] for line in groups("ours")]


def test_screening_goes_on_where_it_was(candidates):
    lines = candidates.read_text().splitlines(keepends=True)[:80]
    pathlib.Path("some").write_text("".join(lines))
    good(OURS, "-q", "-M", "screen", "-f", "some", "whole")
    for _ in range(4):
        good(OURS, "-q", "-M", "screen", "-f", "some", "-O", "lines=20", "-O", "checkpoint=point", "parts")
    assert groups("parts") == groups("whole") and text("point").strip() == "80"
    good(OURS, "-q", "-M", "screen", "-f", "some", "-O", "start-line=60", "tail")
    assert set(groups("tail")) <= set(groups("whole"))


def test_refusals():
    for args in (["generate", "-O", "bits=100", "n"], ["generate"], ["screen", "-f", "missing", "n"], ["bogus", "n"], ["generate", "-O", "bogus=1", "n"],
                 ["generate", "-O", "generator=2", "n"]):
        assert both("-M", *args)[0] == 255
    for option in ("memory=0", "bits=x", "bits=99999", "start=xyz", "start="):
        assert run(OURS, "-M", "generate", "-O", option, "n")[0] == 255, option
    assert run(OURS, "-M", "screen", "-O", "prime-tests=1", "n", stdin=b"")[0] == 255
