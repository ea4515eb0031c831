/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints docs/tables.md from the library's own tables: features, dialects, violations, verdicts. With
 * a file name it compares instead, and says how to mend the file (run as a test).
 */
#include <stdio.h>
#include <string.h>

#include <vionet/device.h>

static void put_features(GString *out)
{
    const VionetDialect *dialect;
    const VionetFeature *feature;

    g_string_append(out,
                    "## Features\n\n"
                    "| bit | name | property | default | what it is |\n|---|---|---|---|---|\n");
    dialect = vionet_dialect_at(0);
    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        g_string_append_printf(out, "| %u | %s | `%s` | %s | %s |\n", feature->bit, feature->name,
                               feature->property, feature->by_default ? "on" : "off",
                               feature->help);
    }
}

static void put_dialects(GString *out)
{
    const VionetDialect *dialect;

    g_string_append(out, "\n## Dialects of inner-header hashing\n\n"
                         "| name | feature bit | types |\n|---|---|---|\n");
    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        g_string_append_printf(out, "| %s | ", dialect->name);
        if (dialect->feature >= 0) {
            g_string_append_printf(out, "%d |", dialect->feature);
        } else {
            g_string_append(out, "none |");
        }
        for (const VionetTunnelType *type = dialect->types; type->name; type++) {
            g_string_append_printf(out, " `%s` 0x%x", type->name, type->bit);
        }
        g_string_append(out, " |\n");
    }
}

static void put_violations(GString *out)
{
    g_string_append(out,
                    "\n## Violations\n\n"
                    "A fatal one stops its queue and sets DEVICE_NEEDS_RESET. In the sentence, %q "
                    "is a queue, %d a descriptor, %v and %x the value found.\n\n"
                    "| name | section | fatal | sentence |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < VIONET_N_VIOLATIONS; i++) {
        const VionetViolationInfo *info = vionet_violation_info((VionetViolation)i);

        g_string_append_printf(out, "| %s | %s | %s | %s |\n", info->name, info->section,
                               info->fatal ? "yes" : "no", info->text);
    }
}

static void put_verdicts(GString *out)
{
    g_string_append(out, "\n## Verdicts on frames\n\n");
    for (unsigned i = 0; i < VIONET_N_VERDICTS; i++) {
        g_string_append_printf(out, "%s`%s`", i ? ", " : "", vionet_verdict_name((VionetVerdict)i));
    }
    g_string_append(out, "\n\n## Counters of a queue\n\n");
    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        g_string_append_printf(out, "%s`%s`", i ? ", " : "", vionet_counter_name((VionetCounter)i));
    }
    g_string_append(out, "\n");
}

int main(int argc, char **argv)
{
    GString *out = g_string_new("# Tables of the library\n\n"
                                "Printed by `test/tools/tables` from the tables that the code runs "
                                "on; a test compares.\n\n");
    char *there = NULL;
    int status = 0;

    put_features(out);
    put_dialects(out);
    put_violations(out);
    put_verdicts(out);
    if (argc < 2) {
        fputs(out->str, stdout);
    } else if (!g_file_get_contents(argv[1], &there, NULL, NULL) || strcmp(there, out->str) != 0) {
        fprintf(stderr, "%s is not what the tables say: run %s >%s\n", argv[1], argv[0], argv[1]);
        status = 1;
    }
    g_free(there);
    g_string_free(out, TRUE);
    return status;
}
