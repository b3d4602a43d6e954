"""Client: a service from Python."""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from experiments.service.client.place import Place, find_place
from experiments.service.errors import ServiceError
from experiments.service.extra import extra
from quant.records.atomic_file import atomic_file

if TYPE_CHECKING:
    import httpx

_logger = logging.getLogger(__name__)
_LIMIT_S = 60.0
_TRIES = 6
"""Of a request that may be asked twice, while the server is not there."""
_FIRST_WAIT_S = 0.5
_PIECE = 1 << 16
_ERROR = 400


class UnreachableError(ServiceError):
    """Raised where no server answers."""


class RefusalError(ServiceError):
    """Raised where the server refuses; its sentence and hint are the server's."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        """Keep the status of HTTP."""
        super().__init__(message, hint)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """Something that happened to a job."""

    number: int
    kind: str
    """`state`, `evaluation`."""
    document: Mapping[str, Any]


class Client:
    """A service over HTTP; a context manager. Jobs are what the API's document says, as mappings.

    with Client() as client:
        job = client.submit("search", {"method": "random", "evaluations": 8})
        client.wait(job["id"])
    """

    def __init__(self, server: str = "", token: str = "") -> None:
        """Use a server.

        Args:
            server: Its address; empty for `$BITALLOC_SERVER` or the one of the client's file.
            token: Empty for `$BITALLOC_TOKEN` or the one of the client's file.

        Raises:
            BitAllocError: no token is known, or the extra `service` is not installed.
        """
        with extra():
            import httpx
        place = Place(server=server.rstrip("/"), token=token) if server and token else None
        self.place = place or find_place(server)
        self._http = httpx.Client(
            base_url=self.place.server,
            headers={"Authorization": f"Bearer {token or self.place.token}"},
            timeout=_LIMIT_S,
        )

    def submit(
        self,
        kind: str,
        settings: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Hand in a job, once, however often the connection breaks, and return it.

        Args:
            kind: `search`, `evaluate`, `export`, `measure`, `staircase`, `compare`.
            settings: Keys of a configuration, in sections or dotted; for the kinds that have one.
            id: The job's id; None for one that is made up.
            more: What else the kind takes, such as `of`, `bits` or `priority`.

        Raises:
            ServiceError: it is refused, or no server answers.
        """
        request = {"kind": kind, "id": id or f"{kind}-{secrets.token_hex(5)}", **more}
        if settings is not None:
            request["settings"] = dict(settings)
        return self._json("POST", "/v1/jobs", json=request)

    def job(self, id: str) -> dict[str, Any]:
        """Return a job."""
        return self._json("GET", f"/v1/jobs/{id}")

    def jobs(self, states: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield the jobs that one may see, the oldest first.

        Args:
            states: Which; none for all.
        """
        after: int | None = 0
        while after is not None:
            page = self._json("GET", "/v1/jobs", params={"after": after, "state": [*states]})
            yield from page["jobs"]
            after = page["next"]

    def cancel(self, id: str) -> dict[str, Any]:
        """End a job; one that runs is `cancelled` within seconds."""
        return self._json("POST", f"/v1/jobs/{id}/cancel")

    def delete(self, id: str) -> None:
        """Delete a job that is over, with its files."""
        self._ask("DELETE", f"/v1/jobs/{id}")

    def allocate(
        self, job: str = "", *, network: str | Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Return which bits a budget wants, at once; all of it is predicted.

        Args:
            job: A finished search, which answers for its own network.
            network: In its place, what `upload` returned, or layers as `beliefs.json` has them.
            more: Limits, such as `latency_ratio=0.6`; for a network its `target` and `bit_choices`;
                `verify=True` for a job that times the answer.
        """
        asked = {"job": job} if job else {"network": network}
        return self._json("POST", "/v1/allocate", json={**asked, **more})

    def boards(self) -> list[dict[str, Any]]:
        """Return where jobs can run."""
        found: list[dict[str, Any]] = self._json("GET", "/v1/boards")["boards"]
        return found

    def logs(self, id: str) -> str:
        """Return what a job's process printed."""
        return self._ask("GET", f"/v1/jobs/{id}/logs").text

    def events(self, id: str, after: int = 0) -> Iterator[JobEvent]:
        """Yield what happens to a job until it is over, through restarts of the server.

        Args:
            id: The job.
            after: Number of the last event that is known.
        """
        import httpx

        failures = 0
        while True:
            try:
                for event in self._stream(id, after):
                    if event is None:
                        return
                    after, failures = event.number, 0
                    yield event
            except (httpx.TransportError, UnreachableError) as error:
                failures += 1
                if failures >= _TRIES:
                    raise self._unreachable(error) from None
            time.sleep(_FIRST_WAIT_S * 2.0**failures)

    def wait(self, id: str) -> dict[str, Any]:
        """Return a job once it is over."""
        for _ in self.events(id):
            pass
        return self.job(id)

    def artifacts(self, id: str) -> list[dict[str, Any]]:
        """Return a job's files: `name`, `bytes`, `sha256`."""
        found: list[dict[str, Any]] = self._json("GET", f"/v1/jobs/{id}/artifacts")["artifacts"]
        return found

    def fetch(self, id: str, folder: Path, names: Collection[str] = ()) -> list[Path]:
        """Write a job's files into a folder, and return them; each is compared with its digest.

        Args:
            id: The job.
            folder: Made where it is missing.
            names: Which, or folders of them; none for all.

        Raises:
            ServiceError: a file is not what the server says, or no server answers.
        """
        fetched = []
        for item in self.artifacts(id):
            name = PurePosixPath(item["name"])
            if names and not any(name.is_relative_to(wanted) for wanted in names):
                continue
            if name.is_absolute() or ".." in name.parts:
                raise ServiceError(f"expected names inside a folder, found {item['name']!r}")
            path = folder.joinpath(*name.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(id, item, path)
            fetched.append(path)
        return fetched

    def upload(self, file: Path) -> str:
        """Send data (.npz, .safetensors) or a network (.onnx); return what settings call it."""
        kind = "networks" if file.suffix == ".onnx" else "data"
        params = {} if kind == "networks" else {"format": file.suffix.removeprefix(".")}
        with file.open("rb") as content:
            name: str = self._json("POST", f"/v1/{kind}", params=params, content=content)["name"]
        return name

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _stream(self, id: str, after: int) -> Iterator[JobEvent | None]:
        """Yield the events of one connection, and None once there will be no more."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = f"/v1/jobs/{id}/events"
        with self._http.stream("GET", path, headers=headers) as response:
            if response.status_code >= _ERROR:
                response.read()
                raise _refusal(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if fields.get("event") == "end":
                    yield None
                elif "id" in fields:
                    yield JobEvent(
                        number=int(fields["id"]),
                        kind=fields["event"],
                        document=json.loads(fields["data"]),
                    )
                fields = {}

    def _fetch(self, id: str, item: Mapping[str, Any], path: Path) -> None:
        digest = hashlib.sha256()
        with (
            self._http.stream("GET", f"/v1/jobs/{id}/artifacts/{item['name']}") as response,
            atomic_file(path) as made,
        ):
            if response.status_code >= _ERROR:
                response.read()
                raise _refusal(response)
            with made.open("wb") as file:
                for piece in response.iter_bytes(_PIECE):
                    digest.update(piece)
                    file.write(piece)
            # Of a run that goes on, a file may have grown since it was listed.
            said = response.headers.get("etag", "").strip('"')
            if digest.hexdigest() not in (said, item["sha256"]):
                raise ServiceError(f"{item['name']} came damaged", "fetch it again")

    def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._ask(method, path, **more).json()
        return found

    def _ask(self, method: str, path: str, **more: Any) -> "httpx.Response":
        import httpx

        last = 0 if "content" in more else _TRIES - 1  # an open file cannot be sent again
        for number in range(last + 1):
            try:
                response = self._http.request(method, path, **more)
            except httpx.TransportError as error:
                if number == last or isinstance(error, httpx.UnsupportedProtocol):
                    raise self._unreachable(error) from None
                if number == 0:
                    _logger.warning("%s does not answer: trying again", self.place.server)
                time.sleep(_FIRST_WAIT_S * 2.0**number)
                continue
            if response.status_code >= _ERROR:
                raise _refusal(response)
            return response
        raise AssertionError

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"no service answers at {self.place.server}: {error or type(error).__name__}",
            "start one: bitalloc serve",
        )


def _refusal(response: "httpx.Response") -> RefusalError:
    try:
        said = response.json()
        return RefusalError(response.status_code, str(said["detail"]), str(said.get("hint", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return RefusalError(
            response.status_code,
            f"expected an answer of BitAlloc's service, found status {response.status_code}",
            "is it the address of something else?",
        )
