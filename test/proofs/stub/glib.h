/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lib/ takes of GLib, for a checker that needs the meaning and not the library. Allocations do not fail,
 * as GLib's do not; what comes uninitialised there has any value here. Errors have a code and no text.
 */
#ifndef VIONET_PROOFS_GLIB_H
#define VIONET_PROOFS_GLIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define G_BEGIN_DECLS
#define G_END_DECLS
#define G_GNUC_PRINTF(format, arguments)
#define G_LIKELY(condition)   (condition)
#define G_UNLIKELY(condition) (condition)
#define G_N_ELEMENTS(array)   (sizeof(array) / sizeof((array)[0]))
#define G_GINT64_MODIFIER     "l"
#define G_GUINT64_FORMAT      "lu"
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))
#define TRUE                  1
#define FALSE                 0

typedef void *gpointer;
typedef int gboolean;
typedef int gint;
typedef unsigned guint;
typedef uint32_t GQuark;
typedef int gatomicrefcount;

typedef struct GError {
    int code;
} GError;

typedef struct GArray {
    char *data;
    guint len;
} GArray;

typedef struct GByteArray {
    uint8_t *data;
    guint len;
} GByteArray;

typedef struct GHashTable GHashTable;
typedef struct GBytes GBytes;

gboolean g_hash_table_add(GHashTable *table, gpointer key);
gboolean g_hash_table_contains(GHashTable *table, const void *key);
GHashTable *g_hash_table_new_full(void *hash, void *equal, void (*drop_key)(void *),
                                  void *drop_value);
void g_hash_table_unref(GHashTable *table);
char *g_strdup_printf(const char *format, ...);
extern char proof_str_hash, proof_str_equal;
#define g_str_hash         (&proof_str_hash)
#define g_str_equal        (&proof_str_equal)
#define g_ascii_islower(c) ((c) >= 'a' && (c) <= 'z')
#define g_ascii_isdigit(c) ((c) >= '0' && (c) <= '9')

/* ---- memory ---- */

static inline void *proof_allocate(size_t n, size_t size)
{
    void *p = malloc(n * size);

    __CPROVER_assume(p != NULL);
    return p;
}

static inline void *proof_allocate0(size_t n, size_t size)
{
    void *p = calloc(n, size);

    __CPROVER_assume(p != NULL);
    return p;
}

_Bool nondet_bool(void); /* any */

static inline void *proof_try_allocate(size_t n, size_t size)
{
    return nondet_bool() ? proof_allocate(n, size) : NULL;
}

static inline void *g_memdup2(const void *from, size_t n)
{
    void *p = n ? proof_allocate(1, n) : NULL;

    if (n) {
        memcpy(p, from, n);
    }
    return p;
}

#define g_malloc(n)                                      proof_allocate(1, n)
#define g_malloc0(n)                                     proof_allocate0(1, n)
#define g_try_malloc(n)                                  proof_try_allocate(1, n)
#define g_try_malloc0(n)                                 (nondet_bool() ? proof_allocate0(1, n) : NULL)
#define g_try_new(type, n)                               ((type *)proof_try_allocate(n, sizeof(type)))
#define g_new(type, n)                                   ((type *)proof_allocate(n, sizeof(type)))
#define g_new0(type, n)                                  ((type *)proof_allocate0(n, sizeof(type)))
#define g_aligned_alloc(n, size, align)                  proof_allocate(n, size)
#define g_aligned_alloc0(n, size, align)                 proof_allocate0(n, size)
#define g_free                                           free
#define g_aligned_free(p)                                free(p)
#define g_atomic_ref_count_init(count)                   ((void)(*(count) = 1))
#define g_atomic_ref_count_inc(count)                    ((void)++*(count))
#define g_atomic_ref_count_dec(count)                    (--*(count) == 0)
#define g_thread_yield()                                 ((void)0)
#define g_quark_from_static_string(name)                 1u
#define g_set_error(error, domain, number, ...)          proof_set_error(error, (int)(number))
#define g_error_new_valist(domain, number, format, args) proof_new_error((int)(number))

static inline GError *proof_new_error(int code)
{
    GError *error = proof_allocate(1, sizeof(GError));

    error->code = code;
    return error;
}

static inline void proof_set_error(GError **error, int code)
{
    if (error) {
        *error = proof_new_error(code);
    }
}

/* ---- arrays: declared for headers; a proof that lets them be used brings them ---- */

GArray *g_array_new(gboolean zero_terminated, gboolean clear, guint size);
GArray *g_array_set_size(GArray *array, guint len);
GArray *g_array_append_vals(GArray *array, const void *data, guint len);
GArray *g_array_remove_index(GArray *array, guint index);
void g_array_unref(GArray *array);
GByteArray *g_byte_array_new(void);
GByteArray *g_byte_array_append(GByteArray *array, const uint8_t *data, guint len);
GByteArray *g_byte_array_set_size(GByteArray *array, guint len);
void g_byte_array_unref(GByteArray *array);
#define g_array_append_val(array, value)  g_array_append_vals(array, &(value), 1)
#define g_array_index(array, type, index) (((type *)(void *)(array)->data)[index])

#endif
