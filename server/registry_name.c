/* Names and ids of topics. */
#include "server/registry.h"

#include "base/check.h"

enum { TOPIC_NAME_MAX = 249 };

/* Not a version 4 id, so it never meets a random one. */
const struct uuid registry_topic_id = { "varve\0\x80"
                                        "registry" };

const char *topic_name_invalid(struct str name)
{
        if (name.n <= 0) return "the topic name is empty";
        if (name.n > TOPIC_NAME_MAX) return "the topic name is longer than 249 characters";
        if (str_eq(name, STR(".")) || str_eq(name, STR(".."))) return "the topic name is . or ..";
        for (int32_t i = 0; i < name.n; i++) {
                char c = name.p[i];
                bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                if (!ok) return "the topic name has a character other than a-z A-Z 0-9 . _ -";
        }
        return NULL;
}

bool topic_name_internal(struct str name)
{
        static const char *const names[] = { "__consumer_offsets", "__transaction_state",
                "__share_group_state" };
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (str_eq(name, str_of(names[i]))) return true;
        return false;
}

struct uuid_text uuid_show(struct uuid id)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_";
        struct uuid_text t;
        unsigned at = 0;
        for (unsigned i = 0; i < 18; i += 3) {
                uint32_t v = (uint32_t)id.b[i] << 16;
                if (i + 1 < 16) v |= (uint32_t)id.b[i + 1] << 8;
                if (i + 2 < 16) v |= id.b[i + 2];
                for (int shift = 18; shift >= 0 && at < 22; shift -= 6)
                        t.text[at++] = digits[v >> shift & 63];
        }
        t.text[at] = '\0';
        return t;
}
