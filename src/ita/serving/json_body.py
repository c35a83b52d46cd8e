"""Bodies of requests as JSON, with the checks that every other JSON text has: no key twice, brackets not too deep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from ita.io.text import JsonError, load_any_json

STATUS = 400


class JsonRequest(Request):
    """A request whose body is read as other JSON is."""

    async def json(self) -> Any:
        """The value of the body.

        Raises:
            HTTPException: 400, saying in a few words what is wrong.
        """
        try:
            return load_any_json((await self.body()).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise HTTPException(STATUS, f"byte {error.start} of the body is not UTF-8") from None
        except JsonError as error:
            raise HTTPException(STATUS, f"the body is not JSON: {error}") from None


class JsonRoute(APIRoute):
    """A route whose requests are JsonRequests."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await answer(JsonRequest(request.scope, request.receive))

        return handle
