"""A backend's whole way with the running edge: a link, a file that comes by it, its webhook, its
content, a receipt. CHATLIFT_EDGE, CHATLIFT_API_KEY, CHATLIFT_WEBHOOK_SECRET and CHATLIFT_PORT (where
the edge sends the app's webhooks) are set by the test that runs this."""

import hashlib
import json
import os
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO

from standardwebhooks import Webhook, WebhookVerificationError

from chatlift import AuthenticatedClient, Client
from chatlift.api.files import get_content, get_file, give_receipt
from chatlift.api.links import create_link
from chatlift.api.upload import send_file
from chatlift.models import CreateLink, Link, PageFile, Problem, Receipt, ReceiptStatus
from chatlift.types import File

EDGE = os.environ["CHATLIFT_EDGE"]
INVOICE = b"%PDF-1.7\n%%EOF\n"


class Heard:
    """The next webhook, verified by the official library."""

    def __init__(self):
        webhook = Webhook(os.environ["CHATLIFT_WEBHOOK_SECRET"])
        heard = self
        self.event = None
        self.altered_is_refused = False

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    webhook.verify(body + b" ", headers)
                except WebhookVerificationError:
                    heard.altered_is_refused = True
                heard.event = json.loads(body) if webhook.verify(body, headers) else None
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", int(os.environ["CHATLIFT_PORT"])), Handler)
        self.thread = threading.Thread(target=self.server.handle_request)
        self.thread.start()

    def wait(self):
        self.thread.join(30)
        self.server.server_close()
        return self.event


class Journey(unittest.TestCase):
    def setUp(self):
        self.backend = AuthenticatedClient(EDGE, token=os.environ["CHATLIFT_API_KEY"])

    def test_a_link_a_file_its_webhook_its_content_a_receipt(self):
        heard = Heard()
        link = create_link.sync(
            client=self.backend, body=CreateLink(scene="one-file", subject="case-7")
        )
        assert isinstance(link, Link), link
        sent = send_file.sync(
            link.url.rsplit("/")[-1],
            client=Client(EDGE),
            body=File(payload=BytesIO(INVOICE)),
            content_disposition="attachment; filename=a.pdf",
        )
        assert isinstance(sent, PageFile), sent
        event = heard.wait()
        self.assertEqual(event["type"], "file.stored")
        self.assertEqual(event["data"]["file"]["id"], sent.id)
        self.assertEqual(event["data"]["link"]["subject"], "case-7")
        self.assertTrue(heard.altered_is_refused)

        file = get_file.sync(sent.id, client=self.backend)
        self.assertEqual(file.sha256, hashlib.sha256(INVOICE).hexdigest())
        self.assertEqual(get_content.sync(sent.id, client=self.backend), INVOICE)
        part = get_content.sync_detailed(sent.id, client=self.backend, range_="bytes=1-3")
        self.assertEqual((part.status_code, part.content), (206, b"PDF"))
        receipt = give_receipt.sync(
            sent.id, client=self.backend, body=Receipt(status=ReceiptStatus.DELIVERED)
        )
        self.assertEqual(receipt.receipt.status, ReceiptStatus.DELIVERED)

    def test_a_refusal_is_a_problem(self):
        refused = create_link.sync(client=self.backend, body=CreateLink(scene="no-such-scene"))
        assert isinstance(refused, Problem), refused
        self.assertEqual((refused.code, refused.field), ("scene-unknown", "scene"))


if __name__ == "__main__":
    unittest.main()
