"""The start page: one file, without anything from elsewhere."""

from pathlib import Path

from fastapi import APIRouter, Response

from eddyline.service.browser.page import Page


def router() -> APIRouter:
    routes = APIRouter()
    page = Page(Path(__file__).with_name("page.html"))

    @routes.get("/", include_in_schema=False)
    @routes.head("/", include_in_schema=False)
    async def start_page() -> Response:
        return page.response()

    return routes
