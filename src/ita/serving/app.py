"""The routes of the service, and what becomes of requests that none of them takes."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import ita
from ita.serving import kserve, metrics
from ita.serving.errors import INTERNAL, ServiceError
from ita.serving.json_body import JsonRoute
from ita.serving.messages import (
    ErrorAnswer,
    Explain,
    Json,
    TagAnswer,
    TagRequest,
    ViewName,
    answers_of,
    records_of,
)
from ita.serving.service import Service

PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
"""Path -> file of the package and its type; no page loads anything from elsewhere."""
POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 408, 413, 415, 422, 429, 500, 504)
}
UPLOAD_FIELDS = {"text", "tokens", "context", "image", "image_url", "view", "explain"}
ROUTES = "/, /docs, /v1/tag, /v1/upload, /v2, /metrics"
JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data"


def build_app(service: Service) -> FastAPI:
    """All routes."""
    app = FastAPI(
        title="ita",
        version=ita.__version__,
        description=f"Named entities of posts and their images, by the model {service.name}.",
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(tag_routes(service))
    app.include_router(kserve.router(service), dependencies=[Depends(content_type(JSON_TYPE))])
    app.include_router(page_routes())
    app.add_exception_handler(ServiceError, answer_error)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(Exception, answer_unexpected)
    return app


def content_type(expected: str) -> Any:
    """Refuses requests with a body of another type."""

    async def check(request: Request) -> None:
        sent = request.headers.get("content-type", "")
        if request.method == "POST" and sent.partition(";")[0].strip().lower() != expected:
            message = f"found the content type {sent!r:.80}" if sent else "found no content type"
            raise ServiceError(415, "wrong_content_type", message, expected)

    return check


def tag_routes(service: Service) -> APIRouter:
    """The routes under /v1."""
    routes = APIRouter(prefix="/v1", tags=["Posts"], responses=ERRORS, route_class=JsonRoute)

    async def answer(posts: list[dict[str, Any]], view: Any, explain: bool) -> Json:
        answers = await service.answer(records_of(posts, service.options), view, explain)
        return Json({"model": service.name, "posts": answers_of(answers, posts)})

    @routes.post(
        "/tag",
        summary="Tag posts",
        response_model=TagAnswer,
        dependencies=[Depends(content_type(JSON_TYPE))],
    )
    async def tag(body: TagRequest) -> Response:
        return await answer(body.list_posts(), body.view, body.explain)

    @routes.post(
        "/upload",
        summary="Tag a post whose image is uploaded",
        response_model=TagAnswer,
        dependencies=[Depends(content_type(FORM_TYPE))],
    )
    async def upload(
        request: Request,
        text: Annotated[str | None, Form()] = None,
        tokens: Annotated[str | None, Form(description="a JSON list, or words between blanks")] = None,
        context: Annotated[str | None, Form(description="text that stands for the image")] = None,
        image: UploadFile | None = None,
        image_url: Annotated[str | None, Form()] = None,
        view: Annotated[ViewName, Form()] = "auto",
        explain: Annotated[Explain, Form()] = False,
    ) -> Response:
        if unknown := set(await request.form()) - UPLOAD_FIELDS:
            raise ServiceError(
                422, "invalid_request", f"found a field '{min(unknown):.40}'", f"some of {', '.join(UPLOAD_FIELDS)}"
            )
        fields = {"text": text, "tokens": tokens, "context": context, "image_url": image_url}
        post: dict[str, Any] = {name: value for name, value in fields.items() if value}
        record = records_of([post], service.options)[0]
        if image is not None and (content := await image.read()):
            record = type(record)({**record.values, "image": content}, record.error)
        answers = await service.answer([record], view, explain)
        return Json({"model": service.name, "posts": answers_of(answers, [post])})

    return routes


def page_routes() -> APIRouter:
    """The pages, and what Prometheus reads."""
    routes = APIRouter(include_in_schema=False)
    files = resources.files("ita.serving") / "static"

    def add(path: str, name: str, media_type: str) -> None:
        content = (files / name).read_bytes()

        @routes.get(path)
        async def page() -> Response:
            return Response(content, media_type=media_type, headers=POLICY)

    for path, (name, media_type) in PAGES.items():
        add(path, name, media_type)

    @routes.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.CONTENT_TYPE)

    return routes


async def answer_error(_: Request, error: Exception) -> Response:
    """An error that a route raised."""
    assert isinstance(error, ServiceError)
    metrics.errors.labels(error.code).inc()
    return Json(error.to_dict(), error.status, headers=error.headers())


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """An unknown path, a wrong method, or a body that is not what it says."""
    assert isinstance(error, HTTPException)
    form = request.headers.get("content-type", "").startswith(FORM_TYPE)
    known: dict[int, tuple[str, str, str | None]] = {
        400: ("invalid_form" if form else "invalid_json", str(error.detail), FORM_TYPE if form else "JSON"),
        404: ("not_found", f"found no route {request.url.path!r:.80}", f"one of {ROUTES}"),
        405: ("wrong_method", f"found the method {request.method:.20}", (error.headers or {}).get("Allow")),
    }
    code, message, expected = known.get(error.status_code, ("invalid_request", str(error.detail), None))
    return await answer_error(request, ServiceError(error.status_code, code, message, expected))


async def answer_invalid(request: Request, error: Exception) -> Response:
    """A body whose values are wrong; the first of them is named, no value is repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])[:120]
    message = f"{field or 'the body'}: {first['msg']}"
    return await answer_error(request, ServiceError(422, "invalid_request", message, "what /docs says"))


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours: its traceback is for the log alone."""
    return await answer_error(request, INTERNAL)
