"""S05: an address that a request names is neither fetched nor passed on, unless the settings allow it."""

import json

import msgspec
import pytest

from toque.gateway.openai import CHAT, BodyReader
from toque.model.errors import CallerError
from toque.ports import Dialect

FIELDS = frozenset({"messages"})
CLOSED = BodyReader(CHAT, {"chat": Dialect(frozenset({CHAT}), FIELDS)})
OPEN = BodyReader(CHAT, {"chat": Dialect(frozenset({CHAT}), FIELDS, addresses=True)})
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def asking(part: object) -> bytes:
    return json.dumps({"model": "chat", "messages": [{"role": "user", "content": [part]}]}).encode()


def picture(address: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": address}}


@pytest.mark.parametrize(
    "part",
    [
        picture("http://169.254.169.254/latest/meta-data/"),
        picture("https://example.com/cat.png"),
        picture("file:///etc/passwd"),
        picture("//example.com/cat.png"),
        picture("/etc/passwd"),
        picture(" data:image/png;base64,AA"),
        picture(""),
        {"type": "image_url", "image_url": "http://127.0.0.1:9100/metrics"},
        {"type": "input_image", "image_url": "http://[::ffff:169.254.169.254]/"},
        {"type": "video_url", "video_url": {"url": "http://10.0.0.1/"}},
        {"type": "file", "file": {"file_url": "ftp://example.com"}},
        {"type": "x", "deep": [{"deeper": {"URL": "gopher://x"}}]},
        [picture("http://x/")],
    ],
)
def test_s05_an_address_is_refused_and_the_field_named(part: object) -> None:
    with pytest.raises(CallerError) as refused:
        CLOSED.read(asking(part))
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "invalid_value", "messages")
    assert "fetches_addresses" in refused.value.message


def test_s05_a_name_written_with_escapes_is_the_same_name() -> None:
    with pytest.raises(CallerError):
        CLOSED.read(asking(picture("http://x/")).replace(b'"url"', b'"\\u0075rl"'))


def test_s05_content_passes_and_so_does_text_about_addresses() -> None:
    for part in (picture(PICTURE), {"type": "text", "text": "What is at http://169.254.169.254/ ?"}):
        sent = json.loads(CLOSED.read(asking(part)).body)
        assert sent["messages"][0]["content"] == [part]
    plain = {"model": "chat", "messages": [{"role": "user", "content": "see http://x/"}, {"role": "assistant"}]}
    assert json.loads(CLOSED.read(json.dumps(plain).encode()).body)["messages"] == plain["messages"]


def test_s05_of_an_address_that_came_twice_the_replica_gets_the_one_that_was_checked() -> None:
    twice = b'{"type":"image_url","image_url":{"url":"http://x/","url":"%b"}}' % PICTURE.encode()
    body = CLOSED.read(b'{"model":"chat","messages":[{"role":"user","content":[%b]}]}' % twice).body
    assert b"http://x/" not in body
    assert msgspec.json.decode(body)["messages"][0]["content"][0]["image_url"]["url"] == PICTURE


def test_s05_where_the_settings_allow_it_addresses_pass() -> None:
    assert b"https://example.com/cat.png" in OPEN.read(asking(picture("https://example.com/cat.png"))).body
