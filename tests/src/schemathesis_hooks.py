"""Makes of any well-formed link request one that this edge's apps can take: a scene that there is,
within its lifetime. Everything else stays as it was drawn."""

import re
import types

import schemathesis
from hypothesis.internal.reflection import get_pretty_function_description
from schemathesis.specs.openapi.coverage import _schema


def lambdas(code):
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_name == "<lambda>" and not constant.co_freevars:
                yield constant
            yield from lambdas(constant)


# Python before 3.11.8 loses count of its depth when it reads the syntax of a large file in the
# middle of a run (gh-106905). Hypothesis reads that of this module once, and keeps it: here.
for function in vars(_schema).values():
    for code in lambdas(getattr(function, "__code__", (lambda: None).__code__)):
        get_pretty_function_description(types.FunctionType(code, vars(_schema)))

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
LIFETIME = 604_800


@schemathesis.hook.apply_to(method="POST", path="/v1/links")
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    scene, lifetime = body.get("scene"), body.get("expires_in")
    if isinstance(scene, str) and SLUG.fullmatch(scene):
        body["scene"] = "any-file"
    if isinstance(lifetime, int) and not isinstance(lifetime, bool) and lifetime > LIFETIME:
        body["expires_in"] = LIFETIME
    return body
