"""What a schema cannot know: what there is on this edge.

world.json, beside this file, has it. Of the well-formed names that no answer has told, most become
the name of something that is there; of any well-formed link request, one that this edge's apps can
take. Everything else stays as it was drawn. answers.json says in the end what was answered."""

import ast
import atexit
import base64
import collections
import json
import pathlib
import re
import threading
import zlib

import requests
import schemathesis


lock = threading.Lock()
parse = ast.parse


def one_at_a_time(*arguments, **options):
    with lock:
        return parse(*arguments, **options)


# Python before 3.11.8 counts the depth of all threads' syntax trees in one place (gh-106905).
# Hypothesis reads the syntax of what it runs.
ast.parse = one_at_a_time

TRIES = 4
send = requests.Session.send


def send_again(self, request, **options):
    for _ in range(TRIES):
        response = send(self, request, **options)
        if not response.content.startswith(b"Your worker restarted"):
            break
    return response


# wrangler's own proxy answers so, in the edge's place, when its connection to the edge ended just then.
requests.Session.send = send_again

HERE = pathlib.Path(__file__).parent
WORLD = json.loads((HERE / "world.json").read_text())
SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
# Of the links of this edge's scenes, and of any link, in seconds.
LIFETIME, LIFETIME_MAX = 604_800, 7_776_000

ITEM = r"[A-Za-z0-9_-]{24}"
OPAQUE = re.compile(r"[A-Za-z0-9_-]+")
FORMS = {
    "link_id": re.compile(r"lnk_[A-Za-z0-9_-]{16}"),
    "file_id": re.compile("fil_" + ITEM),
    "event_id": re.compile("evt_" + ITEM),
    "upload_id": re.compile("upl_" + ITEM),
    "token": OPAQUE,
    "download": OPAQUE,
    "app": SLUG,
    "part": re.compile("[0-9]+"),
}
IDS = re.compile(r"lnk_[A-Za-z0-9_-]{16}|(?:fil|evt|upl)_" + ITEM)

told = set()
answers = collections.defaultdict(collections.Counter)
ours = {name for thing in WORLD.values() for name in thing.get("path", {}).values()}


for protocol in ["offset+octet-stream", "partial-upload"]:
    schemathesis.serializer.alias(f"application/{protocol}", "application/octet-stream")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # In a form every value travels as bytes: an object is a file of JSON there, and no violation.
    form = raw_schema["paths"]["/u/{token}"]["post"]["requestBody"]["content"]
    del form["multipart/form-data"]["schema"]["properties"]["files"]["items"]["type"]


def name_of(operation):
    return operation.definition.raw["operationId"]


def place(case, chosen):
    """Names in the case what is there, wherever it has a well-formed name that is `chosen`."""
    there = WORLD.get(name_of(case.operation), {})
    for name, value in (case.path_parameters or {}).items():
        drawn = str(value)
        if name not in there.get("path", {}) or not FORMS[name].fullmatch(drawn):
            continue
        # What is there for others stays as it is: a link that was told is not revoked.
        if drawn in ours or (drawn not in told and chosen(drawn)):
            case.path_parameters[name] = there["path"][name]
    for name, value in there.get("headers", {}).items():
        drawn = (case.headers or {}).get(name)
        if isinstance(drawn, str) and OPAQUE.fullmatch(drawn) and chosen(drawn):
            case.headers[name] = value
    return case


@schemathesis.hook
def map_case(context, case):
    # One of four stays, so that what is not there is asked for too.
    return place(case, lambda drawn: zlib.crc32(drawn.encode()) % 4 > 0)


@schemathesis.hook
def before_add_examples(context, examples):
    operation = context.operation
    there = WORLD.get(name_of(operation), {})
    for case in examples:
        place(case, lambda drawn: True)
    call = there.get("call")
    if call is None:
        return
    body = {}
    if "base64" in call:
        body = {"body": base64.b64decode(call["base64"]), "media_type": call["media_type"]}
    if "files" in call:
        files = [base64.b64decode(file) for file in call["files"]]
        body = {"body": {"files": files}, "media_type": "multipart/form-data"}
    headers = {**there.get("headers", {}), **call.get("headers", {})}
    path = dict(there.get("path", {}))
    query = call.get("query", {})
    examples.append(operation.Case(path_parameters=path, headers=headers, query=query, **body))


@schemathesis.hook
def after_call(context, case, response):
    found = IDS.findall(response.content.decode("ascii", "ignore"))
    with lock:
        told.update(found)
        if case.method.upper() == case.operation.method.upper():
            answers[name_of(case.operation)][response.status_code] += 1


@atexit.register
def report():
    (HERE / "answers.json").write_text(json.dumps(answers))


@schemathesis.hook.apply_to(method=["POST", "PATCH"], path_regex="^/v1/links(/{link_id})?$")
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    scene, lifetime = body.get("scene"), body.get("expires_in")
    if isinstance(scene, str) and SLUG.fullmatch(scene):
        body["scene"] = "any-file"
    if type(lifetime) is int and LIFETIME < lifetime <= LIFETIME_MAX:
        body["expires_in"] = LIFETIME
    return body
