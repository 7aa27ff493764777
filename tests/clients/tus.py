"""Sends a file by tuspy as PyPI serves it. Called by tests/tests/edge/conformance_tus.rs:

    python tus.py <endpoint> <file> <what to do>

Prints what happened, one JSON object a line; the last has `done` or `failed`.
"""

import json
import sys

from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

endpoint, path, what = sys.argv[1:4]
WRONG = "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="


def say(**fact):
    print(json.dumps(fact), flush=True)


def uploader(client=None, **more):
    client = client or TusClient(endpoint)
    metadata = {"filename": path.rsplit("/", 1)[-1]}
    return client.uploader(path, metadata=metadata, retries=40, retry_delay=1, **more)


def chunks(**more):
    upload = uploader(chunk_size=1_000_000, **more)
    while upload.offset < upload.get_file_size():
        upload.upload_chunk()
        say(sent=upload.offset)
    return upload.url


def whole():
    upload = uploader()
    upload.upload()
    return upload.url


def paused():
    first = uploader(chunk_size=1_000_000)
    first.upload(stop_at=first.get_file_size() // 2)
    say(sent=first.offset)
    # Another program goes on with it.
    second = TusClient(endpoint).uploader(path, url=first.url, chunk_size=1_000_000)
    assert second.offset == first.offset, (second.offset, first.offset)
    second.upload()
    return second.url


def wrong_checksum():
    client = TusClient(endpoint)
    first = uploader(client, chunk_size=1_000_000)
    first.retries = 0
    first.upload_chunk()
    client.set_headers({"upload-checksum": WRONG})
    try:
        first.upload_chunk()
        say(status=204)
    except TusUploadFailed as error:
        say(status=error.status_code)
    second = TusClient(endpoint).uploader(path, url=first.url, chunk_size=1_000_000)
    assert second.offset == 1_000_000, second.offset
    second.upload()
    return second.url


tasks = {
    "whole": whole,
    "chunks": chunks,
    "checked": lambda: chunks(upload_checksum=True),
    "paused": paused,
    "wrong-checksum": wrong_checksum,
}

try:
    say(done=tasks[what]())
except Exception as error:  # noqa: BLE001: whatever it is, the scenario must hear of it
    say(failed=repr(error))
    sys.exit(1)
