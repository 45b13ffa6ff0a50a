// SPDX-License-Identifier: MIT
//
// The official OpenTelemetry codec as a strict reader of OTLP/HTTP JSON.
//
// Receivers ignore what they do not know, so a misspelt key loses data without a word. Here a batch
// goes JSON -> protobuf message -> wire bytes -> message -> JSON, through the code that
// OpenTelemetry generated from its own .proto files, and what comes out must be what went in: an
// unknown key, a number in place of a decimal string, an enum as text or an empty array differs.
// What protobuf cannot see (ids in hex, what OTLP requires of them, status) is checked beside it.
//
// Protocol: stdin carries "<decimal byte count>\n<that many bytes>" for each batch; one line of JSON
// comes back for each: {"ok":true,"spans":N} or {"ok":false,"error":"where: what"}.
'use strict';

const path = require('path');

const modules = process.argv[2];
const root = require(path.join(
  modules, '@opentelemetry/otlp-transformer/build/src/generated/root.js'));
const Request =
  root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// Where two JSON trees differ first, as "path: what", or null.
function difference(at, sent, decoded) {
  if (Array.isArray(sent) && Array.isArray(decoded)) {
    if (sent.length !== decoded.length) {
      return `${at}: ${sent.length} items became ${decoded.length}`;
    }
    for (let i = 0; i < sent.length; i++) {
      const inner = difference(`${at}[${i}]`, sent[i], decoded[i]);
      if (inner !== null) {
        return inner;
      }
    }
    return null;
  }
  if (isObject(sent) && isObject(decoded)) {
    for (const key of Object.keys(sent)) {
      if (!Object.prototype.hasOwnProperty.call(decoded, key)) {
        return `${at}.${key}: unknown or empty field`;
      }
      const inner = difference(`${at}.${key}`, sent[key], decoded[key]);
      if (inner !== null) {
        return inner;
      }
    }
    for (const key of Object.keys(decoded)) {
      if (!Object.prototype.hasOwnProperty.call(sent, key)) {
        return `${at}.${key}: appeared in decoding`;
      }
    }
    return null;
  }
  return sent === decoded ? null :
    `${at}: ${JSON.stringify(sent)} was decoded as ${JSON.stringify(decoded)}`;
}

function requireId(at, text, digits) {
  if (typeof text !== 'string' || !new RegExp(`^[0-9a-f]{${digits}}$`).test(text) ||
      /^0+$/.test(text)) {
    throw new Error(`${at}: ${JSON.stringify(text)} is not ${digits} lower-case hex digits`);
  }
}

// Ids travel as hex in OTLP JSON and as base64 in protobuf's own JSON.
function idsToBase64(object, digitsOf) {
  for (const [key, digits] of Object.entries(digitsOf)) {
    if (Object.prototype.hasOwnProperty.call(object, key)) {
      requireId(key, object[key], digits);
      object[key] = Buffer.from(object[key], 'hex').toString('base64');
    }
  }
}

function requireDistinctKeys(at, attributes) {
  const seen = new Set();
  for (const attribute of attributes || []) {
    if (typeof attribute.key !== 'string' || attribute.key === '') {
      throw new Error(`${at}: an attribute without a key`);
    }
    if (seen.has(attribute.key)) {
      throw new Error(`${at}: attribute ${attribute.key} twice`);
    }
    seen.add(attribute.key);
  }
}

function checkStatus(at, span) {
  if (!('status' in span)) {
    return;
  }
  if (!isObject(span.status) || ![1, 2].includes(span.status.code)) {
    throw new Error(`${at}.status: ${JSON.stringify(span.status)}, unset must be left out`);
  }
  if ('message' in span.status && span.status.code !== 2) {
    throw new Error(`${at}.status: a message without an error`);
  }
}

function checkSpan(at, span) {
  requireId(`${at}.traceId`, span.traceId, 32);
  requireId(`${at}.spanId`, span.spanId, 16);
  idsToBase64(span, { traceId: 32, spanId: 16, parentSpanId: 16 });
  if (typeof span.name !== 'string' || span.name === '') {
    throw new Error(`${at}.name: missing`);
  }
  if (!Number.isInteger(span.kind) || span.kind < 1 || span.kind > 5) {
    throw new Error(`${at}.kind: ${JSON.stringify(span.kind)}`);
  }
  for (const key of ['startTimeUnixNano', 'endTimeUnixNano']) {
    if (typeof span[key] !== 'string' || !/^[1-9][0-9]*$/.test(span[key])) {
      throw new Error(`${at}.${key}: ${JSON.stringify(span[key])}`);
    }
  }
  if (BigInt(span.endTimeUnixNano) < BigInt(span.startTimeUnixNano)) {
    throw new Error(`${at}: ends before it starts`);
  }
  requireDistinctKeys(at, span.attributes);
  checkStatus(at, span);
  for (const link of span.links || []) {
    idsToBase64(link, { traceId: 32, spanId: 16 });
  }
}

function required(at, items) {
  if (!Array.isArray(items) || items.length === 0) {
    throw new Error(`${at}: empty envelope`);
  }
  return items;
}

// Checks the envelope and each span; rewrites the ids. Returns the number of spans.
function checkBatch(batch) {
  let spans = 0;
  required('resourceSpans', batch.resourceSpans).forEach((resourceSpans, i) => {
    const at = `resourceSpans[${i}]`;
    requireDistinctKeys(`${at}.resource`, resourceSpans.resource.attributes);
    required(`${at}.scopeSpans`, resourceSpans.scopeSpans).forEach((scopeSpans, j) => {
      required(`${at}.scopeSpans[${j}].spans`, scopeSpans.spans).forEach((span, k) => {
        checkSpan(`${at}.scopeSpans[${j}].spans[${k}]`, span);
        spans++;
      });
    });
  });
  return spans;
}

function read(body) {
  try {
    const batch = JSON.parse(utf8.decode(body));
    const spans = checkBatch(batch);
    const message = Request.fromObject(batch);
    const invalid = Request.verify(message); // two types in one value, above all
    if (invalid !== null) {
      return { ok: false, error: invalid };
    }
    const wire = Request.encode(message).finish();
    const decoded = Request.toObject(Request.decode(wire),
      { longs: String, enums: Number, bytes: String, defaults: false });
    const differs = difference('batch', batch, decoded);
    return differs === null ? { ok: true, spans } : { ok: false, error: differs };
  } catch (error) {
    return { ok: false, error: error.message };
  }
}

let pending = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
  for (;;) {
    const newline = pending.indexOf(10);
    if (newline < 0) {
      return;
    }
    const end = newline + 1 + Number(pending.toString('latin1', 0, newline));
    if (pending.length < end) {
      return;
    }
    const answer = read(pending.subarray(newline + 1, end));
    pending = pending.subarray(end);
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
});
