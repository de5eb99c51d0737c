/* The SFTP server's table of open files and directories. Free places are taken lowest first. */
#include "io/sftp_server_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int grow(struct sftp_server *s)
{
    size_t n = s->n_handles ? 2 * s->n_handles : 16;
    if (n > s->max_handles) n = s->max_handles;
    if (n <= s->n_handles) return ERR_LIMIT;
    struct sftp_server_handle *handles = reallocarray(s->handles, n, sizeof(*handles));
    if (!handles) return ERR_NOMEM;
    memset(handles + s->n_handles, 0, (n - s->n_handles) * sizeof(*handles));
    s->handles = handles;
    s->n_handles = n;
    return 0;
}

int sftp_server_handle_new(struct sftp_server *s, const struct sftp_server_handle *take_handle)
{
    size_t idx = 0;
    while (idx < s->n_handles && s->handles[idx].kind != HANDLE_FREE) idx++;
    if (idx == s->n_handles) TRY(grow(s));
    s->handles[idx] = *take_handle;
    return (int)idx;
}

uint32_t sftp_server_handle_number(struct view handle)
{
    struct rd r = rd_of(handle);
    uint32_t number = rd_u32(&r);
    return rd_end(&r) == 0 ? number : UINT32_MAX;
}

struct sftp_server_handle *sftp_server_handle_get(const struct sftp_server *s, struct view handle,
                                                  enum sftp_server_handle_kind kind)
{
    uint32_t number = sftp_server_handle_number(handle);
    if (number >= s->n_handles) return NULL;
    struct sftp_server_handle *h = &s->handles[number];
    return h->kind != HANDLE_FREE && (kind == HANDLE_FREE || h->kind == kind) ? h : NULL;
}

const char *sftp_server_handle_path(const struct sftp_server *s, struct view handle)
{
    const struct sftp_server_handle *h = sftp_server_handle_get(s, handle, HANDLE_FREE);
    return h ? h->path : "(null)";
}

int sftp_server_handle_answer(struct sftp_server *s, int idx)
{
    log_debug(s->log, "request %u: sent handle handle %d", s->id, idx);
    uint8_t wire[4];
    struct wr w = wr_area(wire, sizeof(wire));
    wr_u32(&w, (uint32_t)idx);
    TRY(wr_end(&w));
    return SFTP_PUT(&s->out, sftp_handle, .id = s->id, .handle = view_of(wire, sizeof(wire)));
}

int sftp_server_handle_close(struct sftp_server *s, struct sftp_server_handle *h, const char *how)
{
    if (h->kind == HANDLE_FILE)
        log_info(s->log, "%sclose \"%s\" bytes read %llu written %llu", how, h->path, (unsigned long long)h->n_read,
                 (unsigned long long)h->n_written);
    else
        log_info(s->log, "%sclosedir \"%s\"", how, h->path);
    int r = h->kind == HANDLE_FILE ? close(h->fd) : closedir(h->dir);
    int saved = errno;
    free(h->path);
    *h = (struct sftp_server_handle){};
    errno = saved;
    return r;
}

void sftp_server_handles_done(struct sftp_server *s)
{
    for (size_t i = 0; i < s->n_handles; i++)
        if (s->handles[i].kind != HANDLE_FREE && sftp_server_handle_close(s, &s->handles[i], "forced ") != 0)
            log_error(s->log, "close failed: %s", strerror(errno));
    free(s->handles);
}
