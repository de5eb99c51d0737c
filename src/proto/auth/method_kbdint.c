/* The keyboard-interactive method (RFC 4256), bodies of both sides. Answers of a user pass through: no copy of them stays in an
 * engine. */
#include "proto/auth/auth_int.h"

/* ---- client ---- */

int auth_client_try_kbdint(struct auth_client *a, struct view submethods)
{
    TRY(auth_client_check_free(a));
    struct wr w;
    TRY(auth_client_request_open(a, METHOD_KBDINT, 4 + 4 + submethods.len, &w));
    struct body_auth_kbdint b = { .submethods = submethods };
    body_auth_kbdint_put(&w, &b);
    return auth_client_request_close(a, &w, CLIENT_KBDINT);
}

static struct auth_prompt read_prompt(struct rd *r)
{
    struct auth_prompt prompt = { .text = rd_string(r) };
    prompt.echo = rd_bool(r);
    return prompt;
}

int auth_client_on_info_request(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_info_request m;
    TRY(msg_userauth_info_request_get(payload, &m));
    if (m.n_prompts > LIMIT_PROMPTS) return ERR_LIMIT;
    struct rd r = rd_of(m.prompts);
    for (uint32_t i = 0; i < m.n_prompts; i++) read_prompt(&r);
    TRY(rd_end(&r));
    auth_client_set_state(a, CLIENT_PROMPTED);
    a->prompts = m.prompts;
    a->n_prompts = m.n_prompts;
    *ret = (struct auth_client_event){
        .kind = AUTH_CLIENT_INFO_REQUEST, .text = m.name, .instruction = m.instruction, .n_prompts = m.n_prompts
    };
    return 1;
}

int auth_client_prompt(const struct auth_client *a, uint32_t idx, struct auth_prompt *ret)
{
    if (idx >= a->n_prompts) return ERR_RANGE;
    struct rd r = rd_of(a->prompts);
    for (uint32_t i = 0; i < idx; i++) read_prompt(&r);
    struct auth_prompt prompt = read_prompt(&r);
    TRY(rd_stop(&r));
    *ret = prompt;
    return 0;
}

int auth_client_answer_kbdint(struct auth_client *a, const struct view *responses, size_t n)
{
    /* 4256 3.4: as many answers as there were prompts. */
    if (a->state != CLIENT_PROMPTED || n != a->n_prompts) return ERR_STATE;
    size_t max = 1 + 4;
    for (size_t i = 0; i < n; i++) {
        if (responses[i].len > LIMIT_PASSWORD_BYTES) return ERR_LIMIT;
        max += 4 + responses[i].len;
    }
    uint8_t *area;
    TRY(link_reserve(&a->link, max, &area));
    struct wr w = wr_area(area, max);
    struct msg_userauth_info_response m = { .n_responses = (uint32_t)n };
    msg_userauth_info_response_put(&w, &m);
    for (size_t i = 0; i < n; i++) wr_string(&w, responses[i]);
    return auth_client_request_close(a, &w, CLIENT_KBDINT);
}

/* ---- server ---- */

int auth_server_read_kbdint(struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    struct body_auth_kbdint b;
    TRY(body_auth_kbdint_get(data, &b));
    buf_reset(&a->user);
    TRY(buf_put_view(&a->user, ret->user));
    ret->kind = AUTH_SERVER_KBDINT_START;
    ret->text = b.submethods;
    return 0;
}

int auth_server_read_info_response(struct auth_server *a, struct view payload, struct auth_server_event *ret)
{
    struct msg_userauth_info_response m;
    TRY(msg_userauth_info_response_get(payload, &m));
    struct rd r = rd_of(m.responses);
    bool fits = m.n_responses == a->n_prompts;
    for (uint32_t i = 0; i < m.n_responses && !r.err; i++)
        if (rd_string(&r).len > LIMIT_PASSWORD_BYTES) fits = false;
    TRY(rd_end(&r));
    ret->kind = AUTH_SERVER_KBDINT_RESPONSE;
    ret->user = buf_view(&a->user);
    ret->service = VIEW_LIT("ssh-connection");
    ret->method = VIEW_LIT(METHOD_KBDINT);
    a->responses = m.responses;
    a->n_responses = ret->n_responses = m.n_responses;
    /* 4256 3.4: another number of answers than of prompts MUST be answered by failure. */
    if (!fits) auth_server_refuse(ret);
    return 0;
}

int auth_server_response(const struct auth_server *a, uint32_t idx, struct view *ret)
{
    if (a->state != SERVER_QUESTION || a->question != AUTH_SERVER_KBDINT_RESPONSE || idx >= a->n_responses) return ERR_RANGE;
    struct rd r = rd_of(a->responses);
    for (uint32_t i = 0; i < idx; i++) rd_string(&r);
    struct view response = rd_string(&r);
    TRY(rd_stop(&r));
    *ret = response;
    return 0;
}

int auth_server_send_info_request(struct auth_server *a, const struct auth_server_answer *answer)
{
    if (answer->n_prompts > LIMIT_PROMPTS) return ERR_LIMIT;
    size_t max = 1 + 4 + answer->text.len + 4 + answer->instruction.len + 4 + 4;
    for (uint32_t i = 0; i < answer->n_prompts; i++) max += 4 + answer->prompts[i].text.len + 1;
    if (max > LIMIT_PACKET_PREAUTH_BYTES) return ERR_LIMIT;
    uint8_t *area;
    TRY(link_reserve(&a->link, max, &area));
    struct wr w = wr_area(area, max);
    struct msg_userauth_info_request m = { .name = answer->text,
                                           .instruction = answer->instruction,
                                           .n_prompts = answer->n_prompts };
    msg_userauth_info_request_put(&w, &m);
    for (uint32_t i = 0; i < answer->n_prompts; i++) {
        wr_string(&w, answer->prompts[i].text);
        wr_bool(&w, answer->prompts[i].echo);
    }
    TRY(wr_end(&w));
    TRY(link_commit(&a->link, w.len));
    a->n_prompts = answer->n_prompts;
    return 0;
}
