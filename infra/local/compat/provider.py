"""An OpenID Connect provider of the tests' own on loopback: discovery, keys and tokens, and nothing else."""

import base64
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

AUDIENCE = "cli"


class IdentityProvider:
    """A running provider: url is its issuer, id its name at bulliond."""

    id = "corp"

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def entry(self):
        """What bulliond's --providers says about it."""
        return {"id": self.id, "issuer": self.url, "audiences": [AUDIENCE]}

    def token(self, name, *groups):
        """A token of a person who has the groups, as project:role."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": name, "email": name + "@example.org", "groups": groups, "iat": now, "exp": now + 3600}
        text = _encode(json.dumps({"alg": "ES256", "kid": "k"}).encode()) + "." + _encode(json.dumps(claims).encode())
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return text + "." + _encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def _handler(provider):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer = provider._answers().get(self.path)
                body = json.dumps(answer).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def _answers(self):
        public = self.key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig",
               "x": _encode(public.x.to_bytes(32, "big")), "y": _encode(public.y.to_bytes(32, "big"))}
        return {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": self.url + "/keys", "id_token_signing_alg_values_supported": ["ES256"]},
            "/keys": {"keys": [key]},
        }


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
