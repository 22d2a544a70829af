"""Makes and reads JWTs with hashlib, hmac, cryptography's RSA and PyJWT: not the library that the server uses.

    mint.py abuse --key KEY       one JSON object: the name of what is wrong with a token -> the token
    mint.py receipts --key KEY    the same for receipts of Bits; KEY is base64, the product rain of "simextension", 100 Bits, user 7
    mint.py read TOKEN --key KEY  checks the signature and prints header and claims
    mint.py sign CLAIMS --key KEY one JSON array: a token for each object of the array CLAIMS, good for ten minutes
    mint.py sessions --key KEY    as abuse, of tokens of people
    mint.py extension --key KEY   as abuse, of tokens of Twitch's extension helper; KEY is base64

`good` among the first is a token for publishing on channel "show" with nothing wrong, among the second one of a streamer of
it, among the third one of the broadcaster 123. With `--base64` a KEY for signing is base64 too.
"""

import argparse
import base64
import hashlib
import hmac
import json
import time


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: object) -> str:
    return b64(json.dumps(value).encode())


def unpart(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(key: str | bytes, signed: str, digest: str = "sha256") -> str:
    key = key.encode() if isinstance(key, str) else key
    return b64(hmac.new(key, signed.encode(), getattr(hashlib, digest)).digest())


def token(key: str | bytes, claims: dict, header: dict | None = None, digest: str = "sha256") -> str:
    signed = f"{part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    return f"{signed}.{sign(key, signed, digest)}"


def rs256(claims: dict) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    signed = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return f"{signed}.{b64(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def forged(key: str | bytes, good: dict) -> dict[str, str]:
    """What is wrong with a token, whatever it is for."""
    now = int(time.time())
    whole = token(key, good)
    head, body, signature = whole.split(".")
    return {
        "good": whole,
        "alg none": f"{part({'alg': 'none'})}.{body}.",
        "alg none, signed": token(key, good, {"alg": "none", "typ": "JWT"}),
        "alg RS256 signed by RSA": rs256(good),
        "alg RS256 signed by HMAC": token(key, good, {"alg": "RS256", "typ": "JWT"}),
        "alg HS512": token(key, good, {"alg": "HS512", "typ": "JWT"}, "sha512"),
        "another key": token("another-key-another-key-another!", good),
        "empty key": token("", good),
        "empty signature": f"{head}.{body}.",
        "short signature": f"{head}.{body}.{signature[:-4]}",
        "expired": token(key, good | {"iat": now - 700, "exp": now - 100}),
        "not yet": token(key, good | {"nbf": now + 300}),
        "no exp": token(key, without(good, "exp")),
        "exp is text": token(key, good | {"exp": "tomorrow"}),
        "exp is negative": token(key, good | {"exp": -1}),
        "huge": token(key, good | {"pad": "x" * 6000}),
        "two parts": f"{head}.{body}",
        "four parts": f"{whole}.x",
        "dots": "..",
        "not base64": f"{head}.%%%.{signature}",
        "claims are a list": token(key, [1, 2]),
    }


def without(claims: dict, name: str) -> dict:
    return {claim: value for claim, value in claims.items() if claim != name}


def abuse(key: str) -> dict[str, str]:
    now = int(time.time())
    good = {
        "iss": "reverie",
        "aud": "reverie-media",
        "role": "publish",
        "channel": "show",
        "iat": now,
        "exp": now + 600,
        "jti": "00",
    }
    head, _, signature = token(key, good).split(".")
    return forged(key, good) | {
        "other audience among ours": token(key, good | {"aud": ["x", "reverie-media"]}),
        "changed claims": f"{head}.{part(good | {'channel': '*'})}.{signature}",
        "no aud": token(key, without(good, "aud")),
        "other aud": token(key, good | {"aud": "another-service"}),
        "no iss": token(key, without(good, "iss")),
        "other iss": token(key, good | {"iss": "somebody"}),
        "no role": token(key, without(good, "role")),
        "other role": token(key, good | {"role": "admin"}),
        "no channel": token(key, without(good, "channel")),
        "illegal channel": token(key, good | {"channel": "../show"}),
        "channel is a list": token(key, good | {"channel": ["show"]}),
        "empty": "",
    }


def receipts(key: str) -> dict[str, str]:
    import jwt

    now = int(time.time())
    secret = base64.b64decode(key)

    def claims(**changes: object) -> dict:
        product = {
            "domainId": changes.pop("domain", "twitch.ext.simextension"),
            "sku": changes.pop("sku", "rain"),
            "displayName": "Rain",
            "cost": {"amount": changes.pop("amount", 100), "type": changes.pop("unit", "bits")},
        }
        data = {
            "transactionId": changes.pop("transaction", "t-minted"),
            "time": "2026-11-28T12:00:00.001Z",
            "userId": changes.pop("user", "7"),
            "product": product,
        }
        return {"topic": "bits_transaction_receipt", "exp": now + 600, "data": data} | changes

    def sign(body: dict, secret: bytes = secret, algorithm: str = "HS256") -> str:
        return jwt.encode(body, secret, algorithm=algorithm)

    def without(name: str) -> dict:
        return {claim: value for claim, value in claims().items() if claim != name}

    def lacking(name: str) -> dict:
        body = claims()
        del body["data"][name]
        return body

    whole = sign(claims())
    head, body, signature = whole.split(".")
    other = claims(amount=1)
    session = {"exp": now + 600, "opaque_user_id": "U7", "user_id": "7", "channel_id": "42", "role": "broadcaster"}
    return {
        "good": whole,
        "good, expired within the leeway": sign(claims(exp=now - 5, transaction="t-leeway")),
        "alg none": jwt.encode(claims(), None, algorithm="none"),
        "alg none, signed": f"{part({'alg': 'none'})}.{body}.{signature}",
        "alg HS512": sign(claims(), algorithm="HS512"),
        "alg RS256": rs256(claims()),
        "another key": sign(claims(), b"another key, another key, another"),
        "the key as it is written": sign(claims(), key.encode()),
        "a guessed key": jwt.api_jws.PyJWS().encode(json.dumps(claims()).encode(), b"x" * 32),
        "no signature": f"{head}.{body}.",
        "short signature": f"{head}.{body}.{signature[:-4]}",
        "changed claims": f"{head}.{part(other)}.{signature}",
        "expired": sign(claims(exp=now - 17)),
        "no exp": sign(without("exp")),
        "exp is text": f"{head}.{part(claims(exp='tomorrow'))}.{sign_bytes(secret, head, part(claims(exp='tomorrow')))}",
        "no topic": sign(without("topic")),
        "other topic": sign(claims(topic="bits_transaction")),
        "no data": sign(without("data")),
        "no transaction": sign(lacking("transactionId")),
        "no user": sign(lacking("userId")),
        "no product": sign(lacking("product")),
        "empty transaction": sign(claims(transaction="")),
        "other extension": sign(claims(domain="twitch.ext.another")),
        "not Bits": sign(claims(unit="coins")),
        "less Bits": sign(claims(amount=99)),
        "no Bits": sign(claims(amount=0)),
        "negative Bits": sign(claims(amount=-100)),
        "Bits as text": sign(claims(amount="100")),
        "another product": sign(claims(sku="snow")),
        "another viewer's": sign(claims(user="8")),
        "a session of the extension": sign(session),
        "huge": sign(claims(pad="x" * 9000)),
        "two parts": f"{head}.{body}",
        "not base64": f"{head}.%%%.{signature}",
        "empty": "",
    }


def sign_bytes(secret: bytes, head: str, body: str) -> str:
    return b64(hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest())


def sessions(key: str) -> dict[str, str]:
    now = int(time.time())
    good = person("streamer", "show")
    head, _, signature = token(key, good).split(".")
    return forged(key, good) | {
        "changed claims": f"{head}.{part(good | {'aud': 'admin'})}.{signature}",
        "no aud": token(key, without(good, "aud")),
        "other aud": token(key, good | {"aud": "emperor"}),
        "aud of media": token(key, good | {"aud": "reverie-media", "role": "publish"}),
        "two auds": token(key, good | {"aud": ["viewer", "streamer"]}),
        "no iss": token(key, without(good, "iss")),
        "other iss": token(key, good | {"iss": "somebody"}),
        "no sub": token(key, without(good, "sub")),
        "sub is empty": token(key, good | {"sub": ""}),
        "sub with a line": token(key, good | {"sub": "ann\nadmin"}),
        "no sid": token(key, without(good, "sid")),
        "sid is a number": token(key, good | {"sid": 7}),
        "sid of no session": token(key, good | {"sid": "0123456789abcdef"}),
        "illegal channel": token(key, good | {"channel": "../show"}),
        "every channel": token(key, good | {"channel": "*"}),
        "channel is a list": token(key, good | {"channel": ["show"]}),
        "of an hour ago": token(key, good | {"iat": now - 3600, "exp": now - 2700}),
    }


def person(aud: str, channel: str | None) -> dict:
    """Claims of a session that is in no table: of the extension."""
    now = int(time.time())
    claims = {"iss": "reverie", "aud": aud, "sub": "person:ann", "sid": "ext-1", "iat": now, "exp": now + 600}
    return claims | ({"channel": channel} if channel else {})


def extension(key: bytes) -> dict[str, str]:
    good = {
        "exp": int(time.time()) + 600,
        "opaque_user_id": "U123",
        "user_id": "123",
        "channel_id": "123",
        "role": "broadcaster",
        "pubsub_perms": {"listen": ["broadcast"], "send": ["broadcast"]},
    }
    head, _, signature = token(key, good).split(".")
    return forged(key, good) | {
        "the text of the secret": token(base64.b64encode(key).decode(), good),
        "changed claims": f"{head}.{part(good | {'channel_id': '456'})}.{signature}",
        "no role": token(key, without(good, "role")),
        "role external": token(key, good | {"role": "external"}),
        "role admin": token(key, good | {"role": "admin"}),
        "no channel": token(key, without(good, "channel_id")),
        "channel is a name": token(key, good | {"channel_id": "show"}),
        "channel is a number": token(key, good | {"channel_id": 123}),
        "no opaque id": token(key, without(good, "opaque_user_id")),
        "opaque id is a path": token(key, good | {"opaque_user_id": "../U1"}),
        "user is a name": token(key, good | {"user_id": "ann"}),
    }


def several(key: str | bytes, claims: list[dict]) -> list[str]:
    now = int(time.time())
    return [token(key, {"iat": now, "exp": now + 600} | one) for one in claims]


def read(key: str, text: str) -> dict:
    head, body, signature = text.split(".")
    if not hmac.compare_digest(signature, sign(key, f"{head}.{body}")):
        raise SystemExit("the signature is wrong")
    return {"header": json.loads(unpart(head)), "claims": json.loads(unpart(body))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["abuse", "receipts", "read", "sign", "sessions", "extension"])
    parser.add_argument("--key", required=True)
    parser.add_argument("--base64", action="store_true")
    parser.add_argument("text", nargs="?")
    asked = parser.parse_args()
    key = asked.key
    if asked.base64 or asked.what == "extension":
        key = base64.b64decode(key)
    made = {
        "abuse": lambda: abuse(key),
        "receipts": lambda: receipts(key),
        "read": lambda: read(key, asked.text),
        "sign": lambda: several(key, json.loads(asked.text)),
        "sessions": lambda: sessions(key),
        "extension": lambda: extension(key),
    }
    print(json.dumps(made[asked.what]()))


if __name__ == "__main__":
    main()
