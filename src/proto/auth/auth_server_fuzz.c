/* The server's engine fed with packets (u16 length before each); the owner's verdict is the byte before the length. */
#include "proto/auth/auth.h"
#include "proto/limits.h"

#include <stdlib.h>

static uint8_t area[LIMIT_PACKET_PAYLOAD_BYTES];
static int sink_reserve(UNUSED void *lower, size_t payload_max, uint8_t **ret)
{
    if (payload_max > sizeof(area)) return ERR_LIMIT;
    *ret = area;
    return 0;
}
static int sink_commit(UNUSED void *lower, UNUSED size_t payload_len) { return 0; }
static size_t sink_room(UNUSED void *lower) { return sizeof(area); }
static const struct link_ops sink_ops = { sink_reserve, sink_commit, sink_room };

static void answer(struct auth_server *a, const struct auth_server_event *e, uint8_t verdict)
{
    static const struct auth_prompt prompts[3] = { { VIEW_LIT("p"), false } };
    struct view response;
    for (uint32_t i = 0; e->kind == AUTH_SERVER_KBDINT_RESPONSE && i < e->n_responses; i++)
        if (auth_server_response(a, i, &response) < 0) abort();
    if (e->user.len > LIMIT_USER_BYTES || e->secret.len > LIMIT_PASSWORD_BYTES) abort();
    struct auth_server_answer ans = { .verdict = verdict & 7,
                                      .methods = VIEW_LIT("password"),
                                      .text = VIEW_LIT("t"),
                                      .prompts = prompts,
                                      .n_prompts = verdict >> 6 };
    struct auth_server_answer no = { .verdict = AUTH_VERDICT_FAILURE };
    /* Failure answers every question. */
    if (auth_server_answer(a, &ans) < 0 && auth_server_answer(a, &no) < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_server_config config = {
        .link = { &sink_ops, NULL }, .session_id = VIEW_LIT("0123456789abcdef"), .host_key = VIEW_LIT("hk"), .early_session = true
    };
    CLEANUP(auth_server_freep) struct auth_server *a = NULL;
    if (auth_server_new(&config, &a) < 0) return 0;
    while (size >= 3) {
        uint8_t verdict = data[0];
        size_t len = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
        uint8_t *packet = malloc(len ? len : 1);
        memcpy(packet, data + 3, len);
        struct auth_server_event e;
        int r = auth_server_packet(a, view_of(packet, len), &e);
        if (r == ERR_STATE || r == ERR_BUG) abort();
        if (r == 1) answer(a, &e, verdict);
        free(packet);
        if (r < 0 && r != ERR_UNSUPPORTED) break;
        data += 3 + len;
        size -= 3 + len;
    }
    return 0;
}
