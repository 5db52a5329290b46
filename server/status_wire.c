/* From our statuses to Kafka's codes: one row per status, and the compiler knows when one is
 * missing. */
#include "base/status.h"
#include "protocol/errors.h"
#include "server/api.h"

int16_t wire_from_status(int status)
{
        switch ((enum status)status) {
        case ST_OK:
                return WIRE_NONE;
        case ST_BAD_BATCH:
                return WIRE_INVALID_RECORD;
        case ST_BAD_CRC:
                return WIRE_CORRUPT_MESSAGE;
        case ST_OUT_OF_RANGE:
                return WIRE_OFFSET_OUT_OF_RANGE;
        case ST_NOT_FOUND:
                return WIRE_UNKNOWN_TOPIC_OR_PARTITION;
        case ST_EXISTS:
                return WIRE_TOPIC_ALREADY_EXISTS;
        case ST_INVALID:
                return WIRE_INVALID_REQUEST;
        case ST_TOO_LARGE:
                return WIRE_MESSAGE_TOO_LARGE;
        case ST_UNSUPPORTED:
                return WIRE_UNSUPPORTED_VERSION;
        case ST_PENDING:
                return WIRE_REQUEST_TIMED_OUT;
        /* The log cannot do it now; clients ask for metadata and try again. */
        case ST_NOMEM:
        case ST_IO:
        case ST_CORRUPT:
        case ST_DISK_FULL:
        case ST_FENCED:
        case ST_LOCKED:
        case ST_TOO_NEW:
        case ST_FOREIGN:
        case ST_CANCELED:
        case ST_CLOSED:
                return WIRE_KAFKA_STORAGE_ERROR;
        }
        return WIRE_UNKNOWN_SERVER_ERROR;
}
