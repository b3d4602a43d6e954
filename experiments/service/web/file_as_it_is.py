"""FileAsItIs: a file as long as it is now; what a running job appends meanwhile is not sent."""

from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send


class FileAsItIs(FileResponse):
    """Sends what it announced: more than that would end the connection in the middle."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whole or a range."""
        left = -1

        async def bounded(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = int(Headers(raw=message["headers"])["content-length"])
            elif message["type"] == "http.response.body":
                if left < 0:  # the last piece is sent
                    return
                body = message.get("body", b"")[:left]
                left -= len(body)
                more = message.get("more_body", False) and left > 0
                message = {**message, "body": body, "more_body": more}
                if not more:
                    left = -1
            await send(message)

        await super().__call__(scope, receive, bounded)
