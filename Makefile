# A short front for Meson. See HACKING.
#   make                 build, in build/ (BUILD=...)
#   make run             build, start a private server on loopback and log in through it
#   make test            build, unit tests, whole-program tests
#   make check           unit tests, layers and other rules of the source
#   make check-asan      unit tests under the address and undefined behaviour sanitizers
#   make fuzz            a short run of every fuzz target over its corpus (FUZZ_SECONDS=5)
#   make install         PREFIX=/usr/local DESTDIR=
#   make format, clean
# run, test and install see to what they need: Debian packages (tools/packages), the user sshd. They ask nothing.

BUILD = build
PEERS = $(BUILD)-peers
# Those of the environment count as well: an assignment would win over them and install into the running system.
PREFIX ?= /usr/local
DESTDIR ?=
JOBS = $(shell nproc)
FUZZ_SECONDS = 5
ASAN_BUILD = $(BUILD)-asan
FUZZ_BUILD = $(BUILD)-fuzz
PYTEST_WORKERS = $(shell /usr/bin/python3 -c 'import xdist; print("-n 2 --dist load")' 2>/dev/null)
SANITIZERS = -Db_sanitize=address,undefined -Db_lundef=false

all: $(BUILD)/build.ninja
	ninja -C $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix=$(PREFIX)

$(ASAN_BUILD)/build.ninja:
	meson setup $(ASAN_BUILD) $(SANITIZERS)

$(FUZZ_BUILD)/build.ninja:
	CC="$(shell command -v ccache) clang" meson setup $(FUZZ_BUILD) -Dfuzz=true $(SANITIZERS)

packages:
	tools/need-packages build

test-packages:
	tools/need-packages build test --peers $(PEERS)

run: packages
	$(MAKE) all
	tools/need-sshd-user
	tools/try-out $(BUILD)

test: test-packages
	$(MAKE) all
	tools/need-sshd-user
	meson test -C $(BUILD) --no-rebuild --print-errorlogs
	NACRE_BUILD=$(abspath $(BUILD)) NACRE_PEERS=$(abspath $(PEERS)) \
	    /usr/bin/python3 -m pytest -q -p no:cacheprovider $(PYTEST_WORKERS) test

check: all
	meson test -C $(BUILD) --no-rebuild --print-errorlogs

check-asan: $(ASAN_BUILD)/build.ninja
	ninja -C $(ASAN_BUILD) -j $(JOBS)
	meson test -C $(ASAN_BUILD) --no-rebuild --print-errorlogs --timeout-multiplier 4

fuzz: $(FUZZ_BUILD)/build.ninja
	ninja -C $(FUZZ_BUILD) -j $(JOBS)
	tools/fuzz-all $(FUZZ_BUILD) $(FUZZ_SECONDS)

install: $(BUILD)/build.ninja
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	$(MAKE) all
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
	test -n "$(DESTDIR)" || tools/need-sshd-user

format:
	find src -name '*.[ch]' -exec clang-format -i {} +

clean:
	rm -rf $(BUILD) $(ASAN_BUILD) $(FUZZ_BUILD)

.PHONY: all packages test-packages run test check check-asan fuzz install format clean
