# make demo   run the real nodes on a recording       make test    all tests, linters and type checks
# make bench  time each stage, beside other packages  make fuzz    random packets, 100 000 of each kind
# make soak   sample power for ten minutes            make clean   remove what make made
#
# Each does all the set-up that it needs; see README.md.

SHELL := /bin/bash
BAG ?=
ARGS ?=
RUN = source tools/env.sh &&

.PHONY: setup demo test lint bench fuzz soak clean

setup:
	@tools/setup.sh

demo: setup
	@$(RUN) python3 -m cs3d_ros.nodes.demo $(if $(BAG),--bag "$(BAG)") $(ARGS)

# With ARGS, just those tests. Without, all: two at a time, and those with real nodes, whose timing
# matters, on their own. A worker that crashes ends the run: with another in its place, pytest hangs.
test: lint
ifneq ($(ARGS),)
	@$(RUN) python3 -m pytest $(ARGS)
else
	@$(RUN) python3 -m pytest --numprocesses 2 --dist loadfile --max-worker-restart 0 \
		--ignore test/nodes
	@$(RUN) python3 -m pytest test/nodes
endif

lint: setup
	@$(RUN) ruff format --check . && ruff check . && mypy

# ARGS go to each of the first four, such as --seconds 5.
bench:
	@tools/setup.sh bench
	@$(RUN) python3 bench/stages.py $(ARGS)
	@$(RUN) python3 bench/reuse.py $(ARGS)
	@$(RUN) python3 bench/decoding.py $(ARGS)
	@$(RUN) python3 bench/binning.py $(ARGS)
	@$(RUN) python3 -m cs3d_ros.cli bench engines
	@$(RUN) python3 bench/simulation.py
	@$(RUN) python3 bench/datasets.py

fuzz: setup
	@$(RUN) python3 test/fuzz_decoders.py $(ARGS)

soak: setup
	@$(RUN) python3 test/soak_energy.py $(ARGS)

clean:
	rm -rf .venv build install log demo_timeline.png
