"""A P-256 certificate for GStreamer, which makes RSA ones by itself: the server's DTLS takes only ECDSA.

GStreamer 1.22 takes a certificate on its inner element `dtlssrtpdec`, but then names a wrong fingerprint in
its offer: that of the certificate and its key together. `Forwarder` stands between the client and the
server and puts the right one there; nothing else is changed.
"""

import hashlib
import http.client
import re
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

#: Headers of one connection, not of the message.
HOP = {"connection", "content-length", "transfer-encoding", "host", "keep-alive"}


class Certificate:
    """Made when asked for; `pem` holds the key and the certificate."""

    def __init__(self) -> None:
        made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=gst"
        run = subprocess.run([*made.split(), "-keyout", "-"], check=True, capture_output=True, text=True)
        self.pem = run.stdout
        der = ssl.PEM_cert_to_DER_cert(self.pem[self.pem.index("-----BEGIN CERTIFICATE") :])
        self.fingerprint = hashlib.sha256(der).digest().hex(":").upper()

    def give(self, pipeline: Gst.Pipeline) -> None:
        """Gives it to every DTLS transport of a pipeline."""

        def on_element(_bin: Gst.Bin, _parent: Gst.Bin, element: Gst.Element) -> None:
            factory = element.get_factory()
            if factory and factory.get_name() == "dtlssrtpdec":
                element.set_property("pem", self.pem)

        pipeline.connect("deep-element-added", on_element)

    def forwarded(self, url: str) -> str:
        """The same URL by way of a forwarder that corrects the fingerprint of what is posted."""
        parts = urlsplit(url)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(parts.netloc, self.fingerprint))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return parts._replace(netloc=f"127.0.0.1:{server.server_port}").geturl()


def _handler(upstream: str, fingerprint: str) -> type[BaseHTTPRequestHandler]:
    class Forwarder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            line = b"a=fingerprint:sha-256 " + fingerprint.encode()
            body = re.sub(rb"a=fingerprint:sha-256 [0-9A-F:]+", line, body)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            connection = http.client.HTTPConnection(upstream, timeout=20)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_DELETE = do_OPTIONS = _forward

        def log_message(self, *_: object) -> None:
            """Prints nothing: stdout is the client's."""

    return Forwarder
