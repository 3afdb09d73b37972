/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT) */
/* What is written at the start of each generated frame's UDP payload; stamp.rs says it all.
 * Fields are reached by offset, since a packed struct would be read byte by byte. */
#ifndef OVERLANE_STAMP_H
#define OVERLANE_STAMP_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define STAMP_LEN 22
#define STAMP_AT 42
#define OUTER_BYTES 50
#define TAG_BYTES 4

/* The first four bytes as a number in network order: magic and sender. */
#define STAMP_MAGIC 0x4f565000u
#define STAMP_MAGIC_MASK 0xffffff00u
#define STAMP_MAGIC_OFFSET 0
#define STAMP_FLOW_OFFSET 4
/* Trial (16 bits) and sequence (48 bits) as one number. */
#define STAMP_NUMBER_OFFSET 6
#define STAMP_TIME_OFFSET 14

#define SEQUENCE_BITS 48

#endif
