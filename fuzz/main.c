/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program around a target where there is no libFuzzer: runs each file given, and each file in
 * each folder given, in the order of their names. Arguments that begin with a dash are libFuzzer's
 * or reach.h's, and passed over here.
 */
#include <stdio.h>
#include <stdlib.h>

#include <glib.h>

#include "reach.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned n_inputs;

static void run_file(const char *path)
{
    GError *error = NULL;
    char *octets;
    gsize size;
    uint8_t *exact;

    if (!g_file_get_contents(path, &octets, &size, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(2);
    }
    exact = malloc(size); /* without the octet that GLib adds */
    for (gsize i = 0; i < size; i++) {
        exact[i] = (uint8_t)octets[i];
    }
    g_free(octets);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    n_inputs++;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

static void run_folder(const char *path)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        g_ptr_array_add(files, g_build_filename(path, name, NULL));
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_ptr_array_sort(files, by_name);
    for (guint i = 0; i < files->len; i++) {
        run_file(files->pdata[i]);
    }
    g_ptr_array_unref(files);
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            continue;
        }
        if (g_file_test(argv[i], G_FILE_TEST_IS_DIR)) {
            run_folder(argv[i]);
        } else {
            run_file(argv[i]);
        }
    }
    if (n_inputs == 0) {
        fprintf(stderr, "usage: %s [--floors] FILE_OR_FOLDER...\n", argv[0]);
        return 2;
    }
    fprintf(stderr, "%u inputs\n", n_inputs);
    return 0;
}
