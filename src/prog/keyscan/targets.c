/* Hosts one after the other: from files, then from arguments; ranges of addresses are counted through without being written out. */
#include "prog/keyscan/keyscan.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void target_done(struct target *t)
{
    free(t->addresses);
    free(t->names);
    *t = (struct target){};
}

void targets_done(struct targets *t)
{
    if (t->file && t->file != stdin) fclose(t->file);
    t->file = NULL;
}

/* ---- ranges ---- */

/* "10.1/16" stands for 10.1.0.0/16. */
static int parse_short_address(struct view text, struct ip_addr *ret)
{
    CLEANUP(buf_done) struct buf whole = BUF_INIT(256);
    size_t dots = 0;
    for (size_t i = 0; i < text.len; i++) dots += text.p[i] == '.';
    TRY(buf_put_view(&whole, text));
    bool is_v6 = text.len && memchr(text.p, ':', text.len);
    for (; !is_v6 && dots < 3; dots++) TRY(buf_put_str(&whole, ".0"));
    return ip_parse(buf_view(&whole), ret);
}

/* Bits of the address behind the prefix do not count: OpenSSH's manual has 192.168.0.64/25. */
static bool range_parse(struct targets *t, struct view text)
{
    const uint8_t *slash = text.len ? memchr(text.p, '/', text.len) : NULL;
    unsigned bits = 0;
    if (!slash || slash + 1 == text.p + text.len) return false;
    for (const uint8_t *p = slash + 1; p < text.p + text.len; p++) {
        if (*p < '0' || *p > '9' || bits > 128) return false;
        bits = bits * 10 + (unsigned)(*p - '0');
    }
    if (parse_short_address(view_of(text.p, (size_t)(slash - text.p)), &t->at) < 0 || bits > 8u * t->at.len) return false;
    t->last = t->at;
    for (unsigned bit = bits; bit < 8u * t->at.len; bit++) {
        t->at.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        t->last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    return true;
}

static bool range_next(struct targets *t, struct target *ret)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(t->at.len == 4 ? AF_INET : AF_INET6, t->at.bytes, text, sizeof(text));
    ret->addresses = strdup(text);
    ret->names = strdup(text);
    t->in_range = memcmp(t->at.bytes, t->last.bytes, t->at.len) != 0;
    for (size_t i = t->at.len; t->in_range && i-- > 0 && ++t->at.bytes[i] == 0;) {
    }
    if (ret->addresses && ret->names) return true;
    target_done(ret);
    t->err = ERR_NOMEM;
    return false;
}

/* ---- lines and arguments ---- */

static struct view next_word(struct view *rest)
{
    size_t from = 0, end;
    while (from < rest->len && strchr(" \t\r\n", rest->p[from])) from++;
    for (end = from; end < rest->len && !strchr(" \t\r\n", rest->p[end]); end++) {
    }
    struct view word = view_sub(*rest, from, end - from);
    *rest = view_sub(*rest, end, rest->len);
    return word;
}

/* "addrlist namelist", "addrlist" or a range. False: nothing in it. */
static bool take_text(struct targets *t, struct view text, struct target *ret)
{
    struct view addresses = next_word(&text), names = next_word(&text);
    if (addresses.len == 0 || addresses.p[0] == '#') return false;
    if (range_parse(t, addresses)) return range_next(t, ret);
    if (names.len == 0 || names.p[0] == '#') names = addresses;
    ret->addresses = view_dup_str(addresses);
    ret->names = view_dup_str(names);
    if (ret->addresses && ret->names) return true;
    target_done(ret);
    t->err = ERR_NOMEM;
    return false;
}

static bool next_in_file(struct targets *t, struct target *ret)
{
    char line[KEYSCAN_LINE_BYTES_MAX];
    while (t->err == 0 && fgets(line, sizeof(line), t->file)) {
        if (take_text(t, view_str(line), ret)) return true;
    }
    targets_done(t);
    return false;
}

static void open_next_file(struct targets *t)
{
    const char *path = t->options->files.v[t->next_file++];
    t->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (t->file) return;
    t->err = ERR_SYS(errno);
    fprintf(stderr, "ssh-keyscan: %s: %s\n", path, strerror(errno));
}

bool targets_next(struct targets *t, struct target *ret)
{
    *ret = (struct target){};
    while (t->err == 0) {
        if (t->in_range) return range_next(t, ret);
        if (t->file) {
            if (next_in_file(t, ret)) return true;
        } else if (t->next_file < t->options->files.n) {
            open_next_file(t);
        } else if (t->next_arg < t->options->n_args) {
            if (take_text(t, view_str(t->options->args[t->next_arg++]), ret)) return true;
        } else {
            return false;
        }
    }
    return false;
}
