/* record.h: a durable fact, as machines emit it and stores keep it: table, key, value. The latest value of a key wins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RECORD_KEY_MAX = 64, RECORD_VALUE_MAX = 2048 };

enum record_table {
	RECORD_LEASE = 1,  /* coordinator: NodeID -> lease facts */
	RECORD_NODE = 2,   /* account: NodeID -> certificate and state */
	RECORD_CODE = 3,   /* account: hash of a join secret -> what it allows */
	RECORD_SERVER = 4, /* account: static key -> coordinator or relay entry */
	RECORD_META = 5,   /* any: counters such as serial, epoch */
	RECORD_TABLES
};

/* erase: the key is gone; value is empty. */
struct record {
	enum record_table table;
	bool erase;
	uint16_t key_size, value_size;
	uint8_t key[RECORD_KEY_MAX];
	uint8_t value[RECORD_VALUE_MAX];
};
