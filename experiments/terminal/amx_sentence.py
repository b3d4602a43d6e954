"""What a command says of AMX, once, where the CPU has it."""

from hardware.facts import AMX_LEFT_OUT, AMX_USED


def amx_sentence(state: str) -> str:
    """Return a sentence for the user, empty where there is nothing to say.

    Args:
        state: The fact `amx` of the device (see `MachineFacts`), empty where it has none.
    """
    if state == AMX_USED:
        return (
            "AMX multiplies bytes whatever their bits, in layers with four outputs in a row or "
            "more: fewer bits buy no time there (--target.no-amx leaves it out)."
        )
    return "" if state in ("", AMX_LEFT_OUT) else f"AMX is left out: {state}."
