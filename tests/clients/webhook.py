"""Signs a webhook by the Standard Webhooks library as PyPI serves it. Called by
tests/tests/edge/conformance_webhooks.rs:

    python webhook.py <secret> <id> <seconds> <body>

Prints the value of the `webhook-signature` header.
"""

import sys
from datetime import datetime, timezone

from standardwebhooks import Webhook

secret, id, seconds, body = sys.argv[1:5]
print(Webhook(secret).sign(id, datetime.fromtimestamp(int(seconds), timezone.utc), body))
