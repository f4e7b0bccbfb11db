#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "crypto/aead.h"

/* ARMv8 cryptographic extension, as the kernel tells it. */
bool aead_has_fast_aes(void)
{
	unsigned long capabilities = getauxval(AT_HWCAP);

	return (capabilities & HWCAP_AES) && (capabilities & HWCAP_PMULL);
}
