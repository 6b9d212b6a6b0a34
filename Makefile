# Segue: `make demo` and `make test` do everything on a bare Debian 12; `make help` lists the rest.
#
# One archive holds every object but the mains; programs, unit tests and fuzz targets link what
# they need of it. Each VARIANT (debug, release, asan, tsan, cover, fuzz) builds into its own
# folder. What a target needs of packages and Python modules is installed before it is first built,
# and a stamp in build/ remembers that. CI=true makes warnings and skipped tests errors.

VARIANT ?= debug
B := build/$(VARIANT)
CC ?= cc
PYTHON ?= python3
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
Q := $(if $(V),,@)
MAKEFLAGS += --no-print-directory
export PYTHON

CSTD := -std=gnu17 -D_GNU_SOURCE -I. -pthread
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
        -Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-nonliteral -Wundef
ifdef CI
WARN += -Werror
endif
JUMPS_x86_64  := -fcf-protection
JUMPS_aarch64 := -mbranch-protection=standard
# A sanitizer's checks hide from gcc which lengths are possible: format-truncation is then a guess.
FLAGS_debug   := -O1 -g -fno-omit-frame-pointer
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
                 $(JUMPS_$(shell uname -m)) -fPIE
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=all -Wno-format-truncation
FLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -Wno-format-truncation
# Without its own execve, which writes the counters down for good, even in a child that shares memory.
FLAGS_cover   := -O0 -g --coverage -fno-builtin-execve -fno-builtin-fork
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=all
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
CFLAGS_ALL := $(CSTD) $(WARN) $(FLAGS_$(VARIANT)) $(CFLAGS) -MMD -MP
LDFLAGS_ALL := $(FLAGS_$(VARIANT)) $(LDFLAGS_$(VARIANT)) -pthread -Wl,--as-needed $(LDFLAGS)
GLIB = $(shell pkg-config --cflags glib-2.0)
LIBS := -lzmq -lwslay -lcurl -lmicrohttpd -lsqlite3 -lglib-2.0 -lcrypto -lm

MAINS   := api/main.c
FOLDERS := base \
           kernel-gateway/launch kernel-gateway kernel-gateway/keeper kernel-gateway/clients kernel-gateway/interactive \
           runner runner/schedule runner/snapshots runner/plan runner/sets runner/notebook runner/step runner/run runner/store runner/notices runner/engine \
           runner/jobs \
           api/server api/jupyter api/service api/commands api/commands/jobs api
