/* SPDX-License-Identifier: MIT
 *
 * What the module's files share: the configuration of each level, what lies
 * in shared memory, and the context of a request.
 *
 * Two modules make one: ngx_tracez_module, of type core, sees the whole
 * configuration before zones are mapped and owns what lives as long as a
 * process; ngx_http_tracez_module has the directives and the request path. */
#ifndef NGX_HTTP_TRACEZ_H
#define NGX_HTTP_TRACEZ_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <pthread.h>

#include <tracez/exporter.h>
#include <tracez/http.h>
#include <tracez/monitor.h>
#include <tracez/sampler.h>
#include <tracez/tracez.h>


#define NGX_HTTP_TRACEZ_HEADERS_MAX   32      /* of the exporter */
#define NGX_HTTP_TRACEZ_INTERVAL_MS   1000    /* of a worker's timer */
#define NGX_HTTP_TRACEZ_HAND_OVER_MS  500     /* for requests in flight */
#define NGX_HTTP_TRACEZ_NUMBERS       1048576 /* configurations of a master */
#define NGX_HTTP_TRACEZ_SERVICE       "unknown_service:nginx"


/* A buffer of finished spans: the default one, a server's own, or one of all
 * servers. */
typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       sample_rate;     /* as configured; empty:
                                                        of all servers */
} ngx_http_tracez_collector_t;


/* An attribute of a resource. */
typedef struct {
    ngx_str_t                       key;             /* NUL-terminated */
    ngx_str_t                       value;
} ngx_http_tracez_attr_t;


/* A process that records spans holds the lock of one line for as long as it
 * lives; its counters in the ledger are those of the same index. The locks
 * are robust: a line whose holder died is told apart from one in use. */
typedef struct {
    pthread_mutex_t                 lock;
    ngx_atomic_t                    buffer;          /* id of the zone used */
    ngx_atomic_t                    leaving;
    ngx_atomic_t                    died;            /* and nobody took over */
} ngx_http_tracez_line_t;


/* Drops for one reason, as the log knows them. */
typedef struct {
    uint64_t                        seen;
    uint64_t                        logged;
    time_t                          seen_at;
    time_t                          logged_at;
    ngx_uint_t                      is_losing;       /* said so in the log */
} ngx_http_tracez_loss_t;


/* What the process that reads a lane tells the others, for the status page,
 * and what it told the log, for its successor. Written by the holder of the
 * lease only; sequence is odd while stats are being written. */
typedef struct {
    ngx_atomic_t                    sequence;
    ngx_pid_t                       pid;
    struct tracez_exporter_stats    stats;

    ngx_uint_t                      is_down;         /* said so in the log */
    time_t                          down_logged;
    ngx_http_tracez_loss_t          losses[TRACEZ_DROP_COUNT];
} ngx_http_tracez_published_t;


/* Who reads a lane, and how that goes. */
typedef struct {
    ngx_pid_t                       pid;
    enum tracez_exporter_state      state;
    uint64_t                        batches;         /* of all its lanes, in
                                                        the first of them */
} ngx_http_tracez_lane_t;


/* In the ledger's zone, which lives as long as the master; tracez's own part
 * is behind it. What another module may overwrite is checked at a reload, and
 * before a process relies on it: no pointer lies there. */
typedef struct {
    uint64_t                        magic;
    pthread_mutex_t                 door;            /* one looks at a time */
    ngx_http_tracez_line_t          lines[TRACEZ_WRITERS_MAX];
    ngx_atomic_t                    newest_buffer;   /* that has a worker */
    ngx_http_tracez_published_t     published[TRACEZ_LANES_MAX];
    struct tracez_monitor           monitor;         /* what it remembers */
} ngx_http_tracez_shared_t;


/* In the buffer's zone, which is replaced when its layout changes; tracez's
 * own part is behind it. Configurations are numbers that the master gives. */
typedef struct {
    uint64_t                        magic;           /* with the id in it */
    uint64_t                        id;
    ngx_atomic_t                    current;         /* the master's */
    ngx_atomic_t                    newest;          /* that has a worker */
} ngx_http_tracez_buffer_t;


