"""What is said of AMX."""

from experiments.terminal.amx_sentence import amx_sentence
from hardware.facts import AMX_LEFT_OUT, AMX_USED


def test_only_what_is_news_is_said() -> None:
    assert amx_sentence("") == amx_sentence(AMX_LEFT_OUT) == ""
    assert "fewer bits buy no time there" in amx_sentence(AMX_USED)
    assert amx_sentence("Linux does not lend it") == "AMX is left out: Linux does not lend it."
