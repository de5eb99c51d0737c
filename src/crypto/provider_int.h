/* Which of libcrypto's algorithms a process has. libcrypto sets up all ciphers when the first is wanted, all digests with the first
 * digest, and so on: 1.5 ms, of which a process that lives for one login needs a third. So such a process gives libcrypto a
 * provider of our own, which offers the default provider's implementations of what the tables of crypto/ name, and nothing else. */
#pragma once

/* From now on only those. Where that cannot be had, everything is there as ever. Once, before libcrypto's first use. */
void provider_select(void);
/* Key files in PEM may name any algorithm: adds all the others, if provider_select was called. Can be repeated. */
void provider_add_all(void);
