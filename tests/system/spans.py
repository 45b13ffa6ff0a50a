# SPDX-License-Identifier: MIT
"""Spans as the backend got them: read from OTLP JSON, compared field by field, joined to trees.

parse() refuses what a lenient reader would swallow: a key twice in one object, a value of two
types. An Expected names every field of a span; whatever it does not mention must not be there, so
a tag too many fails a test as surely as one that is missing.
"""

import json

INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2

SAMPLED = 0x01
RANDOM = 0x02
REMOTENESS_KNOWN = 0x100
PARENT_IS_REMOTE = 0x200

VALUE_READERS = {
    "stringValue": str,
    "boolValue": bool,
    "intValue": int,
    "doubleValue": float,
    "arrayValue": lambda array: [value_of(item) for item in array.get("values", [])],
}


class Span:
    def __init__(self, fields, resource, scope):
        self.resource = resource
        self.scope = scope
        self.trace_id = fields.pop("traceId")
        self.span_id = fields.pop("spanId")
        self.parent_id = fields.pop("parentSpanId", None)
        self.trace_state = fields.pop("traceState", None)
        self.flags = fields.pop("flags", None)
        self.name = fields.pop("name")
        self.kind = fields.pop("kind")
        self.start_ns = int(fields.pop("startTimeUnixNano"))
        self.end_ns = int(fields.pop("endTimeUnixNano"))
        self.tags = attributes_of(fields.pop("attributes", []))
        self.tags_dropped = fields.pop("droppedAttributesCount", 0)
        self.events = fields.pop("events", [])
        self.links = fields.pop("links", [])
        status = fields.pop("status", {})
        self.status = status.get("code")
        self.message = status.get("message")
        assert not fields, "a span has further fields: %s" % fields

    def __repr__(self):
        return "<%s %s %s under %s, %s>" % (self.name, self.trace_id[-6:], self.span_id,
                                            self.parent_id, self.tags)


def parse(attempts):
    """The spans of these attempts' bodies, in order."""
    return [span for attempt in attempts for span in parse_body(attempt.body)]


def parse_body(body):
    batch = json.loads(body.decode("utf-8"), object_pairs_hook=distinct)
    found = []
    for resource_spans in batch["resourceSpans"]:
        resource = attributes_of(resource_spans["resource"]["attributes"])
        for scope_spans in resource_spans["scopeSpans"]:
            for fields in scope_spans["spans"]:
                found.append(Span(fields, resource, scope_spans["scope"]))
    return found


def distinct(pairs):
    object_ = dict(pairs)
    assert len(object_) == len(pairs), "a key twice in %s" % pairs
    return object_


def attributes_of(listed):
    return {attribute["key"]: value_of(attribute["value"]) for attribute in listed}


def value_of(value):
    (kind, content), = value.items()
    return VALUE_READERS[kind](content)


class Expected:
    """Every field of one span. tags are complete; times must lie between two wall clock readings."""

    def __init__(self, name, tags, kind=SERVER, parent_id=None, trace_id=None, flags=None,
                 status=None, message=None, trace_state=None, service="shop"):
        self.fields = dict(name=name, kind=kind, parent_id=parent_id, flags=flags, status=status,
                           message=message, trace_state=trace_state, tags_dropped=0, events=[],
                           links=[])
        if trace_id is not None:
            self.fields["trace_id"] = trace_id
        self.tags = tags
        self.service = service

    def check(self, span, began_ns, ended_ns):
        wrong = ["%s is %r, not %r" % (name, getattr(span, name), wanted)
                 for name, wanted in self.fields.items() if getattr(span, name) != wanted]
        for key in sorted(set(self.tags) | set(span.tags)):
            wanted, got = self.tags.get(key), span.tags.get(key)
            if wanted != got or type(wanted) is not type(got):
                wrong.append("tag %s is %r, not %r" % (key, got, wanted))
        if span.resource.get("service.name") != self.service:
            wrong.append("its resource is %r" % span.resource)
        if not began_ns <= span.start_ns <= span.end_ns <= ended_ns:
            wrong.append("%d <= %d <= %d <= %d is false" % (began_ns, span.start_ns, span.end_ns,
                                                            ended_ns))
        assert not wrong, "\n".join(wrong)
