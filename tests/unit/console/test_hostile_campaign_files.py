"""A campaign file may come from anybody: each is read in bounded time, and is valid or refused by one message."""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.bounded_yaml import MAX_BYTES
from services.console.campaign_file import load, parse
from services.console.cli import app
from services.runtime.user_error import UserError
from tests.unit.console_events import DEMO

FILE = Path("campaign.yaml")
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 28))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], y{i}: 1}}\n" for i in range(1, 28))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"line 1: anchors"),
        (MERGES, r"line 1: anchors"),
        ("<<: {name: x}", r"line 1: a key that is no plain text"),
        ("? [a, b]\n: c", r"line 1: a key that is no plain text"),
        ("a: *missing", r"line 1: anchors"),
        ('seed: !!int "x"', r"line 1: the tag 'tag:yaml.org,2002:int'"),
        ("seed: !!python/object/apply:os.system [ls]", r"line 1: the tag"),
        ('model: {prompt: {template: chat, system: "a\\0b"}}', r"line 1: NUL or half a surrogate pair"),
        ('name: "\\ud800"', r"line 1: NUL or half a surrogate pair"),
        ("name: a\nname: b", r"line 2: 'name' is a key in line 1 already"),
        ("model:\n  base: tiny\n  base: other", r"line 3: 'base' is a key in line 2 already"),
        (f"seed: {'9' * 5000}", r"a value cannot be read"),
        ("a: " + "[" * 2000, r"nested more than 30"),
        ("\n".join(" " * i + "a:" for i in range(60)), r"nested more than 30"),
        ("a: \x1b[2J", r"is not YAML"),
        ("[1, 2]", r"holds list; a campaign is a mapping"),
        ("", r"holds NoneType"),
        ("a: b: c", r"is not YAML"),
        ("x" * (MAX_BYTES + 1), r"more than 1,000,000 bytes"),
    ],
)
def test_what_could_cost_more_than_a_moment_or_means_two_things_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text, FILE)


def test_a_date_that_does_not_exist_is_text_like_any_other() -> None:
    with pytest.raises(UserError, match=r"seed: '2026-13-45'"):
        parse("seed: 2026-13-45", FILE)


def test_a_huge_number_is_not_repeated_in_full() -> None:
    with pytest.raises(UserError) as refused:
        parse(f"seed: {'9' * 4000}\n", FILE)
    assert max(len(line) for line in str(refused.value).splitlines()) < 300


def test_what_is_no_text_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    latin, large, pipe = tmp_path / "latin", tmp_path / "large", tmp_path / "pipe"
    latin.write_bytes("name: é".encode("latin-1"))
    large.write_bytes(b"a" * (MAX_BYTES + 1))
    os.mkfifo(pipe)
    for path, message in [
        (latin, "byte 7 is not UTF-8"),
        (large, "more than 1,000,000 bytes"),
        (pipe, "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path, "is no regular file"),
        (tmp_path / "none", "cannot be read"),
    ]:
        with pytest.raises(UserError, match=message):
            load(path)


def test_a_domain_that_nothing_generates_is_refused_by_name() -> None:
    text = DEMO.read_text().replace("domains: [bits,", "domains: [sums, bits,")
    with pytest.raises(UserError, match=r"constitution\.domains: 'sums'; known: bits"):
        parse(text, FILE)


def mutated(text: str, chance: random.Random) -> str:
    """The text with a few places changed: characters, whole lines, and what YAML gives a meaning."""
    pieces = [
        ":",
        "-",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        '"',
        "'",
        "|\n",
        "\t",
        "\x00",
        "\u202e",
        "9" * 40,
        "~",
        "1e999",
        "? ",
    ]
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + chance.choice(pieces) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 30) :]
            case 2:
                lines = text.splitlines(keepends=True)
                text = (
                    "".join(chance.sample(lines, len(lines)))
                    if chance.random() < 0.1
                    else "".join([*lines, chance.choice(lines)])
                )
            case _:
                text = text[:at] + chr(chance.randrange(1, 0x3000)) + text[at:]
    return text


def test_mutated_files_are_valid_or_refused_by_a_message() -> None:
    """`AEVOLVE_FUZZ=10000` for more of them. Any other exception, or one that takes ten seconds, fails the test."""
    chance, demo = random.Random(int(os.environ.get("AEVOLVE_FUZZ_SEED", "16"))), DEMO.read_text()
    for _ in range(int(os.environ.get("AEVOLVE_FUZZ", "300"))):
        text = mutated(demo, chance)
        begun = time.process_time()
        with contextlib.suppress(UserError):
            parse(text, FILE)
        assert time.process_time() - begun < 10, text


@pytest.mark.parametrize("hostile", ["\\e[2J", "\\a", "\\u202e", "\\x9b31m"])
def test_no_control_character_of_a_file_reaches_the_terminal(tmp_path: Path, hostile: str) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(f'name: x\n"{hostile}": 1\n')
    result = CliRunner().invoke(app, ["plan", str(path)])
    assert result.exit_code == 2
    assert "unknown key" in result.stderr
    assert all(character.isprintable() or character == "\n" for character in result.stderr)
