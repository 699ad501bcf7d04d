"""What of label selectors is understood."""

import pytest

from toque.advice.selector import chosen, label_of


@pytest.mark.parametrize(
    ("selector", "pools"),
    [
        ("", None),
        ("pool=chat", {"chat"}),
        ("pool==chat", {"chat"}),
        ("pool in (chat, code)", {"chat", "code"}),
        ("pool in (chat,code),pool=code", {"code"}),
    ],
)
def test_a_selector_names_pools(selector: str, pools: set[str] | None) -> None:
    assert chosen(selector) == pools


@pytest.mark.parametrize("selector", ["app=chat", "pool!=chat", "!pool", "pool", "pool notin (chat)", "pool=a b"])
def test_a_selector_that_means_anything_else_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be asked for\. Write pool=NAME"):
        chosen(selector)


def test_a_slash_of_a_name_is_a_dash_in_a_label() -> None:
    assert label_of("org/chat") == "org-chat"