typedef struct {
    ngx_uint_t                      enabled;         /* somewhere */
    ngx_array_t                     collectors;
                                       /* of ngx_http_tracez_collector_t */
    ngx_array_t                     collector_configs;
                                       /* of struct tracez_collector_config */
    ngx_array_t                     resources;
                                       /* of struct tracez_resource */

    struct tracez_config            tracer_config;
    struct tracez_exporter_config   exporter_config;
    struct tracez_header            headers[NGX_HTTP_TRACEZ_HEADERS_MAX];
    struct tracez_collector_pace    paces[TRACEZ_COLLECTORS_MAX];
    ngx_uint_t                      npaces;          /* of tracez_collector */
    ngx_uint_t                      has_exporter;    /* block was read */
    struct tracez_adaptive         *adaptive;        /* NULL: nowhere */

    struct tracez_monitor_config    monitor;
    ngx_uint_t                      has_monitor;     /* directive was read */
    ngx_uint_t                      monitor_off;

    size_t                          memory_limit;    /* 0: none */
    ngx_str_t                       limit_file;      /* of tracez_limit */
    ngx_uint_t                      limit_line;      /* 0: there is none */

    ngx_uint_t                      has_interval;    /* in that block */

    /* defaults that the environment may have changed, beside the above */
    ngx_str_t                       environment;     /* of the directive */
    ngx_str_t                       sample_rate;
    ngx_uint_t                      extract;         /* 0: it said nothing */
    ngx_uint_t                      inject;
    ngx_array_t                     warnings;        /* of ngx_str_t */

    ngx_shm_zone_t                 *ledger_zone;
    ngx_shm_zone_t                 *buffer_zone;

    /* of this process */
    struct tracez_tracer           *tracer;          /* NULL: does not trace */
    struct tracez_exporter         *exporter;
    ngx_int_t                       line;            /* index */
    ngx_uint_t                      configuration;   /* number */
    ngx_uint_t                      handed_over;     /* to a newer one */
    ngx_event_t                     timer;           /* once a second */
    ngx_connection_t                dumb;            /* what it logs for */
} ngx_http_tracez_main_conf_t;


/* The status page while it is written, and what it tells. */
typedef struct {
    u_char                         *pos;
    u_char                         *last;        /* end of the memory */

    ngx_http_tracez_main_conf_t    *tmcf;
    struct tracez_stats             ledger;
    struct tracez_exporter_stats    exporter;
    ngx_http_tracez_lane_t          lanes[TRACEZ_LANES_MAX];
} ngx_http_tracez_page_t;


typedef struct {
    ngx_uint_t                      buffer_size;
    ngx_uint_t                      buffer_rate;     /* spans a second; 0: no */
    ngx_str_t                       service_name;
    ngx_array_t                    *attrs;
                                       /* of ngx_http_tracez_attr_t */
    ngx_uint_t                      collector;       /* index */
    ngx_uint_t                      resource;        /* index */
} ngx_http_tracez_srv_conf_t;


/* A switch or a number that may depend on the request. */
typedef struct {
    ngx_str_t                       text;            /* as configured */
    ngx_http_complex_value_t       *variable;        /* NULL: a constant */
} ngx_http_tracez_value_t;


typedef struct {
    ngx_str_t                       key;             /* NUL-terminated */
    ngx_http_complex_value_t        value;
    ngx_http_complex_value_t       *filter;          /* if=; NULL: always */
} ngx_http_tracez_tag_t;


typedef struct {
    ngx_http_tracez_value_t         enable;
    ngx_flag_t                      enabled;         /* the constant */

    ngx_http_tracez_value_t         rate;
    struct tracez_sampler           ratio;           /* the constant's */
    struct tracez_sampler           sampler;         /* the same, by parent */
    ngx_uint_t                      alone;           /* without the parent */

    ngx_uint_t                      max_tag_size;
    ngx_uint_t                      extract;
    ngx_uint_t                      inject;
    ngx_http_complex_value_t       *span_name;
    ngx_array_t                    *tags;
                                       /* of ngx_http_tracez_tag_t */

    struct tracez_text             *redact_keys;
    ngx_uint_t                      nredact_keys;
    ngx_uint_t                      redact;

    ngx_uint_t                      status_format;
} ngx_http_tracez_loc_conf_t;


