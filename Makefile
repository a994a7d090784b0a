# `make` explains the targets. Everything is installed into $(VENV), which is made once and brought up to date when
# pyproject.toml changes. Another Python: `make test PYTHON=python3.13 VENV=.venv-3.13`.

PYTHON ?= python3
VENV ?= .venv
VENV_FLOOR ?= .venv-floor
VENV_NEWEST ?= .venv-newest
VENV_NEIGHBOURS ?= .venv-neighbours
VENV_FRAMEWORKS ?= .venv-frameworks
VENV_DEPLOYMENT ?= .venv-deployment
VENV_DOCS ?= .venv-docs
VENV_RELEASE ?= .venv-release
# Further arguments, for pytest or the demo: `make test ARGS="-k delivery"`, `make demo ARGS=--open`.
ARGS ?=
# `make test COVERAGE=1` measures which lines and branches of the package the tests reach, and takes half as long again.
# `make test-rest COVERAGE=1` adds what servers and programs reach that are forked from tests/forge_server.py.
COVERAGE ?=
# Processes in each storm of `make test-storms`, and seconds of each phase of the stress.
STORM ?= 300
STRESS ?= 60
# `make test PARALLEL=` runs the tests one after another, `make test-floor PARALLEL_FLOOR=` those on the oldest SDK.
# Two workers more than there are processors, because many tests wait for something, and not for a processor.
PARALLEL ?= -n $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 2, 6))')
# Without the browser most tests do.
PARALLEL_FLOOR ?= -n 4

# For which `make check` looks at the types of the package as well.
PLATFORMS ?= win32 darwin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Quiet twice: errors only.
PIP_INSTALL = -m pip --quiet --quiet install --editable
# For what few processes use: Python compiles what they import of it, which is less than all.
PIP_INSTALL_UNCOMPILED = -m pip --quiet --quiet install --no-compile --editable

# What needs more than the oldest SDK has: oteltap and the instrumentations, and the JSON exporter among the peers; and
# what does not depend on how old the libraries are: secrets, storms of signals, children of `multiprocessing`, which
# fork and die alike, the page, the command, a wheel, the files of a journal, the order of what is delivered and when,
# what is said of answers that are not Failpath's, the check of sources, how a release is made, and what the receiver works out of the events that
# it has. The receiver itself and the gateway are tested, on the lowest versions of their extras.
FLOOR_IGNORES = --ignore=tests/browser --ignore=tests/typing --ignore=tests/journal --ignore=tests/cli --ignore=tests/presets --ignore=tests/scrubbing \
	--ignore=tests/integrations --ignore=tests/checking --ignore=tests/deploy --ignore=tests/release \
	$(addprefix --ignore=tests/delivery/test_,green_threads.py flush_deadlines.py retries.py journal_comeback.py) \
	$(addprefix --ignore=tests/delivery/test_,interruption.py past_the_lock.py queue_with_journal.py pipeline.py) \
	$(addprefix --ignore=tests/delivery/test_,pipeline_flush.py ledger.py orphans.py admission.py counts_in_handlers.py) \
	$(addprefix --ignore=tests/delivery/test_,misroutes.py outage.py ways.py) --ignore=tests/test_throw_on_send_error.py \
	$(addprefix --ignore=tests/properties/test_any_,clock.py error.py interruption.py name.py time_limit.py) \
	--ignore=tests/integration/test_time_limits.py --ignore=tests/integration/test_journal_outages.py \
	--ignore=tests/integration/peers --ignore=tests/integration/applications \
	$(addprefix --ignore=tests/integration/,test_no_code.py test_otlp_backend.py test_otlp_backend_itself.py test_rules.py) \
	$(addprefix --ignore=tests/integration/,test_examples.py test_fleet.py test_kill_storm.py test_service_examples.py) \
	$(addprefix --ignore=tests/integration/,test_fault_storm.py test_storm_ledger.py test_storm_verdict.py) \
	$(addprefix --ignore=tests/integration/,test_stress.py test_untraced.py test_wheel.py) \
	$(addprefix --ignore=tests/integration/processes/,test_celery.py test_celery_limits.py test_gevent.py) \
	$(addprefix --ignore=tests/integration/processes/,test_gunicorn.py test_seeds.py test_services.py) \
	$(addprefix --ignore=tests/integration/processes/,test_queues.py test_rq.py) \
	$(addprefix --ignore=tests/integration/processes/,test_multiprocessing.py test_pools.py test_unaware.py) \
	$(addprefix --ignore=tests/local/,store runs flows liveness board trends) \
	$(addprefix --ignore=tests/local/api/test_,run_page.py long_run.py errors.py notices.py drift.py steps.py figures.py) \
	$(addprefix --ignore=tests/local/test_,agreement.py receiver.py sample.py pairs_by_hand.py)

