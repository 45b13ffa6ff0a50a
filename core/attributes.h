/* SPDX-License-Identifier: MIT
 *
 * Resource attributes as one text, "key=value,key=value": OTEL_RESOURCE_ATTRIBUTES. Values are
 * percent-encoded, blanks around keys and values do not count. Of a key that comes twice the later
 * value counts. */
#ifndef TRACEZ_CORE_ATTRIBUTES_H
#define TRACEZ_CORE_ATTRIBUTES_H

#include <tracez/tracez.h>

#define ATTRIBUTES_TEXT_BYTES 8192

struct attributes {
    size_t count;
    struct tracez_tag tags[TRACEZ_TAGS_MAX];
    const char *service_name; /* service.name, which is no tag; NULL: none, or empty */
    char text[ATTRIBUTES_TEXT_BYTES];
};

/* text may be NULL. Returns NULL, or what is wrong with it: then there are no attributes. */
const char *attributes_read(struct attributes *attributes, const char *text);

#endif