#define NGX_HTTP_TRACEZ_W3C              1
#define NGX_HTTP_TRACEZ_PROPAGATE_OFF    2

#define NGX_HTTP_TRACEZ_REDACT_KEYS      1
#define NGX_HTTP_TRACEZ_REDACT_ALL       2
#define NGX_HTTP_TRACEZ_REDACT_OFF       3

#define NGX_HTTP_TRACEZ_JSON             1
#define NGX_HTTP_TRACEZ_PROMETHEUS       2


/* Of a main request that may be traced; found again through r->pool->cleanup,
 * as an internal redirect clears the contexts of modules. */
typedef struct {
    struct tracez_context           parent;          /* zero: a root */
    unsigned                        deciding:1;      /* a variable is asked */
    unsigned                        started:1;       /* it is traced */
    unsigned                        injected:1;
    unsigned                        finished:1;

    /* set when it is started */
    struct tracez_span              span;            /* {0}: not recorded */
    struct tracez_context           context;         /* the span's own */
    struct tracez_sampling_decision decision;
    u_char                          traceparent[TRACEZ_TRACEPARENT_TEXT_BYTES];
                                                     /* when it is injected */
} ngx_http_tracez_ctx_t;


extern ngx_module_t  ngx_tracez_module;
extern ngx_module_t  ngx_http_tracez_module;


