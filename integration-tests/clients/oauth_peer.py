"""The part of Twitch that signs people in: /oauth2/authorize, /oauth2/token, /helix/users. Prints its port.

It is as strict as RFC 6749 and RFC 7636 let it be: a code is good once, for its client, secret, address and verifier.
Whoever is asked is user 4242; `/oauth2/authorize` agrees at once and leads back.
"""

import base64
import hashlib
import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

CLIENT, SECRET = "client", "secret-0123456789"
USER = {"id": "4242", "login": "ada", "display_name": "Ada"}
codes: dict[str, dict[str, str]] = {}
tokens: set[str] = set()


def is_for(asked: dict[str, str], form: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return (
        form.get("grant_type") == "authorization_code"
        and (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        and form.get("redirect_uri") == asked["redirect_uri"]
        and asked["code_challenge_method"] == "S256"
        and challenge == asked["code_challenge"]
    )


class Peer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        at = urlsplit(self.path)
        if at.path == "/oauth2/authorize":
            asked = dict(parse_qsl(at.query, keep_blank_values=True))
            code = secrets.token_hex(15)
            codes[code] = asked
            back = urlencode({"code": code, "scope": asked["scope"], "state": asked["state"]})
            self.answer(302, {}, f"{asked['redirect_uri']}?{back}")
        elif at.path == "/helix/users":
            bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
            known = bearer in tokens and self.headers.get("client-id") == CLIENT
            self.answer(200 if known else 401, {"data": [USER]} if known else {"status": 401})
        else:
            self.answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        asked = codes.pop(form.get("code", ""), None)
        if asked is None or not is_for(asked, form):
            self.answer(400, {"status": 400, "message": "Invalid authorization code"})
            return
        access = secrets.token_hex(15)
        tokens.add(access)
        granted = {"access_token": access, "refresh_token": "refresh-" + secrets.token_hex(20), "expires_in": 14124}
        self.answer(200, granted | {"scope": asked["scope"].split(), "token_type": "bearer"})

    def answer(self, status: int, body: dict, location: str = "") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if location:
            self.send_header("location", location)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Standard error is for faults."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
