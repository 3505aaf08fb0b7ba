"""The service's keys: one signs webhooks (section 6.5), one the tokens of wakes (12.9)."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eddyline.store.base import Batch, StreamConfig, StreamStore

#: Where the keys are kept, so that all processes have the same ones, after a restart as well.
KEY = "__ds/keys"


@dataclass(frozen=True)
class Keys:
    """`kid` is made of the public key: its thumbprint (RFC 7638)."""

    private: Ed25519PrivateKey
    secret: bytes
    kid: str
    jwk: dict[str, str]

    @classmethod
    async def load(cls, store: StreamStore) -> "Keys":
        """The keys of a store; made where it has none."""
        new = orjson.dumps([secrets.token_hex(32), secrets.token_hex(32)])
        await store.create(KEY, StreamConfig("application/json"), Batch([new]))
        [record, *_] = (await store.read(KEY, None, 1)).records
        seed, secret = (bytes.fromhex(text) for text in orjson.loads(record.data))
        private = Ed25519PrivateKey.from_private_bytes(seed)
        x = _base64(private.public_key().public_bytes_raw())
        thumb = hashlib.sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%b"}' % x.encode()).digest()
        kid = f"ds_{_base64(thumb[:12])}"
        jwk = {"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": x}
        return cls(private, secret, kid, jwk)

    def sign(self, body: bytes) -> str:
        """The value of `Webhook-Signature` (section 7.1)."""
        at = int(time.time())
        signature = self.private.sign(b"%d.%b" % (at, body))
        return f"t={at},kid={self.kid},ed25519={_base64(signature)}"

    def token(self, id: str, generation: int, wake: str) -> str:
        """A token for one wake of a subscription."""
        return jwt.encode({"sub": id, "gen": generation, "wake": wake}, self.secret, "HS256")

    def claims(self, token: str) -> dict[str, Any]:
        """Raises jwt.InvalidTokenError."""
        return jwt.decode(token, self.secret, ["HS256"])


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
