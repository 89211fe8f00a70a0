# Everything runs in .venv. It is made with pip when it is missing, made anew when an installation was cut short, when
# checkout was moved or copied, or when its Python is gone; brought up to date when what it is made from has changed.
#
#   make search                      the main job on the digits data set
#   make search ARGS="--data DIR"    anything else that `archwright search` takes
#   make test                        lint, types and tests, as in CI      (ARGS go to pytest, LIMIT goes before it)
#   make docs                        the documentation as a site, in build/site
#   make fuzz                        the fuzz tests, long: as many examples of each as FUZZ=5000 says
#   make bench                       the measurements in benchmarks/      (ARGS go to them; policy_gradient.py, scaling.py,
#                                    darts.py, grammar.py, hardware.py, value.py and kills.py: commands of their own)
#   make PYTHON=python3.12 ...       with another Python, 3.10 to 3.13

PYTHON ?= python3
ARGS ?=
LIMIT ?=

BIN := .venv/bin
READY := .venv/ready
READY_DEV := .venv/ready-dev

# The stamp holds where the checkout was: an editable installation points there.
REMAKE := $(shell test "$$(cat $(READY) 2>&1)" = "$(CURDIR)" && $(BIN)/python -c '' 2>/dev/null || echo remake)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: search test lint docs fuzz bench clean remake
.DELETE_ON_ERROR:

search: $(READY)
	@$(BIN)/archwright search $(ARGS)

test: lint docs
	@# One thread each: two processes of two threads on two cores wait for each other. A crash of a worker ends the run
	@# with a failure: xdist would start the file anew in the next worker, which crashes too, and then waits for ever.
	OMP_NUM_THREADS=1 $(LIMIT) $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart=0 $(ARGS)

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY_DEV)
	@# A link that leads nowhere, or a name in the reference that is not there, fails it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

FUZZ ?= 5000

fuzz: $(READY_DEV)
	@# No test ends by its time: 240 s, after which pytest would end the whole process, are for the usual few examples.
	FUZZ=$(FUZZ) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_fuzz.py --timeout 0 -o faulthandler_timeout=0 $(ARGS)

bench: $(READY_DEV)
	@for script in $(filter-out %policy_gradient.py %scaling.py benchmarks/kills% benchmarks/value% benchmarks/by_hand% benchmarks/darts.py benchmarks/grammar% benchmarks/hardware% benchmarks/recipes%,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

remake:

$(READY): pyproject.toml constraints.txt $(REMAKE)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { $(PYTHON) --version; \
		echo "archwright needs Python 3.10 to 3.13; name one: make PYTHON=python3.12"; exit 2; } >&2
	@echo "installing into .venv; the first time takes minutes, most of them for torch"
	@test -z "$(REMAKE)" || $(PYTHON) -m venv --clear .venv
	@rm -f $(READY) $(READY_DEV)
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation -e .
	@printf '%s' "$(CURDIR)" > $@

# Without $(READY) an installation counts as cut short, so it is away while pip works.
$(READY_DEV): $(READY)
	@rm -f $(READY)
	@$(INSTALL) --no-build-isolation -e '.[dev]'
	@printf '%s' "$(CURDIR)" > $(READY)
	@touch $@
