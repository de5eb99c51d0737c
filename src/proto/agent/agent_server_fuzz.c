/* Requests to the agent, from two clients that take turns: each byte string in the input is a frame's body. The first byte of each
 * says whose it is (bit 0), what is answered if it raises a question (bit 1), and whether time passes (bits 2 to 7, in 100 ms). */
#include "proto/agent/agent_server.h"

#include "key/public_line.h"
#include "key/test_keys.h"

#include <stdlib.h>

static int fill(UNUSED void *arg, uint8_t *ret, size_t len)
{
    memset(ret, 7, len);
    return 0;
}

static void write_frame(struct agent_client *c, struct view body)
{
    uint8_t head[4] = { (uint8_t)(body.len >> 24), (uint8_t)(body.len >> 16), (uint8_t)(body.len >> 8), (uint8_t)body.len }, *area;
    struct view parts[] = { view_of(head, sizeof(head)), body };
    size_t room;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        while (parts[i].len) {
            agent_client_input(c, &area, &room);
            if (room == 0) return;
            room = MIN(room, parts[i].len);
            memcpy(area, parts[i].p, room);
            if (agent_client_received(c, room) < 0) return;
            parts[i] = view_sub(parts[i], room, parts[i].len);
        }
}

static void answer_questions(struct agent_server *s, bool yes)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    struct agent_question q;
    if (public_line_parse(view_str(test_ecdsa_public), &k) < 0) return;
    const struct agent_token_key keys[] = { { k, "token" } };
    const struct agent_answer answer = { .yes = yes, .signature = VIEW_LIT("sig"), .provider = "/p", .keys = keys, .n_keys = 1 };
    while (agent_server_next(s, &q)) {
        if (q.text) CHECK(strlen(q.text) > 0);
        (void)!agent_server_answer(s, q.id, &answer);
    }
}

/* Every answer is one whole frame. */
static void read_answers(struct agent_client *c)
{
    struct view body;
    size_t used;
    while (agent_client_output(c).len) {
        CHECK(agent_frame_next(agent_client_output(c), &body, &used) == 1);
        if (agent_client_sent(c, used) < 0) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct random random = { fill, NULL };
    struct agent_server *s = NULL;
    struct agent_client *clients[2] = { NULL, NULL };
    ms now = 0;
    if (agent_server_new(&(struct agent_server_config){ .random = &random, .fingerprint_hash = DIGEST_SHA256 }, &s) < 0) return 0;
    if (agent_client_new(s, &clients[0]) == 0 && agent_client_new(s, &clients[1]) == 0) {
        struct rd r = rd_of(view_of(data, size));
        for (;;) {
            uint8_t how = rd_u8(&r);
            struct view body = view_of(NULL, 0);
            uint16_t len = rd_u16(&r);
            body = rd_bytes(&r, MIN((size_t)len, rd_left(&r)));
            if (rd_stop(&r) < 0 || body.len == 0) break;
            now += (ms)(how >> 2) * 100;
            agent_server_tick(s, now, 1700000000);
            write_frame(clients[how & 1], body);
            answer_questions(s, how & 2);
            read_answers(clients[0]);
            read_answers(clients[1]);
        }
    }
    agent_client_free(clients[0]);
    agent_client_free(clients[1]);
    agent_server_free(s);
    return 0;
}
