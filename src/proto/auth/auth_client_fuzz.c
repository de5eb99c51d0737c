/* The client's engine fed with packets (u16 length before each); the byte before the length chooses what the owner attempts. */
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

/* Whether it may start is the engine's answer: an attempt that does not fit is ERR_STATE and does no harm. */
static int attempt(struct auth_client *a, uint8_t choice)
{
    struct view to_sign, word = VIEW_LIT("k");
    switch (choice & 7) {
    case 0:
        return auth_client_try_none(a);
    case 1:
        return auth_client_query_publickey(a, word, word);
    case 2:
        return auth_client_start_publickey(a, word, word, word, choice & 8 ? word : VIEW_EMPTY, &to_sign);
    case 3:
        return auth_client_finish_publickey(a, word);
    case 4:
        return auth_client_try_password(a, word);
    case 5:
        return auth_client_change_password(a, word, word);
    case 6:
        return auth_client_try_kbdint(a, word);
    default:
        auth_client_abandon_publickey(a);
        return 0;
    }
}

static void answer_prompts(struct auth_client *a, const struct auth_client_event *e, uint8_t choice)
{
    static struct view answers[LIMIT_PROMPTS];
    struct auth_prompt prompt;
    for (uint32_t i = 0; i < e->n_prompts; i++)
        if (auth_client_prompt(a, i, &prompt) < 0) abort();
    if (choice & 16 && auth_client_answer_kbdint(a, answers, e->n_prompts) < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_client_config config = { .user = VIEW_LIT("u"),
                                         .service = VIEW_LIT("ssh-connection"),
                                         .link = { &sink_ops, NULL } };
    CLEANUP(auth_client_freep) struct auth_client *a = NULL;
    if (auth_client_new(&config, &a) < 0) return 0;
    while (size >= 3) {
        uint8_t choice = data[0];
        if (attempt(a, choice) == ERR_BUG) abort();
        size_t len = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
        uint8_t *packet = malloc(len ? len : 1);
        memcpy(packet, data + 3, len);
        struct auth_client_event e;
        int r = auth_client_packet(a, view_of(packet, len), &e);
        if (r == 1 && e.kind == AUTH_CLIENT_INFO_REQUEST) answer_prompts(a, &e, choice);
        free(packet);
        if (r < 0 && r != ERR_UNSUPPORTED) break;
        data += 3 + len;
        size -= 3 + len;
    }
    return 0;
}
