"""Logs: a line of JSON for each thing that happened."""

import json
import logging
import logging.handlers
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import cannot_write
from experiments.service.folder import ServiceFolder

_LOGGERS = ("experiments.service", "uvicorn.error")
_USUAL = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message", "taskName"}
_BYTES, _FILES = 10_000_000, 5


class JsonLines(logging.Formatter):
    """A record as one line: what every line has, then what it was given beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _USUAL},
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


@contextmanager
def json_log(folder: Path) -> Iterator[None]:
    """Write what the server does to `service.log`, of which a few old ones are kept.

    Args:
        folder: The service's, made where it is missing.

    Raises:
        RunFolderError: the file cannot be written.
    """
    path = ServiceFolder(folder).log
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8"
        )
    except OSError as error:
        raise cannot_write(path, error, "--folder FOLDER") from None
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True
        handler.close()
