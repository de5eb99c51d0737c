/* Start of libcrypto: one of the two, once in each program's main, before anything else of crypto/. Without it the first use of
 * libcrypto would read openssl.cnf, load its error texts and register an atexit handler: time at every start, and files that a
 * sandboxed process may not open. */
#pragma once

void crypto_start(void);

/* Leaves out libcrypto's old tables of names as well, and every algorithm that crypto/ does not use: 1.2 ms less until a process
 * has made its first keys. Only for processes that never load modules of others: a PAM or NSS module that verifies certificates
 * with libcrypto would not find what it needs. */
void crypto_start_alone(void);

/* "OpenSSL 3.0.2 15 Mar 2022": of the library that is loaded. Static. */
const char *crypto_library_version(void);
