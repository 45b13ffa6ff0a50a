/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "screen.h"
#include "store.h"

#define DEPTH_SHOWN_MAX 24 /* deeper spans are not indented further */

/* The tags that the first line of a span says already. */
static const char *const heading_tags[] = {"http.request.method", "url.path",
                                           "http.response.status_code"};

struct tree {
    struct span **spans;
    size_t count;
    bool is_placed[STORE_TRACE_SPANS_MAX]; /* written, or about to be, below its parent */
    struct tree_style style;
    FILE *out;
    bool has_more[DEPTH_SHOWN_MAX + 1]; /* by depth: further siblings come, so draw their line */
};

static void colour(const struct tree *tree, const char *sequence)
{
    if (tree->style.colours) {
        fputs(sequence, tree->out);
    }
}

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static int by_start(const void *left, const void *right)
{
    const struct span *const *a = left;
    const struct span *const *b = right;

    if ((*a)->start_unix_ns == (*b)->start_unix_ns) {
        return strcmp((*a)->span_id, (*b)->span_id);
    }
    return (*a)->start_unix_ns < (*b)->start_unix_ns ? -1 : 1;
}

static bool is_child_of(const struct span *span, const struct span *parent)
{
    return strcmp(span->parent_id, parent->span_id) == 0 && span != parent;
}

static bool has_parent_here(const struct tree *tree, const struct span *span)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (is_child_of(span, tree->spans[i])) {
            return true;
        }
    }
    return false;
}

/* The lines of the ancestors; returns the columns. */
static size_t write_indent(const struct tree *tree, size_t depth)
{
    colour(tree, DIM);
    for (size_t i = 0; i < depth; i++) {
        fputs(tree->has_more[i] ? "│  " : "   ", tree->out);
    }
    colour(tree, PLAIN);
    return 3 * depth;
}

static void write_duration(const struct tree *tree, uint64_t duration_ns)
{
    double ns = (double)duration_ns;

    if (ns >= 1e9) {
        fprintf(tree->out, "  %.2f s", ns / 1e9);
    } else if (ns >= 1e6) {
        fprintf(tree->out, "  %.1f ms", ns / 1e6);
    } else {
        fprintf(tree->out, "  %.0f µs", ns / 1e3);
    }
}

static void write_status(const struct tree *tree, const struct span *span)
{
    const struct text *status = span_find_tag(span, "http.response.status_code");
    bool is_error = span->status == SPAN_STATUS_ERROR;

    if (status == NULL) {
        return;
    }
    fputs(" → ", tree->out);
    colour(tree, is_error ? RED : status->bytes > 0 && status->at[0] == '4' ? YELLOW : GREEN);
    screen_write(status, tree->out);
    colour(tree, PLAIN);
}

/* A parent in another service, or one that is not here yet. */
static void write_foreign_parent(const struct tree *tree, const struct span *span)
{
    if (span->parent_id[0] != '\0' && !has_parent_here(tree, span)) {
        colour(tree, DIM);
        fprintf(tree->out, "  below %s", span->parent_id);
        colour(tree, PLAIN);
    }
}

/* service  METHOD path → status  duration  KIND */
static void write_heading(const struct tree *tree, const struct span *span)
{
    const struct text *method = span_find_tag(span, "http.request.method");
    const struct text *path = span_find_tag(span, "url.path");

    screen_write(&span->service, tree->out);
    fputs("  ", tree->out);
    colour(tree, BOLD);
    if (method != NULL && path != NULL) {
        screen_write(method, tree->out);
        fputc(' ', tree->out);
        screen_write(path, tree->out);
    } else {
        screen_write(&span->name, tree->out);
    }
    colour(tree, PLAIN);
    write_status(tree, span);
    write_duration(tree, span_duration_ns(span));
    fprintf(tree->out, "  %s", span_kind_text(span->kind));
    if (span->status == SPAN_STATUS_ERROR) {
        colour(tree, RED);
        fputs(span->message.bytes > 0 ? "  error: " : "  error", tree->out);
        screen_write(&span->message, tree->out);
        colour(tree, PLAIN);
    }
    write_foreign_parent(tree, span);
    fputc('\n', tree->out);
}

