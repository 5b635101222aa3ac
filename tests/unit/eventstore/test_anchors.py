"""Anchors: what is signed, who is believed, and what is said of those that are not."""

import stat
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from eventstore.integrity.anchors import (
    Anchor,
    Attested,
    Signer,
    append_anchor,
    key_id,
    keys_by_id,
    make_key,
    read_key,
    read_public,
)
from eventstore.integrity.chain import Head
from services.console.anchors import AnchorSources, read_attested
from services.console.cli import app
from services.console.embedded.run_folder import RunFolder
from services.console.log_file import read_anchors
from services.runtime.anchoring import read_signer
from services.runtime.settings import BadSetting, Settings
from services.runtime.user_error import UserError

WHEN = datetime(1970, 1, 2, 0, 0, 0, 1, UTC)
HEAD = Head(7, bytes.fromhex("ab" * 32))


@pytest.fixture
def signer():
    return Signer(Ed25519PrivateKey.generate())


def heard(signer, *anchors):
    attested = Attested()
    for number, anchor in enumerate(anchors):
        attested.add(f"place {number}", anchor, keys_by_id([signer.public]))
    return attested


def test_the_signature_covers_position_hash_and_time_in_a_text_that_anyone_can_write(signer):
    anchor = signer.sign(HEAD, WHEN)
    assert anchor.signed() == b"aevolve anchor v1 7 " + b"ab" * 32 + b" 86400000001"
    Ed25519PublicKey.from_public_bytes(signer.public).verify(anchor.signature, anchor.signed())
    assert Anchor.model_validate_json(anchor.model_dump_json(), strict=True) == anchor


def test_a_genuine_anchor_is_believed(signer):
    assert heard(signer, signer.sign(HEAD, WHEN), signer.sign(HEAD, WHEN + timedelta(1))) == Attested({7: HEAD.hash})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": 8}, "position 8: the anchor is forged"),
        ({"hash": bytes(32)}, "position 7: the anchor is forged"),
        ({"time": WHEN + timedelta(microseconds=1)}, "position 7: the anchor is forged"),
        ({"signature": bytes(64)}, "position 7: the anchor is forged"),
        ({"signature": b"short"}, "position 7: the anchor is forged"),
        ({"signature": None}, "position 7: the anchor is not signed"),
        ({"key": None, "signature": None}, "position 7: the anchor is not signed"),
    ],
)
def test_an_anchor_that_was_changed_is_refused_and_says_nothing(signer, change, words):
    attested = heard(signer, signer.sign(HEAD, WHEN).model_copy(update=change))
    assert attested.heads == {}
    (refused,) = attested.refused
    assert refused.startswith(f"place 0: {words}")


def test_an_anchor_of_a_foreign_key_is_told_apart_and_not_believed(signer):
    foreign = Signer(Ed25519PrivateKey.generate())
    attested = heard(signer, signer.sign(HEAD, WHEN), foreign.sign(Head(3, bytes(32)), WHEN))
    assert attested == Attested({7: HEAD.hash}, [], Counter({key_id(foreign.public): 1}))
    posing = foreign.sign(HEAD, WHEN).model_copy(update={"key": key_id(signer.public)})
    assert "forged" in heard(signer, posing).refused[0]


def test_two_genuine_anchors_that_contradict_each_other_show_a_rewritten_log(signer):
    attested = heard(signer, signer.sign(HEAD, WHEN), signer.sign(Head(7, bytes(32)), WHEN))
    assert attested.heads == {7: HEAD.hash}
    assert attested.refused[0].startswith("place 1: position 7: another genuine anchor has another hash")


def test_a_key_is_made_once_and_only_for_us(tmp_path):
    made = make_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_key(tmp_path / "key").public == made.public
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "key")


def test_a_public_key_is_read_from_its_digits_or_a_file(tmp_path, signer):
    (tmp_path / "pub").write_text(f"{signer.public.hex()}\n")
    assert read_public(signer.public.hex()) == read_public(str(tmp_path / "pub")) == signer.public


