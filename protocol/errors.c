/* Look-ups in the table of errors.h. */
#include "protocol/errors.h"

#include "base/check.h"

struct error_row {
        const char *name;
        int16_t code;
        uint8_t flag;
};

#define ROW(name, code, flag) { #name, code, flag },
static const struct error_row rows[] = { WIRE_ERRORS(ROW) };
#undef ROW

/* The table has every code from -1 on, in order. */
#define IN_ORDER(name, code, flag) WIRE_AT_##name,
enum { WIRE_ERRORS(IN_ORDER) WIRE_ERROR_COUNT };
#undef IN_ORDER
#define CHECK_ROW(name, code, flag) \
        static_assert(WIRE_AT_##name == (code) + 1, "codes have no gap");
WIRE_ERRORS(CHECK_ROW)
#undef CHECK_ROW

static const struct error_row *find(int16_t code)
{
        static_assert(COUNT_OF(rows) == WIRE_ERROR_COUNT, "one row per code");
        if (code < -1 || code >= WIRE_ERROR_COUNT - 1) return NULL;
        const struct error_row *row = &rows[code + 1];
        assert(row->code == code);
        return row;
}

const char *wire_error_name(int16_t code)
{
        const struct error_row *row = find(code);
        return row ? row->name : "UNKNOWN_ERROR_CODE";
}

bool wire_error_is_retriable(int16_t code)
{
        const struct error_row *row = find(code);
        return row && row->flag != ERROR_FINAL;
}
