/* SPDX-License-Identifier: MIT
 *
 * Zipkin v2 JSON: an array of spans. The rules that bite (zipkin2-api.yaml, and what its readers
 * refuse): ids in lower hex; no kind for internal; times are whole microseconds, none of them 0;
 * all tags are strings; a service's name is in lower case, and every span has its own; addresses
 * must be such, ports 1 to 65535; nothing empty. What Zipkin has no place for follows
 * OpenTelemetry's "Zipkin" mapping. */
#include "format.h"

#include <arpa/inet.h>

#define NS_PER_US 1000U

static uint64_t micros(uint64_t ns)
{
    return ns < NS_PER_US ? 1 : ns / NS_PER_US;
}

/* In lower case as far as ASCII goes. */
static void write_service(struct json_writer *json, struct tracez_text name)
{
    size_t begin = json->bytes;

    json_write_string(json, name);
    for (size_t i = begin; i < json->bytes; i++) {
        char at = json->text[i];
        json->text[i] = (char)(at >= 'A' && at <= 'Z' ? at + ('a' - 'A') : at);
    }
}

/* ---- A resource ------------------------------------------------------------------------------ */

static bool build(struct envelope *envelope, const struct tracez_collector *collector,
                  uint32_t resource)
{
    struct tracez_text name = {UNKNOWN_SERVICE, strlen(UNKNOWN_SERVICE)};
    const unsigned char *entries = NULL;
    size_t entries_bytes = 0;
    struct tracez_entry service;

    if (envelope_resource(collector, resource, &entries, &entries_bytes) &&
        tags_find(entries, entries_bytes, TRACEZ_KEY_ID_SERVICE_NAME, &service) &&
        service.string.bytes > 0) {
        name = service.string;
    }
    JSON_WRITE(&envelope->text, ",\"localEndpoint\":{\"serviceName\":");
    write_service(&envelope->text, name);
    JSON_WRITE(&envelope->text, "}");
    return envelope->text.failure == JSON_FAILURE_NONE &&
           resource_tags_init(&envelope->tags, entries, entries_bytes, false);
}

/* ---- The other side -------------------------------------------------------------------------- */

struct peer {
    struct tracez_text service;
    struct tracez_text server;  /* server.address */
    struct tracez_text address; /* network.peer.address */
    int64_t port;               /* network.peer.port */
    int64_t server_port;
};

static bool is_peer_service(const struct tracez_entry *tag)
{
    static const char key[] = "peer.service";

    return tag->key_id == 0 && tag->key.bytes == sizeof(key) - 1 &&
           memcmp(tag->key.text, key, sizeof(key) - 1) == 0;
}

static struct peer find_peer(const struct tracez_record *record)
{
    struct peer peer = {.port = 0};
    struct tracez_entry tag;
    size_t position = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &tag)) {
        if (tag.type == TRACEZ_TAG_STRING) {
            if (tag.key_id == TRACEZ_KEY_ID_NETWORK_PEER_ADDRESS) {
                peer.address = tag.string;
            } else if (tag.key_id == TRACEZ_KEY_ID_SERVER_ADDRESS) {
                peer.server = tag.string;
            } else if (is_peer_service(&tag)) {
                peer.service = tag.string;
            }
        } else if (tag.type == TRACEZ_TAG_INT) {
            if (tag.key_id == TRACEZ_KEY_ID_NETWORK_PEER_PORT) {
                peer.port = tag.integer;
            } else if (tag.key_id == TRACEZ_KEY_ID_SERVER_PORT) {
                peer.server_port = tag.integer;
            }
        }
    }
    return peer;
}

/* A member of the remote endpoint; the first one opens it. */
static void begin_member(struct json_writer *json, bool *has_any)
{
    if (*has_any) {
        JSON_WRITE(json, ",");
    } else {
        JSON_WRITE(json, ",\"remoteEndpoint\":{");
    }
    *has_any = true;
}

/* One bad address would cost its reader the whole batch. */
static void write_address(struct json_writer *json, struct tracez_text address, bool *has_any)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;

    if (address.bytes == 0 || address.bytes >= sizeof(text)) {
        return;
    }
    memcpy(text, address.text, address.bytes);
    text[address.bytes] = '\0';
    if (strlen(text) != address.bytes) {
        return;
    }
    if (inet_pton(AF_INET, text, &ignored) == 1) {
        begin_member(json, has_any);
        JSON_WRITE(json, "\"ipv4\":\"");
    } else if (inet_pton(AF_INET6, text, &ignored) == 1) {
        begin_member(json, has_any);
        JSON_WRITE(json, "\"ipv6\":\"");
    } else {
        return;
    }
    json_write_raw(json, text, address.bytes);
    JSON_WRITE(json, "\"");
}

