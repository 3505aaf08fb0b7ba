"""`/docs`: a page that shows every operation and tries it, from this origin alone."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from starlette.staticfiles import StaticFiles

from eddyline.service.browser.page import HtmlPage

#: The package that brings Swagger UI's files, as they were released, and the folder in it.
ASSETS = ("fastapi_swagger", "resources")


def install(app: FastAPI) -> None:
    """Adds the page. The app must have no `docs_url` and no `redoc_url`: FastAPI's pages load
    their scripts from servers of others.
    """
    text = Path(__file__).with_name("docs.html").read_text(encoding="utf-8")
    page = HtmlPage(text, scripts="'self'", styles="'self'")
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    @router.head("/docs")
    async def docs() -> Response:
        return page.response()

    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(packages=[ASSETS]))
