"""Whose turn it is: one job after the other of each user, each user's own by priority."""

import math
from collections import Counter
from collections.abc import Collection, Mapping

from experiments.service.store.job import Job


def next_job(
    waiting: Collection[Job],
    running: Collection[Job],
    last_starts: Mapping[str, float],
    most_running: Mapping[str, int],
) -> Job | None:
    """Return the job to start on a free target, None where none may be.

    The user with the fewest running jobs comes first, then the one whose last start is the longest
    ago: a user who hands in a hundred jobs waits for nobody, and nobody waits for the hundred.

    Args:
        waiting: Those that could start.
        running: Those that run, on any target.
        last_starts: When each user's newest start was; users without one come first.
        most_running: How many jobs of a user may run at once, where there is such a limit.
    """
    busy = Counter(job.user for job in running)
    may = [job for job in waiting if busy[job.user] < most_running.get(job.user, math.inf)]
    return min(
        may,
        key=lambda job: (
            busy[job.user],
            last_starts.get(job.user, 0.0),
            -job.priority,
            job.number,
        ),
        default=None,
    )
