from hashlib import sha256

import pytest

from eddyline.files.digests.fields import digest_field, representation_fields, takes


def test_the_field_of_the_rfc() -> None:
    """RFC 9530, appendix B.1: the digest of {"hello": "world"} and a newline."""
    digest = sha256(b'{"hello": "world"}\n').digest()
    expected = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert digest_field(digest) == expected
    fields = representation_fields(digest)
    assert fields == {"repr-digest": expected, "x-checksum-sha256": digest.hex()}


@pytest.mark.parametrize(
    ("preferences", "wanted"),
    [
        ([], None),
        (["sha-256=1"], True),
        (["sha-512=3, sha-256=10, unixsum=0"], True),
        (["sha-512=3", "sha-256=2"], True),
        (["sha-256=0"], False),
        (["sha-256=1, sha-256=0"], False),
        (["sha-256=1;q=0.5"], True),
        (["sha-512=1"], None),
        (["sha-256"], None),
        (["sha-256=11"], None),
        (["sha-256=-1"], None),
        (["sha-256=x"], None),
        (["sha-256=1.5"], None),
        (["sha-256=" + "9" * 5000], None),
        ([""], None),
        (["SHA-256=1"], None),
    ],
)
def test_preferences(preferences: list[str], wanted: bool | None) -> None:
    """RFC 9530 §4: 0 is not acceptable; RFC 9651 §4.2: a field that fails to parse is ignored, and
    of two members of one key the last counts.
    """
    assert takes(preferences) is wanted
