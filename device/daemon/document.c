/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of JSON documents; see document.h. */
#include "document.h"

void document_add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

void document_add_switch(JsonBuilder *builder, const char *name, bool on)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, on);
}

void document_add_number(JsonBuilder *builder, const char *name, uint64_t number)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)number);
}