SOURCES := $(filter-out $(MAINS),$(sort $(wildcard $(FOLDERS:%=%/*.c))))
LIBRARY := $(B)/libsegue.a
UNIT    := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard $(FOLDERS:%=tests/unit/%/test_*.c))))
FUZZ    := $(patsubst tests/fuzz/%.c,$(B)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
C_FILES  = $(sort $(wildcard $(foreach at,$(FOLDERS) $(FOLDERS:%=tests/unit/%) tests/unit tests/fuzz tests/faults tests/fakes tests/bench/serve, \
                                 $(at)/*.c $(at)/*.h)))
DOCKER_TESTS := $(wildcard tests/integration/test_*docker.py) tests/integration/test_compose.py
VENV := build/venv
PYTEST = PYTHONPATH=tests:tests/fakes SEGUE=$(abspath $(B)/segue) $(VENV)/bin/python -m pytest \
         -c tests/pytest.ini -p support.loud_skips --junitxml=build/results/$@.xml
# Most of these tests wait most of the time: for kernels, for clocks. Those of one file stay together.
AT_ONCE := -n 3 --dist loadfile

help: ## this list
	@echo "make TARGET [VARIANT=debug|release|asan|tsan|cover] [CI=true] [PYTHON=python3] [JOBS=N] [V=1]"
	@sed -n 's/^\([a-z-]*\): .*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
	    printf '  %-16s %s\n' "$$name" "$$what"; done

# ------------------------------------------------------------------------------------------ building

.DEFAULT_GOAL := all
all: $(B)/segue ## the program, as build/VARIANT/segue (VARIANT=debug)

$(B)/segue: $(B)/api/main.o $(LIBRARY)
	@echo "link    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(LIBRARY): $(SOURCES:%.c=$(B)/%.o) $(B)/sources
	@rm -f $@ && ar qcs $@ $(filter %.o,$^)

$(B)/%.o: %.c $(B)/flags | build/packages/build
	@mkdir -p $(@D)
	@echo "compile $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(OWN) -c -o $@ $<

# Asked for when it is compiled: what answers may have been installed a moment ago.
$(B)/runner/schedule/zone.o: OWN = $(GLIB)

# Files that are part of the program as they are (.incbin).
$(B)/api/service/docs.o: api/service/openapi.json api/service/docs.html

# A unit test may have helpers beside it: a .c below tests/unit that does not start with test_ is no
# program; a test that needs one includes it.
$(B)/unit/%: $(B)/tests/unit/%.o $(if $(filter tsan,$(VARIANT)),$(B)/tests/unit/tsan.o) $(LIBRARY)
	@mkdir -p $(@D)
	@echo "link    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

$(UNIT:$(B)/unit/%=$(B)/tests/unit/%.o): | build/packages/cmocka

$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(LIBRARY)
	@echo "link    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# For LD_PRELOAD: the daemon's system calls fail, or it dies at one.
$(B)/faults.so: tests/faults/faults.c | build/packages/build
	@mkdir -p $(@D)
	@echo "link    $@"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -g -shared -fPIC -o $@ $<

# A file that changes when what it says does: flags for the objects, the list of sources for the
# archive, which would keep a deleted one's object.
remember = @mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || echo '$(1)' >$@
$(B)/flags: FORCE
	$(call remember,$(CC) $(CFLAGS_ALL))
$(B)/sources: FORCE
	$(call remember,$(SOURCES))

install: ## the release into PREFIX=/usr/local, below DESTDIR
	@$(MAKE) -j$(JOBS) VARIANT=release all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/segue"
	install -m 755 build/release/segue "$(DESTDIR)$(PREFIX)/bin/segue"
	rm -rf "$(DESTDIR)$(PREFIX)/share/segue/python"
	cd runner/sdk/python && find . -name '*.py' -exec \
	    install -D -m 644 '{}' "$(abspath $(DESTDIR)$(PREFIX))/share/segue/python/{}" \;
	install -d "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	sed 's|/usr/local/bin|$(PREFIX)/bin|' examples/systemd/segue.service \
	    >"$(DESTDIR)$(PREFIX)/lib/systemd/system/segue.service"

clean: ## removes what was built; keeps the Python modules and Docker images of build/
	find build -mindepth 1 -maxdepth 1 ! -name venv ! -name venv-gateway ! -name node ! -name docker \
	    ! -name packages \
	    -exec rm -rf {} +

# ---------------------------------------------------------- packages and Python modules, if missing

build/packages/%: .ci/packages.sh
	@.ci/packages.sh $*
	@mkdir -p $(@D) && touch $@

$(VENV)/made: | build/packages/python
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
$(VENV)/%.installed: %/requirements.txt $(VENV)/made
	@echo "installing the Python modules of $< into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# The judges of the kernel gateway: a whole JupyterLab, which shall not be in the way of other tests.
JUDGES_VENV := build/venv-gateway
$(JUDGES_VENV)/made: | build/packages/python
	$(PYTHON) -m venv --clear $(JUDGES_VENV)
	@touch $@
$(JUDGES_VENV)/tests.installed: tests/gateway/requirements.txt $(JUDGES_VENV)/made
	@echo "installing the Python modules of $< into $(JUDGES_VENV)"
	@$(JUDGES_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
build/node/installed: tests/gateway/node/package.json tests/gateway/node/package-lock.json | build/packages/node
	@echo "installing the Node modules of $< into $(@D)"
	@mkdir -p $(@D) && cp $^ $(@D)/
	@cd $(@D) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# ----------------------------------------------------------------------------------------- the demo

demo: $(VENV)/examples.installed ## runs examples/wine; with LAUNCHER=docker in containers
	@$(MAKE) -j$(JOBS) VARIANT=release all
	@examples/demo.sh $(or $(LAUNCHER),process)
demo-experiment: $(VENV)/examples.installed ## runs a pipeline of examples/wine over a grid, by a service of its own
	@$(MAKE) -j$(JOBS) VARIANT=release all
	@examples/demo_experiment.sh

# -------------------------------------------------------------------------------------------- tests

test: ## installs, builds and tests everything, Docker included
	@MAKE="$(MAKE)" JOBS=$(JOBS) tests/run_all.sh

check: unit ## unit tests of the C code (ONLY=runner/plan/test_plan: one of them)
unit: $(if $(ONLY),$(B)/unit/$(ONLY),$(UNIT))
	@tests/run_unit.sh $(VARIANT) $^

check-asan: ## unit tests with address and undefined-behaviour sanitizers
	@$(MAKE) -j$(JOBS) VARIANT=asan check
check-tsan: ## unit tests with the thread sanitizer
	@$(MAKE) -j$(JOBS) VARIANT=tsan check

fuzz: build/packages/fuzz ## FUZZ_RUNS=50000 inputs for each fuzz target
	@$(MAKE) -j$(JOBS) VARIANT=fuzz CC=clang fuzz-targets
fuzz-targets: $(FUZZ)
	@tests/run_fuzz.sh $^

sdk: $(VENV)/tests.installed ## tests of the Python module for steps, and of the tools in tests/
	$(PYTEST) tests/unit/sdk tests/tools
integration: $(VENV)/tests.installed $(B)/segue $(B)/faults.so build/packages/integration ## tests of the program
	$(PYTEST) $(AT_ONCE) tests/fakes tests/integration $(DOCKER_TESTS:%=--ignore=%)
integration-asan: ## the program built with address and undefined-behaviour sanitizers, in bad worlds
	@$(MAKE) -j$(JOBS) VARIANT=asan bad-worlds
bad-worlds: $(VENV)/tests.installed $(B)/segue build/packages/integration
	$(PYTEST) -n 3 --dist load tests/integration/test_bad_worlds.py
judge: $(VENV)/tests.installed $(B)/segue ## the same notebooks by nbclient and by segue, compared
	$(PYTEST) $(AT_ONCE) tests/judge
GATEWAY_JUDGES := $(JUDGES_VENV)/tests.installed build/node/installed build/packages/browser
gateway-judge: $(GATEWAY_JUDGES) $(B)/segue $(B)/quick_kernel ## JupyterLab and other clients on the kernel gateway
	$(PYTEST:$(VENV)/%=$(JUDGES_VENV)/%) $(AT_ONCE) tests/gateway
$(B)/quick_kernel: tests/fakes/quick_kernel.c | build/packages/build
	@mkdir -p $(@D)
	@echo "link    $@"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -g -o $@ $< -lzmq -lcrypto
docker-test: $(VENV)/tests.installed build/packages/docker build/packages/engine ## tests in a Docker engine of their own
	@$(MAKE) -j$(JOBS) $(B)/segue $(B)/unit/kernel-gateway/launch/test_launch_docker
	@tests/run_in_engine.sh $(MAKE) docker-test-inside
docker-test-inside: images image-service image-jupyterlab
	@tests/run_unit.sh $(VARIANT) $(B)/unit/kernel-gateway/launch/test_launch_docker
	$(PYTEST) $(AT_ONCE) $(DOCKER_TESTS)

bench: $(VENV)/tests.installed build/packages/bench ## speed, as ratios to nbclient, papermill and others
	@$(MAKE) -j$(JOBS) VARIANT=release all serve-bench-tools
	$(VENV)/bin/python tests/bench/bench.py --segue build/release/segue --out build/bench.json
	$(VENV)/bin/python tests/bench/serve/serve_bench.py --out build/bench-serve.json
	@$(MAKE) bench-jobs
	@$(MAKE) bench-gateway
bench-jobs: $(VENV)/tests.installed ## jobs: sets, fires, copies of projects, and who waits for them
	@$(MAKE) -j$(JOBS) VARIANT=release all
	$(VENV)/bin/python tests/bench/jobs/jobs_bench.py --out build/bench-jobs.json
bench-gateway: $(JUDGES_VENV)/tests.installed ## the kernel gateway beside Jupyter Kernel Gateway
	@$(MAKE) -j$(JOBS) VARIANT=release all build/release/quick_kernel
	$(JUDGES_VENV)/bin/python tests/bench/gateway/gateway_bench.py --out build/bench-gateway.json
SERVE_BENCH_TOOLS := $(addprefix $(B)/,hello append listen)
serve-bench-tools: $(SERVE_BENCH_TOOLS)
$(SERVE_BENCH_TOOLS): $(B)/%: $(B)/tests/bench/serve/%.o
	@echo "link    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lmicrohttpd

soak: $(VENV)/tests.installed $(B)/segue $(B)/faults.so build/packages/integration ## hours of kills, faults (SEGUE_SEED=N) and made-up requests
	SEGUE_SOAK=1 $(PYTEST) tests/integration/test_survival.py tests/integration/test_jobs_kills.py
	SCHEMATHESIS_CASES=20000 $(PYTEST) tests/integration/test_openapi.py -k made_up
	SEGUE_SOAK=1 $(MAKE) gateway-judge

cover: build/packages/cover ## line coverage of the unit tests
	@$(MAKE) -j$(JOBS) VARIANT=cover check
	@tests/run_cover.sh build/cover

# ------------------------------------------------------------------------------------ source checks

layers: build/packages/python ## fails on an #include against the architecture
	@$(PYTHON) tests/layers.py

fmt: build/packages/format ## formats the C code; CHECK=1: only names the files that are not formatted
ifdef CHECK
	@! clang-format --dry-run $(C_FILES) 2>&1 | sed -n 's/:.*clang-formatted.*/: not formatted (make fmt)/p' | \
	    sort -u | grep .
else
	@clang-format -i $(C_FILES)
endif

tidy: build/packages/tidy build/packages/build ## clang-tidy on the C code
	@printf '%s\n' $(SOURCES) $(MAINS) | xargs -P $(JOBS) -n 4 \
	    bash -c 'clang-tidy --quiet "$$@" -- $(CSTD) $(GLIB) 2>&1 | grep -v " warnings generated"; \
	           exit "$${PIPESTATUS[0]}"' bash
	@echo "tidy: nothing found"

hardening: ## checks that the release is hardened as it was asked to be
	@$(MAKE) -j$(JOBS) VARIANT=release all
	@tests/run_hardening.sh build/release/segue

include images/images.mk

image-service: image-base ## the service's own image, segue/service
	@echo "image   segue/service"
	@docker build --quiet --network host --file docker/Dockerfile --tag segue/service .

image-jupyterlab: image-base ## JupyterLab for docker/compose.yaml, segue/jupyterlab
	@echo "image   segue/jupyterlab"
	@docker build --quiet --network host --tag segue/jupyterlab $(EXTRA_CA) docker/jupyterlab

FORCE:
.PHONY: FORCE all bench bench-gateway bench-jobs check check-asan check-tsan clean cover demo demo-experiment \
        docker-test docker-test-inside fmt fuzz fuzz-targets gateway-judge hardening help image-jupyterlab image-service install integration integration-asan bad-worlds judge layers sdk \
        serve-bench-tools soak test tidy unit
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
