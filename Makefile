# All commands for developers. `make` lists them; docs/develop.md explains them.
#
# `make demo` and `make test` need only Python 3.11 or newer and make.

.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
# Many tests start processes; without bytecode files each compiles everything again.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
CODE := core content memora_site plans players progress publishing registrar tests manage.py
# The first Python on PATH from 3.11; PYTHON=… sets another one.
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v "$$name"; break; }; done)

##@ Start here

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	/^[a-z][a-z-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(VENV)/.dev ## Create the environment (.venv); a second run is instant
	@echo "The environment is ready: $(VENV)"

.PHONY: demo
demo: $(VENV)/.base ## Run all of Memora: database, Redis, web, worker, a student's requests
	@exec $(BIN)/python manage.py demo $(if $(PORT),--port $(PORT)) $(DEMO_HOST)

# Only as an argument of make: some shells set an environment variable HOST.
DEMO_HOST = $(if $(filter command,$(firstword $(origin HOST))),--host $(HOST))

# In a separate state folder, so that it cannot conflict with a running demo.
.PHONY: smoke
smoke: $(VENV)/.base ## The same, then stop everything; exits 0 or 1
	@export MEMORA_STATE_DIR="$(CURDIR)/var/smoke"; \
	export MEMORA_CONTENT_ROOT="$(CURDIR)/var/smoke/content"; \
	exec $(BIN)/python manage.py demo --smoke

# Its data, in a separate folder, are deleted at each start.
.PHONY: demo-registrar
demo-registrar: $(VENV)/.base ## Run the registrar with a simulated Zoho CRM and Moodle (ARGS=--smoke: check and stop)
	@unset DATABASE_URL REDIS_URL CELERY_BROKER_URL; \
	export MEMORA_STATE_DIR="$(CURDIR)/var/demo-registrar"; \
	export MEMORA_CONTENT_ROOT="$(CURDIR)/var/demo-registrar/content"; \
	exec $(BIN)/python manage.py demo_registrar $(if $(PORT),--port $(PORT)) $(DEMO_HOST) $(ARGS)

##@ Tests and checks

.PHONY: test
test: $(VENV)/.dev ## All tests on the embedded default (ARGS=… for pytest)
	@exec env -u DATABASE_URL -u REDIS_URL -u TEST_REDIS_URL \
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: test-fast
test-fast: $(VENV)/.dev ## Tests without a browser and without the slow ones
	@exec env -u DATABASE_URL -u REDIS_URL -u TEST_REDIS_URL \
	$(BIN)/python -m pytest $(PARALLEL) -m "not browser and not slow" $(ARGS)

# On a quiet machine, when tests became slow or fast.
.PHONY: slow-tests
slow-tests: $(VENV)/.dev ## Measure which tests are slow; write tests/slow_tests.txt
	@mkdir -p var; env -u DATABASE_URL -u REDIS_URL -u TEST_REDIS_URL \
	$(BIN)/python -m pytest $(PARALLEL) -q --durations=0 > var/slow-tests.log; \
	.ci/slow-tests var/slow-tests.log > tests/slow_tests.txt

WORKERS ?= 2
# A worker without tests takes over half of those that another one has left.
PARALLEL = -n $(WORKERS) --dist worksteal

# CI_DATABASE_URL: a server and a name; Django creates test_<name> and drops it.
CI_DATABASE_URL ?= mysql://root@127.0.0.1:3306/memora_make
CI_REDIS_URL ?= redis://127.0.0.1:6379
.PHONY: test-mariadb
test-mariadb: $(VENV)/.mariadb ## All tests on MariaDB and Redis (CI_DATABASE_URL, CI_REDIS_URL)
	@exec env -u REDIS_URL DATABASE_URL=$(CI_DATABASE_URL) TEST_REDIS_URL=$(CI_REDIS_URL) \
	$(BIN)/python -m pytest --create-db $(PARALLEL) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Send requests made from the API's schema, with new ones each time (EXAMPLES=…; ARGS=… for schemathesis)
	@exec env -u DATABASE_URL -u REDIS_URL -u TEST_REDIS_URL MEMORA_FUZZ_EXAMPLES=$(EXAMPLES) MEMORA_FUZZ_ARGS="$(ARGS)" \
	$(BIN)/python -m pytest --show-capture=no tests/contract/test_fuzz.py

EXAMPLES ?= 200

# On MariaDB: DATABASE_URL=mysql://root@127.0.0.1:3306/memora make crash-publish
.PHONY: crash-publish
crash-publish: $(VENV)/.dev ## Kill and fail builds at every step while readers check (ARGS=--thorough for all)
	@exec $(BIN)/python -m tests.crash.publish $(ARGS)

# On its own MariaDB, if the server and requirements/mariadb.txt are installed.
.PHONY: crash-players
crash-players: $(VENV)/.dev ## Kill and stop every service while students play (ARGS=--quick, --thorough)
	@exec $(BIN)/python -m tests.crash.players $(ARGS)

# The same; the table of docs/architecture.md, "When a service is away".
.PHONY: degraded
degraded: $(VENV)/.dev ## Print what the API answers, and how fast, while services are away (ARGS=--quick)
	@exec $(BIN)/python -m tests.crash.degraded $(ARGS)

.PHONY: check
check: lint types layers dead migrations messages-check deploy-check ## All checks except the tests

.PHONY: lint
lint: $(VENV)/.dev ## Format and lint of code and templates
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/djlint --quiet --lint content/templates plans/templates players/templates progress/templates publishing/templates registrar/templates memora_site/templates

.PHONY: types
types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy .

.PHONY: layers
layers: $(VENV)/.dev ## The import order of the apps
	$(BIN)/lint-imports

.PHONY: dead
dead: $(VENV)/.dev ## Classes and functions that nothing calls (the list of exceptions: pyproject.toml)
	@! $(BIN)/vulture | grep -E "unused (class|function|method|property|import)|unreachable"

.PHONY: migrations
migrations: $(VENV)/.dev ## Check that every model change has a migration
	$(BIN)/python manage.py makemigrations --check --dry-run

.PHONY: messages-check
messages-check: $(VENV)/.base ## Check that the Arabic translation is complete and compiled (needs gettext)
	@.ci/check-messages $(BIN)/python

.PHONY: deploy-check
deploy-check: $(VENV)/.base ## Check that `check --deploy` accepts a correct production environment
	@.ci/check-deploy $(BIN)/python

##@ Benchmarks

.PHONY: bench-publish
bench-publish: $(VENV)/.dev ## Measure publishing against the time of the disk alone (ARGS=…)
	@exec $(BIN)/python -m tests.benchmarks.publish $(ARGS)

.PHONY: bench-upload
bench-upload: $(VENV)/.dev ## Measure uploads: requests, and time against the minimum (ARGS=…)
	@exec $(BIN)/python -m tests.benchmarks.upload $(ARGS)

.PHONY: bench-tree
bench-tree: $(VENV)/.dev ## Measure the tree page's size and server time, small and large (ARGS=…)
	@exec $(BIN)/python -m tests.benchmarks.tree_page $(ARGS)

.PHONY: bench-static
bench-static: $(VENV)/.dev ## Measure nginx with 1,000 connections, open and gated (needs nginx, wrk)
	@exec $(BIN)/python -m tests.benchmarks.static $(ARGS)

.PHONY: bench-players
bench-players: $(VENV)/.dev ## Measure session, wallet, profile, content, sign-in and the sync of wallets (needs wrk, MariaDB)
	@exec $(BIN)/python -m tests.benchmarks.players $(ARGS)

.PHONY: bench-progress
bench-progress: $(VENV)/.dev ## Measure completions, progress, reviews and snapshots (needs wrk, MariaDB)
	@exec $(BIN)/python -m tests.benchmarks.progress $(ARGS)

.PHONY: bench-registrar
bench-registrar: $(VENV)/.dev ## Measure webhooks, hook to Moodle, reading and pushing 5,000 students (needs wrk, MariaDB)
	@exec $(BIN)/python -m tests.benchmarks.registrar $(ARGS)

.PHONY: load
load: $(VENV)/.dev ## 10,000 students at work on this machine: latencies, errors, idle CPU (ARGS=…)
	@exec $(BIN)/python -m tests.benchmarks.students $(ARGS)

##@ Maintenance

.PHONY: format
format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: messages
messages: $(VENV)/.base ## Collect and compile the translations (needs gettext)
	$(BIN)/python manage.py makemessages --locale ar --no-location --no-obsolete --ignore .venv
	$(BIN)/python manage.py compilemessages --locale ar --ignore .venv

COMPILE := ../$(BIN)/pip-compile --quiet --allow-unsafe --strip-extras \
	--generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
.PHONY: roles
roles: $(VENV)/.dev ## Write the table of roles and permissions (docs/roles.md)
	MEMORA_WRITE_ROLES=1 $(BIN)/python -m pytest -q tests/memora_site/admin/test_roles.py

.PHONY: error-codes
error-codes: $(VENV)/.dev ## Write the list of the API's error codes (docs/errors.md)
	MEMORA_WRITE_ERRORS=1 $(BIN)/python -m pytest -q tests/memora_site/test_error_codes.py

.PHONY: pictures
pictures: $(VENV)/.dev ## Take the screenshots in docs/images (needs Chromium; ARGS="--all FOLDER" for every page)
	@exec $(BIN)/python -m tests.journeys.pictures $(ARGS)

.PHONY: requirements
requirements: $(VENV)/.dev ## Pin requirements/*.in into *.txt (ARGS=--upgrade for newer ones)
	cd requirements && for name in base dev mariadb; do \
	$(COMPILE) $(ARGS) --output-file=$$name.txt $$name.in; done

# Fails if the vulnerability database does not answer: a run without a lookup must not
# count as clean.
.PHONY: audit
audit: $(VENV)/.dev ## Known vulnerabilities in requirements/*.txt (needs network)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip \
	-r requirements/base.txt -r requirements/mariadb.txt -r requirements/dev.txt

.PHONY: clean
clean: ## Remove the environment, the demo's state and all generated files
	rm -rf $(VENV) var public staticfiles celerybeat-schedule* \
	.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- The environment; a stamp file records each installation -----------------

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Memora needs Python 3.11 or newer on PATH." >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	echo "Could not make $(VENV); on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.base: requirements/base.txt | $(VENV)/bin/python
	@echo "Installing requirements/base.txt …"
	@$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	@echo "Installing requirements/dev.txt …"
	@$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.mariadb: requirements/mariadb.txt $(VENV)/.dev
	@echo "Installing requirements/mariadb.txt …"
	@$(PIP_INSTALL) -r $< || { \
	echo "The driver is built here; on Debian: apt-get install libmariadb-dev pkg-config gcc python3-dev" >&2; exit 1; }
	@touch $@
