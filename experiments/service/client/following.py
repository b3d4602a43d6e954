"""Following: a job on a terminal until it is over. Ctrl-C ends the watching and not the job."""

import sys

from experiments.service.client.client import Client
from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, INTERRUPTED, USER_MISTAKE
from experiments.terminal.progress import LiveProgress

_SUCCEEDED = "succeeded"


def follow(client: Client, id: str) -> int:
    """Show a job until it is over; return the exit code that its command would have had."""
    total = client.job(id)["evaluations"]
    try:
        with LiveProgress(quiet=False) as progress:
            for event in client.events(id):
                said = event.document
                if event.kind == "evaluation":
                    score, ms = said["score"], said["latency_ms"]
                    note = f"{said['proposer']}: {said['metric']} {score:.4g}"
                    note += said["error"] if ms is None else f" at {ms:.4g} ms"
                    progress.stage("evaluations", said["index"] + 1, total, note)
                else:
                    reason = f": {said['reason']}" if said.get("reason") else ""
                    print(f"{id} is {said['state']}{reason}", flush=True)
    except KeyboardInterrupt:
        print(f"{id} goes on; see it again: bitalloc watch {id}", file=sys.stderr)
        return INTERRUPTED
    return tell_end(client, id)


def tell_end(client: Client, id: str) -> int:
    """Say how a job ended and what to do next; return an exit code."""
    job = client.job(id)
    if job["state"] == _SUCCEEDED:
        if job["health"]:
            print(f"its result is {job['health']}")
        print(f"take its files home: bitalloc fetch {id}")
        return DONE
    print(f"error: {id} is {job['state']}: {job['reason']}", file=sys.stderr)
    if job["hint"]:
        print(f"hint: {job['hint']}", file=sys.stderr)
    return HARDWARE_LOST if job["fault"] == "hardware" else USER_MISTAKE
