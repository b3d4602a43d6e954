import pytest

from quant.records.strict_json import NoNumberError, parse_json


def test_documents_are_read_from_text_and_bytes() -> None:
    for content in (
        '{"a": [1, -2.5e3, null, "é\\\\ud800"]}',
        b'{"a": [1, -2.5e3, null, "\xc3\xa9"]}',
    ):
        assert parse_json(content)["a"][:3] == [1, -2500.0, None]
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"  # two halves are a character
    assert parse_json("9" * 19) == int("9" * 19)


@pytest.mark.parametrize("content", ["NaN", "[-Infinity]", '{"ms": 1e400}'])
def test_a_number_that_is_none_is_told_apart(content: str) -> None:
    with pytest.raises(NoNumberError):
        parse_json(content)


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"[" * 5000 + b"]" * 5000,
            b"1" * 20,
            b"-" + b"1" * 500,
        ),
        *(b'"\\ud800"', b'{"\\uDFFF": 1}', b'"\xed\xa0\x80"', b"\xff", b"", b"{", b"'a'"),
    ],
)
def test_everything_else_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)
