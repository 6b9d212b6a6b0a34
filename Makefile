# Segue: `make demo` and `make test` do everything on a bare Debian 12. `make help` lists the rest.
#
# One archive holds every object but the mains; programs, unit tests and fuzz targets link what
# they need of it. Each VARIANT (debug, release, asan, tsan, cover) builds into its own folder.

VARIANT ?= debug
B := build/$(VARIANT)
CC ?= cc
PYTHON ?= python3

CSTD := -std=gnu17 -D_GNU_SOURCE -I. -pthread
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
        -Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-nonliteral -Wundef
ifdef CI
WARN += -Werror
endif
FLAGS_debug   := -O1 -g -fno-omit-frame-pointer
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
                 -fcf-protection -fPIE
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_cover   := -O0 -g --coverage
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=all
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
CFLAGS_ALL := $(CSTD) $(WARN) $(FLAGS_$(VARIANT)) $(CFLAGS) -MMD -MP
LDFLAGS_ALL := $(FLAGS_$(VARIANT)) $(LDFLAGS_$(VARIANT)) -pthread -Wl,--as-needed $(LDFLAGS)
LIBS := -lzmq -lcurl -ljansson -lsqlite3 -lcrypto -lm

MAINS   := api/main.c
SOURCES := $(filter-out $(MAINS),$(sort $(wildcard base/*.c kernel-gateway/*.c runner/*.c api/*.c)))
LIBRARY := $(B)/libsegue.a
UNIT    := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/*/test_*.c)))

all: $(B)/segue

$(LIBRARY): $(SOURCES:%.c=$(B)/%.o)
	@rm -f $@ && ar rcs $@ $^

$(B)/segue: $(B)/api/main.o $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

# A unit test may have helpers beside it: tests/unit/*/<name>.c that do not start with test_ are in
# no test by themselves; a test that needs one includes it.
$(B)/unit/%: $(B)/tests/unit/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

# make unit            all unit tests;  make unit ONLY=runner/test_plan   one of them
check: unit
unit: $(if $(ONLY),$(B)/unit/$(ONLY),$(UNIT))
	@for t in $^; do echo "== $$t"; $$t || exit 1; done

.PHONY: all check unit
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
