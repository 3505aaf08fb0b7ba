"""Events in five lines: `uvicorn app:app`, then see README.md."""

from fastapi import FastAPI, Request, Response

from eddyline import Hub

hub = Hub()  # Hub("redis://localhost") for several processes: pip install 'eddyline[redis]'
app = FastAPI(lifespan=hub.lifespan)


@app.get("/events")
async def events(request: Request) -> Response:
    return await hub.subscribe(request, topics=["orders"])


@app.post("/orders/{order}")
async def order(order: int) -> str:
    return await hub.publish("orders", {"id": order})
