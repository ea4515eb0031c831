/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities in the version messages of vfio-user; see capabilities.h. Called by server.c; uses
 * json-glib.
 */
#include "capabilities.h"

#include <string.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "dma.h"
#include "stream.h"

/* A member that may be missing, but then is a number that is not negative. */
static bool read_number(JsonObject *object, const char *name, uint64_t *number)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node) {
        return true;
    }
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 ||
        json_node_get_int(node) < 0) {
        return false;
    }
    *number = (uint64_t)json_node_get_int(node);
    return true;
}

static bool read_switch(JsonObject *object, const char *name, bool *on)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node) {
        return true;
    }
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN) {
        return false;
    }
    *on = json_node_get_boolean(node);
    return true;
}

static bool read_twin(JsonObject *object, bool *on)
{
    JsonNode *node = json_object_get_member(object, "twin_socket");

    return !node || (JSON_NODE_HOLDS_OBJECT(node) &&
                     read_switch(json_node_get_object(node), "supported", on));
}

static bool read_root(JsonNode *root, struct capabilities *capabilities)
{
    JsonNode *node;
    JsonObject *object;

    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        return false;
    }
    node = json_object_get_member(json_node_get_object(root), "capabilities");
    if (!node) {
        return true;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        return false;
    }
    object = json_node_get_object(node);
    return read_number(object, "max_msg_fds", &capabilities->max_msg_fds) &&
           read_number(object, "max_data_xfer_size", &capabilities->max_data_xfer_size) &&
           read_switch(object, "write_multiple", &capabilities->write_multiple) &&
           read_twin(object, &capabilities->twin_socket);
}

/* The code unit of a \u escape; -1 if none stands there. */
static int code_unit(const char *at)
{
    int unit = 0;

    if (at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    for (unsigned i = 2; i < 6; i++) {
        if (!g_ascii_isxdigit(at[i])) {
            return -1;
        }
        unit = unit << 4 | g_ascii_xdigit_value(at[i]);
    }
    return unit;
}

/* json-glib (1.6) forgets to free a string in which the halves of a pair do not fit. */
static bool pairs_fit(const char *text)
{
    for (const char *at = text; (at = strchr(at, '\\')) != NULL; at += at[1] ? 2 : 1) {
        const int unit = code_unit(at);

        if (unit >= 0xd800 && unit <= 0xdfff) {
            const int low = code_unit(at + 6);

            if (unit >= 0xdc00 || low < 0xdc00 || low > 0xdfff) {
                return false;
            }
            at += 10; /* as far as the loop does not go */
        }
    }
    return true;
}

bool capabilities_read(const char *text, size_t len, struct capabilities *capabilities)
{
    JsonParser *parser;
    bool good;

    *capabilities = (struct capabilities){.max_msg_fds = 1, .max_data_xfer_size = 1048576};
    if (len == 0) {
        return true;
    }
    if (len > CAPABILITIES_MAX_TEXT || text[len - 1] != '\0' || strlen(text) != len - 1 ||
        !pairs_fit(text)) {
        return false;
    }
    parser = json_parser_new_immutable();
    good = json_parser_load_from_data(parser, text, (gssize)(len - 1), NULL) &&
           read_root(json_parser_get_root(parser), capabilities);
    g_object_unref(parser);
    return good;
}

char *capabilities_answer(const struct capabilities *client, bool twin_socket)
{
    return g_strdup_printf("{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%d,"
                           "\"max_dma_maps\":%d,\"pgsizes\":4096%s%s}}",
                           STREAM_MAX_FDS, STREAM_MAX_DATA, DMA_MAX_REGIONS,
                           client->write_multiple ? ",\"write_multiple\":true" : "",
                           twin_socket ? ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}"
                                       : "");
}
