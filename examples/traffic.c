/* The types of a map that counts traffic per flow.  traffic.btf was made from this file:
 *
 *   clang -target bpf -g -O2 -ffile-prefix-map="$PWD"=. -c traffic.c
 *   llvm-objcopy --dump-section .BTF=traffic.btf traffic.o
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long long u64;

enum protocol { TCP = 6, UDP = 17 } __attribute__((packed));
enum verdict { PASS, DROP };

struct flow {
	u8 address[4];
	u16 port;
	enum protocol protocol;
};

struct traffic {
	u64 packets;
	u64 bytes;
	enum verdict verdict;
	char owner[12];
};

/* Only types that something uses become BTF. */
u64 account(struct flow *key, struct traffic *value)
{
	return key->port + value->packets;
}
