"""Publishes an update: `uv run publish.py TOPIC TEXT`, and prints its id."""

import os
import sys

from mercure_publisher import MercureConfig, MercurePublisher

topic, text = sys.argv[1:]
config = MercureConfig(
    hub_url=os.environ.get("MERCURE_URL", "http://127.0.0.1:8000/.well-known/mercure"),
    publisher_jwt_key=os.environ["MERCURE_JWT_SECRET"],
    publish_topics=["*"],
)
with MercurePublisher(config) as publisher:
    print(publisher.publish([topic], text))
