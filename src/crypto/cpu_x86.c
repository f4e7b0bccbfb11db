#include "crypto/aead.h"

/* AES rounds and carry-less multiplication: what GCM needs to be faster than ChaCha20. */
bool aead_has_fast_aes(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
