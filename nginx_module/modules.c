/* SPDX-License-Identifier: MIT
 *
 * What nginx's own build generates for a dynamic module. */
#include <ngx_config.h>
#include <ngx_core.h>


extern ngx_module_t  ngx_tracez_module;
extern ngx_module_t  ngx_http_tracez_module;


ngx_module_t *ngx_modules[] = {
    &ngx_tracez_module,
    &ngx_http_tracez_module,
    NULL
};


char *ngx_module_names[] = {
    "ngx_tracez_module",
    "ngx_http_tracez_module",
    NULL
};


char *ngx_module_order[] = {
    NULL
};
