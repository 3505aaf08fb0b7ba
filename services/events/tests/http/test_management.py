"""The management routes in OpenAPI; hub/ has the tests of their answers."""


async def test_every_route_is_documented(hub, asked):
    _, document = await asked(hub, "/openapi.json")
    paths = document["paths"]
    for path, method in [
        ("/events/history", "get"),
        ("/events/topics", "get"),
        ("/events/subscribers", "get"),
        ("/events/subscribers/{subscriber}", "delete"),
        ("/events/kick", "post"),
        ("/events/tickets", "post"),
    ]:
        route = paths[path][method]
        assert route["description"]
        if method == "get":
            assert "limit" in {parameter["name"] for parameter in route["parameters"]}
    assert "subject" in str(paths["/events/kick"]["post"]["requestBody"])
    assert not [path for path in paths if "options" in paths[path]]
