/* A server's bytes against the SFTP client engine, with requests of every kind in flight. */
#include "proto/sftp/client.h"

#include <stdlib.h>

static void ask(struct sftp_client *c)
{
    static const struct view h = VIEW_LIT("h"), path = VIEW_LIT("/p"), attrs = VIEW_LIT("\0\0\0\0");
    uint8_t *area;
    size_t len;
    int err = SFTP_CALL(c, c, sftp_open, .path = path, .attrs = attrs);
    if (err == 0) err = SFTP_CALL(c, c, sftp_read, .handle = h, .length = 9);
    if (err == 0) err = SFTP_CALL(c, c, sftp_readdir, .handle = h);
    if (err == 0) err = SFTP_CALL(c, c, sftp_stat, .path = path);
    if (err == 0) err = SFTP_CALL(c, c, sftp_extended, .name = path, .data = h);
    if (err == 0) err = SFTP_CALL(c, c, sftp_mkdir, .path = path, .attrs = attrs);
    if (err == 0) err = sftp_client_write_reserve(c, h, 1, 10, &area, &len);
    if (err == 0) sftp_client_write_commit(c, len, c);
}

static void take(struct sftp_answer *a)
{
    for (uint32_t i = 0; i < a->n_names && rd_stop(&a->names) == 0; i++) (void)sftp_name_read(&a->names);
    if (a->call && a->type != MSG_sftp_status_NUMBER && a->status != SFTP_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = NULL;
    struct sftp_answer answer;
    if (sftp_client_new(NULL, &c) < 0) abort();
    ask(c);
    while (size) {
        uint8_t *area;
        size_t room;
        int got;
        if (sftp_client_area(c, &area, &room) < 0) return 0;
        size_t left = MIN(room, size), n = MIN(left, (size_t)data[0] + 1);
        memcpy(area, data, n);
        sftp_client_received(c, n);
        data += n;
        size -= n;
        while ((got = sftp_client_next(c, &answer)) == 1) take(&answer);
        if (got < 0) return 0;
        sftp_client_sent(c, sftp_client_output(c).len);
    }
    return 0;
}
