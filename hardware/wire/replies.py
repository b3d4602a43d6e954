"""The kinds of replies that the worker gives."""

OK = "ok"
"""Kind of a reply whose value is the result."""
CANDIDATE = "candidate"
"""Kind of a reply whose value says, in one sentence, why this candidate failed."""
WORLD = "world"
"""Kind of a reply whose value is an exception for the caller: nothing would help a candidate."""