# Servers and programs on the lowest versions: the fast tests start none, but for the few that show the whole.
FLOOR_SERVERS = tests/gateway tests/serving tests/local/api tests/local/test_server.py tests/integration/test_processes.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-rest test-storms coverage test-floor test-newest test-neighbours test-frameworks test-deployment check check-package dist bench docs docs-serve venv venv-floor venv-newest venv-neighbours venv-frameworks venv-deployment venv-docs venv-release clean
# A recipe that fails half-way must not leave a stamp that says it succeeded.
.DELETE_ON_ERROR:

help:
	@echo "make demo              run the example: a flow, its steps, and what a dashboard receives"
	@echo "                       (ARGS=--open opens its page and stays up until Ctrl-C)"
	@echo "make test              run the tests that start no process, and a few of the whole (ARGS=... goes to pytest)"
	@echo "make test-all          run all tests, including those with servers, programs, a browser, and small storms"
	@echo "make test-rest         run the tests that make test leaves out"
	@echo "make test-storms       kill hundreds of processes at random, and see that no step is lost or made up"
	@echo "make coverage          run make test, and fail if it reaches less of the package than pyproject.toml requires"
	@echo "make test-floor        run the tests on the lowest supported versions of OpenTelemetry and all libraries"
	@echo "make test-newest       run those of them that start no process on the newest versions"
	@echo "make test-neighbours   run beside Logfire, Langfuse, Sentry and ddtrace, in one process with each"
	@echo "make test-frameworks   test presets of rules and examples with Temporal, DBOS, Hatchet, Prefect, OpenAI and others"
	@echo "make test-deployment   lint deploy/: the image, and the manifests with the schemas of Kubernetes"
	@echo "make check             ruff, mypy and pyright, linters of the workflows, pip check, and the checks of the package"
	@echo "make check-package     build wheel and sdist twice, compare them, and check their contents"
	@echo "make dist              make the files of a release in dist/: wheel, sdist, SBOM, notes, hashes"
	@echo "make bench             measure the cost of a step (ARGS='instructions caller' runs only these parts)"
	@echo "make docs              build the documentation into site/; a warning, a broken link or a request to another host fails it"
	@echo "make docs-serve        serve it at http://127.0.0.1:8000 and update it as you edit"
	@echo "make venv              only install, into $(VENV)   (venv-floor, venv-newest, venv-neighbours, venv-frameworks, venv-deployment, venv-docs, venv-release: for the targets of that name)"
	@echo "make clean             delete everything that these targets made"

demo: $(VENV)/.local
	@$(VENV)/bin/python examples/demo.py $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(PARALLEL) --tier fast $(if $(COVERAGE),--cov) $(ARGS)

# What `make test` leaves out.
test-rest: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(PARALLEL) --tier rest $(if $(COVERAGE),--cov --cov-append) $(ARGS)

test-all: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(PARALLEL) $(ARGS)

# One after another: each starts many processes at a time.
test-storms: $(VENV)/.dev
	KILL_STORM=$(STORM) STRESS_SECONDS=$(STRESS) FLEET=4 $(VENV)/bin/python -m pytest --tier storms -rP $(ARGS)