/* Who calls says whom; who is called knows who called, by address. */
static void write_peer(struct json_writer *json, const struct tracez_record *record)
{
    bool is_caller = record->kind == TRACEZ_KIND_CLIENT || record->kind == TRACEZ_KIND_PRODUCER;
    bool has_any = false;

    if (record->kind == TRACEZ_KIND_INTERNAL) {
        return;
    }
    struct peer peer = find_peer(record);
    struct tracez_text service = peer.service.bytes > 0 || !is_caller ? peer.service : peer.server;
    int64_t port = peer.port == 0 && is_caller ? peer.server_port : peer.port;
    if (service.bytes > 0) {
        begin_member(json, &has_any);
        JSON_WRITE(json, "\"serviceName\":");
        write_service(json, service);
    }
    write_address(json, peer.address, &has_any);
    if (port >= 1 && port <= UINT16_MAX) {
        begin_member(json, &has_any);
        JSON_WRITE(json, "\"port\":");
        json_write_unsigned(json, (uint64_t)port);
    }
    if (has_any) {
        JSON_WRITE(json, "}");
    }
}

/* ---- A span ---------------------------------------------------------------------------------- */

static void write_ids(struct json_writer *json, const struct tracez_record *record)
{
    static const uint8_t none[TRACEZ_SPAN_ID_BYTES];

    JSON_WRITE(json, "{\"traceId\":");
    json_write_hex(json, record->trace_id, TRACEZ_TRACE_ID_BYTES);
    JSON_WRITE(json, ",\"id\":");
    json_write_hex(json, record->span_id, TRACEZ_SPAN_ID_BYTES);
    if (memcmp(record->parent_span_id, none, sizeof(none)) != 0) {
        JSON_WRITE(json, ",\"parentId\":");
        json_write_hex(json, record->parent_span_id, TRACEZ_SPAN_ID_BYTES);
    }
}

static void write_kind(struct json_writer *json, enum tracez_span_kind kind)
{
    switch (kind) {
    case TRACEZ_KIND_SERVER:
        JSON_WRITE(json, ",\"kind\":\"SERVER\"");
        break;
    case TRACEZ_KIND_CLIENT:
        JSON_WRITE(json, ",\"kind\":\"CLIENT\"");
        break;
    case TRACEZ_KIND_PRODUCER:
        JSON_WRITE(json, ",\"kind\":\"PRODUCER\"");
        break;
    case TRACEZ_KIND_CONSUMER:
        JSON_WRITE(json, ",\"kind\":\"CONSUMER\"");
        break;
    default:
        break;
    }
}

/* An event's name; with tags, the text of `"name":{…}`. */
static void write_event_value(struct json_writer *json, const struct tracez_entry *event)
{
    struct tracez_entry tag;
    size_t position = 0;
    size_t begin = json->bytes;
    bool has_any = false;

    json_write_string(json, event->key);
    while (tracez_entry_next(event->nested, event->nested_bytes, &position, &tag)) {
        if (has_any) {
            JSON_WRITE(json, ",");
        } else {
            JSON_WRITE(json, ":{");
        }
        json_write_string(json, tag.key);
        JSON_WRITE(json, ":");
        tags_write_value(json, &tag);
        has_any = true;
    }
    if (has_any) {
        JSON_WRITE(json, "}");
        json_quote(json, begin);
    }
}

static void write_events(struct json_writer *json, const struct tracez_record *record)
{
    struct tracez_entry event;
    size_t position = 0;
    bool has_any = false;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &event)) {
        if (event.type != TRACEZ_ENTRY_EVENT) {
            continue;
        }
        if (has_any) {
            JSON_WRITE(json, ",{\"timestamp\":");
        } else {
            JSON_WRITE(json, ",\"annotations\":[{\"timestamp\":");
        }
        json_write_unsigned(json, micros(event.unix_ns));
        JSON_WRITE(json, ",\"value\":");
        write_event_value(json, &event);
        JSON_WRITE(json, "}");
        has_any = true;
    }
    if (has_any) {
        JSON_WRITE(json, "]");
    }
}

static void write_span(struct json_writer *json, const struct tracez_record *record,
                       const struct envelope *envelope)
{
    write_ids(json, record);
    write_kind(json, record->kind);
    JSON_WRITE(json, ",\"name\":");
    json_write_string(json, record->name);
    JSON_WRITE(json, ",\"timestamp\":");
    json_write_unsigned(json, micros(record->start_unix_ns));
    JSON_WRITE(json, ",\"duration\":");
    json_write_unsigned(json, micros(record->duration_ns));
    json_write_raw(json, envelope->text.text, envelope->text.bytes);
    write_peer(json, record);
    if (record->event_count > 0) {
        write_events(json, record);
    }
    struct tags tags = tags_begin(json);
    tags_write_all(&tags, record, &envelope->tags);
    tags_write_status(&tags, record);
    tags_write_dropped(&tags, "attributes", record->tags_refused);
    tags_write_dropped(&tags, "events", record->events_refused);
    tags_write_dropped(&tags, "links", record->links_refused + record->link_count);
    tags_end(&tags);
    JSON_WRITE(json, "}");
}

const struct format zipkin_format = {
    .endpoint = "http://localhost:9411",
    .path = "/api/v2/spans",
    .opening = "[",
    .closing = "]",
    .build = build,
    .write_span = write_span,
};