/* directives */
char *ngx_http_tracez_set_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tracez_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_tracez_set_number(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tracez_set_propagation(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tracez_set_tag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_tracez_set_redact(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_tracez_compile_variable(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_tracez_value_t *value);
ngx_int_t ngx_http_tracez_parse_rate(ngx_str_t *text, double *rate);
ngx_int_t ngx_http_tracez_merge_tags(ngx_conf_t *cf, ngx_array_t **tags,
    ngx_array_t *above);

/* the exporter's block, and its lines */

typedef char *(*ngx_http_tracez_setting_pt)(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);

typedef struct {
    ngx_str_t                       name;
    ngx_uint_t                      nargs;
    ngx_http_tracez_setting_pt      set;
    size_t                          offset;     /* in the exporter's config */
} ngx_http_tracez_setting_t;

#define ngx_http_tracez_offset(member)                                        \
    offsetof(struct tracez_exporter_config, member)

char *ngx_http_tracez_exporter_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_tracez_setting_t *ngx_http_tracez_exporter_find(ngx_str_t *name,
    ngx_uint_t *row);
char *ngx_http_tracez_exporter_file(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
char *ngx_http_tracez_exporter_header(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);

/* the environment: defaults of all levels, and what was wrong with it */
ngx_int_t ngx_http_tracez_read_environment(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf);
char *ngx_http_tracez_set_environment(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_tracez_tell_environment(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf);

/* certificates, which live as long as the configuration */
char *ngx_http_tracez_read_pem(ngx_conf_t *cf, const char *path,
    struct tracez_text *pem);
char *ngx_http_tracez_read_pem_files(ngx_conf_t *cf,
    struct tracez_exporter_config *config);

/* resources: what a server sends */
char *ngx_http_tracez_set_service_name(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tracez_set_resource_attr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_tracez_init_resource(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_srv_conf_t *conf,
    ngx_http_tracez_srv_conf_t *above);

/* collectors: where it waits */
char *ngx_http_tracez_set_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_tracez_init_buffer_size(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_srv_conf_t *conf);
char *ngx_http_tracez_set_collector(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_tracez_init_collector(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_srv_conf_t *conf,
    ngx_str_t *wanted);

/* limits */
ngx_int_t ngx_http_tracez_parse_per_second(u_char *text, size_t len);
char *ngx_http_tracez_set_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_tracez_share_memory(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf, ngx_uint_t processes);

/* the monitor */
void ngx_http_tracez_init_monitor(ngx_http_tracez_main_conf_t *tmcf);
void ngx_http_tracez_monitor(ngx_http_tracez_main_conf_t *tmcf,
    ngx_log_t *log);
char *ngx_http_tracez_set_monitor(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* shared memory */
ngx_int_t ngx_http_tracez_add_zones(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf);

#define NGX_HTTP_TRACEZ_ALIGNMENT     ((size_t) 64)

#define ngx_http_tracez_behind(header)                                        \
    ((void *) ((u_char *) (header)                                            \
               + ngx_align(sizeof(*(header)), NGX_HTTP_TRACEZ_ALIGNMENT)))

/* a number that is far ahead was written by somebody else */

#define ngx_http_tracez_is_newer(number, than)                                \
    ((number) > (than) && (number) - (than) < NGX_HTTP_TRACEZ_NUMBERS)

#define ngx_http_tracez_shared(tmcf)                                          \
    ((ngx_http_tracez_shared_t *) (tmcf)->ledger_zone->data)
#define ngx_http_tracez_buffer(tmcf)                                          \
    ((ngx_http_tracez_buffer_t *) (tmcf)->buffer_zone->data)

ngx_int_t ngx_http_tracez_init_lines(ngx_http_tracez_shared_t *shared);
ngx_uint_t ngx_http_tracez_are_lines(ngx_http_tracez_shared_t *shared);
ngx_int_t ngx_http_tracez_claim_line(ngx_http_tracez_main_conf_t *tmcf,
    ngx_uint_t wait);
void ngx_http_tracez_take_over_own(ngx_http_tracez_main_conf_t *tmcf);
void ngx_http_tracez_stay_no_longer(ngx_http_tracez_main_conf_t *tmcf);
bool ngx_http_tracez_is_alone(void *data);
void ngx_http_tracez_take_over(ngx_http_tracez_main_conf_t *tmcf,
    ngx_uint_t wait);
ngx_uint_t ngx_http_tracez_leave_line(ngx_http_tracez_main_conf_t *tmcf);
void ngx_http_tracez_release_line(ngx_http_tracez_main_conf_t *tmcf);

/* reports */
void ngx_http_tracez_report_handler(ngx_event_t *ev);
void ngx_http_tracez_report_end(ngx_http_tracez_main_conf_t *tmcf,
    ngx_log_t *log);
void ngx_http_tracez_timer_start(ngx_http_tracez_main_conf_t *tmcf,
    ngx_event_handler_pt handler, ngx_log_t *log);
void ngx_http_tracez_timer_stop(ngx_http_tracez_main_conf_t *tmcf);

/* figures of exporters */
ngx_uint_t ngx_http_tracez_first_lane(struct tracez_exporter_stats *stats);
void ngx_http_tracez_publish(ngx_http_tracez_main_conf_t *tmcf);
void ngx_http_tracez_read_published(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_lane_t *lanes, struct tracez_exporter_stats *sum);

/* the request path; find_ctx also gives one whose span has not started yet */
ngx_http_tracez_ctx_t *ngx_http_tracez_find_ctx(ngx_http_request_t *r);
ngx_http_tracez_ctx_t *ngx_http_tracez_get_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_tracez_rewrite_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_tracez_log_handler(ngx_http_request_t *r);

void ngx_http_tracez_extract(ngx_http_request_t *r,
    struct tracez_context *parent);
void ngx_http_tracez_inject(ngx_http_request_t *r, ngx_http_tracez_ctx_t *ctx);

void ngx_http_tracez_set_tags(ngx_http_request_t *r,
    ngx_http_tracez_ctx_t *ctx);

ngx_int_t ngx_http_tracez_add_variables(ngx_conf_t *cf);

/* the status page: text that does not fit is left out */
void ngx_cdecl ngx_http_tracez_print(ngx_http_tracez_page_t *page,
    const char *fmt, ...);
void ngx_http_tracez_print_text(ngx_http_tracez_page_t *page, u_char *text,
    size_t len);
void ngx_http_tracez_print_string(ngx_http_tracez_page_t *page,
    const char *text);
void ngx_http_tracez_get_collector(ngx_http_tracez_page_t *page, ngx_uint_t i,
    struct tracez_collector_stats *stats);
void ngx_http_tracez_print_json(ngx_http_tracez_page_t *page);
void ngx_http_tracez_print_metrics(ngx_http_tracez_page_t *page);

char *ngx_http_tracez_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* NGX_HTTP_TRACEZ_H */
