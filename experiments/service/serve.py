"""bitalloc serve: jobs over HTTP, for one person at a desk or a team with a shelf of boards."""

import getpass
import ipaddress
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.errors import ConfigError
from experiments.service.client.place import Place, remember
from experiments.service.extra import extra
from experiments.service.folder import usual_folder
from experiments.service.settings import PORT, Allowed, Limits, ServiceSettings
from experiments.service.store.jobs import Quotas
from experiments.service.store.tokens import Role, Tokens
from experiments.service.systemd import systemd_unit
from experiments.service.work.isolation import can_leave_network
from experiments.service.work.memory_group import NoGroupError, delegated_group
from experiments.settings.command_line import Command, run_typed
from hardware.target import host_and_port
from hardware.worker.rpc.address import usual_tracker
from quant.records.ranges import Count, NotNegative, Positive, check_ranges, more_than

_HOUR_S, _DAY_S, _GB, _MB = 3600.0, 86400.0, 1e9, 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOptions:
    """Answer HTTP, and do the jobs that come, one for each free target at a time.

    The first start makes an operator's token and leaves it where this user's client finds it. What
    is stopped or killed goes on at the next start.
    """

    folder: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """All that the service keeps; a copy of it is a backup. $XDG_DATA_HOME/bitalloc/service by
    default."""
    host: str = "127.0.0.1"
    """Address to listen on; others than this machine's own need TLS, or a proxy that has it."""
    port: int = PORT
    """0 takes any that is free."""
    tls_certificate: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Certificate with its chain, in PEM."""
    tls_key: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Its private key, in PEM."""
    behind_proxy: bool = False
    """A proxy before this server ends TLS; its X-Forwarded headers are believed."""
    tracker: Annotated[str, tyro.conf.arg(metavar="HOST:PORT")] = ""
    """RPC tracker of the boards; $TVM_TRACKER_HOST and _PORT by default."""
    ray: Annotated[str, tyro.conf.arg(metavar="HOST:PORT")] = ""
    """Head of a Ray cluster whose machines retrain for jobs that ask for it."""
    functions: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODULE:FUNCTION")] = ()
    """Python functions that jobs may name as networks, data, losses or metrics."""
    folders: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FOLDER")] = ()
    """Folders of data that jobs may name."""
    job_network: bool = False
    """Let jobs on this machine reach the network, where functions of yours need it."""
    tensorboard: bool = False
    """Show the runs of all jobs in TensorBoard, too, to operators."""
    job_hours: Positive = 24.0
    """Longest time of a job."""
    job_gb: Annotated[float | None, more_than(0)] = None
    """Most resident memory of a job; four fifths of the machine's by default."""
    job_evaluations: Count = 2_000
    """Most evaluations of a job."""
    queued: Count = 200
    """Most jobs of a user that wait."""
    running: Count = 2
    """Most jobs of a user that run at once."""
    evaluations_a_day: Count = 5_000
    """Most evaluations that a user may ask for in 24 hours."""
    upload_mb: Count = 512
    """Largest upload."""
    upload_days: Positive = 30.0
    """How long an upload stays that no job names."""
    keep_days: NotNegative = 0.0
    """How long a job that is over stays with its files; 0 for ever."""
    streams: Count = 800
    """Most open event streams."""
    print_systemd_unit: bool = False
    """Print a unit for systemd with these flags, and end."""
    typed: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()
    """The flags as they were typed, for the unit."""

    def __post_init__(self) -> None:
        """Refuse what would listen in the open, or cannot be."""
        check_ranges(self, "--", ConfigError)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("expected --tls-certificate and --tls-key, found one of them")
        open_wide = not (_is_loopback(self.host) or self.behind_proxy or self.tls_key)
        if open_wide:
            raise ConfigError(
                f"--host: tokens would cross the network in the clear on {self.host}",
                "give --tls-certificate and --tls-key, or --behind-proxy where a proxy has TLS",
            )
        for file in (self.tls_certificate, self.tls_key):
            if file is not None and not file.is_file():
                raise ConfigError(f"expected a file in PEM, found no file {file}")
        if self.tracker:
            host_and_port(self.tracker, "--tracker: ")
        if self.ray:
            host_and_port(self.ray, "--ray: ")
        for function in self.functions:
            if ":" not in function:
                raise ConfigError(f"--functions: expected MODULE:FUNCTION, found {function!r}")
        for folder in self.folders:
            name, _, path = folder.partition("=")
            if not (name and path and Path(path).is_dir()):
                raise ConfigError(
                    f"--folders: expected NAME=FOLDER that is there, found {folder!r}"
                )

    @property
    def settings(self) -> ServiceSettings:
        """What the operator decided."""
        named = (folder.partition("=") for folder in self.folders)
        return ServiceSettings(
            folder=(self.folder or usual_folder()).resolve(),
            allowed=Allowed(
                functions=frozenset(self.functions),
                folders={name: Path(path).resolve() for name, _, path in named},
                modules=Path.cwd() if self.functions else None,
                tracker=self.tracker or usual_tracker(),
                ray=self.ray,
                network=self.job_network,
            ),
            tensorboard=self.tensorboard,
            limits=Limits(
                wall_s=_HOUR_S * self.job_hours,
                memory_bytes=int(_GB * self.job_gb) if self.job_gb else Limits().memory_bytes,
                evaluations=self.job_evaluations,
                upload_bytes=_MB * self.upload_mb,
                uploads_kept_s=_DAY_S * self.upload_days,
                jobs_kept_s=_DAY_S * self.keep_days,
                streams=self.streams,
                quotas=Quotas(
                    queued=self.queued,
                    running=self.running,
                    evaluations_a_day=self.evaluations_a_day,
                ),
            ),
        )


def main(arguments: Sequence[str]) -> int:
    """Serve until it is stopped, and return the exit code."""
    return run_typed("experiments.service.serve", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(
        options=ServeOptions,
        work=_command,
        defaults=lambda arguments, typed: ServeOptions(typed=tuple(arguments)),
    )


def _command(options: ServeOptions) -> None:
    settings = options.settings
    if options.print_systemd_unit:
        print(systemd_unit(options.typed, settings.folder, settings.allowed.tracker), end="")
        return
    with extra():
        from experiments.service.web.logs import json_log
        from experiments.service.web.server import Listening, bind, serve
        from experiments.service.web.service import open_service
    listening = Listening(
        host=options.host,
        port=options.port,
        certificate=options.tls_certificate,
        key=options.tls_key,
        behind_proxy=options.behind_proxy,
    )
    groups = _memory_groups()
    with (
        bind(listening) as place,
        json_log(settings.folder),
        open_service(settings, groups) as service,
    ):
        host = f"[{options.host}]" if ":" in options.host else options.host
        scheme = "https" if options.tls_key else "http"
        address = f"{scheme}://{host}:{place.getsockname()[1]}"
        print(f"serving {settings.folder} at {address}", flush=True)
        if not (options.job_network or can_leave_network()):
            print("jobs keep the network: this system allows no namespace without one", flush=True)
        _make_first_token(service.tokens, address)
        serve(service, listening, place)
        print("stopping: what runs is saved, and goes on at the next start", flush=True)


def _memory_groups() -> Path | None:
    try:
        return delegated_group()
    except NoGroupError as why:
        print(f"jobs' memory is looked at five times a second, not kept: {why}", flush=True)
        return None


def _make_first_token(tokens: Tokens, address: str) -> None:
    if tokens.everyone():
        return
    name = getpass.getuser()
    token = tokens.create(name, Role.OPERATOR)
    path = remember(Place(server=address, token=token))
    print(f"the operator's token of {name} is in {path}", flush=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
