/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading of the command line; see options.h. GOption splits it, settings.c judges values; --help
 * is our own because GOption's cannot be grouped on one page.
 */
#include "options.h"

#include "replay_error.h"

#include <string.h>
#include <sys/stat.h>

/* What GOption stores: the texts of the options that need judging. */
struct texts {
    char *dialect;
    char *tunnel_types;
    char *hash_types;
    char *key;
    char *queues;
    char *indirection;
    char *ring;
    char *format;
};

/* Refuses "--compare=x", which GOption would take as "--compare". */
static bool refuse_values(const GOptionEntry *entries, char **argv, GError **error)
{
    for (char **argument = argv + 1; *argument && strcmp(*argument, "--") != 0; argument++) {
        for (const GOptionEntry *entry = entries; entry->long_name; entry++) {
            g_autofree char *start = g_strdup_printf("--%s=", entry->long_name);

            if (entry->arg == G_OPTION_ARG_NONE && g_str_has_prefix(*argument, start)) {
                return complain(error, "--%s takes no value", entry->long_name);
            }
        }
    }
    return true;
}

/* Splits the command line; no value is judged here. */
static bool split(struct options *options, struct texts *texts, int *argc, char ***argv,
                  GError **error)
{
    gboolean compare = FALSE;
    gboolean help = FALSE;
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        {"dialect", 0, 0, G_OPTION_ARG_STRING, &texts->dialect, NULL, NULL},
        {"tunnel-types", 0, 0, G_OPTION_ARG_STRING, &texts->tunnel_types, NULL, NULL},
        {"hash-types", 0, 0, G_OPTION_ARG_STRING, &texts->hash_types, NULL, NULL},
        {"key", 0, 0, G_OPTION_ARG_STRING, &texts->key, NULL, NULL},
        {"queues", 0, 0, G_OPTION_ARG_STRING, &texts->queues, NULL, NULL},
        {"indirection", 0, 0, G_OPTION_ARG_STRING, &texts->indirection, NULL, NULL},
        {"ring", 0, 0, G_OPTION_ARG_STRING, &texts->ring, NULL, NULL},
        {"format", 0, 0, G_OPTION_ARG_STRING, &texts->format, NULL, NULL},
        {"expect", 0, 0, G_OPTION_ARG_FILENAME, &options->expect, NULL, NULL},
        {"write", 0, 0, G_OPTION_ARG_FILENAME, &options->write, NULL, NULL},
        {"report", 0, 0, G_OPTION_ARG_FILENAME, &options->report, NULL, NULL},
        {"compare", 0, 0, G_OPTION_ARG_NONE, &compare, NULL, NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, NULL, NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, NULL, NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->captures, NULL, NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    GOptionContext *context = g_option_context_new(NULL);
    bool done;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    done =
        refuse_values(entries, *argv, error) && g_option_context_parse(context, argc, argv, error);
    g_option_context_free(context);
    options->compare = compare;
    options->help = help;
    options->version = version;
    options->n_captures = options->captures ? g_strv_length(options->captures) : 0;
    return done;
}

static bool set_format(struct options *options, const char *text, GError **error)
{
    g_autofree char *shown = NULL;

    if (strcmp(text, "table") == 0 || strcmp(text, "ndjson") == 0) {
        options->ndjson = text[0] == 'n';
        return true;
    }
    shown = display_name(text);
    return complain(error, "--format: '%s' is not one of table, ndjson", shown);
}

/* Judges the values; of the settings, the dialect first, because tunnel types depend on it. */
static bool judge(struct options *options, const struct texts *texts, GError **error)
{
    const struct {
        const char *text;
        bool (*set)(struct replay_settings *settings, const char *text, GError **error);
    } values[] = {
        {texts->dialect, settings_set_dialect},
        {texts->tunnel_types, settings_set_tunnel_types},
        {texts->hash_types, settings_set_hash_types},
        {texts->key, settings_set_key},
        {texts->queues, settings_set_queues},
        {texts->indirection, settings_set_indirection},
        {texts->ring, settings_set_ring},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        if (values[i].text && !values[i].set(&options->settings, values[i].text, error)) {
            return false;
        }
    }
    return !texts->format || set_format(options, texts->format, error);
}

/* Whether both names lead to the same regular file. */
static bool same_file(const char *first, const char *second)
{
    struct stat a;
    struct stat b;

    if (!first || !second || strcmp(second, "-") == 0) {
        return false;
    }
    if (stat(first, &a) != 0 || stat(second, &b) != 0) {
        g_autofree char *path = g_canonicalize_filename(first, NULL);
        g_autofree char *other = g_canonicalize_filename(second, NULL);

        return strcmp(path, other) == 0;
    }
    return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Refuses to write over what is read, or two outputs over each other. */
static bool keep_apart(const struct options *options, const char *option, const char *output,
                       GError **error)
{
    bool clash = same_file(output, options->expect) ||
                 (output != options->write && same_file(output, options->write));

    for (unsigned i = 0; i < options->n_captures && !clash; i++) {
        clash = same_file(output, options->captures[i]);
    }
    if (clash) {
        g_autofree char *shown = display_name(output);

        return complain(error, "%s: '%s' is used for something else as well", option, shown);
    }
    return true;
}

static bool check_files(const struct options *options, GError **error)
{
    if (!options->n_captures) {
        return complain(error, "no capture is named; --help explains");
    }
    return keep_apart(options, "--write", options->write, error) &&
           keep_apart(options, "--report", options->report, error);
}

bool options_parse(struct options *options, int *argc, char ***argv, GError **error)
{
    struct texts texts = {0};
    bool done;

    memset(options, 0, sizeof(*options));
    settings_init(&options->settings);
    done = split(options, &texts, argc, argv, error);
    if (done && !options->help && !options->version) {
        done = judge(options, &texts, error) && check_files(options, error);
    }
    g_free(texts.dialect);
    g_free(texts.tunnel_types);
    g_free(texts.hash_types);
    g_free(texts.key);
    g_free(texts.queues);
    g_free(texts.indirection);
    g_free(texts.ring);
    g_free(texts.format);
    return done;
}

void options_clear(struct options *options)
{
    g_free(options->expect);
    g_free(options->write);
    g_free(options->report);
    g_strfreev(options->captures);
}
