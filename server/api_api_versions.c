/* ApiVersions: what this server speaks, from the rows of api.c.  Source: kafka-protocol 6.1.
 * A version that is too new gets error 35 in the layout of version 0, with all keys (row C1). */
#include "base/check.h"
#include "protocol/errors.h"
#include "protocol/msg/api_versions.h"
#include "server/api.h"

static bool is_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool legal_software(struct str s)
{
        if (s.n <= 0 || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1])) return false;
        for (int32_t i = 0; i < s.n; i++)
                if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '.') return false;
        return true;
}

void api_api_versions_begin(struct request *r)
{
        (void)r; /* nothing to wait for */
}

void api_api_versions_finish(struct request *r, struct out *reply)
{
        struct api_versions_res res;
        api_versions_res_init(&res);
        const struct api_versions_req *q = r->body;
        int16_t version = r->bad_version ? 0 : r->version;
        if (r->bad_version)
                res.error_code = WIRE_UNSUPPORTED_VERSION;
        else if (version >= 3 && (!legal_software(q->client_software_name) ||
                                     !legal_software(q->client_software_version)))
                res.error_code = WIRE_INVALID_REQUEST;
        request_note_error(r, res.error_code);
        if (res.error_code != WIRE_INVALID_REQUEST) {
                unsigned n;
                const struct api *rows = api_rows(&n);
                res.api_keys.at = arena_array(&r->arena, n, sizeof(*res.api_keys.at));
                if (!res.api_keys.at) {
                        reply->bad = true;
                        return;
                }
                res.api_keys.n = (int32_t)n;
                for (unsigned i = 0; i < n; i++)
                        res.api_keys.at[i] = (struct api_versions_res_api_keys){ rows[i].key,
                                rows[i].min, rows[i].max };
        }
        api_versions_res_encode(&res, reply, version);
}
