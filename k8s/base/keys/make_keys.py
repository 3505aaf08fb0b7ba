"""Makes the Secret with the suite's keys in each of its namespaces, where it is not there yet.

Runs in the cluster, so that no key is in the repository, or on the machine that applies it.
"""

import base64
import json
import os
import secrets
import ssl
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

NAME = "eddyline-keys"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def ask(method: str, namespace: str, name: str = "", body: Any = None) -> Any:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    request = urllib.request.Request(
        f"https://{host}:{port}/api/v1/namespaces/{namespace}/secrets/{name}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/json",
        },
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        return json.load(answer)


def existing(namespace: str) -> dict[str, str] | None:
    try:
        return dict(ask("GET", namespace, NAME)["data"])
    except HTTPError as error:
        if error.code == 404:
            return None
        raise


def fresh() -> dict[str, str]:
    keys = ("auth-key", "redis-password")
    return {key: base64.b64encode(secrets.token_hex(32).encode()).decode() for key in keys}


def main(namespaces: list[str]) -> None:
    found = {namespace: existing(namespace) for namespace in namespaces}
    data = next((data for data in found.values() if data), None) or fresh()
    for namespace in namespaces:
        if found[namespace] is None:
            metadata = {"name": NAME, "labels": {"app.kubernetes.io/part-of": "eddyline"}}
            ask("POST", namespace, body={"metadata": metadata, "type": "Opaque", "data": data})
        print(f"{namespace}/{NAME}: {'made' if found[namespace] is None else 'was there'}")


if __name__ == "__main__":
    main(os.environ["NAMESPACES"].split())