coverage:
	@$(MAKE) test COVERAGE=1

test-floor: $(VENV_FLOOR)/.floor
	@echo "Tests on the lowest versions:" $$(cat $(VENV_FLOOR)/floors.txt)
	FLOORS=1 $(VENV_FLOOR)/bin/python -m pytest $(PARALLEL_FLOOR) --tier fast $(FLOOR_IGNORES) $(ARGS)
	FLOORS=1 $(VENV_FLOOR)/bin/python -m pytest $(PARALLEL_FLOOR) --tier rest $(FLOOR_SERVERS) $(ARGS)

# `dev` pins instrumentations, and so an SDK.
test-newest: $(VENV_NEWEST)/.newest
	@echo "Tests on the newest versions:" $$($(VENV_NEWEST)/bin/python -m pip freeze | grep '^opentelemetry')
	$(VENV_NEWEST)/bin/python -m pytest $(PARALLEL_FLOOR) --tier fast $(FLOOR_IGNORES) $(ARGS)

test-neighbours: $(VENV_NEIGHBOURS)/.neighbours
	$(VENV_NEIGHBOURS)/bin/python -m pytest tests/neighbours tests/integration/test_untraced.py $(ARGS)

test-frameworks: $(VENV_FRAMEWORKS)/.frameworks
	$(VENV_FRAMEWORKS)/bin/python -m pytest tests/frameworks $(ARGS)

test-deployment: $(VENV_DEPLOYMENT)/.deployment
	PATH="$$PWD/$(VENV_DEPLOYMENT)/bin:$$PATH" $(VENV_DEPLOYMENT)/bin/python -m pytest tests/deploy tests/test_dashboard.py $(ARGS)

# All of them run, so that one look shows everything there is to mend.
check: $(VENV)/.dev $(VENV_RELEASE)/.release
	@failed=; \
	for checker in "ruff check" "ruff format --check" mypy $(foreach platform,$(PLATFORMS),"mypy --platform $(platform) --cache-dir .mypy_cache/$(platform) failpath_otel failpath_otel_pytest.py") "pyright --pythonpath $(VENV)/bin/python" tools.github_files "pip check"; do \
		echo "== $$checker"; \
		$(VENV)/bin/python -m $$checker || failed="$$failed, $$checker"; \
	done; \
	echo "== the package"; \
	$(MAKE) check-package || failed="$$failed, check-package"; \
	if [ -n "$$failed" ]; then echo "make check: failed:$${failed#,}" >&2; exit 1; fi

check-package: $(VENV_RELEASE)/.release
	@$(VENV_RELEASE)/bin/python -m tools.release --check

dist: $(VENV_RELEASE)/.release
	@$(VENV_RELEASE)/bin/python -m tools.release --build dist

bench: $(VENV)/.dev
	@$(VENV)/bin/python -m bench $(ARGS)

docs: $(VENV_DOCS)/.docs
	$(VENV_DOCS)/bin/python -m mkdocs build --strict $(ARGS)

docs-serve: $(VENV_DOCS)/.docs
	$(VENV_DOCS)/bin/python -m mkdocs serve --dev-addr 127.0.0.1:8000 $(ARGS)

# Material announces at each start that it gets no releases after May 2027, and names its successor, Zensical.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

venv: $(VENV)/.dev
venv-floor: $(VENV_FLOOR)/.floor
venv-newest: $(VENV_NEWEST)/.newest
venv-neighbours: $(VENV_NEIGHBOURS)/.neighbours
venv-frameworks: $(VENV_FRAMEWORKS)/.frameworks
venv-deployment: $(VENV_DEPLOYMENT)/.deployment
venv-docs: $(VENV_DOCS)/.docs
venv-release: $(VENV_RELEASE)/.release

clean:
	rm -rf $(VENV) $(VENV_FLOOR) $(VENV_NEWEST) $(VENV_NEIGHBOURS) $(VENV_FRAMEWORKS) $(VENV_DEPLOYMENT) $(VENV_DOCS) $(VENV_RELEASE) build dist site .coverage .coverage.* .peers .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of packages; .dev holds all that .local does.
