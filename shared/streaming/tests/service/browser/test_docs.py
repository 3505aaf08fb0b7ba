import httpx

from eddyline.service.app import Context, create_app
from eddyline.service.settings import Settings
from eddyline.testing import running


async def test_the_page_may_load_from_its_own_origin_alone() -> None:
    app = create_app(Context.from_settings(Settings()), [], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        page = await client.get("/docs")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "http" not in page.text.replace("http://www.w3.org/2000/svg", "")
        for name, kind in (("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")):
            asset = await client.get("/docs/assets/" + name)
            assert asset.status_code == 200
            assert kind in asset.headers["content-type"]
            unchanged = {"If-None-Match": asset.headers["etag"]}
            assert (await client.get("/docs/assets/" + name, headers=unchanged)).status_code == 304
        assert (await client.head("/docs")).status_code == 200
        assert (await client.get("/redoc")).status_code == 404
