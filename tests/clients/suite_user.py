"""A user of the client that openapi-python-client makes from the suite's document.

Each value below has a type of the document, so mypy finds where the two differ.
"""

import json
import sys

from suite_client import AuthenticatedClient
from suite_client.api.downloads import download_file, list_files
from suite_client.api.events import kick_subscriber, publish, read_history
from suite_client.api.records import read_records
from suite_client.models import FileList, History, Problem, Publication, Published

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])

published = publish.sync(
    client=client,
    body=[
        Publication(topic="clients/1", data={"n": 1}, private=False),
        Publication(topic="clients/2", data="two", event="changed"),
    ],
)
assert isinstance(published, list)
ids: list[Published] = published

history = read_history.sync(client=client, topic=["clients/1", "clients/2"], limit=10)
assert isinstance(history, History)

listing = list_files.sync(client=client, prefix="users")
assert isinstance(listing, FileList)

part = download_file.sync_detailed("users.csv", client=client, range_="bytes=0-1")
assert part.parsed is not None
assert not isinstance(part.parsed, Problem | str)

refused = read_records.sync(dataset="none", client=client)
assert isinstance(refused, Problem)

forbidden = kick_subscriber.sync(subscriber="x", client=client)
assert isinstance(forbidden, Problem)

print(
    json.dumps(
        {
            "published": [one.id for one in ids],
            "history": [[one.id, one.topic, one.event, one.data] for one in history.events],
            "files": [one.path for one in listing.files],
            "part": [part.status_code, part.parsed.payload.read().decode()],
            "problem": [refused.status, refused.title, refused.detail],
            "forbidden": [forbidden.status, forbidden.title],
        }
    )
)
