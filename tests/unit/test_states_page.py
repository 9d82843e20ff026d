"""What people read about states is what the program goes by."""

from __future__ import annotations

import states_page

REMEDY = "run: python tools/states_page.py"


def test_the_manual_s_page_of_states_is_current() -> None:
    assert states_page.PAGE.read_text() == states_page.page(), REMEDY


def test_the_readme_s_states_are_current() -> None:
    text = states_page.README.read_text()
    assert text == states_page.readme(text), REMEDY
