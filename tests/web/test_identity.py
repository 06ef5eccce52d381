import base64

import pytest

from web import identity


def test_an_owner_is_at_least_128_random_bits() -> None:
    owners = {identity.mint()["owner"] for _ in range(100)}
    assert len(owners) == 100
    assert all(len(base64.urlsafe_b64decode(owner)) * 8 >= 128 for owner in owners)


def test_a_new_conversation_keeps_its_owner() -> None:
    first = identity.mint()
    second = identity.mint(first["owner"])
    assert second["owner"] == first["owner"]
    assert second["conversation"] != first["conversation"]
    assert identity.session_id(second, None) == (second["owner"], second["conversation"])


@pytest.mark.parametrize(
    "stored",
    [None, "x", [], {}, {"owner": "short", "conversation": "c" * 32},
     {"owner": "o" * 32}, {"owner": 1, "conversation": 2}, {"owner": "o" * 65, "conversation": "c" * 32},
     {"owner": "../" * 11, "conversation": "c" * 32}],
)  # fmt: skip
def test_what_was_not_minted_is_no_identity(stored: object) -> None:
    assert identity.session_id(stored, None) is None
    assert identity.session_id(stored, "anna") is None


def test_who_signed_in_has_a_name_for_an_owner_that_no_browser_can_claim() -> None:
    annas = identity.mint(identity.user_owner("anna"))
    assert identity.session_id(annas, "anna") == ("user:anna", annas["conversation"])
    assert identity.session_id(annas, "bert") is None
    assert identity.session_id(annas, None) is None


def test_who_signed_in_does_not_become_the_owner_that_the_browser_stored() -> None:
    assert identity.session_id(identity.mint(), "anna") is None