static bool is_in_heading(const struct tag *tag)
{
    for (size_t i = 0; i < sizeof(heading_tags) / sizeof(heading_tags[0]); i++) {
        if (strlen(heading_tags[i]) == tag->key.bytes &&
            memcmp(heading_tags[i], tag->key.at, tag->key.bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* key=value, several to a line; depth: of the lines to draw before them. */
static void write_tags(const struct tree *tree, const struct span *span, size_t depth)
{
    bool is_line_open = false;
    size_t columns = 0;

    for (size_t i = 0; i < span->tag_count; i++) {
        const struct tag *tag = &span->tags[i];
        size_t estimate = tag->key.bytes + tag->value.bytes + 3;
        if (is_in_heading(tag)) {
            continue;
        }
        if (is_line_open && columns + estimate > tree->style.columns) {
            fputc('\n', tree->out);
            is_line_open = false;
        }
        if (is_line_open) {
            fputs("  ", tree->out);
        } else {
            columns = write_indent(tree, depth);
            is_line_open = true;
        }
        colour(tree, DIM);
        columns += screen_write(&tag->key, tree->out);
        fputc('=', tree->out);
        colour(tree, PLAIN);
        columns += screen_write(&tag->value, tree->out) + 3;
    }
    if (is_line_open) {
        fputc('\n', tree->out);
    }
    if (span->tags_cut > 0) {
        write_indent(tree, depth);
        fprintf(tree->out, "(and %zu further tags)\n", span->tags_cut);
    }
}

/* The next child, by start, that has no place yet; it has one from here on. So each span is written
 * once, whatever its sender says about parents: in a ring of them, or when an id is used twice. */
static const struct span *place_next_child(struct tree *tree, const struct span *parent,
                                           size_t *position)
{
    while (*position < tree->count) {
        size_t index = (*position)++;
        if (!tree->is_placed[index] && is_child_of(tree->spans[index], parent)) {
            tree->is_placed[index] = true;
            return tree->spans[index];
        }
    }
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by STORE_TRACE_SPANS_MAX */
static void write_branch(struct tree *tree, const struct span *span, size_t depth, bool has_more)
{
    size_t position = 0;
    size_t shown_depth = depth < DEPTH_SHOWN_MAX ? depth : DEPTH_SHOWN_MAX - 1;
    const struct span *child = place_next_child(tree, span, &position);

    write_indent(tree, shown_depth);
    colour(tree, DIM);
    fputs(has_more ? "├─ " : "└─ ", tree->out);
    colour(tree, PLAIN);
    write_heading(tree, span);
    tree->has_more[shown_depth] = has_more;
    tree->has_more[shown_depth + 1] = child != NULL;
    write_tags(tree, span, shown_depth + 2);

    while (child != NULL) {
        const struct span *next = place_next_child(tree, span, &position);
        write_branch(tree, child, depth + 1, next != NULL);
        child = next;
    }
}

static void write_root(struct tree *tree, size_t index)
{
    if (!tree->is_placed[index]) {
        tree->is_placed[index] = true;
        write_branch(tree, tree->spans[index], 0, false);
    }
}

void tree_write(struct span **spans, size_t count, const struct tree_style *style, FILE *out)
{
    struct tree tree = {.spans = spans, .count = count, .style = *style, .out = out};

    qsort(spans, count, sizeof(struct span *), by_start);
    colour(&tree, DIM);
    fprintf(out, "trace %s\n", spans[0]->trace_id);
    colour(&tree, PLAIN);
    for (size_t i = 0; i < count; i++) {
        if (!has_parent_here(&tree, spans[i])) {
            write_root(&tree, i);
        }
    }
    for (size_t i = 0; i < count; i++) {
        write_root(&tree, i); /* parents in a ring have no root */
    }
    fputc('\n', out);
}