$(VENV)/.dev: $(VENV)/.venv pyproject.toml
	@echo "Installing this package and what its tests need into $(VENV) (about half a minute) ..."
	@$(VENV)/bin/python $(PIP_INSTALL) '.[otlp,local,dev]'
	@touch $(VENV)/.local $@

$(VENV)/.local: $(VENV)/.venv pyproject.toml
	@echo "Installing this package into $(VENV) ..."
	@$(VENV)/bin/python $(PIP_INSTALL) '.[local]'
	@touch $@

# With the Python of that environment, whose pip brings a parser of TOML where Python has none.
$(VENV_FLOOR)/.floor: $(VENV_FLOOR)/.venv pyproject.toml tools/floors.py
	@$(VENV_FLOOR)/bin/python tools/floors.py >$(VENV_FLOOR)/floors.txt
	@echo "Installing this package with the lowest versions that it claims into $(VENV_FLOOR) ..."
	@$(VENV_FLOOR)/bin/python $(PIP_INSTALL) '.[tests]' --requirement $(VENV_FLOOR)/floors.txt
	@touch $@

$(VENV_NEWEST)/.newest: $(VENV_NEWEST)/.venv pyproject.toml
	@echo "Installing this package with the newest versions into $(VENV_NEWEST) ..."
	@$(VENV_NEWEST)/bin/python $(PIP_INSTALL) '.[tests,grpc,otlp-grpc]' --upgrade --upgrade-strategy eager
	@touch $@

$(VENV_NEIGHBOURS)/.neighbours: $(VENV_NEIGHBOURS)/.venv pyproject.toml
	@echo "Installing this package and its neighbours into $(VENV_NEIGHBOURS) (about a minute) ..."
	@$(VENV_NEIGHBOURS)/bin/python $(PIP_INSTALL_UNCOMPILED) '.[tests-neighbours]'
	@touch $@

$(VENV_FRAMEWORKS)/.frameworks: $(VENV_FRAMEWORKS)/.venv pyproject.toml
	@echo "Installing this package and the frameworks of its presets into $(VENV_FRAMEWORKS) (about a minute) ..."
	@$(VENV_FRAMEWORKS)/bin/python $(PIP_INSTALL_UNCOMPILED) '.[tests-frameworks]'
	@touch $@

$(VENV_DEPLOYMENT)/.deployment: $(VENV_DEPLOYMENT)/.venv pyproject.toml
	@echo "Installing this package and the linters of deploy/ into $(VENV_DEPLOYMENT) (about half a minute) ..."
	@$(VENV_DEPLOYMENT)/bin/python $(PIP_INSTALL) '.[tests-deployment]'
	@touch $@

$(VENV_DOCS)/.docs: $(VENV_DOCS)/.venv pyproject.toml
	@echo "Installing what builds the documentation into $(VENV_DOCS) ..."
	@$(VENV_DOCS)/bin/python $(PIP_INSTALL_UNCOMPILED) '.[docs]'
	@touch $@

# Without what these would depend on beyond the lock: see tools/release/overrides.txt.
$(VENV_RELEASE)/.release: $(VENV_RELEASE)/.venv tools/release/requirements.txt
	@echo "Installing what checks and builds the package into $(VENV_RELEASE) ..."
	@$(VENV_RELEASE)/bin/python -m pip --quiet --quiet install --no-compile --no-deps --require-hashes --requirement tools/release/requirements.txt
	@touch $@

# The newest pip takes a third of the time that one of 2023 takes to choose versions; the older one works as well.
# The stamp is the last thing written, so a virtual environment that was begun and not finished is made anew.
%/.venv:
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: $(PYTHON) not found. Install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "make: this needs Python 3.10 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Creating $* with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $*
	@$*/bin/python -m pip --quiet --quiet install --no-compile --upgrade pip || echo "Going on with the pip that is there."
	@touch $@
