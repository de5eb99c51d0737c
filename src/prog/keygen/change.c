/* Other passphrases and comments for keys that exist. */
#include "prog/keygen/keygen.h"

#include <stdio.h>

int change_passphrase(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(key_unrefp) struct key *k = NULL;
    if (load_private(o, "Enter old passphrase: ", "Failed to load key", false, NULL, &k) < 0) return EXIT_FATAL;
    printf("Key has comment '");
    print_clean(view_str(key_comment(k)));
    printf("'\n");
    fflush(stdout);
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    int err = o->new_passphrase
                  ? buf_put_str(&passphrase, o->new_passphrase)
                  : ask_new_passphrase("Enter new passphrase (empty for no passphrase): ", "Pass phrases do not match.  Try again.",
                                       false, &passphrase);
    if (err < 0) return EXIT_SAID_NO;
    if (!save_private(o, k, o->file, buf_view(&passphrase), false)) return EXIT_SAID_NO;
    printf("Your identification has been saved with the new passphrase.\n");
    return EXIT_DONE;
}

static int new_comment(const struct keygen_options *o, char *ret_text, size_t cap)
{
    if (o->comment) {
        snprintf(ret_text, cap, "%s", o->comment);
        return 0;
    }
    return ask_line("New comment: ", ret_text, cap) ? 0 : ERR_CANCELLED;
}

int change_comment(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    if (load_private(o, NULL, "Cannot load private key", true, &passphrase, &k) < 0) return EXIT_FATAL;
    char comment[1024], public_path[PATH_BYTES_MAX + 8];
    printf(*key_comment(k) ? "Old comment: " : "No existing comment");
    print_clean(view_str(key_comment(k)));
    printf("\n");
    fflush(stdout);
    if (new_comment(o, comment, sizeof(comment)) < 0) return EXIT_SAID_NO;
    if (strcmp(comment, key_comment(k)) == 0) {
        printf("No change to comment\n");
        return EXIT_DONE;
    }
    int err = key_set_comment(k, view_str(comment));
    if (err < 0) return say_fatal("%s", err_text(err));
    snprintf(public_path, sizeof(public_path), "%s.pub", o->file);
    if (!save_private(o, k, o->file, buf_view(&passphrase), false) || !save_public(k, public_path)) return EXIT_SAID_NO;
    if (*comment)
        printf("Comment '%s' applied\n", comment);
    else
        printf("Comment removed\n");
    return EXIT_DONE;
}