def test_a_run_has_one_key_and_shows_its_public_half(tmp_path):
    folder = RunFolder(tmp_path)
    public = read_key(folder.anchor_key).public
    assert read_public(str(folder.public_key)) == public == read_key(folder.anchor_key).public


def test_the_console_makes_a_key_and_shows_its_public_half(tmp_path):
    made = CliRunner().invoke(app, ["anchors", "keygen", str(tmp_path / "key")])
    shown = CliRunner().invoke(app, ["anchors", "public-key", str(tmp_path / "key")])
    assert (made.exit_code, shown.exit_code) == (0, 0)
    assert made.stdout == shown.stdout == f"{read_key(tmp_path / 'key').public.hex()}\n"


ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"no key", ENCRYPTED, None])
def test_a_file_that_is_no_private_key_is_told_to_a_person_and_to_a_service(tmp_path, content):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    shown = CliRunner().invoke(app, ["anchors", "public-key", str(file)])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith(f"aevolve: FILE: {file}; ")
    with pytest.raises(BadSetting, match=rf"AEVOLVE_ANCHOR_KEY_FILE: {file}; .*aevolve anchors keygen"):
        read_signer(Settings(anchor_key_file=file))


def test_a_key_of_another_kind_is_told(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    with pytest.raises(ValueError, match="X25519PrivateKey"):
        read_key(tmp_path / "key")


def test_a_service_that_cannot_write_its_anchors_is_told_before_it_starts(tmp_path):
    make_key(tmp_path / "key")
    with pytest.raises(BadSetting, match=r"AEVOLVE_ANCHOR_FILE: .*cannot be written.*name another file"):
        read_signer(Settings(anchor_key_file=tmp_path / "key", anchor_file=tmp_path / "none" / "anchors"))


@pytest.mark.parametrize(("cut", "kept"), [(1, 2), (2, 1), (100, 1)])
def test_an_anchor_that_a_power_cut_tore_never_counted(tmp_path, signer, cut, kept):
    for _ in range(2):
        append_anchor(tmp_path / "anchors", signer.sign(HEAD, WHEN))
    whole = (tmp_path / "anchors").read_bytes()
    (tmp_path / "anchors").write_bytes(whole[:-cut])
    assert len(list(read_anchors(tmp_path / "anchors"))) == kept
    append_anchor(tmp_path / "anchors", signer.sign(HEAD, WHEN))
    assert (tmp_path / "anchors").read_bytes() == whole[: len(whole) // 2] * (kept + 1)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "--public-key: not given; without it an anchor proves nothing"),
        ({"keys": ("12",)}, "--public-key: 12; .*give 64 hexadecimal digits"),
        ({"keys": ("00" * 32,)}, "anchors of [0-9a-f]{16} only, none of key [0-9a-f]{16}: name another place or"),
    ],
)
async def test_anchors_that_prove_nothing_are_wrong_input(tmp_path, signer, told, words):
    append_anchor(tmp_path / "anchors", signer.sign(HEAD, WHEN))
    assert [anchor.position for anchor in read_anchors(tmp_path / "anchors")] == [7]
    with pytest.raises(UserError, match=words):
        await read_attested(AnchorSources(tmp_path / "anchors", **told), Settings())


async def test_a_file_without_anchors_is_wrong_input(tmp_path, signer):
    (tmp_path / "anchors").touch()
    with pytest.raises(UserError, match="no anchor, none of key"):
        await read_attested(AnchorSources(tmp_path / "anchors", keys=(signer.public.hex(),)), Settings())


async def test_a_head_is_signed_into_a_named_file_alone(tmp_path):
    with pytest.raises(UserError, match=r"--sign: .*name it by --anchor"):
        AnchorSources(sign=tmp_path / "key").signer()
